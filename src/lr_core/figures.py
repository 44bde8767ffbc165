"""Every figure of the notebooks and the report: functions that take data and return a matplotlib `Figure`.

One colour per meaning throughout (`TASK_COLOURS`, `CLASS_COLOURS`), from the palette of Okabe and Ito (2008), which
readers with any colour vision can tell apart; line styles repeat the distinction without colour.
"""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter
from sklearn.decomposition import PCA

from lr_core.config import CLASSES
from lr_core.datasets import Dataset

WIDTH = 6.5  # inches; the text width of the PDF

TASK_COLOURS = {"first": "#0072B2", "second": "#D55E00"}
# Ten classes need more than the palette's eight colours: five hues, and a filled or an open mark for either task.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")

EVALUATION_NAMES = {"running": "running statistics", "batch": "batch statistics", "mixed": "mixed-batch statistics"}
EVALUATION_STYLES: dict[str, Any] = {
    "running": "-",
    "batch": (0, (1, 1.2)),
    "mixed": (0, (4, 1.5)),
}

P = ParamSpec("P")
R = TypeVar("R")

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "latent-replay",  # element ids would be random otherwise, and the file different every time
}


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the project's style and leave matplotlib's global settings alone."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


@_styled
def svg(figure: Figure) -> str:
    """The figure as an SVG document that is the same, byte for byte, whenever and wherever it is drawn."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


# -- data sets (Figures 1 to 4 of the paper) ------------------------------------------------------------------------


@_styled
def samples(dataset: Dataset, columns: int = 20) -> Figure:
    """The first images of each class: one row a class, named at its left (Figures 1 and 3)."""
    figure = _figure(WIDTH, WIDTH * CLASSES / columns * 0.86)
    axes = figure.subplots()
    axes.imshow(255 - _tiles(dataset, columns), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_yticks(28 * np.arange(CLASSES) + 13.5, dataset.class_names)
    _bare(axes)
    return figure


@_styled
def glyph_rows(dataset: Dataset, columns: int = 19) -> Figure:
    """One row a class, led by the character that its images are a form of (Figure 4: modern hiragana)."""
    figure = _figure(WIDTH, WIDTH * CLASSES / (columns + 1) * 0.96)
    left, right = figure.subplots(1, 2, width_ratios=(1, columns))
    font = japanese_font()
    for row, glyph in enumerate(dataset.glyphs or dataset.class_names):
        left.text(0.5, row + 0.5, glyph, ha="center", va="center", fontproperties=font, fontsize=15)
    left.set(xlim=(0, 1), ylim=(CLASSES, 0))
    right.imshow(255 - _tiles(dataset, columns), cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    right.set_yticks([])
    left.set_yticks([])
    _bare(left)
    _bare(right)
    return figure


@_styled
def pca_images(dataset: Dataset, per_class: int = 150) -> Figure:
    """The images in the plane of their first two principal components, fitted on all of them (Figure 2)."""
    pixels = dataset.images.flatten(1).numpy().astype(np.float32) / 255
    labels = dataset.labels.numpy()
    pca = PCA(n_components=2, svd_solver="covariance_eigh").fit(pixels)
    figure = _figure(WIDTH * 0.8, WIDTH * 0.62)
    axes = figure.subplots()
    for number in range(CLASSES):
        points = pca.transform(pixels[labels == number][:per_class])
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=7,
            linewidths=0.6,
            label=dataset.class_names[number],
            **_mark(number, number >= 5),
        )
    shares = pca.explained_variance_ratio_
    axes.set(
        xlabel=f"first component ({shares[0]:.1%} of the variance)",
        ylabel=f"second component ({shares[1]:.1%} of the variance)",
    )
    _legend(figure, axes)
    return figure


def japanese_font() -> font_manager.FontProperties:
    """A font that has hiragana and comes with the project's packages, so that it is there on every machine."""
    # Found without importing the package, which would make its font the default of every figure.
    package = importlib.util.find_spec("matplotlib_fontja")
    assert package is not None, "a declared dependency"
    assert package.origin is not None, "a declared dependency"
    return font_manager.FontProperties(fname=str(next(Path(package.origin).parent.glob("fonts/*.ttf"))))


def _tiles(dataset: Dataset, columns: int) -> np.ndarray:
    """(10 * 28, columns * 28) uint8: the first `columns` images of each class, side by side."""
    rows = [dataset.images[dataset.labels == number][:columns].numpy() for number in range(CLASSES)]
    return np.vstack([np.hstack(list(row)) for row in rows])


# -- one run ----------------------------------------------------------------------------------------------------------


@_styled
def forgetting_curves(record: Mapping, evaluation: str = "mixed") -> Figure:
    """Accuracy on old (solid) and new classes (dashed) after every epoch of the second task, an axis for each arm."""
    arms = [arm for arm in record["arms"] if "old" in arm["curve"]]
    figure = _figure(WIDTH, 1.9)
    axes = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for axis, arm in zip(axes, arms, strict=True):
        draw_curves(axis, arm, evaluation)
        axis.set(title=arm_name(arm), xlabel="epoch")
    axes[0].set_ylabel("test accuracy")
    _curve_legend(figure)
    return figure


@_styled
def forgetting_grid(records: Sequence[Mapping], evaluation: str = "mixed") -> Figure:
    """The forgetting curves of several runs of one data set: a row for each run, a column for each arm, one scale."""
    arms = [arm for arm in records[0]["arms"] if "old" in arm["curve"]]
    figure = _figure(WIDTH, 0.6 + 1.25 * len(records))
    axes = figure.subplots(len(records), len(arms), sharex=True, sharey=True, squeeze=False)
    for row, record in zip(axes, records, strict=True):
        for axis, arm in zip(row, (a for a in record["arms"] if "old" in a["curve"]), strict=True):
            draw_curves(axis, arm, evaluation)
        row[0].set_ylabel(f"case {record['run']['case']}\ntest accuracy")
    for axis, arm in zip(axes[0], arms, strict=True):
        axis.set_title(arm_name(arm))
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    _curve_legend(figure)
    return figure


def draw_curves(axis: Axes, arm: Mapping, evaluation: str) -> None:
    """One arm's two curves; epoch 0 is the state before the second task."""
    for task, style in (("old", "-"), ("new", (0, (3, 1.5)))):
        curve = arm["curve"][task][evaluation]
        axis.plot(range(len(curve)), curve, color=TASK_COLOURS["first" if task == "old" else "second"], linestyle=style)
    axis.set_ylim(-0.03, 1.03)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _curve_legend(figure: Figure) -> None:
    lines = [
        Line2D([], [], color=TASK_COLOURS["first"], label="old classes (first task)"),
        Line2D([], [], color=TASK_COLOURS["second"], linestyle=(0, (3, 1.5)), label="new classes (second task)"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=2, fontsize=7.5, frameon=False)


@_styled
def latents(record: Mapping, class_names: Sequence[str]) -> Figure:
    """Test latents of the first and the second task in one plane with the same axes, coloured by class.

    The plane is that of the first task's two main components; the compressor was frozen before it saw the second.
    """
    figure = _figure(WIDTH, WIDTH * 0.5)
    axes = figure.subplots(1, 2, sharex=True, sharey=True, squeeze=False)[0]
    _draw_latents(axes, record, class_names)
    shares = record["latents"]["explained_variance_ratio"]
    for axis, title in zip(axes, ("first task", "second task"), strict=True):
        axis.set(title=title, xlabel=f"first component ({shares[0]:.0%} of the variance)")
        axis.legend(loc="best", fontsize=7, handletextpad=0.2, markerscale=1.6)
    axes[0].set_ylabel(f"second component ({shares[1]:.0%})")
    return figure


@_styled
def latents_grid(records: Sequence[Mapping], class_names: Sequence[str]) -> Figure:
    """`latents` for several runs of one data set: a column for each run, first task above second."""
    figure = _figure(WIDTH, WIDTH * 0.58)
    axes = figure.subplots(2, len(records), sharex="col", sharey="col", squeeze=False)
    for column, record in zip(axes.T, records, strict=True):
        _draw_latents(column, record, class_names)
        column[0].set_title(f"case {record['run']['case']}")
        for axis in column:
            axis.tick_params(labelsize=6)
    axes[0, 0].set_ylabel("first task")
    axes[1, 0].set_ylabel("second task")
    marks = [
        Line2D([], [], linestyle="", markersize=4, marker=str(_MARKERS[n % 5]), color=CLASS_COLOURS[n % 5],
               markerfacecolor="none" if n >= 5 else CLASS_COLOURS[n % 5], label=class_names[n])
        for n in range(CLASSES)
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside lower center", ncols=5 if len(max(class_names, key=len)) > 3 else 10,
                  fontsize=7.5, frameon=False, handletextpad=0.1)  # fmt: skip
    return figure


_MARKERS = ("o", "s", "^", "D", "v")


def _mark(number: int, open_mark: bool) -> dict[str, Any]:
    """Colour and shape of a class: hue and shape by its number modulo five, open from class five on."""
    colour = CLASS_COLOURS[number % 5]
    return {"marker": _MARKERS[number % 5], "edgecolors": colour, "facecolors": "none" if open_mark else colour}


def _draw_latents(axes: Iterable[Axes], record: Mapping, class_names: Sequence[str]) -> None:
    for axis, task in zip(axes, ("first", "second"), strict=True):
        points = record["latents"]["tasks"][task]
        positions, labels = np.array(points["xy"]), np.array(points["label"])
        for number in record["tasks"][task]["classes"]:
            chosen = positions[labels == number]
            axis.scatter(
                chosen[:, 0], chosen[:, 1], s=6, linewidths=0.5, label=class_names[number], **_mark(number, number >= 5)
            )


# -- many runs --------------------------------------------------------------------------------------------------------


@_styled
def budget(
    records: Sequence[Mapping], evaluations: Sequence[str], published: Mapping[tuple[int, float], float]
) -> Figure:
    """Accuracy on the first task's test images after the second, against the memory, an axis for each case.

    Parameters
    ----------
    records : runs of one data set
    evaluations : modes to show
    published : (case, share of the images) -> the paper's value
    """
    figure = _figure(WIDTH, 2.25)
    axes = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
    for axis, record in zip(axes, records, strict=True):
        arms = [arm for arm in record["arms"] if arm["arm"] == "replay"]
        shares = [arm["memory_share"] for arm in arms]
        for evaluation in evaluations:
            values = [arm["accuracy"][evaluation]["original_test"] for arm in arms]
            axis.plot(shares, values, marker="o", markersize=3.5, color=TASK_COLOURS["first"],
                      linestyle=EVALUATION_STYLES[evaluation])  # fmt: skip
        theirs = [published.get((record["run"]["case"], share)) for share in shares]
        axis.plot(shares, [np.nan if v is None else v for v in theirs], marker="x", markersize=5, linestyle="",
                  color=TASK_COLOURS["second"])  # fmt: skip
        axis.set_xscale("log")
        axis.set_xticks(
            shares,
            [f"{share:.0%}\n{arm['memory_bytes'] / 1000:,.0f} kB" for share, arm in zip(shares, arms, strict=True)],
        )
        axis.minorticks_off()
        axis.set_xlim(shares[0] / 1.7, shares[-1] * 1.7)
        axis.set(title=f"case {record['run']['case']}", xlabel="memory")
        axis.tick_params(axis="x", labelsize=6.5)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes[0].set_ylabel("accuracy on old classes")
    lines = [
        Line2D([], [], color=TASK_COLOURS["first"], marker="o", markersize=3.5, linestyle=EVALUATION_STYLES[e],
               label=f"ours, {EVALUATION_NAMES[e]}")
        for e in evaluations
    ]  # fmt: skip
    lines.append(Line2D([], [], color=TASK_COLOURS["second"], marker="x", linestyle="", label="published"))
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize=7.5, frameon=False)
    return figure


@_styled
def rates(measured: Sequence[Mapping], experiments: Sequence[str]) -> Figure:
    """New images a second of the benchmark's programs, an axis for each experiment: median, and every round as a dot.

    Parameters
    ----------
    measured : of `make bench`: experiment, program, rates (one a round)
    experiments : those to show, in this order
    """
    shown = [[m for m in measured if m["experiment"] == experiment] for experiment in experiments]
    figure = _figure(WIDTH, 0.55 * len(experiments) + 0.17 * sum(map(len, shown)))
    axes = figure.subplots(len(experiments), 1, squeeze=False, height_ratios=[len(group) for group in shown])[:, 0]
    for axis, experiment, group in zip(axes, experiments, shown, strict=True):
        colours = [TASK_COLOURS["first" if m["program"].startswith("lr_core") else "second"] for m in group]
        medians = [float(np.median(m["rates"])) for m in group]
        axis.barh(range(len(group)), medians, color=colours, alpha=0.55, height=0.7)
        for place, m in enumerate(group):
            axis.plot(m["rates"], [place] * len(m["rates"]), "|", color="black", markersize=5, markeredgewidth=0.7)
        axis.set_yticks(range(len(group)), [m["program"] for m in group])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set_title(experiment)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes[-1].set_xlabel("new images a second")
    return figure


def arm_name(arm: Mapping) -> str:
    """An arm in words, as in titles and tables."""
    if arm["arm"] == "replay":
        return f"replay {100 * arm['memory_share']:g} %"
    return {"first-task": "first task", "no-replay": "no replay"}[arm["arm"]]


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7.5, frameon=False, markerscale=1.6)
