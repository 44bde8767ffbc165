"""Figures: the same bytes every time, in a font that has the characters, and nothing left behind in matplotlib."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import font_manager

from lr_core import datasets, figures

DIFFERENCES = pd.DataFrame(
    [
        ("replay", measure, mode, d)
        for measure in ("test", "original_test")
        for mode in ("running", "mixed")
        for d in (0.01, -0.2)
    ],
    columns=["arm", "measure", "evaluation", "difference"],
)
DRAWINGS = {
    "samples": lambda record, digits: figures.samples(digits),
    "glyph_rows": lambda record, digits: figures.glyph_rows(digits),
    "pca_images": lambda record, digits: figures.pca_images(*figures.pca_points(digits)),
    "forgetting_curves": lambda record, digits: figures.forgetting_curves(record),
    "forgetting_grid": lambda record, digits: figures.forgetting_grid([record, record]),
    "latents": lambda record, digits: figures.latents(record, digits.class_names),
    "latents_grid": lambda record, digits: figures.latents_grid([record, record], digits.class_names),
    "agreement": lambda record, digits: figures.agreement(DIFFERENCES),
    "pictures": lambda record, digits: figures.pictures([("case 1", [(digits.images[0].numpy(), "0→1")])]),
    "budget": lambda record, digits: figures.budget([record], ("running", "mixed"), {(1, 0.05): 0.9}),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_the_same_bytes_every_time(name, record, digits):
    before = dict(mpl.rcParams)
    first, second = (figures.svg(DRAWINGS[name](record, digits)) for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first
    assert dict(mpl.rcParams) == before


def test_no_figure_is_wider_than_the_text(record, digits):
    for draw in DRAWINGS.values():
        assert draw(record, digits).get_size_inches()[0] <= figures.WIDTH


def test_the_font_has_every_hiragana():
    font = font_manager.get_font(figures.japanese_font().get_file())
    glyphs = datasets.describe("kmnist").glyphs
    assert len(glyphs) == 10
    assert all(font.get_char_index(ord(glyph)) for glyph in glyphs)


def test_a_curve_shows_the_values_of_the_record(record):
    figure = figures.forgetting_curves(record, "mixed")
    arms = [arm for arm in record["arms"] if arm["arm"] != "first-task"]
    for axes, arm in zip(figure.axes, arms, strict=True):
        old, new = axes.lines
        assert list(old.get_ydata()) == arm["curve"]["old"]["mixed"]
        assert list(new.get_ydata()) == arm["curve"]["new"]["mixed"]


def test_both_tasks_share_their_axes(record, digits):
    first, second = figures.latents(record, digits.class_names).axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()


@pytest.mark.parametrize(
    ("arm", "name"),
    [
        ({"arm": "first-task"}, "first task"),
        ({"arm": "no-replay"}, "no replay"),
        ({"arm": "replay", "memory_share": 0.01}, "replay 1 %"),
        ({"arm": "replay", "memory_share": 0.25}, "replay 25 %"),
    ],
)
def test_arms_have_names(arm, name):
    assert figures.arm_name(arm) == name


def test_rates_show_every_program_once_and_every_round():
    measured = [
        {"experiment": "second", "program": "ours", "rates": [10.0, 30.0, 20.0]},
        {"experiment": "second", "program": "theirs", "rates": [5.0]},
        {"experiment": "first", "program": "ours", "rates": [40.0]},
    ]
    first, second = figures.rates(measured, ["first", "second"]).axes
    assert [bar.get_width() for bar in first.patches] == [40]
    assert [bar.get_width() for bar in second.patches] == [20, 5]  # medians
    assert [line.get_xdata().tolist() for line in second.lines] == [[10, 30, 20], [5]]
    assert [label.get_text() for label in second.get_yticklabels()] == ["ours", "theirs"]


def test_agreement_counts_what_is_near():
    left, right = figures.agreement(DIFFERENCES, near=0.02).axes
    assert [text.get_text() for text in left.texts] == ["50%", "50%"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["replay, testing", "replay, old classes"]
    assert [text.get_text() for text in figures.agreement(DIFFERENCES, near=0.3).axes[0].texts] == ["100%", "100%"]
