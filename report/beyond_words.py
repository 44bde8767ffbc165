"""Numbers and conclusions of `beyond` as parts of sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import beyond
from beyond import datasets
from estimates import Estimate
from IPython.display import Markdown
from provenance import SourcedText
from titles import Title, title
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


def by_set(profile: str, number: Number, unit: str = " %") -> Markdown:
    """One number for each data set of a profile that has it: "93.1 ± 0.4 (MNIST) and 80.2 ± 0.6 % (KMNIST)"."""
    found = {name: value for name in datasets(profile) if (value := number(name))}
    known = [
        f"{with_interval(value, unit if place == len(found) else '')} ({title(name).markdown})"
        for place, (name, value) in enumerate(found.items(), start=1)
    ]
    return Markdown(listed(known) if known else f"({NOT_RUN})")


@dataclass(frozen=True)
class Advice:
    """What to do, in a sentence and in few words, and the difference that bears it out.

    It is said if the interval of the difference is above 0 on every data set of the profile.
    """

    sentence: str
    brief: str
    profile: str
    number: Number

    def known(self) -> dict[Title, Estimate]:
        """The difference on each data set that has runs."""
        found = {title(name): self.number(name) for name in datasets(self.profile)}
        return {name: value for name, value in found.items() if value is not None}

    def holds(self) -> bool:
        """Whether every interval is above 0."""
        known = self.known()
        return bool(known) and all(value.sign == 1 for value in known.values())


ADVICE = (
    Advice(
        "Before any replay, try what needs no training: a mean and a covariance of each class, on the frozen latents.",
        "first try a mean and a covariance of each old class", "bounds",
        lambda name: beyond.difference(beyond.GAUSSIANS, beyond.REPLAYED, name, "both", "running"),
    ),
    Advice(
        "Put new and memory images into one batch: evaluation mode then loses less against batch statistics.",
        "mix new and memory images in one batch", "training", lambda name: beyond.gap_closed("mixed-batches", name),
    ),
    Advice(
        "Store latents in 4 bits: at the same bytes they preserve more than in 32.",
        "store latents in 4 bits", "bytes",
        lambda name: beyond.difference(beyond.encoding("bits-4"), beyond.encoding(""), name, "old", "running"),
    ),
    Advice(
        "Store latents, not images, where bytes are few.", "prefer latents to images", "bytes",
        lambda name: beyond.difference(beyond.encoding(""), beyond.encoding("raw"), name, "old", "running"),
    ),
)  # fmt: skip


def advised() -> list[str]:
    """What the runs bear out of `ADVICE`, in few words."""
    return [each.brief for each in ADVICE if each.holds()]


def advice() -> Markdown:
    """What the runs bear out of `ADVICE`, as a list."""
    said = []
    for each in filter(Advice.holds, ADVICE):
        by = listed(f"{with_interval(value, ' points')} on {name.markdown}" for name, value in each.known().items())
        said.append(f"- {each.sentence} ({by}.)")
    return Markdown("\n".join(said) or "- Nothing yet: these runs have too few seeds.")


def concluded(profile: str, number: Number, above: str, below: str, undecided: str) -> str:
    """What a difference says: a phrase for the data sets where its interval is above 0, below it, or holds it."""
    phrases: dict[str, list[str]] = {above: [], below: [], undecided: []}
    for name in datasets(profile):
        if (found := number(name)) is not None:
            phrases[{1: above, -1: below, 0: undecided}[found.sign]].append(title(name))
    said = [f"{phrase} on {listed(names)}" for phrase, names in phrases.items() if names]
    return "; ".join(said) or f"({NOT_RUN})"
