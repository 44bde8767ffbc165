"""The verdict on each published number under each evaluation mode, from the seeds of its case (`verdicts.toml`)."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.edition import Runs, ours
from analysis.published import MEASURES, published_value
from analysis.sourced import Value, mean
from lr_core.settings import CASES, EVALUATIONS
from lr_lab.data import catalogue
from lr_lab.evidence import Deviation, is_equivalent, mean_half_width, pooled_deviation, prediction_half_width, verdict

RULE = tomllib.loads((Path(__file__).parent / "verdicts.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Judged:
    """One published number beside ours, under one evaluation mode. All numbers are shares of the images.

    `half_width` is that of the prediction interval. It and the verdict are None where no deviation can be had, or where
    the case has one seed.
    """

    dataset: str
    arm: str
    share: float | None  # of the first task's training images, in the memory
    measure: str
    case: int
    evaluation: str
    published: float
    ours: Value
    seeds: int
    half_width: float | None = None
    verdict: str | None = None

    @property
    def number(self) -> tuple[str, int, str, float | None, str]:
        """Which published number it is, whatever the evaluation mode."""
        return self.dataset, self.case, self.arm, self.share, self.measure

    @property
    def difference(self) -> float:
        """Ours less published."""
        return float(self.ours) - self.published

    @property
    def compatible(self) -> bool | None:
        """Whether the published value lies inside the prediction interval."""
        return None if self.half_width is None else abs(self.difference) <= self.half_width


def rows() -> list[tuple[str, float | None, str]]:
    """Arm, share and measure of the published numbers of one case, in the order of the original's tables."""
    arms = [("first-task", None), *(("replay", share) for share in ours.settings.memory_shares), ("no-replay", None)]
    return [
        (arm, share, measure)
        for arm, share in arms
        for measure in MEASURES
        if arm != "first-task" or measure != "original_test"
    ]


def deviation(
    dataset: str, arm: str, measure: str, evaluation: str, share: float | None, runs: Runs = ours
) -> Deviation | None:
    """The standard deviation between seeds, pooled over the cases of a data set."""
    return pooled_deviation(runs.values(dataset, case, arm, measure, evaluation, share) for case in CASES)


def half_width_of_mean(
    dataset: str, arm: str, measure: str, evaluation: str, share: float | None, seeds: int, runs: Runs = ours
) -> float | None:
    """Half the width of the confidence interval of the mean of a case; None for one seed."""
    spread = deviation(dataset, arm, measure, evaluation, share, runs) if seeds > 1 else None
    return None if spread is None else mean_half_width(spread, seeds, RULE["confidence"])


def judged() -> list[Judged]:
    """Every published number whose case has been run, under every evaluation mode."""
    return list(_judged())


def _judged() -> Iterator[Judged]:
    for dataset in (name for name in ours.datasets if name in catalogue.PAPER_DATASETS):
        for arm, share, measure in rows():
            for evaluation in EVALUATIONS:
                spread = deviation(dataset, arm, measure, evaluation, share)
                for case in CASES:
                    theirs = published_value(dataset, case, arm, measure, share)
                    values = ours.values(dataset, case, arm, measure, evaluation, share)
                    if theirs is None or (average := mean(values)) is None:
                        continue
                    cell = (dataset, arm, share, measure, case, evaluation, theirs, average, len(values))
                    if spread is None or dataset not in ours.repeated_datasets:
                        yield Judged(*cell)
                        continue
                    difference, count = float(average) - theirs, len(values)
                    half_width = prediction_half_width(spread, count, RULE["confidence"])
                    close = is_equivalent(difference, spread, count, RULE["margins"][measure], RULE["significance"])
                    yield Judged(*cell, half_width, verdict(abs(difference) <= half_width, close))


def counts(evaluation: str) -> Counter[str]:
    """How many published numbers have each verdict under an evaluation mode."""
    return Counter(each.verdict for each in judged() if each.evaluation == evaluation and each.verdict)


def decided(evaluation: str) -> list[Judged]:
    """The published numbers that have a verdict under an evaluation mode."""
    return [each for each in judged() if each.evaluation == evaluation and each.verdict]


def frame() -> pd.DataFrame:
    """All of `judged` as a table, rounded to what is shown."""
    data = pd.DataFrame([vars(each) | {"difference": each.difference} for each in judged()])
    return data.astype({"ours": float}).round({"ours": 4, "half_width": 4, "difference": 4})
