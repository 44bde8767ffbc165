"""Titles of data sets, which may be a user's own text."""

from __future__ import annotations

import functools
import re
import warnings
from html import escape

from matplotlib import font_manager

from lr_lab.data import catalogue
from lr_lab.plots.fonts import has_character, japanese_font


class Title(str):
    """A data set's title as plain text, and escaped for Markdown and for HTML."""

    @property
    def html(self) -> str:
        """For table cells and other raw HTML."""
        return escape(self)

    @property
    def markdown(self) -> str:
        """For headings and sentences in Markdown: every punctuation mark is escaped."""
        return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", self)


def title(dataset: str) -> Title:
    """The title of a data set; warns if the PDF cannot show it."""
    found = Title(catalogue.describe(dataset).title)
    _warn_of_missing_font(dataset, found)
    return found


@functools.cache  # once, however often the title is used
def _warn_of_missing_font(dataset: str, title: str) -> None:
    # The PDF is set in the fonts of the project's packages.
    fonts = font_manager.findfont("DejaVu Sans"), str(japanese_font().get_file())
    words = [w for w in title.split() if not all(any(has_character(font, sign) for font in fonts) for sign in w)]
    if words:
        warnings.warn(f"{dataset}: the PDF has no font for {', '.join(words)} in its title; the page has", stacklevel=3)
