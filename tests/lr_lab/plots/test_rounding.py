"""What every processor agrees on: numbers that differ in their last bits give the same drawing, byte for byte."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY
from drawn import figures_of, other_processor
from matplotlib.figure import Figure

from lr_core.experiment import Evaluation, TaskSequence
from lr_core.settings import CASES
from lr_lab import plots
from lr_lab.plots import svg_document
from lr_lab.rounding import rounded
from lr_lab.runs import execute
from lr_lab.runs import latent_plane as latent_plane_module
from lr_lab.runs.latent_plane import latent_plane

HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
GENERATOR = np.random.default_rng(0)
POINTS, LATENTS = GENERATOR.normal(size=(40, 2)), torch.from_numpy(GENERATOR.normal(size=(5, 1, 6, 6)))
MATRIX = [(0.95,), (0.85, 0.92)]
EVALUATED = [
    Evaluation(0, 0, None, {"mixed": (0.1,)}),
    Evaluation(0, 1, 0.5, {"mixed": (2 / 3,)}),
    Evaluation(1, 0, None, {"mixed": (2 / 3, 0.0)}),
]


DRAWINGS = {
    "pca_images": lambda record, digits: (plots.pca_images, *plots.pca_points(digits)),
    "forgetting_curves": lambda record, digits: (plots.forgetting_curves, record),
    "latents": lambda record, digits: (plots.latents, record, digits.class_names),
    "pictures": lambda record, digits: (plots.pictures, [("", [(LATENTS[0, 0].numpy(), "0")])]),
    "task_curves": lambda record, digits: (plots.task_curves, {"replay": EVALUATED}),
    "accuracy_matrix": lambda record, digits: (plots.accuracy_matrix, MATRIX),
    "image_latents": lambda record, digits: (plots.image_latents, digits, torch.arange(5), LATENTS),
    "latent_planes": lambda record, digits: (
        plots.latent_planes, [(POINTS, np.arange(40) % 5)] * 2, (0.5, 0.25), digits.class_names,
    ),
}  # fmt: skip
WITHOUT_REALS = {"samples", "glyph_rows", "confusion_matrix", "forgotten"}  # bytes and counts: the same anyway


@pytest.mark.parametrize("name", DRAWINGS)
def test_last_bits_leave_no_trace_in_a_figure(name, record, digits):
    draw, *data = DRAWINGS[name](record, digits)
    assert plots.svg(draw(*data)) == plots.svg(draw(*other_processor(copy.deepcopy(data))))


def test_every_figure_is_tested():
    assert figures_of(plots) == set(DRAWINGS) | WITHOUT_REALS


def test_last_bits_leave_no_trace_in_a_plane(digits, tiny, double, monkeypatch):
    sequence = TaskSequence(digits, HALVES, settings=tiny, compute=double)
    planes, shares = latent_plane(sequence, sample=20)
    encode = sequence.encode
    monkeypatch.setattr(sequence, "encode", lambda positions: other_processor(encode(positions)))
    again, same_shares = latent_plane(sequence, sample=20)
    assert [points.tolist() for points, _ in planes] == [points.tolist() for points, _ in again]
    assert shares == same_shares


def test_a_record_has_coordinates_that_are_rounded_and_zeros_without_sign(digits, monkeypatch):
    class Plane:
        explained_variance_ratio_ = np.array([2 / 3, 1 / 3])

        def fit(self, rows):
            return self

        def transform(self, rows):
            return np.tile([-1e-9, 2 / 3], (len(rows), 1))

    monkeypatch.setattr(latent_plane_module, "PCA", lambda **options: Plane())
    settings = replace(TINY, memory_shares=(), max_epochs=1)
    drawn = execute.train(digits, CASES[1], 0, settings)["latents"]
    assert drawn["explained_variance_ratio"] == [0.666667, 0.333333]
    assert {str(xy) for task in drawn["tasks"].values() for xy in task["xy"]} == {"[0.0, 0.6667]"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.12344999, "0.1234"), (0.12345001, "0.1235"), (-1e-9, "0.0"), (-0.5, "-0.5"), (float("nan"), "nan")],
)
def test_rounded(value, expected):
    assert str(float(rounded(value))) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # As from two processors: cut, these would differ.
        ('<rect x="12.999999" width="209.852092"/>', '<rect x="13" width="209.85"/>'),
        ('<rect x="13.000001" width="209.852093"/>', '<rect x="13" width="209.85"/>'),
        # In the middle between two hundredths.
        ('<rect y="0.124999" height="-0.125001"/>', '<rect y="0.13" height="-0.12"/>'),
        ('<rect y="0.125001" height="-0.124999"/>', '<rect y="0.13" height="-0.12"/>'),
        ('<rect x="-0.000001"/>', '<rect x="0"/>'),
        ('<path d="M 1.234567 2&#10;L -3.999999 0.1"/>', '<path d="M 1.23 2&#10;L -4 0.1"/>'),
        ('<text transform="rotate(-90 9.07899 131.579688)">', '<text transform="rotate(-90 9.08 131.58)">'),
        ('<g transform="translate(6.900216 19.6) scale(0.075 -0.075)">', '<g transform="translate(6.9 19.6) scale(0.075 -0.075)">'),
        ('<image transform="matrix(0.735111 0 0 0.735111 38.460456 3.00024)"/>', '<image transform="matrix(0.73511 0 0 0.73511 38.46 3)"/>'),
        ('<a style="stroke-dasharray: 3.899999,1.95"/>', '<a style="stroke-dasharray: 3.9,1.95"/>'),
        # Not a coordinate: what is written, and the version of XML.
        ("<text>0.918273</text>", "<text>0.918273</text>"),
        ('<?xml version="1.0"?>', '<?xml version="1.0"?>'),
    ],
)  # fmt: skip
def test_coordinates_are_rounded_and_words_are_not(before, after):
    assert svg_document._compact(before) == after


def test_ids_are_numbered_and_two_drawings_share_none(record):
    first, second = (plots.svg(plots.forgetting_curves(record, mode)) for mode in ("mixed", "running"))
    defined = re.findall(r'id="(d[^"]*)"', first)
    assert {name.split("-")[1] for name in defined} == {str(n) for n in range(1, len(defined) + 1)}
    assert set(re.findall(r"#(d\w*-\d+)", first)) <= set(defined)
    assert not re.search(r'id="\w*[0-9a-f]{10}"', first)
    assert not set(defined) & set(re.findall(r'id="(d[^"]*)"', second))


def test_ids_do_not_follow_from_unrounded_numbers():
    drawings = []
    for right in (1, 1 + 1e-9):
        figure = Figure(figsize=(2, 2))
        figure.add_axes((0, 0, right, 1)).plot([0, 1], [0, 1], "o")
        drawings.append(plots.svg(figure))
    assert drawings[0] == drawings[1]
