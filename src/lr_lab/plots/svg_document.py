"""How a figure is written: as a small SVG document that is the same on every processor, byte for byte.

Each drawing rounds its numbers (`lr_lab.rounding`), and `svg` rounds the coordinates that matplotlib makes of them.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import warnings

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lr_lab.plots.fonts import add_fonts, is_rare, warn_of_missing
from lr_lab.plots.style import styled

_FONTS = "DejaVu Sans, Verdana, sans-serif"  # the first is matplotlib's own, and wider than most that stand in for it


@styled
def svg(figure: Figure) -> str:
    """The figure as an SVG document: the same, byte for byte, at every time and on every machine.

    Warns of words that no font here can draw, once of each word.
    """
    texts = figure.findobj(Text)
    missing = dict.fromkeys(word for text in texts for word in add_fonts(text))
    warn_of_missing(missing)
    # Text stays text, except in scripts for which the reader's machine may lack a font: these become outlines. Words that
    # this machine cannot draw stay text, since the reader's machine may have the font.
    outlined = not missing and any(is_rare(character) for text in texts for character in text.get_text())
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "path" if outlined else "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # warn_of_missing says it in one line
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
