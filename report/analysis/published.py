"""The values that the original published, from `data/published.csv`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from lr_core.errors import LatentReplayError
from lr_core.memory import pixel_share

MEASURES = {"train": "Training", "test": "Testing", "original_test": "Original testing"}
_COLUMNS = {measure: f"{measure}_accuracy" for measure in MEASURES}


def read_published(path: Path) -> pd.DataFrame:
    """The original's Tables 4 to 12, a row for each table, arm and case; a `LatentReplayError` if they are damaged."""
    names, numbers = ("dataset", "arm"), ("memory_pixels_percent", *_COLUMNS.values())
    kinds = dict.fromkeys(("table", "case"), int) | dict.fromkeys(names, str) | dict.fromkeys(numbers, float)
    try:
        table = pd.read_csv(path, usecols=list(kinds), dtype=kinds)
        if not table[[*_COLUMNS.values()]].stack().dropna().between(0, 1).all():
            raise ValueError("an accuracy is not between 0 and 1")
    except (OSError, ValueError) as error:
        raise LatentReplayError(f"{path}: cannot be used ({error}); restore it with git") from error
    return table


published = read_published(Path(__file__).parents[2] / "data" / "published.csv")


@cache
def published_value(dataset: str, case: int, name: str, measure: str, share: float | None = None) -> float | None:
    """A value of the original's Tables 4 to 12, or None if it has none."""
    rows = published[(published.dataset == dataset) & (published.arm == name) & (published.case == case)]
    if share is not None:
        percent = 100 * pixel_share(1, 1) * share
        rows = rows[(rows.memory_pixels_percent - percent).abs() < 0.01]
    values = rows[_COLUMNS[measure]].dropna()
    return float(values.iloc[0]) if len(values) == 1 else None


def published_count() -> int:
    """How many accuracies the original published."""
    return int(published[[*_COLUMNS.values()]].count().sum())


def train_test_gap() -> float:
    """Mean of training less test accuracy over the original's first tasks."""
    first = published[published.arm == "first-task"]
    return float((first.train_accuracy - first.test_accuracy).mean())


def baseline() -> float:
    """Mean accuracy on the old classes that the original's baseline without replay keeps."""
    return float(published[published.arm == "no-replay"].original_test_accuracy.mean())
