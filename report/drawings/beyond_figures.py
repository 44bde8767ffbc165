"""The figures of what goes beyond the original (`beyond`): each drawn from its table, with its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator, PercentFormatter

from analysis import beyond
from drawings.charts import EVALUATION_STYLES as MODE_LINES
from drawings.charts import MODE_MARKS as MODES
from drawings.figures import drawn
from lr_core.settings import EVALUATIONS
from lr_lab.plots.style import TASK_COLOURS, WIDTH, mark, styled
from lr_lab.rounding import rounded
from lr_lab.runs import results
from sentences.titles import title
from sentences.words import NOT_RUN, count, hours, listed

MODE_MARKS = {mode: style["marker"] for mode, style in MODES.items()}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OLD_AND_NEW = dict(zip(("old", "new"), TASK_COLOURS.values(), strict=True))


def _figure(
    name: str, table: Callable[[], pd.DataFrame], draw: Callable[[pd.DataFrame], Figure], about: str
) -> Markdown:
    """A figure with its data, or one line where nothing has been run."""
    data = table()
    if data.empty:
        return Markdown(f"*{about}: {NOT_RUN}.*")
    seconds = sum(map(results.seconds, beyond.beyond[name].records))
    command = f"`python -m lr_lab grid --profile {name} --force` ({hours(seconds)} of training) and `make report`"
    return drawn(f"beyond-{name}", draw(data), _described(about, data), data, command)


def seeds(name: str) -> str:
    """How many seeds the means of a figure are over, in words: "three seeds", "one to three seeds"."""
    found = getattr(beyond, f"{name}_table")().get("seeds", pd.Series(dtype=int))
    if found.empty:
        return f"seeds ({NOT_RUN})"
    least, most = int(found.min()), int(found.max())
    return f"{count(least)} to {count(most)} seeds" if least < most else f"{count(most)} seed{'s' * (most > 1)}"


def gap_cases() -> str:
    """The cases behind the figure of the first updates: "case 1", "cases 1 and 2 (MNIST) and case 1 (KMNIST)"."""
    found = beyond.gap_table().drop_duplicates(["dataset", "cases"])
    words = [f"case{'s' * (len(row.cases) > 1)} {listed(row.cases.split(', '))}" for row in found.itertuples()]
    if len(set(words)) > 1:
        words = [f"{each} ({title(name)})" for each, name in zip(words, found.dataset, strict=True)]
        return listed(words)
    return words[0] if words else f"cases ({NOT_RUN})"


def _described(about: str, data: pd.DataFrame) -> str:
    """The least and the largest accuracy of each data set, for those who do not see the figure."""
    said = []
    if "accuracy" not in data:  # a column for each mode
        data = data.melt(["dataset", "training", "update"], [*EVALUATIONS], "evaluation", "accuracy")
    for name, found in data.groupby("dataset", sort=False):
        low, high = (found.loc[place()] for place in (found.accuracy.idxmin, found.accuracy.idxmax))
        words = [
            f"{100 * row.accuracy:.1f} % ({', '.join(str(row[c]) for c in data.columns[1:4])})" for row in (low, high)
        ]
        said.append(f"{title(str(name))}: from {words[0]} to {words[1]}.")
    return f"{about}. {' '.join(said)}"


def _panels(data: pd.DataFrame, height: float, rows: int = 1, **options: Any) -> tuple[Figure, np.ndarray, list[str]]:
    """A column of axes for each data set."""
    names = [str(name) for name in dict.fromkeys(data.dataset)]
    figure = Figure((WIDTH, height))
    axes = figure.subplots(rows, len(names), squeeze=False, **options)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(title(name))
    return figure, axes, names


def _legend(figure: Figure, *groups: Mapping[str, Mapping[str, Any]], columns: int | None = None) -> None:
    handles = [Line2D([], [], **style, label=words) for group in groups for words, style in group.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns or len(handles), handletextpad=0.4)


def _modes(colour: str = "#555555") -> dict[str, dict[str, Any]]:
    return {mode: mark(shape, 4.0, colour, hollow=True) for mode, shape in MODE_MARKS.items()}


def _ends(accuracy: Any, half_width: Any) -> np.ndarray:
    """The ends of intervals, (2, ...), cut to what an accuracy can be; of one seed, the accuracy itself."""
    half_width = np.nan_to_num(half_width)
    return rounded(np.clip([accuracy - half_width, accuracy + half_width], 0, 1))


def _dots(
    axis: Axes, found: pd.DataFrame, heights: Sequence[float], shape: str, colour: str, size: float = 3.6
) -> None:
    """Accuracies along x with their intervals."""
    for height, row in zip(heights, found.itertuples(), strict=True):
        if not np.isnan(row.half_width):
            axis.plot(_ends(row.accuracy, row.half_width), [height, height], color=colour, linewidth=0.8)
    axis.plot(rounded(found.accuracy), heights, **mark(shape, size, colour, hollow=True))


def _shares(axis: Axes) -> None:
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.set(xlim=(-0.03, 1.03), xlabel="accuracy, percent")
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)


def _names(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_ylim(len(names) - 0.5, -0.5)


def _by_way(data: pd.DataFrame, names: Mapping[tuple, str], columns: list[str], height: float) -> Figure:
    """Accuracy on old and on new classes under each mode: a row for each way, an axis for each data set.

    Parameters
    ----------
    names : values of `columns` -> the name of the row
    """
    figure, axes, sets = _panels(data, height, sharex=True, sharey=True)
    rows = list(names)
    for axis, name in zip(axes[0], sets, strict=True):
        for measure, colour in OLD_AND_NEW.items():
            for place, (mode, shape) in enumerate(MODE_MARKS.items()):
                found = data[(data.dataset == name) & (data.measure == measure) & (data.evaluation == mode)]
                keys = found[columns].itertuples(index=False, name=None)
                _dots(axis, found, [rows.index(key) + (place - 1) * 0.2 for key in keys], shape, colour)
        _shares(axis)
        axis.set_xlim(left=_ends(data.accuracy, data.half_width).min() - 0.03)
    _names(axes[0][0], list(names.values()))
    colours = {f"{task} classes": mark("D", 4.0, colour) for task, colour in OLD_AND_NEW.items()}
    _legend(figure, colours, _modes())
    return figure


@styled
def _draw_bounds(data: pd.DataFrame) -> Figure:
    return _by_way(data, {(way,): way for way in beyond.BOUNDS}, ["way"], 3.3)


def bounds() -> Markdown:
    """What replay lies between."""
    return _figure("bounds", beyond.bounds_table, _draw_bounds, "Accuracy of replay and of what it lies between")


@styled
def _draw_training(data: pd.DataFrame) -> Figure:
    latents = {0: "63 latents", 1: "315 latents"}
    names = {(words, n): f"{words}, {latents[n]}" for n in latents for words in beyond.TRAININGS.values()}
    return _by_way(data, names, ["way", "budget"], 2.5)


def training() -> Markdown:
    """Ways to train that make the evaluation modes agree."""
    return _figure("training", beyond.training_table, _draw_training, "Accuracy by way of training and evaluation mode")


@styled
def _draw_bytes(data: pd.DataFrame) -> Figure:
    figure, axes, sets = _panels(data, 3.4, rows=2, sharex=True, sharey="row")
    styles = {
        words: {"color": colour, "marker": shape, "markersize": 3.6, "linewidth": 1.0}
        for words, colour, shape in zip(beyond.ENCODINGS.values(), COLOURS, ("o", "s", "^", "D", "X"), strict=False)
    }
    ticks = [9_135, 45_675, 228_375]
    for row, measure in zip(axes, ("old", "new"), strict=True):
        shown = data[(data.measure == measure) & (data.evaluation == "running")]
        for axis, name in zip(row, sets, strict=True):
            for place, (words, style) in enumerate(styles.items()):
                found = shown[(shown.dataset == name) & (shown.way == words)].sort_values("bytes")
                at = rounded(found.bytes * 1.05 ** (place - 2))  # side by side, so that bars can be told apart
                axis.vlines(at, *_ends(found.accuracy, found.half_width), color=style["color"], linewidth=0.7)
                axis.plot(at, rounded(found.accuracy), **style)
            axis.set_xscale("log")
            axis.set_xticks(ticks, [f"{tick / 1000:.0f}" for tick in ticks])
            axis.minorticks_off()
        row[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        row[0].set_ylabel(f"{measure} classes")
    axes[0][0].set_ylim(-0.02, 1.02)
    for axis in axes[-1]:
        axis.set_xlabel("memory, kB")
    _legend(figure, styles, columns=3)
    return figure


def memory_bytes() -> Markdown:
    """What a memory of the same bytes is worth with other contents."""
    return _figure("bytes", beyond.bytes_table, _draw_bytes, "Accuracy by what the bytes of a memory hold")


@styled
def _draw_unlike(data: pd.DataFrame) -> Figure:
    rows = [str(name) for name in dict.fromkeys(data.dataset)]
    memories = sorted(set(data.latents))
    styles = dict(zip(memories, (("black", 2.4, False), *((c, 3.6, True) for c in COLOURS)), strict=False))
    figure = Figure((WIDTH, 0.8 + 0.24 * len(rows)))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, measure in zip(axes, ("old", "new"), strict=True):
        shown = data[data.measure == measure]
        for latents, (colour, size, hollow) in styles.items():
            for mode, shape in MODE_MARKS.items():
                found = shown[(shown.evaluation == mode) & (shown.latents == latents)]
                offset = (list(MODE_MARKS).index(mode) - 1) * 0.26
                heights = [rows.index(name) + offset for name in found.dataset]
                axis.plot(rounded(found.accuracy), heights, **mark(shape, size, colour, hollow))
        axis.set_title(f"{measure} classes")
        _shares(axis)
    axes[1].xaxis.set_major_locator(MultipleLocator(0.05))
    axes[1].set_xlim(*(rounded(data[data.measure == "new"].accuracy.agg(["min", "max"])) + [-0.01, 0.01]))
    _names(axes[0], [str(title(name)) for name in rows])
    names = {f"{n:,} latents" if n else "none": mark("D", size, c, h) for n, (c, size, h) in styles.items()}
    _legend(figure, names, _modes())
    return figure


def unlike() -> Markdown:
    """Tasks from two data sets."""
    return _figure("unlike", beyond.unlike_table, _draw_unlike, "Accuracy where the second task is of another data set")


@styled
def _draw_longer(data: pd.DataFrame) -> Figure:
    figure, axes, sets = _panels(data, 2.4, sharex=True, sharey=True)
    colours = dict(zip(beyond.MEMORIES.values(), COLOURS, strict=False))
    for axis, name in zip(axes[0], sets, strict=True):
        for words, colour in colours.items():
            for mode, line in MODE_LINES.items():
                found = data[(data.dataset == name) & (data.memory == words) & (data.evaluation == mode)]
                axis.plot(found.tasks, rounded(found.accuracy), color=colour, linestyle=line)
        axis.set_xticks(sorted(set(data.tasks)))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set(xlabel="tasks learned", ylim=(0, 1.02))
    axes[0][0].set_ylabel("mean accuracy")
    memories = {words: {"color": colour} for words, colour in colours.items()}
    _legend(figure, memories, {mode: {"color": "#555555", "linestyle": line} for mode, line in MODE_LINES.items()})
    return figure


def longer() -> Markdown:
    """Five tasks of two classes."""
    return _figure("longer", beyond.longer_table, _draw_longer, "Mean accuracy over the tasks learned so far")


@styled
def _draw_gap(data: pd.DataFrame) -> Figure:
    sets = [str(name) for name in dict.fromkeys(data.dataset)]
    figure = Figure((WIDTH, 0.6 + 1.35 * len(sets)))
    axes = figure.subplots(len(sets), len(beyond.GAPS), sharex=True, squeeze=False)
    replayed = data[data.training != beyond.GAPS["no-replay", ""]]
    least = np.floor(10 * rounded(replayed[[*EVALUATIONS]].min().min())) / 10 if len(replayed) else 0
    for row, name in zip(axes, sets, strict=True):
        for axis, words in zip(row, beyond.GAPS.values(), strict=True):
            for mode, line in MODE_LINES.items():
                found = data[(data.dataset == name) & (data.training == words)]
                axis.plot(
                    found["update"], rounded(found[mode]), color=MODES[mode]["color"], linestyle=line, linewidth=1.1
                )
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.axvspan(1, beyond.FIRST_UPDATES, color="#efefef", linewidth=0)
            axis.axvline(beyond.epoch_updates(), color="#555555", linewidth=0.7)
            axis.set_ylim(
                0 if words == beyond.GAPS["no-replay", ""] else least, 1.02
            )  # a dip of few points is to be seen
        row[0].set_ylabel(f"{title(name)}\nold classes")
    for axis, words in zip(axes[0], beyond.GAPS.values(), strict=True):
        axis.set_title(words)
    for axis in axes[-1]:
        axis.set_xlabel("updates of the second task")
    _legend(figure, {mode: {"color": MODES[mode]["color"], "linestyle": line} for mode, line in MODE_LINES.items()})
    return figure


def gap() -> Markdown:
    """The first updates of the second task."""
    return _figure("gap", beyond.gap_table, _draw_gap, "Accuracy on old classes after each of the first updates")


assert tuple(MODE_MARKS) == EVALUATIONS  # a colour, a shape and a line for each mode
