"""Figures: the same bytes every time, in a font that has the characters, and nothing left behind in matplotlib."""

import warnings
from dataclasses import replace
from html import unescape

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import OF_A_USER, SIGNS
from matplotlib import font_manager

from lr_core.experiment import Evaluation
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.plots import fonts, style
from lr_lab.plots.datasets import SAMPLES
from lr_lab.runs.forgotten import Forgotten

DRAWINGS = {
    "samples": lambda record, digits: plots.samples(digits),
    "glyph_rows": lambda record, digits: plots.glyph_rows(digits),
    "pca_images": lambda record, digits: plots.pca_images(*plots.pca_points(digits)),
    "forgetting_curves": lambda record, digits: plots.forgetting_curves(record),
    "latents": lambda record, digits: plots.latents(record, digits.class_names),
    "pictures": lambda record, digits: plots.pictures([("case 1", [(digits.images[0].numpy(), "0→1")])]),
}


# What a matplotlibrc may hold: each alone changes a drawing, or needs LaTeX.


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_the_same_bytes_every_time_whatever_the_user_has_set(name, record, digits):
    before = dict(mpl.rcParams)
    expected = plots.svg(DRAWINGS[name](record, digits))
    assert "<dc:date>" not in expected
    assert dict(mpl.rcParams) == before
    with mpl.rc_context(OF_A_USER):
        before = dict(mpl.rcParams)
        assert plots.svg(DRAWINGS[name](record, digits)) == expected
        assert dict(mpl.rcParams) == before


def test_no_figure_is_wider_than_the_text(record, digits):
    for draw in DRAWINGS.values():
        assert draw(record, digits).get_size_inches()[0] <= style.WIDTH


def test_the_font_has_every_hiragana():
    font = font_manager.get_font(fonts.japanese_font().get_file())
    glyphs = catalogue.describe("kmnist").glyphs
    assert len(glyphs) == 10
    assert all(font.get_char_index(ord(glyph)) for glyph in glyphs)


# -- a set of one's own: any number of classes and images, any names


@pytest.fixture
def own_set(digits):
    """A set of these classes with this many images of each."""

    def make(names, counts):
        chosen = [np.flatnonzero(digits.labels == number)[:count] for number, count in enumerate(counts)]
        place = torch.from_numpy(np.concatenate(chosen))
        return replace(digits, images=digits.images[place], labels=digits.labels[place], class_names=tuple(names))

    return make


@pytest.mark.parametrize("counts", [(40, 12, 1), (5, 5), (20, 12, 19, *[20] * 7)])
def test_samples_have_a_row_for_each_class_and_short_rows_are_filled(own_set, counts):
    data = own_set("abcdefghij"[: len(counts)], counts)
    shown = np.array([min(count, SAMPLES) for count in counts])
    (axes,) = plots.samples(data).axes
    image = axes.images[0].get_array()
    assert image.shape == (28 * len(counts), 28 * SAMPLES)
    inked = (image.reshape(len(counts), 28, SAMPLES, 28) < 255).any(axis=(1, 3))
    assert inked.tolist() == [[place < count for place in range(SAMPLES)] for count in shown]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(data.class_names)
    assert [text.get_text() for text in plots.glyph_rows(data).axes[0].texts] == list(data.class_names)
    assert plots.first_images(data).groupby("class").size().tolist() == shown.tolist()
    points, _ = plots.pca_points(data)
    assert points.groupby("class").size().tolist() == list(counts)


SCRIPTS = ("العربية", "שלום", "あい漢字", "Ελληνικά", "Кириллица", "Tiếng Việt", "é", "ß", "№ 5", "→")


ONE_OF_EACH = torch.arange(0, 20, 2)  # positions in a set of two images of each of ten classes
PLANE = [(np.zeros((10, 2)), np.arange(10))]
NAMED = {
    "samples": lambda data, record: plots.samples(data),
    "glyph_rows": lambda data, record: plots.glyph_rows(data),
    "pca_images": lambda data, record: plots.pca_images(POINTS.assign(name=data.class_names), (0.5, 0.2)),
    "latents": lambda data, record: plots.latents(record, data.class_names),
    "latent_planes": lambda data, record: plots.latent_planes(PLANE, (0.5, 0.2), data.class_names),
    "confusion_matrix": lambda data, record: plots.confusion_matrix(
        np.eye(10, dtype=int), [range(5), range(5, 10)], data.class_names
    ),
    "forgotten": lambda data, record: plots.forgotten(
        data, Forgotten(ONE_OF_EACH, data.labels[ONE_OF_EACH], data.labels[ONE_OF_EACH].flip(0), 10)
    ),
    "image_latents": lambda data, record: plots.image_latents(data, ONE_OF_EACH, torch.zeros(10, 1, 6, 6)),
    "task_curves": lambda data, record: plots.task_curves(
        {name: [Evaluation(0, 0, None, {"mixed": (0.5,)})] for name in data.class_names}
    ),
}
POINTS = pd.DataFrame({"class": range(10), "x": 0.0, "y": 0.0})


@pytest.mark.parametrize("name", NAMED)
def test_names_are_drawn_as_they_are(own_set, record, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = unescape(plots.svg(NAMED[name](own_set(SIGNS, [2] * 10), record)))
    assert [sign for sign in SIGNS if sign not in document] == []


@pytest.mark.parametrize("name", ["samples", "glyph_rows", "latents", "forgotten"])
def test_scripts_that_a_font_at_hand_has_are_outlined(own_set, record, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = plots.svg(NAMED[name](own_set(SCRIPTS, [2] * 10), record))
    assert "<text" not in document  # a reader's machine needs no font for them
    assert "LastResort" not in document


@pytest.mark.parametrize("name", ["samples", "glyph_rows", "latents", "forgotten"])
def test_a_warning_names_once_and_in_one_line_what_no_font_can_draw(own_set, record, monkeypatch, name):
    always = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", always)  # those of every machine
    monkeypatch.setattr(fonts, "_warned", set())
    fonts._family_with.cache_clear()
    figure = NAMED[name](own_set(["ಅಆ", "हिन्दी", *SIGNS[2:]], [2] * 10), record)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        document = plots.svg(figure)
        plots.svg(figure)
    fonts._family_with.cache_clear()
    (line,) = [str(warning.message) for warning in warned]
    assert line.startswith("no font here can draw ")
    assert set(line.removeprefix("no font here can draw ").split(":")[0].split(", ")) == {"ಅಆ", "हिन्दी"}
    assert "हिन्दी" in document  # as text, which the reader's machine may have a font for


@pytest.mark.parametrize("name", ["x" * 17, "x" * 60, "American Staffordshire terrier"])
def test_the_middle_of_a_long_name_is_left_out(own_set, name):
    (axes,) = plots.samples(own_set([name, "b"], [2, 2])).axes
    shown = axes.get_yticklabels()[0].get_text()
    assert (shown == name) == (len(name) <= 17)
    assert len(shown) <= 17
    assert (shown[:8], shown[-4:]) == (name[:8], name[-4:])


def test_a_curve_shows_the_values_of_the_record(record):
    figure = plots.forgetting_curves(record, "mixed")
    arms = [arm for arm in record["arms"] if arm["arm"] != "first-task"]
    for axes, arm in zip(figure.axes, arms, strict=True):
        old, new = axes.lines
        assert list(old.get_ydata()) == arm["curve"]["old"]["mixed"]
        assert list(new.get_ydata()) == arm["curve"]["new"]["mixed"]


def test_both_tasks_share_their_axes(record, digits):
    first, second = plots.latents(record, digits.class_names).axes
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
    assert plots.arm_name(arm) == name
