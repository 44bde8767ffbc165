"""Means over seeds with their intervals: `of_seeds` of numbers, `estimate` of records.

The seed is the unit: a number is averaged over the cases of a data set within a seed, then over seeds. The interval is that of
the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.edition import Runs
from analysis.sourced import Value, mean
from analysis.verdicts import RULE
from lr_lab.evidence import paired_effect

Reader = Callable[[Mapping], Value | None]
"""One number of a record; None where the record has none."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the half-width of its confidence interval; None for one seed, and for seeds that are all equal."""

    value: Value
    half_width: float | None
    seeds: tuple[int, ...]
    cases: tuple[int, ...]

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0; 0 without an interval."""
        if self.half_width is None or abs(self.value) <= self.half_width:
            return 0
        return 1 if self.value > 0 else -1

    def inside(self, least: float, most: float) -> bool:
        """Whether the interval lies inside a range; never without one."""
        return (
            self.half_width is not None
            and least <= self.value - self.half_width
            and self.value + self.half_width <= most
        )

    def outside(self, least: float, most: float) -> bool:
        """Whether the interval and a range have nothing in common; never without one."""
        return self.half_width is not None and (
            self.value + self.half_width < least or self.value - self.half_width > most
        )


def of_seeds(numbers: Mapping[int, Value], cases: Sequence[int]) -> Estimate | None:
    """The mean of one number for each seed, each of these cases; None without a seed."""
    average = mean(numbers.values())
    if average is None:
        return None
    effect = paired_effect(list(map(float, numbers.values())), RULE["confidence"])
    return Estimate(average, effect.half_width if effect else None, tuple(numbers), tuple(cases))


def estimate(*parts: tuple[Runs, str, Reader, float]) -> Estimate | None:
    """A weighted sum of numbers of the same seeds and cases; None where there is no such run.

    Parameters
    ----------
    parts : profile, data set, number and weight. All seeds that count have the same cases: as many, from the first one on, as
        three seeds have, for two give an interval three times as wide; where no three have any, as two have, or one
    """
    numbers = [
        {
            (record["run"]["seed"], record["run"]["case"]): value
            for record in runs.records
            if record["run"]["dataset"] == dataset and (value := read(record)) is not None
        }
        for runs, dataset, read, _ in parts
    ]
    common = set(numbers[0]).intersection(*numbers[1:])
    weights = [weight for *_, weight in parts]

    def total(key: tuple[int, int]) -> Value:
        terms = [found[key] for found in numbers]
        used = [term.sources for term, weight in zip(terms, weights, strict=True) if weight]
        return Value(sum(w * t for w, t in zip(weights, terms, strict=True)), frozenset().union(*used))

    known = sorted({case for _, case in common})
    for wanted in (3, 2, 1):
        for count in range(len(known), 0, -1):
            cases = known[:count]
            seeds = [s for s in sorted({seed for seed, _ in common}) if all((s, case) in common for case in cases)]
            if len(seeds) >= wanted:
                averages = {seed: mean(total((seed, case)) for case in cases) for seed in seeds}
                return of_seeds({seed: average for seed, average in averages.items() if average is not None}, cases)
    return None
