"""The figures that only the paper draws: the same bytes every time and on every processor, and what they show."""

import copy
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pandas as pd
import pytest
from drawn import OF_A_USER, SIGNS, figures_of, other_processor

from lr_lab import plots
from lr_lab.plots import style

REPORT = Path(__file__).resolve().parents[2] / "report"
DIFFERENCES = pd.DataFrame(
    [
        ("replay", measure, mode, d)
        for measure in ("test", "original_test")
        for mode in ("running", "mixed")
        for d in (0.01, -0.2)
    ],
    columns=["arm", "measure", "evaluation", "difference"],
)
ERRORS = pd.DataFrame(
    [(memory, mode, 0.1234, 0.03) for memory in ("1 %", "5 %") for mode in ("running", "batch", "mixed")],
    columns=["memory", "evaluation", "wrong_task", "wrong_class"],
)
KINDS = {("replay", "original_test"): "old", ("replay", "test"): "new", ("no-replay", "original_test"): "without"}
READINGS = pd.DataFrame(
    [
        (reading, *kind, mode, 0.0234, 0.0345)
        for reading in ("a", "b") for kind in KINDS for mode in ("running", "batch")
    ],
    columns=["reading", "arm", "measure", "evaluation", "ours", "other"],
)  # fmt: skip
AVERAGES = pd.DataFrame(
    [(task, memory, name, 0.9123) for task in ("old", "new") for memory in ("1 %", "5 %") for name in "abcd"],
    columns=["task", "memory", "statistics", "accuracy"],
)
MARGINS = {"train": 0.01, "test": 0.01, "original_test": 0.02}
RATES = [{"experiment": "first", "program": "ours", "rates": [10.1, 30.3, 20.2]}]
HEADLINE = pd.DataFrame(
    [
        ("mnist", measure, stage, mode, 0.95, 0.9123, None if mode == "mixed" else 0.0234)
        for measure in ("old", "new")
        for stage in (("before", "none") if measure == "old" else ("none",))
        for mode in ("running", "batch", "mixed")
    ],
    columns=["dataset", "measure", "stage", "evaluation", "published", "ours", "half_width"],
).astype({"half_width": float})
DATA = {
    "protocol": lambda record, digits: [],
    "headline": lambda record, digits: [HEADLINE, {"mnist": "MNIST"}, {"before": "before", "none": "none"}],
    "forgetting_grid": lambda record, digits: [[[record, shorter(record)], [record]]],
    "latents_grid": lambda record, digits: [[record, record], digits.class_names],
    "budget": lambda record, digits: [[record], ("running", "mixed"), {(1, 0.05): 0.9}],
    "agreement": lambda record, digits: [DIFFERENCES],
    "rates": lambda record, digits: [RATES, ["first"]],
    "averages": lambda record, digits: [AVERAGES, {name: name for name in "abcd"}],
    "readings": lambda record, digits: [READINGS, {"a": "first reading", "b": "second"}, KINDS],
    "error_bars": lambda record, digits: [ERRORS],
    "verdict_matrix": lambda record, digits: [judged(), {"mnist": "MNIST"}],
    "verdict_strips": lambda record, digits: [judged(), MARGINS],
}


def shorter(record):
    """The same run with another seed: one epoch less, and lower accuracies."""
    other = copy.deepcopy(record)
    for arm in other["arms"]:
        curve = arm["curve"]
        curve["epochs"].pop()
        for task in {"old", "new"} & set(curve):
            curve[task] = {mode: [0.9 * value for value in values[:-1]] for mode, values in curve[task].items()}
    return other


def judged():
    """One number of each verdict and one without, under two modes, in two cases; differences of 1 to 90 points."""
    from analysis.verdicts import Judged

    numbers = [
        ("reproduced", 0.012345, 0.02), ("small systematic shift", -0.011, 0.004), ("inconclusive", 0.05, 0.3),
        ("differs", 0.9, 0.01), ("differs", -0.9, 0.01), (None, 0.123456, None),
    ]  # fmt: skip
    return [
        Judged("mnist", "replay", share, "original_test", case, mode, 0.05, 0.05 + difference, 2, half_width, verdict)
        for mode in ("running", "batch")
        for case in (1, 2)
        for share, (verdict, difference, half_width) in enumerate(numbers, start=1)
    ]


MODULES = ("drawings.charts", "drawings.verdict_charts", "drawings.schematic")


@pytest.fixture(scope="module")
def charts(module):
    """Everything that draws, in one namespace."""
    return SimpleNamespace(**{name: each for of in MODULES for name, each in vars(module(of)).items()})


@pytest.mark.parametrize("name", DATA)
def test_a_chart_is_the_same_bytes_whatever_the_user_has_set_and_on_every_processor(charts, record, digits, name):
    draw, data = getattr(charts, name), DATA[name](record, digits)
    expected = plots.svg(draw(*data))
    with mpl.rc_context(OF_A_USER):
        assert plots.svg(draw(*data)) == expected
    assert plots.svg(draw(*other_processor(copy.deepcopy(data)))) == expected
    assert draw(*data).get_size_inches()[0] <= style.WIDTH


def test_every_chart_is_tested(module):
    assert set().union(*(figures_of(module(name)) for name in MODULES)) == set(DATA)


def test_names_are_drawn_as_they_are(charts, record):
    document = unescape(plots.svg(charts.latents_grid([record], SIGNS)))
    assert [sign for sign in SIGNS if sign not in document] == []


def test_errors_are_printed_with_the_digits_of_the_text(charts):
    (axes,) = charts.error_bars(ERRORS.assign(wrong_task=0.119461, wrong_class=0.024483)).axes
    assert {text.get_text().split("  ")[1] for text in axes.texts} == {"11.9 + 2.4"}  # rounded twice, 2.45 may be 2.5


def test_a_mode_has_one_colour_and_shape_in_all_figures_of_the_memory(charts, record):
    (axes,) = charts.budget([record], ("running", "batch", "mixed"), {(1, 0.05): 0.9}).axes
    drawn = [(line.get_color(), line.get_marker()) for line in axes.lines]
    assert drawn[:3] == [(each["color"], each["marker"]) for each in charts.MODE_MARKS.values()]


def test_rates_show_every_program_once_and_every_round(charts):
    measured = [
        {"experiment": "second", "program": "ours", "rates": [10.0, 30.0, 20.0]},
        {"experiment": "second", "program": "theirs", "rates": [5.0]},
        {"experiment": "first", "program": "ours", "rates": [40.0]},
    ]
    first, second = charts.rates(measured, ["first", "second"]).axes
    assert [bar.get_width() for bar in first.patches] == [40]
    assert [bar.get_width() for bar in second.patches] == [20, 5]  # medians
    assert [line.get_xdata().tolist() for line in second.lines] == [[10, 30, 20], [5]]
    assert [label.get_text() for label in second.get_yticklabels()] == ["ours", "theirs"]


def test_agreement_counts_what_is_near(charts):
    left, right = charts.agreement(DIFFERENCES, near=0.02).axes
    assert [text.get_text() for text in left.texts] == ["50%", "50%"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["replay, testing", "replay, old classes"]
    assert [text.get_text() for text in charts.agreement(DIFFERENCES, near=0.3).axes[0].texts] == ["100%", "100%"]
