"""What all figures share, and how they are written: colours, marks, names, fonts, SVG.

One colour for one meaning throughout, from the palette of Okabe and Ito (2008), which readers with any colour vision can
tell apart. Line styles and shapes repeat the distinction without colour.

A figure is the same on every processor, byte for byte: each drawing rounds its numbers (`lr_lab.rounding`), and `svg`
rounds the coordinates that matplotlib makes of them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.metadata
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from PIL import Image

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

_FONTS = "DejaVu Sans, Verdana, sans-serif"  # the first is matplotlib's own, and wider than most that stand in for it


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


# -- fonts ------------------------------------------------------------------------------------------------------------


def japanese_font() -> font_manager.FontProperties:
    """A font with hiragana that is on every machine: it comes with a package that the project depends on."""
    # Importing the package would make its font the default of every figure.
    folder = Path(str(importlib.metadata.distribution("matplotlib-fontja").locate_file("matplotlib_fontja/fonts")))
    return font_manager.FontProperties(fname=str(next(folder.glob("*.ttf"))))


def _is_rare(character: str) -> bool:
    """Whether a machine may lack a font for it: it is no sign, and its script is not Latin, Greek or Cyrillic."""
    return character > "\u2fff" or (character > "\u052f" and unicodedata.category(character)[0] in "LM")


def _add_fonts(text: Text) -> list[str]:
    """Give a text more fonts for characters that its own font lacks; returns the words that no font here can draw."""
    own, words = font_manager.findfont(text.get_fontproperties()), text.get_text().split()
    drawn = {character for word in words for character in word if unicodedata.category(character) != "Cf"}
    found = {character: _family_with(character) for character in sorted(drawn) if not has_character(own, character)}
    families = [family for family in dict.fromkeys(found.values()) if family]
    if families:
        text.get_fontproperties().set_file(None)  # a file would be the only font
        text.set_fontfamily([*text.get_fontfamily(), *families])
    missing = {character for character, family in found.items() if family is None}
    return [word for word in words if missing.intersection(word)]


@functools.cache
def _family_with(character: str) -> str | None:
    """The family of a font on this machine that has the character; the Japanese font comes first."""
    japanese = str(japanese_font().get_file())
    if has_character(japanese, character):
        font_manager.fontManager.addfont(japanese)
        return font_manager.get_font(japanese).family_name
    fonts = sorted(
        (font.name, font.fname)
        for font in font_manager.fontManager.ttflist
        if font.style == "normal"
        and font.weight == 400
        and "LastResort" not in font.name.replace(" ", "")  # only boxes
    )
    return next((name for name, file in fonts if has_character(file, character)), None)


@functools.cache
def has_character(font: str, character: str) -> bool:
    """Whether a font file has the character."""
    try:
        return font_manager.get_font(font).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError):  # the file was removed, or is no font
        return False


_warned: set[str] = set()  # words that a warning has named: a notebook draws the same names again and again


def _warn_of_missing(words: Iterable[str]) -> None:
    new = sorted(set(words) - _warned)
    _warned.update(new)
    if new:
        more = f" and {len(new) - 5} more" if len(new) > 5 else ""
        warnings.warn(
            f"no font here can draw {', '.join(new[:5])}{more}: figures may lack them in the PDF. Install a font that can, "
            "such as one of the Noto fonts, or use other names",
            stacklevel=4,
        )


# -- SVG ----------------------------------------------------------------------------------------------------------------


@styled
def svg(figure: Figure) -> str:
    """The figure as an SVG document: the same, byte for byte, at every time and on every machine.

    Warns of words that no font here can draw, once of each word.
    """
    texts = figure.findobj(Text)
    missing = dict.fromkeys(word for text in texts for word in _add_fonts(text))
    _warn_of_missing(missing)
    # Text stays text, except in scripts for which the reader's machine may lack a font: these become outlines. Words that
    # this machine cannot draw stay text, since the reader's machine may have the font.
    outlined = not missing and any(_is_rare(character) for text in texts for character in text.get_text())
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "path" if outlined else "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # _warn_of_missing says it in one line
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _compact(buffer.getvalue())


def _compact(document: str) -> str:
    """The same drawing in less than half the size: the paper holds all its figures in one file.

    Numbers are in hundredths of a point or of another unit. Marks in a row that share a style name it once. All text
    has one font. Images, which are grey and opaque, are stored as grey. Ids are numbered: matplotlib makes them from
    numbers that are not rounded.
    """
    document = re.sub(r"<!.*?>|<metadata>.*?</metadata>", "", document, flags=re.DOTALL)
    document = re.sub(r"\s*\n\s*", "\n", document)
    document = re.sub(r"<\w[^>]*>", _round_numbers, document)
    document = re.sub(r"; font-family: [^;\"]*", "", document).replace("<svg", f'<svg font-family="{_FONTS}"', 1)
    document = re.sub(
        r'<use [^>]* style="([^"]*)"/>\n(?:<use [^>]* style="\1"/>\n)+',
        lambda marks: f'<g style="{marks[1]}">\n' + re.sub(' style="[^"]*"', "", marks[0]) + "</g>\n",
        document,
    )
    document = re.sub(r"(?<=data:image/png;base64,)[^\"]+", _as_grey, document)
    return _number_ids(document)


def _round_numbers(tag: re.Match[str]) -> str:
    """A tag with its numbers in hundredths; factors keep five decimals."""

    def shorter(number: str, decimals: int) -> str:
        # A number in the middle between two hundredths is a little more on one processor and a little less on another.
        # All numbers are moved up a little, so that both give the same hundredth.
        short = f"{float(number) + 0.0123 * 10**-decimals:.{decimals}f}".rstrip("0").rstrip(".")
        return "0" if short == "-0" else short

    def piece(found: re.Match[str]) -> str:
        decimals = 5 if found["factors"] else 2
        return re.sub(r"-?\d+\.\d+", lambda number: shorter(number[0], decimals), found[0])

    return re.sub(r"(?P<factors>scale\([^)]*\)|matrix\((?:[-.\d]+ ){4})|-?\d+\.\d+", piece, tag[0])


def _number_ids(document: str) -> str:
    """Number the ids in their order, after a prefix of this drawing: a page may hold several drawings."""
    # Ids of clip paths, marks, images and patterns end in ten digits of a digest. They may be used before they are defined.
    names = dict.fromkeys(re.findall(r'(?:\bid="|#)(\w*[0-9a-f]{10})\b', document))
    numbers = {name: str(number) for number, name in enumerate(names, start=1)}
    pattern = re.compile(rf"\b({'|'.join(names) or '(?!)'})\b")
    prefix = hashlib.sha256(pattern.sub(lambda name: numbers[name[0]], document).encode()).hexdigest()[:6]
    return pattern.sub(lambda name: f"d{prefix}-{numbers[name[0]]}", document)


def _as_grey(found: re.Match[str]) -> str:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(found[0]))).convert("L").save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
