"""Figures of one recorded run (`store.read`): forgetting curves and the map of its latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lr_lab.plots.style import WIDTH, accuracy_axis, draw_classes, name_legend, styled, task_line
from lr_lab.rounding import rounded
from lr_lab.runs.results import curve, second_task_arms

LATENT_POINTS = 150  # of each task in a latent map: more hide one another


def arm_name(arm: Mapping) -> str:
    """An arm in words, as in titles and tables."""
    share = arm.get("memory_share")
    words = arm["arm"].replace("-", " ") if share is None else f"replay {100 * share:g} %"
    return f"{words}, {arm['choice']}" if "choice" in arm else words


@styled
def forgetting_curves(record: Mapping, evaluation: str = "mixed") -> Figure:
    """Accuracy on old (solid) and new classes (dashed) over the epochs of the second task, an axis for each arm.

    Four in a row.
    """
    arms = second_task_arms(record)
    columns, rows = min(4, len(arms)), math.ceil(len(arms) / 4)
    figure = Figure((WIDTH, 0.2 + 1.7 * rows))
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(arms) :]:
        axis.set_axis_off()
    for axis, arm in zip(axes.flat, arms, strict=False):
        draw_curves(axis, arm, evaluation)
        axis.set(title=arm_name(arm).replace(", ", "\n"), xlabel="epoch")
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy")
    curve_legend(figure)
    return figure


def draw_curves(axes: Axes, arm: Mapping, evaluation: str) -> None:
    """One arm's two curves; epoch 0 is the state before the second task."""
    drawn = curve(arm)
    for place, task in enumerate(("old", "new")):
        axes.plot(drawn["epochs"], rounded(drawn[task][evaluation]), **task_line(place))
    accuracy_axis(axes)


def curve_legend(figure: Figure) -> None:
    """What the two curves are, above all axes."""
    names = ("old classes (first task)", "new classes (second task)")
    lines = [Line2D([], [], **task_line(place), label=name) for place, name in enumerate(names)]
    figure.legend(handles=lines, loc="outside upper center", ncols=2)


@styled
def latents(record: Mapping, class_names: Sequence[str]) -> Figure:
    """Test latents of the first and the second task in one plane with the same axes, coloured by class.

    The plane is that of the first task's two main components; the compressor was frozen before it saw the second.
    """
    figure = Figure((WIDTH, WIDTH * 0.5))
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    shares = record["latents"]["explained_variance_ratio"]
    for axis, task in zip(axes, ("first", "second"), strict=True):
        marks = draw_latents(axis, record, task, class_names)
        axis.set(title=f"{task} task", xlabel=f"first component ({shares[0]:.0%} of the variance)")
        name_legend(axis, marks, loc="best", fontsize=7, handletextpad=0.2, markerscale=1.6)
    axes[0].set_ylabel(f"second component ({shares[1]:.0%})")
    return figure


def draw_latents(axes: Axes, record: Mapping, task: str, class_names: Sequence[str]) -> dict[str, Line2D]:
    """Draw the test latents of the "first" or "second" task; returns the marks by class name."""
    points = record["latents"]["tasks"][task]
    positions, labels = np.array(points["xy"])[:LATENT_POINTS], np.array(points["label"])[:LATENT_POINTS]
    names = {number: class_names[number] for number in record["tasks"][task]["classes"]}
    return draw_classes(axes, positions, labels, names)
