"""The drawing of the protocol, which shows no data."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lr_lab.plots.style import TASK_COLOURS, WIDTH, bare, styled

HEIGHT = 2.05
_FIRST, _SECOND, _BETWEEN = 1.62, 0.30, 0.96  # heights of the rows
_FROZEN = "#7a7a7a"


@styled
def protocol() -> Figure:
    """First task, frozen compressor, latent memory, second task."""
    figure = Figure((WIDTH, HEIGHT), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    bare(axes)
    for height, task, colour, compressor in (
        (_FIRST, "first", TASK_COLOURS["first"], TASK_COLOURS["first"]),
        (_SECOND, "second", TASK_COLOURS["second"], _FROZEN),
    ):
        axes.text(0.02, height, f"{task}\ntask", weight="bold", va="center", ha="left", fontsize=8.5)
        old = "" if task == "first" else "new "
        _box(axes, 0.62, height, f"images of\nfive {old}classes", "#444444", 1.15)
        _box(axes, 2.12, height, "compressor" if task == "first" else "compressor,\nfrozen", compressor, 1.0)
        _box(axes, 3.47, height, "latents,\n36 numbers each", "#444444", 1.2)
        _box(axes, 5.02, height, "classifier", colour, 0.85)
        for start, end in ((1.77, 2.12), (3.12, 3.47), (4.67, 5.02), (5.87, 6.1)):
            _arrow(axes, (start, height), (end, height))
        axes.text(6.13, height, "class", va="center", ha="left")
    _box(axes, 3.47, _BETWEEN, "latent memory", TASK_COLOURS["first"], 1.2, dashed=True)
    _arrow(axes, (4.07, _FIRST - 0.25), (4.07, _BETWEEN + 0.2))
    axes.text(4.13, 1.28, "1, 5 or 25 % are kept", va="center", ha="left", fontsize=7)
    _arrow(axes, (2.62, _FIRST - 0.25), (2.62, _SECOND + 0.25))
    axes.text(2.56, _BETWEEN, "frozen", va="center", ha="right", fontsize=7)
    _arrow(axes, (5.25, _FIRST - 0.25), (5.25, _SECOND + 0.25))
    axes.text(5.31, 1.28, "goes on learning", va="center", ha="left", fontsize=7)
    _arrow(axes, (4.67, _BETWEEN - 0.1), (5.12, _SECOND + 0.25))
    axes.text(4.82, 0.62, "replay", va="center", ha="right", fontsize=7)
    return figure


def _box(axes: Axes, left: float, middle: float, text: str, colour: str, width: float, *, dashed: bool = False) -> None:
    half = 0.2 if dashed else 0.25
    axes.add_patch(
        FancyBboxPatch(
            (left, middle - half), width, 2 * half, boxstyle="round,pad=0,rounding_size=0.06", facecolor="none",
            edgecolor=colour, linewidth=1.2, linestyle="--" if dashed else "-",
        )
    )  # fmt: skip
    axes.text(left + width / 2, middle, text, color=colour, va="center", ha="center", fontsize=7.5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": "#444444", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0},
    )
