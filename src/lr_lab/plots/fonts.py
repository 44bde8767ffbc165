"""Fonts for the names in figures: of data sets and classes, in any script."""

from __future__ import annotations

import functools
import unicodedata
import warnings
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.text import Text

from lr_lab import files


def japanese_font() -> font_manager.FontProperties:
    """A font with hiragana that is on every machine: it comes with a package that the project depends on."""
    return font_manager.FontProperties(fname=str(next(files.japanese_fonts().glob("*.ttf"))))


def is_rare(character: str) -> bool:
    """Whether a machine may lack a font for it: it is no sign, and its script is not Latin, Greek or Cyrillic."""
    return character > "\u2fff" or (character > "\u052f" and unicodedata.category(character)[0] in "LM")


def add_fonts(text: Text) -> list[str]:
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


def warn_of_missing(words: Iterable[str]) -> None:
    """Warn once of each word that no font here can draw."""
    new = sorted(set(words) - _warned)
    _warned.update(new)
    if new:
        more = f" and {len(new) - 5} more" if len(new) > 5 else ""
        warnings.warn(
            f"no font here can draw {', '.join(new[:5])}{more}: figures may lack them in the PDF. Install a font that can, "
            "such as one of the Noto fonts, or use other names",
            stacklevel=4,
        )
