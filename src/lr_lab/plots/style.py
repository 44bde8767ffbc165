"""What all figures share: colours, marks and names.

One colour for one meaning throughout, from the palette of Okabe and Ito (2008), which readers with any colour vision can
tell apart. Line styles and shapes repeat the distinction without colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from lr_lab.rounding import rounded

WIDTH = 6.5  # inches; the text width of the PDF

TASK_COLOURS = {"first": "#0072B2", "second": "#D55E00"}
# Of the tasks in their order: the paper has two, longer sequences go on with other colours.
_LINE_COLOURS = (*TASK_COLOURS.values(), "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_LINE_STYLES: tuple[Any, ...] = ("-", (0, (3, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
# Ten classes need more than the palette's eight colours: five hues, and a filled or an open mark for either task.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v")  # of the same classes, for those who see no colours
EVALUATION_NAMES = {"running": "running statistics", "batch": "batch statistics", "mixed": "mixed-batch statistics"}


# A decorator: draw in the project's style over matplotlib's defaults. The user's settings have no effect, and stay.
styled = matplotlib.style.context("lr_lab.plots.paper", after_reset=True)


# -- what several figures draw ----------------------------------------------------------------------------------------


def task_line(task: int) -> dict[str, Any]:
    """Colour and line style of a task's curve; the first task is 0."""
    return {"color": _LINE_COLOURS[task % len(_LINE_COLOURS)], "linestyle": _LINE_STYLES[task % len(_LINE_STYLES)]}


def class_mark(number: int, size: float = 2.6) -> dict[str, Any]:
    """Colour and shape of a class: both by its number modulo five, open from class five on."""
    return mark(MARKERS[number % 5], size, CLASS_COLOURS[number % 5], hollow=number >= 5)


def mark(shape: str, size: float, colour: str, hollow: bool = False) -> dict[str, Any]:
    """Options of `Axes.plot` for marks without a line; as SVG they take a quarter of what a scatter plot takes."""
    return {"marker": shape, "color": colour, "linestyle": "", "markersize": size, "markeredgewidth": 0.6,
            "markerfacecolor": "none" if hollow else colour}  # fmt: skip


def draw_classes(axes: Axes, points: np.ndarray, labels: np.ndarray, names: Mapping[int, str]) -> dict[str, Line2D]:
    """Draw (n, 2) points with the marks of their classes; returns the marks by class name, for `name_legend`.

    Parameters
    ----------
    labels : (n,) classes of the points
    names : class -> name, of those to draw and in this order
    """
    return {
        name: axes.plot(*rounded(points[labels == number]).T, **class_mark(number))[0] for number, name in names.items()
    }


def name_legend(owner: Figure | Axes, marks: Mapping[str, Line2D], **options: Any) -> None:
    """A legend with every name in it: matplotlib leaves out those that begin with an underscore."""
    legend = owner.legend(list(marks.values()), list(map(str, range(len(marks)))), **options)
    for text, name in zip(legend.get_texts(), marks, strict=True):
        text.set_text(short_name(name))


def short_name(name: str, *, below: bool = False) -> str:
    """A class name for which a figure has room, beside an axis or `below` an image: the middle of a long one left out."""
    begin, end = (7, 4) if below else (11, 5)
    return name if len(name) <= begin + 1 + end else f"{name[:begin].rstrip()}…{name[-end:].lstrip()}"


def accuracy_axis(axes: Axes) -> None:
    """An accuracy from 0 to 100 % along y."""
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def bare(axes: Axes) -> None:
    """Leave nothing of the axes but what is drawn in them."""
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
