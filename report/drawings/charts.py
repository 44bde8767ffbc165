"""The figures of many runs, which only the paper draws: functions that return a matplotlib `Figure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from lr_core.memory import pixel_share
from lr_lab.plots.runs import arm_name, curve_legend, draw_curves, draw_latents
from lr_lab.plots.style import (
    EVALUATION_NAMES,
    TASK_COLOURS,
    WIDTH,
    class_mark,
    mark,
    name_legend,
    short_name,
    styled,
)
from lr_lab.rounding import rounded
from lr_lab.runs.results import curve, second_task_arms

# Of the second task's arms in their order: budgets are amounts, so steps of one hue, the smallest the lightest.
ARM_COLOURS = ("#b65d92", "#8a3a6b", "#5a1f44", "#6b6b6b")
MEASURE_NAMES = {"train": "training", "test": "testing", "original_test": "old classes"}
IN_POINTS = FuncFormatter(lambda value, _: f"{100 * value:+z.0f}".replace("-", "−").replace("+0", "0"))
# Of the evaluation modes where they are marks. Their colours are none of the tasks'.
MODE_MARKS: dict[str, dict[str, Any]] = {
    "running": mark("o", 4.0, "#009E73", hollow=True),
    "batch": mark("^", 4.4, "#AA3377"),
    "mixed": mark("s", 3.8, "#B8860B", hollow=True),
}
EVALUATION_STYLES: dict[str, Any] = {"running": "-", "batch": (0, (1, 1.2)), "mixed": (0, (4, 1.5))}


@styled
def forgetting_grid(cases: Sequence[Sequence[Mapping]], evaluation: str = "mixed") -> Figure:
    """The forgetting curves of one data set: a row for each case, a column for each arm, one scale.

    Parameters
    ----------
    cases : the seeds of each case. The curve is that of the first one, the band is the range of all, over the epochs
        that all of them have
    """
    arms = [list(zip(*map(second_task_arms, seeds), strict=True)) for seeds in cases]
    figure = Figure((WIDTH, 0.6 + 0.66 * len(cases)))
    axes = figure.subplots(len(cases), len(arms[0]), sharex=True, sharey=True, squeeze=False)
    for row, seeds, drawn in zip(axes, cases, arms, strict=True):
        for axis, arm in zip(row, drawn, strict=True):
            draw_curves(axis, arm[0], evaluation)
            if len(arm) > 1:
                _draw_band(axis, arm, evaluation)
        row[0].set_ylabel(f"case {seeds[0]['run']['case']}")
    for axis, arm in zip(axes[0], arms[0], strict=True):
        axis.set_title(arm_name(arm[0]))
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    figure.supylabel("test accuracy", fontsize="medium")
    curve_legend(figure)
    return figure


def _draw_band(axis: Axes, seeds: Sequence[Mapping], evaluation: str) -> None:
    curves = list(map(curve, seeds))
    common = sorted(set.intersection(*(set(each["epochs"]) for each in curves)))
    for task, colour in zip(("old", "new"), TASK_COLOURS.values(), strict=True):
        by_epoch = [dict(zip(each["epochs"], each[task][evaluation], strict=True)) for each in curves]
        values = rounded([[values[epoch] for epoch in common] for values in by_epoch])
        axis.fill_between(common, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.25, linewidth=0)


@styled
def latents_grid(records: Sequence[Mapping], class_names: Sequence[str]) -> Figure:
    """`plots.latents` for several runs of one data set: a column for each run, first task above second."""
    figure = Figure((WIDTH, WIDTH * 0.58))
    axes = figure.subplots(2, len(records), sharex="col", sharey="col", squeeze=False)
    for column, record in zip(axes.T, records, strict=True):
        for axis, task in zip(column, ("first", "second"), strict=True):
            draw_latents(axis, record, task, class_names)
        column[0].set_title(f"case {record['run']['case']}")
    for axis in axes.flat:
        axis.tick_params(labelsize=6.5)
    axes[0, 0].set_ylabel("first task")
    axes[1, 0].set_ylabel("second task")
    marks = {name: Line2D([], [], **class_mark(number, size=4)) for number, name in enumerate(class_names)}
    longest = max(map(len, map(short_name, class_names)))
    columns = 10 if longest <= 3 else max(1, min(5, 100 // (longest + 5)))  # a row has room for 100 characters
    name_legend(figure, marks, loc="outside lower center", ncols=columns, handletextpad=0.1)
    return figure


@styled
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
    ours = [{**MODE_MARKS[mode], "linestyle": EVALUATION_STYLES[mode], "linewidth": 1.1} for mode in evaluations]
    theirs = mark("x", 4.6, "black") | {"markeredgewidth": 1.1}
    figure = Figure((WIDTH, 2.8))
    axes = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
    for axis, record in zip(axes, records, strict=True):
        case = record["run"]["case"]
        arms = [arm for arm in record["arms"] if arm["arm"] == "replay"]
        shares = [arm["memory_share"] for arm in arms]
        for mode, line in zip(evaluations, ours, strict=True):
            axis.plot(shares, rounded([arm["accuracy"][mode]["original_test"] for arm in arms]), **line)
        axis.plot(shares, rounded([published.get((case, share), np.nan) for share in shares]), **theirs, zorder=3)
        axis.set_xscale("log")
        ticks = [
            f"{share:.0%}\n{pixel_share(1, 1) * share:.2%}\n{arm['memory_bytes'] / 1000:,.0f} kB"
            for share, arm in zip(shares, arms, strict=True)
        ]
        axis.set_xticks(shares, ticks)
        axis.minorticks_off()
        axis.set_xlim(shares[0] / 1.7, shares[-1] * 1.7)
        axis.set_title(f"case {case}")
        axis.tick_params(axis="x", labelsize=6.5)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0].set_ylabel("accuracy on old classes")
    figure.supxlabel("memory: share of the images, share of the pixels, bytes", fontsize="medium")
    lines = [
        Line2D([], [], **line, label=f"ours, {EVALUATION_NAMES[mode]}")
        for mode, line in zip(evaluations, ours, strict=True)
    ]
    lines.append(Line2D([], [], **theirs, label="published"))
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
    return figure


@styled
def agreement(differences: pd.DataFrame, near: float = 0.02) -> Figure:
    """Every published accuracy beside ours: a dot at the difference, a row for each kind, an axis for each mode.

    Parameters
    ----------
    differences : arm, measure, evaluation, difference (ours less published)
    near : half the width of the band within which the share of dots is counted
    """
    kinds = list(differences[["arm", "measure"]].drop_duplicates().itertuples(index=False, name=None))
    modes = list(dict.fromkeys(differences.evaluation))
    figure = Figure((WIDTH, 0.7 + 0.36 * len(kinds)))
    axes = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        axis.axvspan(-near, near, color="#e8e8e8", linewidth=0)
        axis.axvline(0, color="black", linewidth=0.6)
        for row, (arm, measure) in enumerate(kinds):
            values = rounded(
                differences.query("arm == @arm and measure == @measure and evaluation == @mode").difference
            )
            # Side by side rather than on top of each other, in the order of the runs, which means nothing.
            heights = row + (np.arange(len(values)) % 5 - 2) * 0.13
            colour = TASK_COLOURS["first" if measure == "original_test" or arm == "first-task" else "second"]
            inside = np.abs(values) <= near
            axis.plot(values[inside], heights[inside], **mark("o", 2.4, colour))
            axis.plot(values[~inside], heights[~inside], **mark("o", 2.4, colour, hollow=True))
            if len(values):
                axis.text(1.0, row, f"{inside.mean():.0%}", transform=axis.get_yaxis_transform(), ha="left", va="center",
                          fontsize=6.5)  # fmt: skip
        axis.set(title=EVALUATION_NAMES[mode], xlabel="ours less published")
        axis.xaxis.set_major_formatter(IN_POINTS)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(
        range(len(kinds)), [f"{arm.replace('-', ' ')}, {MEASURE_NAMES[measure]}" for arm, measure in kinds]
    )
    axes[0].invert_yaxis()
    return figure


@styled
def rates(measured: Sequence[Mapping], experiments: Sequence[str]) -> Figure:
    """New images a second of the benchmark's programs, an axis for each experiment: median, and every round as a dot.

    Parameters
    ----------
    measured : of `make bench`: experiment, program, rates (one a round)
    experiments : those to show, in this order
    """
    groups = [[m for m in measured if m["experiment"] == experiment] for experiment in experiments]
    figure = Figure((WIDTH, 0.55 * len(experiments) + 0.17 * sum(map(len, groups))))
    axes = figure.subplots(len(experiments), 1, squeeze=False, height_ratios=[len(group) for group in groups])[:, 0]
    for axis, experiment, group in zip(axes, experiments, groups, strict=True):
        colours = [TASK_COLOURS["first" if m["program"].startswith("lr_core") else "second"] for m in group]
        medians = rounded([np.median(m["rates"]) for m in group])
        axis.barh(range(len(group)), medians, color=colours, alpha=0.55, height=0.7)
        for place, m in enumerate(group):
            values = rounded(m["rates"])
            axis.plot(values, [place] * len(values), "|", color="black", markersize=5, markeredgewidth=0.7)
        axis.set_yticks(range(len(group)), [m["program"] for m in group])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set_title(experiment)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes[-1].set_xlabel("new images a second")
    return figure


@styled
def error_bars(errors: pd.DataFrame) -> Figure:
    """Errors on old classes as stacked bars, a group for each memory, a bar for each evaluation mode.

    Parameters
    ----------
    errors : memory, evaluation, wrong_task, wrong_class (shares of the old test images)
    """
    memories, modes = (list(dict.fromkeys(errors[name])) for name in ("memory", "evaluation"))
    figure = Figure((WIDTH, 0.75 + 0.5 * len(memories)))
    axes = figure.subplots()
    places = [memories.index(m) + (modes.index(e) - 1) * 0.27 for m, e in errors[["memory", "evaluation"]].to_numpy()]
    tasks, classes = rounded(errors.wrong_task), rounded(errors.wrong_class)
    axes.barh(places, tasks, height=0.24, color=TASK_COLOURS["second"], label="wrong task: taken for a new class")
    axes.barh(places, classes, height=0.24, left=tasks, color=TASK_COLOURS["first"], alpha=0.6,
              label="wrong class within the task")  # fmt: skip
    # Printed from the numbers themselves: of rounded ones, the last digit may differ from that in the text.
    for place, end, (mode, task, within) in zip(
        places, tasks + classes, errors[["evaluation", "wrong_task", "wrong_class"]].to_numpy(), strict=True
    ):
        axes.text(end + 0.004, place, f"{mode}  {100 * task:.1f} + {100 * within:.1f}", va="center", fontsize=6.5)
    axes.set_yticks(range(len(memories)), memories)
    axes.set_xlim(0, 1.25 * float((tasks + classes).max()))
    axes.invert_yaxis()
    axes.set_xlabel("errors, share of the old test images")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _legend_marks(styles: Mapping[Any, tuple[str, str]], names: Mapping[Any, str], size: float) -> list[Line2D]:
    """A mark for each name, by its shape and colour."""
    return [Line2D([], [], **mark(shape, size, colour), label=names[key]) for key, (shape, colour) in styles.items()]


@styled
def readings(distances: pd.DataFrame, names: Mapping[str, str], kinds: Mapping[tuple[str, str], str]) -> Figure:
    """How far ours (open) and another reading (filled) lie from the published numbers: an axis for each mode.

    Parameters
    ----------
    distances : reading, arm, measure, evaluation, ours, other (shares of the images)
    names : of the readings in words, in the order of the rows
    kinds : (arm, measure) -> what is compared, in words; a colour and a shape for each
    """
    rows = [name for name in names if name in set(distances.reading)]
    styles = dict(zip(kinds, (("o", "#0072B2"), ("s", "#D55E00"), ("^", "#009E73")), strict=True))
    modes = [mode for mode in EVALUATION_NAMES if mode in set(distances.evaluation)]
    figure = Figure((WIDTH, 0.9 + 0.21 * len(rows)))
    axes = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        for place, (kind, (shape, colour)) in enumerate(styles.items()):
            found = distances[
                (distances.evaluation == mode) & (distances.arm == kind[0]) & (distances.measure == kind[1])
            ]
            heights = np.array([rows.index(name) + (place - 1) * 0.24 for name in found.reading])
            before, after = rounded(100 * found.ours), rounded(100 * found.other)
            gaps = np.column_stack([before, after, np.full(len(found), np.nan)]).ravel()
            axis.plot(gaps, np.repeat(heights, 3), color=colour, linewidth=0.8)
            axis.plot(before, heights, **mark(shape, 3.6, colour, hollow=True))
            axis.plot(after, heights, **mark(shape, 3.6, colour))
        axis.set(title=mode, xlabel="points from published")
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(rows)), [names[name] for name in rows], fontsize=7)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].set_xlim(left=0)
    marks = _legend_marks(styles, kinds, 3.6)
    marks += [Line2D([], [], **mark("o", 3.6, "#555555", hollow=True), label="open: ours")]
    figure.legend(handles=marks, loc="outside upper center", ncols=len(marks))
    return figure


@styled
def averages(values: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Accuracy after replay by where BatchNorm has its statistics from: a row for each memory, an axis for each task.

    Parameters
    ----------
    values : task ("old" or "new"), memory, statistics, accuracy
    names : of the statistics in words
    """
    memories, tasks = (list(dict.fromkeys(values[name])) for name in ("memory", "task"))
    styles = dict(zip(names, (("o", "#0072B2"), ("s", "#009E73"), ("D", "#E69F00"), ("X", "#D55E00")), strict=True))
    figure = Figure((WIDTH, 0.85 + 0.4 * len(memories)))
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axis, task in zip(axes, tasks, strict=True):
        for place, (statistics, (shape, colour)) in enumerate(styles.items()):
            found = values[(values.task == task) & (values.statistics == statistics)]
            heights = [memories.index(memory) + (place - 1.5) * 0.16 for memory in found.memory]
            axis.plot(rounded(100 * found.accuracy), heights, **mark(shape, 4.2, colour))
        axis.set(title=f"{task} classes", xlabel="accuracy, percent")
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(memories)), memories)
    axes[0].set_ylim(len(memories) - 0.5, -0.5)
    figure.legend(handles=_legend_marks(styles, names, 4.2), loc="outside upper center", ncols=2)
    return figure
