"""Effects on the accuracy on old classes after replay: of the evaluation mode and of the memory.

The seed is the unit: each difference is averaged over the cases of a data set (and over budgets) within a seed, then tested
over seeds. Runs of one seed share splits and weights, so its cases are no independent repetitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean

from analysis.edition import Runs, ours
from analysis.verdicts import RULE
from lr_core.settings import EVALUATIONS
from lr_lab.evidence import Effect, holm, paired_effect
from lr_lab.runs.profiles import find_profile


def _old(record: Mapping, mode: str) -> list[float]:
    """Accuracy on the old classes after replay, by budget, the smallest first."""
    return [arm["accuracy"][mode]["original_test"] for arm in record["arms"] if arm["arm"] == "replay"]


def _of_mode(mode: str, other: str) -> Callable[[Mapping], float]:
    return lambda record: fmean(_old(record, mode)) - fmean(_old(record, other))


def _of_memory(mode: str) -> Callable[[Mapping], float]:
    return lambda record: _old(record, mode)[-1] - _old(record, mode)[0]


EFFECTS: dict[str, Callable[[Mapping], float]] = {
    "batch less running statistics": _of_mode("batch", "running"),
    "mixed less running statistics": _of_mode("mixed", "running"),
    **{f"largest less smallest memory, {mode} statistics": _of_memory(mode) for mode in EVALUATIONS},
}


def effects(runs: Runs = ours) -> list[tuple[str, str, Effect, float]]:
    """(effect, data set, its size over seeds, p adjusted by Holm for all that are listed).

    A seed counts if it has all cases of the data set; an effect is listed if two seeds or more count.
    """
    cases = len(find_profile(runs.profile).cases)
    found = []
    for name, difference in EFFECTS.items():
        for dataset in runs.datasets:
            seeds: dict[int, list[float]] = defaultdict(list)
            for record in runs.records:
                if record["run"]["dataset"] == dataset:
                    seeds[record["run"]["seed"]].append(difference(record))
            whole = [fmean(values) for values in seeds.values() if len(values) == cases]
            if effect := paired_effect(whole, RULE["confidence"]):
                found.append((name, dataset, effect))
    adjusted = holm([effect.p for *_, effect in found])
    return [(*each, p) for each, p in zip(found, adjusted, strict=True)]
