"""Counts, durations and comparisons in words."""

from __future__ import annotations

from collections.abc import Iterable

NOT_RUN = "not run"


def count(value: int) -> str:
    """A count in words up to twelve."""
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[value] if value < len(words) else f"{value:,}"


def hours(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listed(items: Iterable[object]) -> str:
    """A list in words: "1, 2 and 3"."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """A text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def comparison(first: float | None, second: float | None, above: str, below: str) -> str:
    """One of two phrases, by which value is larger: the sentence stays true when runs are added."""
    if first is None or second is None:
        return f"({NOT_RUN})"
    return above if first > second else below
