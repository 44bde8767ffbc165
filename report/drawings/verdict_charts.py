"""The figures of published numbers beside ours: the headline, the verdicts and their intervals.

Functions that return a matplotlib `Figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.verdicts import Judged
from drawings.charts import IN_POINTS, MEASURE_NAMES, MODE_MARKS
from lr_lab.plots.style import EVALUATION_NAMES, WIDTH, accuracy_axis, mark, styled
from lr_lab.rounding import rounded


@styled
def headline(points: pd.DataFrame, titles: Mapping[str, str], names: Mapping[str, str]) -> Figure:
    """Published accuracies (bars) and ours (marks): a column for each data set, old classes above new ones.

    Parameters
    ----------
    points : dataset, measure ("old" or "new"), stage, evaluation, published, ours, half_width (shares of the images; an empty
        half_width is no interval)
    titles : data set -> title, in the order of the columns
    names : stage -> its name, in the order along x
    """
    figure = Figure((WIDTH, 3.9))
    axes = figure.subplots(2, len(titles), sharex="row", sharey="row", squeeze=False, height_ratios=[1.5, 1])
    stages = {
        measure: [stage for stage in names if stage in set(points[points.measure == measure].stage)]
        for measure in ("old", "new")
    }
    for column, dataset in zip(axes.T, titles, strict=True):
        for axis, (measure, present) in zip(column, stages.items(), strict=True):
            _draw_headline(axis, points[(points.dataset == dataset) & (points.measure == measure)], present)
            axis.set_xticks(range(len(present)), [names[stage] for stage in present])
            axis.tick_params(axis="x", length=0, labelsize=7)
            axis.grid(visible=False, axis="x")
        column[0].set_title(titles[dataset])
    accuracy_axis(axes[0, 0])
    axes[0, 0].set_ylabel("accuracy on old classes")
    axes[1, 0].set_ylabel("on new classes")
    axes[1, 0].yaxis.set_major_formatter(axes[0, 0].yaxis.get_major_formatter())
    for axis in axes[1]:
        axis.set_xlabel("memory, share of the images")
    handles = [Line2D([], [], color="black", linewidth=1.6, label="published")]
    handles += [Line2D([], [], **style, label=f"ours, {EVALUATION_NAMES[mode]}") for mode, style in MODE_MARKS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handletextpad=0.5)
    return figure


def _draw_headline(axis: Axes, found: pd.DataFrame, stages: Sequence[str]) -> None:
    """Published accuracies as bars over the place of a stage, ours side by side on them with their intervals."""
    published = found.drop_duplicates("stage")
    places = np.array([stages.index(stage) for stage in published.stage], dtype=float)
    if len(places):
        axis.hlines(rounded(published.published), places - 0.42, places + 0.42, color="black", linewidth=1.6)
    for n, (mode, style) in enumerate(MODE_MARKS.items()):
        of_mode = found[found.evaluation == mode]
        at = np.array([stages.index(stage) for stage in of_mode.stage]) + (n - 1) * 0.25
        low, high = (rounded(of_mode.ours + sign * of_mode.half_width) for sign in (-1, 1))
        axis.vlines(at, low, high, color=style["color"], linewidth=1.0)
        axis.plot(at, rounded(of_mode.ours), **style)


# Colour and shape say the same, for those who see no colours.
VERDICT_MARKS: dict[str | None, dict[str, Any]] = {
    "reproduced": mark("o", 4.2, "#1b7f79"),
    "small systematic shift": mark("^", 4.2, "#b8860b"),
    "inconclusive": mark("s", 3.8, "#5b6f9a", hollow=True),
    "differs": mark("X", 4.6, "#b03a2e"),
    None: mark("o", 2.4, "#9a9a9a", hollow=True),
}
_LIMIT = 0.12  # of the differences that are drawn in full


def _row_name(judged: Judged) -> str:
    memory = "" if judged.share is None else f" {judged.share:.0%}"
    return f"{judged.arm.replace('-', ' ')}{memory}, {MEASURE_NAMES[judged.measure]}"


def _verdict_legend(figure: Figure, present: Sequence[str | None]) -> None:
    names = {verdict: verdict or "no verdict" for verdict in VERDICT_MARKS if verdict in present}
    handles = [Line2D([], [], **VERDICT_MARKS[verdict], label=name) for verdict, name in names.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


@styled
def verdict_matrix(judged: Sequence[Judged], titles: Mapping[str, str]) -> Figure:
    """The verdict on every published number: a row for each kind of number, a column for each case, an axis for each mode.

    Parameters
    ----------
    titles : data set -> title, in the order of the columns
    """
    modes = list(dict.fromkeys(each.evaluation for each in judged))
    rows = list(dict.fromkeys(map(_row_name, judged)))
    cases = sorted({each.case for each in judged})
    # An empty column between data sets.
    places = {(name, case): n * (len(cases) + 1) + k for n, name in enumerate(titles) for k, case in enumerate(cases)}
    figure = Figure((WIDTH, 0.95 + 0.15 * len(rows)))
    axes = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        for verdict, style in VERDICT_MARKS.items():
            found = [each for each in judged if each.evaluation == mode and each.verdict == verdict]
            columns, heights = [places[e.dataset, e.case] for e in found], [rows.index(_row_name(e)) for e in found]
            axis.plot(columns, heights, **style)
        axis.set_title(EVALUATION_NAMES[mode])
        axis.set_xticks(list(places.values()), [str(case) for _, case in places])
        axis.tick_params(length=0, axis="both", pad=2)
        axis.tick_params(axis="x", labelsize=6.5)
        axis.grid(visible=False)
        for n, name in enumerate(titles):
            middle = n * (len(cases) + 1) + (len(cases) - 1) / 2
            axis.text(middle, len(rows) + 0.55, titles[name], ha="center", va="top", fontsize=6.5)
    axes[0].set_xlim(-0.8, max(places.values()) + 0.8)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].tick_params(axis="y", labelsize=7)
    _verdict_legend(figure, [each.verdict for each in judged])
    return figure


@styled
def verdict_strips(judged: Sequence[Judged], margins: Mapping[str, float]) -> Figure:
    """Ours less published with the prediction interval, for all numbers of one data set; the published value is at 0.

    Parameters
    ----------
    margins : measure -> the margin of equivalence, drawn as a band
    """
    modes = list(dict.fromkeys(each.evaluation for each in judged))
    rows = list(dict.fromkeys(_row_name(each) for each in judged))
    cases = sorted({each.case for each in judged})
    figure = Figure((WIDTH, 0.8 + 0.235 * len(rows)))
    axes = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    heights = {e: rows.index(_row_name(e)) + (cases.index(e.case) - (len(cases) - 1) / 2) * 0.19 for e in judged}
    widths = [margins[next(e.measure for e in judged if _row_name(e) == row)] for row in rows]
    for axis, mode in zip(axes, modes, strict=True):
        axis.barh(range(len(rows)), [2 * w for w in widths], left=[-w for w in widths], height=0.84, color="#ececec")
        axis.axvline(0, color="black", linewidth=0.6)
        for verdict, style in VERDICT_MARKS.items():
            # All marks of a kind by one call, all intervals by another: the figure takes a third of the bytes.
            found = [each for each in judged if each.evaluation == mode and each.verdict == verdict]
            intervals = [
                ([each.difference - each.half_width, each.difference + each.half_width, np.nan], [heights[each]] * 3)
                for each in found
                if each.half_width is not None
            ]
            if intervals:
                ends, at = (np.concatenate(parts) for parts in zip(*intervals, strict=True))
                axis.plot(rounded(np.clip(ends, -_LIMIT, _LIMIT)), at, color=style["color"], linewidth=0.9)
            for shape, low, high in (("<", -1.0, -_LIMIT), (style["marker"], -_LIMIT, _LIMIT), (">", _LIMIT, 1.0)):
                within = [each for each in found if low < round(each.difference, 4) <= high]
                shown = np.clip([each.difference for each in within], -_LIMIT, _LIMIT)
                size = 0.75 * style["markersize"]
                axis.plot(rounded(shown), [heights[e] for e in within], **style | {"marker": shape, "markersize": size})
        axis.set(
            title=EVALUATION_NAMES[mode], xlabel="ours less published, points", xlim=(-1.06 * _LIMIT, 1.06 * _LIMIT)
        )
        axis.set_xticks([-0.1, -0.05, 0, 0.05, 0.1])
        axis.xaxis.set_major_formatter(IN_POINTS)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].tick_params(axis="y", labelsize=6.5)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    _verdict_legend(figure, [each.verdict for each in judged])
    return figure
