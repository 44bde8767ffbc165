"""Statistics of several seeds: worked examples, and simulated runs whose intervals cover as often as they promise."""

import doctest
import math

import numpy as np
import pytest

from lr_lab import evidence
from lr_lab.evidence import Deviation


def test_examples_in_docstrings():
    assert doctest.testmod(evidence) == (0, 2)


@pytest.mark.parametrize(
    ("groups", "value", "freedom"),
    [
        ([[0.90, 0.92, 0.94]], 0.02, 2),
        ([[1, 3], [2, 4]], math.sqrt(2), 2),
        ([[1, 3], [10, 10, 10, 10]], math.sqrt(2 / 4), 4),  # four degrees of freedom, three of them without spread
        ([[1, 3], [7]], math.sqrt(2), 1),  # a single run says nothing of the spread
    ],
)
def test_pooled_deviation(groups, value, freedom):
    found = evidence.pooled_deviation(groups)
    assert (found.value, found.freedom) == (pytest.approx(value), freedom)


@pytest.mark.parametrize("groups", [[], [[0.5]], [[0.5], [0.6], [0.7]]])
def test_single_runs_have_no_deviation(groups):
    assert evidence.pooled_deviation(groups) is None


@pytest.mark.parametrize(("seeds", "factor"), [(3, 2.66), (5, 2.32), (6, 2.25)])
def test_prediction_interval_of_four_pooled_cases(seeds, factor):
    deviation = Deviation(1.0, 4 * (seeds - 1))
    assert evidence.prediction_half_width(deviation, seeds) == pytest.approx(factor, abs=0.005)


def test_intervals_by_hand():
    # t(0.975, 8) = 2.306 and t(0.95, 8) = 1.860, from a printed table.
    deviation = Deviation(0.01, 8)
    assert evidence.mean_half_width(deviation, 3) == pytest.approx(2.306 * 0.01 / math.sqrt(3), rel=1e-3)
    assert evidence.prediction_half_width(deviation, 3) == pytest.approx(2.306 * 0.01 * math.sqrt(4 / 3), rel=1e-3)
    bound = 0.02 - 1.860 * 0.01 / math.sqrt(3)
    assert evidence.is_equivalent(bound - 1e-5, deviation, 3, margin=0.02, significance=0.05)
    assert evidence.is_equivalent(-bound + 1e-5, deviation, 3, margin=0.02, significance=0.05)
    assert not evidence.is_equivalent(bound + 1e-5, deviation, 3, margin=0.02, significance=0.05)


@pytest.mark.parametrize(
    ("compatible", "close", "expected"),
    [
        (True, True, "reproduced"),
        (False, True, "small systematic shift"),
        (True, False, "inconclusive"),
        (False, False, "differs"),
    ],
)
def test_verdict(compatible, close, expected):
    assert evidence.verdict(compatible, close) == expected


def test_paired_effect_by_hand():
    # Mean 2, standard deviation 1, standard error 1/sqrt(3), t = 3.464 with 2 degrees of freedom, t(0.975, 2) = 4.303.
    effect = evidence.paired_effect([1.0, 2.0, 3.0])
    assert (effect.mean, effect.seeds) == (2.0, 3)
    assert effect.half_width == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert effect.p == pytest.approx(0.0742, abs=1e-4)


@pytest.mark.parametrize("differences", [[], [1.0], [-0.05, -0.05, -0.05], [0.1 + 0.2, 0.3, 0.3]])
def test_no_effect_is_measured_without_a_spread(differences):
    assert evidence.paired_effect(differences) is None


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.6, 0.7], [1.0, 1.0]),
    ],
)
def test_holm(p_values, adjusted):
    assert evidence.holm(p_values) == pytest.approx(adjusted)


# -- simulated runs: four cases of different level, one spread --------------------------------------------------------


@pytest.fixture(scope="module", params=[3, 6])
def simulated(request):
    """(2000, 4, n) accuracies of n seeds, the mean of each case, and the deviations pooled over the cases."""
    seeds, draw = request.param, np.random.default_rng(0)
    levels = np.array([0.99, 0.95, 0.9, 0.8])
    runs = levels[:, None] + 0.01 * draw.standard_normal((2000, 4, seeds))
    return seeds, levels, runs, [evidence.pooled_deviation(repeat.tolist()) for repeat in runs], draw


def test_prediction_intervals_hold_one_more_run_in_95_of_100(simulated):
    seeds, levels, runs, deviations, draw = simulated
    more = levels + 0.01 * draw.standard_normal((len(runs), 4))
    widths = np.array([evidence.prediction_half_width(deviation, seeds) for deviation in deviations])
    inside = np.abs(more - runs.mean(axis=2)) <= widths[:, None]
    assert inside.mean() == pytest.approx(0.95, abs=0.01)  # 8,000 intervals: standard error 0.25 points


def test_a_difference_as_large_as_the_margin_passes_for_close_in_5_of_100(simulated):
    seeds, levels, runs, deviations, _ = simulated
    margin = 0.03
    passed = [
        evidence.is_equivalent(float(mean - (level + margin)), deviation, seeds, margin, 0.05)
        for means, deviation in zip(runs.mean(axis=2), deviations, strict=True)
        for mean, level in zip(means, levels, strict=True)
    ]
    assert np.mean(passed) == pytest.approx(0.05, abs=0.012)
