"""What classifiers without gradients make of the frozen latents (`lr_lab.runs.bounds`), beside replay of the same runs."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from edition import ours
from findings import mean_over_cases
from sourced import Value, accuracy, source
from titles import title
from words import count, listed

from lr_core.models import LATENT_VALUES
from lr_core.settings import EVALUATIONS

CLASSIFIERS = {
    "nearest-mean": "nearest class mean",
    "linear": "linear discriminant",
    "quadratic": "quadratic discriminant",
}
METHODS = {**CLASSIFIERS, **{mode: f"replay, {mode} statistics" for mode in EVALUATIONS}}
"""Classifiers, and replay under each evaluation mode, in words."""


def records() -> list[dict]:
    """The runs that have bounds."""
    return [record for record in ours.records if "bounds" in record]


def runs() -> str:
    """How many runs of which data sets have bounds."""
    found = [title(record["run"]["dataset"]) for record in records()]
    if not found:
        return "no runs"
    return f"{count(len(found))} {'run' if len(found) == 1 else 'runs'} of {listed(dict.fromkeys(found))}"


def value(method: str, share: float, task: str, dataset: str | None = None) -> Value | None:
    """Mean accuracy on the "old" or the "new" classes; a share of 1 is all old latents. Each case weighs the same."""
    return mean_over_cases(_values(method, share, task, dataset))


def both(method: str, share: float) -> Value | None:
    """Mean of the accuracies on old and on new classes."""
    old, new = (value(method, share, task) for task in ("old", "new"))
    return None if old is None or new is None else Value((old + new) / 2, old.sources | new.sources)


def _values(method: str, share: float, task: str, dataset: str | None) -> Iterator[tuple[dict, Value | None]]:
    for record in records():
        if dataset not in (None, record["run"]["dataset"]):
            continue
        if method in CLASSIFIERS:
            found = record["bounds"][method].get(repr(share))
            if found:
                yield record, Value(found[task == "new"], [source(record, record["arms"][0])])
        else:
            measure = "test" if task == "new" else "original_test"
            yield from (
                (record, accuracy(record, arm, method, measure))
                for arm in record["arms"]
                if arm["arm"] == "replay" and arm["memory_share"] == share
            )


def gaussian_bytes(classes: int = 5) -> int:
    """What a mean and a covariance in single precision take for each class, a symmetric matrix stored once."""
    return 4 * classes * (LATENT_VALUES + LATENT_VALUES * (LATENT_VALUES + 1) // 2)


def frame() -> pd.DataFrame:
    """Data set, method, share of the old latents, accuracy on old and on new classes."""
    names = dict.fromkeys(record["run"]["dataset"] for record in records())
    rows = [
        (name, method, share, *(float(value(method, share, task, name) or 0) for task in ("old", "new")))
        for name in names
        for method in METHODS
        for share in (*ours.settings.memory_shares, 1.0)
        if value(method, share, "old", name) is not None
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "share", "old", "new"]).round(4)
