"""Figures of tasks learned in turn (`experiment.TaskSequence`): accuracies, confusions, latents and forgotten images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from lr_core.tasks import Dataset
from lr_lab.plots.datasets import pictures
from lr_lab.plots.style import WIDTH, accuracy_axis, draw_classes, name_legend, short_name, styled, task_line
from lr_lab.rounding import rounded

if TYPE_CHECKING:
    from lr_core.experiment import Evaluation
    from lr_lab.runs.forgotten import Forgotten


@styled
def task_curves(runs: Mapping[str, Sequence[Evaluation]], evaluation: str = "mixed") -> Figure:
    """Test accuracy on each task while the tasks are learned in turn, an axis for each run; a task begins at a line.

    Parameters
    ----------
    runs : title -> what was measured (`TaskSequence.evaluations`), of at least one run
    evaluation : where BatchNorm takes its statistics from
    """
    rows = -(-len(runs) // 3)
    figure = Figure((WIDTH, 0.35 + 1.75 * rows))
    axes = figure.subplots(rows, min(3, max(2, len(runs))), sharey=True, squeeze=False)
    for axis, (title, evaluations) in zip(axes.flat, runs.items(), strict=False):
        _draw_tasks(axis, evaluations, evaluation)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))  # epochs are whole numbers
        accuracy_axis(axis)
    for axis in axes.flat[len(runs) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy")
    tasks = 1 + max(each.task for evaluations in runs.values() for each in evaluations)
    lines = [Line2D([], [], **task_line(task), label=f"task {task + 1}") for task in range(tasks)]
    figure.legend(handles=lines, loc="outside upper center", ncols=min(len(lines), 5))
    return figure


def _draw_tasks(axes: Axes, evaluations: Sequence[Evaluation], mode: str) -> None:
    """The curves of one run, one for each task; a curve begins where its task begins."""
    start, x = 0, 0
    curves: list[list[tuple[int, float]]] = []
    for each in evaluations:
        if each.task and each.epoch == 0:
            start = x
            axes.axvline(start, color="#999999", linewidth=0.6)
        x = start + each.epoch
        if each.task == len(curves):
            curves.append([])
        for curve, accuracy in zip(curves, each.accuracy[mode], strict=True):
            curve.append((x, accuracy))
    for task, curve in enumerate(curves):
        axes.plot(*rounded(curve).T, **task_line(task), marker="." if len(curve) == 1 else "", markersize=4)


@styled
def latent_planes(
    planes: Sequence[tuple[np.ndarray, np.ndarray]], shares: tuple[float, float], class_names: Sequence[str]
) -> Figure:
    """Latents of each task in one plane with the same axes (from `latent_plane`), coloured by class."""
    columns = min(len(planes), 3)
    rows = -(-len(planes) // columns)
    figure = Figure((WIDTH, rows * WIDTH / columns * (0.95 if columns > 2 else 0.8)))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for task, (axis, (points, labels)) in enumerate(zip(axes.flat, planes, strict=False), start=1):
        names = {number: class_names[number] for number in np.unique(labels)}
        name_legend(axis, draw_classes(axis, points, labels, names), loc="best", fontsize=6.5, handletextpad=0.2,
                    markerscale=1.4)  # fmt: skip
        axis.set_title(f"task {task}")
    for axis in axes.flat[len(planes) :]:
        axis.set_visible(False)
    figure.supxlabel(f"first component ({shares[0]:.0%} of the first task's variance)", fontsize=8)
    figure.supylabel(f"second component ({shares[1]:.0%})", fontsize=8)
    return figure


@styled
def accuracy_matrix(rows: Sequence[Sequence[float]]) -> Figure:
    """Row i: the accuracy on each task so far after task i, in percent."""
    size = len(rows)
    values = np.array(list(zip_longest(*rows, fillvalue=np.nan))).T  # short rows end in NaN
    figure = Figure((0.9 + 0.5 * size, 0.7 + 0.42 * size))
    axes = _draw_cells(figure, 100 * values, [str(task + 1) for task in range(size)], 100)
    axes.set(xlabel="accuracy (%) on task", ylabel="after task")
    return figure


@styled
def confusion_matrix(
    counts: Sequence[Sequence[int]], tasks: Sequence[Sequence[int]], class_names: Sequence[str]
) -> Figure:
    """Test images by true class (row) and by predicted class (column), in the order of learning.

    Lines separate the tasks. Classes that belong to none of the tasks are left out: they have no images, and are rarely
    predicted.
    """
    order = [number for task in tasks for number in task]
    values = np.array(counts, dtype=float)[np.ix_(order, order)]
    figure = Figure((WIDTH * 0.62, WIDTH * 0.56))
    names = [short_name(class_names[number]) for number in order]
    axes = _draw_cells(figure, np.where(values, values, np.nan), names, values.max())
    axes.set(xlabel="taken for", ylabel="true class")
    for end in np.cumsum([len(task) for task in tasks])[:-1] - 0.5:
        axes.axhline(end, color="black", linewidth=0.8)
        axes.axvline(end, color="black", linewidth=0.8)
    return figure


def _draw_cells(figure: Figure, values: np.ndarray, names: Sequence[str], top: float) -> Axes:
    """A square of cells shaded by their value from 0 to `top`, with the value written in each; NaN stays empty."""
    axes = figure.subplots()
    values = rounded(values)
    # As a mesh, not as an image: `svg` takes all images to be grey.
    axes.pcolormesh(np.arange(len(values)), np.arange(len(values)), values, cmap="Blues", vmin=0, vmax=top)
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        shade = "white" if values[row, column] > 0.6 * top else "black"
        axes.text(column, row, f"{values[row, column]:.0f}", ha="center", va="center", fontsize=7, color=shade)
    axes.set_xticks(range(len(names)), names, rotation=90 if len(max(names, key=len)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return axes


def forgotten(dataset: Dataset, lost: Forgotten) -> Figure:
    """The first images that were forgotten, with their class and the class that is predicted now."""
    names = [short_name(name, below=True) for name in dataset.class_names]
    fates = [f"{names[was]}\n→ {names[now]}" for was, now in zip(lost.labels, lost.predicted, strict=True)]
    return pictures([("", list(zip(dataset.images[lost.positions].numpy(), fates, strict=True)))], columns=10)


def image_latents(dataset: Dataset, positions: Tensor, latents: Tensor) -> Figure:
    """The first of the images at (n,) positions above what is kept of them, (n, c, height, width), of which channel 0."""
    names = [short_name(dataset.class_names[number], below=True) for number in dataset.labels[positions]]
    images = [(image, "") for image in dataset.images[positions].numpy()]
    below = list(zip(latents[:, 0].cpu().double().numpy(), names, strict=True))
    return pictures([("image", images), ("latent" if latents.is_floating_point() else "kept", below)], columns=10)
