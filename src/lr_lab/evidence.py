"""How runs with several seeds are judged beside a published number, and how effects are tested.

A published number comes from one run. It is *compatible* with ours if it lies inside the prediction interval of one more
run. It is *close* if two one-sided t tests show that our mean differs from it by less than a margin. `verdict` puts the
two together. The margins and levels of this project are in `report/verdicts.toml`.

References
----------
Spence and Stanley, "Prediction Interval: What to Expect When You're Expecting ... A Replication", PLOS ONE 11(9), 2016.
Lakens, "Equivalence Tests", Social Psychological and Personality Science 8(4), 2017.
Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6(2), 1979.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import stats

ROUNDING = 1e-9
"""Numbers that lie closer together than this are equal: their sums were rounded."""
VERDICTS = ("reproduced", "small systematic shift", "inconclusive", "differs")


@dataclass(frozen=True)
class Deviation:
    """A standard deviation pooled over groups of runs; `freedom` is its degrees of freedom."""

    value: float
    freedom: int

    def quantile(self, level: float) -> float:
        """The quantile of the t distribution with these degrees of freedom."""
        return _t(level, self.freedom)


@functools.cache  # a paper asks for the same few again and again, and each takes a tenth of a millisecond
def _t(level: float, freedom: int) -> float:
    return float(stats.t.ppf(level, freedom))


def pooled_deviation(groups: Iterable[Sequence[float]]) -> Deviation | None:
    """Square root of the mean variance of the groups, weighted by their degrees of freedom, n - 1 each.

    None if no group has two values.

    >>> pooled_deviation([[1, 3], [2, 6], [5]])
    Deviation(value=2.23606797749979, freedom=2)
    """
    repeated = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in repeated)
    return Deviation(math.sqrt(squares / freedom), freedom)


def mean_half_width(deviation: Deviation, count: int, confidence: float = 0.95) -> float:
    """Half the width of the confidence interval of a mean of `count` runs: t s / sqrt(n)."""
    return deviation.quantile((1 + confidence) / 2) * deviation.value / math.sqrt(count)


def prediction_half_width(deviation: Deviation, count: int, confidence: float = 0.95) -> float:
    """Half the width of the prediction interval of one more run: t s sqrt(1 + 1/n) (Spence and Stanley, 2016)."""
    return deviation.quantile((1 + confidence) / 2) * deviation.value * math.sqrt(1 + 1 / count)


def is_equivalent(difference: float, deviation: Deviation, count: int, margin: float, significance: float) -> bool:
    """Whether two one-sided t tests reject both that the difference is `margin` or more, and -`margin` or less.

    `difference` is that of the mean of `count` runs from a fixed number (Lakens, 2017).
    """
    return abs(difference) + deviation.quantile(1 - significance) * deviation.value / math.sqrt(count) < margin


def verdict(compatible: bool, close: bool) -> str:
    """One of `VERDICTS`."""
    return VERDICTS[2 * (not close) + (not compatible)]


@dataclass(frozen=True)
class Effect:
    """The mean of one difference for each seed, with the half-width of its confidence interval and its p value."""

    mean: float
    half_width: float
    p: float
    seeds: int


def paired_effect(differences: Sequence[float], confidence: float = 0.95) -> Effect | None:
    """A t test over seeds that the mean difference is 0; None for fewer than two seeds.

    None also where all seeds have the same difference, which happens with few test images: they say nothing of the spread.
    The seed is the unit: average over cases within a seed first. Its cases share splits and weights.
    """
    if len(differences) < 2 or max(differences) - min(differences) < ROUNDING:
        return None
    mean, count = statistics.fmean(differences), len(differences)
    deviation = Deviation(statistics.stdev(differences), count - 1)
    error = deviation.value / math.sqrt(count)
    p = 2 * float(stats.t.sf(abs(mean) / error, count - 1))
    return Effect(mean, mean_half_width(deviation, count, confidence), p, count)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
