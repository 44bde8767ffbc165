"""Numbers and conclusions of `beyond` as parts of sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from beyond import Estimate, datasets
from provenance import SourcedText
from titles import title
from words import NOT_RUN, listed

Number = Callable[[str], Estimate | None]
"""Of a data set."""


def with_interval(found: Estimate | None, unit: str = " %") -> str:
    """A share or a difference of shares, in percent or points, with the half-width of its interval."""
    if found is None:
        return f"({NOT_RUN})"
    half_width = "" if found.half_width is None else f" ± {100 * found.half_width:.1f}"
    text = f"{100 * found.value:z.1f}".replace("-", "−")
    return str(SourcedText(f"{text}{half_width}{unit}", found.value.sources))


def by_set(profile: str, number: Number, unit: str = " %", only: Iterable[str] = ()) -> str:
    """One number for each data set of a profile: "93.1 ± 0.4 % (MNIST) and 80.2 ± 0.6 % (KMNIST)"."""
    names = [name for name in datasets(profile) if not only or name in only]
    return listed(f"{with_interval(number(name), unit)} ({title(name)})" for name in names) if names else f"({NOT_RUN})"


def concluded(profile: str, number: Number, above: str, below: str, undecided: str) -> str:
    """What a difference says: a phrase for the data sets where its interval is above 0, below it, or holds it."""
    phrases: dict[str, list[str]] = {above: [], below: [], undecided: []}
    for name in datasets(profile):
        if (found := number(name)) is not None:
            phrases[{1: above, -1: below, 0: undecided}[found.sign]].append(title(name))
    said = [f"{phrase} on {listed(names)}" for phrase, names in phrases.items() if names]
    return "; ".join(said) or f"({NOT_RUN})"
