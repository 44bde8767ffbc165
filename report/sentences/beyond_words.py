"""Numbers and conclusions of `beyond` as parts of sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from IPython.display import Markdown

from analysis import beyond
from analysis.beyond import datasets
from analysis.edition import beyond as every_beyond
from analysis.estimates import Estimate
from analysis.verdicts import RULE
from lr_lab.runs.profiles import find_profile
from sentences.facts import cases_of, with_one_unit
from sentences.provenance import SourcedText
from sentences.titles import Title, title
from sentences.words import NOT_RUN, listed

Number = Callable[[str], Estimate | None]
"""Of a data set."""


def with_interval(found: Estimate | None, unit: str = " %", *, sign: bool = False) -> str:
    """A share or a difference of shares, in percent or points, with the half-width of its interval. No line breaks in it."""
    if found is None:
        return f"({NOT_RUN})"
    half_width = "" if found.half_width is None else f" ± {100 * found.half_width:.1f}"
    text = f"{100 * found.value:{'+' if sign else ''}z.1f}".replace("-", "−")
    return str(SourcedText(f"{text}{half_width}{unit}".replace(" ", "\N{NO-BREAK SPACE}"), found.value.sources))


def by_set(profile: str | Iterable[str], number: Number, unit: str = " %") -> Markdown:
    """One number for each data set (of a profile) that has it: "93.1 ± 0.4 (MNIST) and 80.2 ± 0.6 % (KMNIST)"."""
    names = datasets(profile) if isinstance(profile, str) else profile
    known = {name: value for name in names if (value := number(name))}
    return with_one_unit(known, partial(with_interval, unit=""), partial(with_interval, unit=unit))


@dataclass(frozen=True)
class Advice:
    """What to do, in a sentence and in few words, and the difference that bears it out.

    It is said if the interval of the difference lies above `least` on every data set of the profile, and not above `most`.
    """

    sentence: str
    brief: str
    profile: str
    number: Number
    shown: str  # what the number is, before its values
    least: float = 0.0
    most: float = math.inf
    price: Number | None = None  # what it changes on new classes, where that is not in the number

    def known(self, number: Number) -> dict[Title, Estimate]:
        """The number on each data set that has runs."""
        found = {title(name): number(name) for name in datasets(self.profile)}
        return {name: value for name, value in found.items() if value is not None}

    def holds(self) -> bool:
        """Whether every interval lies inside the range."""
        known = self.known(self.number)
        return 0 < len(known) == len(datasets(self.profile)) and all(
            value.inside(self.least, self.most) for value in known.values()
        )

    def written(self) -> str:
        """The sentence, then the numbers."""
        parts = [(self.shown, self.number), *([("new classes", self.price)] if self.price else [])]
        numbers = []
        for shown, number in parts:
            by = listed(
                f"{with_interval(v, '', sign=True)} on {name.markdown}" for name, v in self.known(number).items()
            )
            numbers.append(f"{shown} {by}")
        return f"{self.sentence} (In points: {'; '.join(numbers)}.)"


MARGIN = RULE["margins"]["original_test"]
CLASSIFIERS = {"nearest-mean": "nearest class mean", "linear": "linear", "quadratic": "quadratic (Gaussians)"}
ALWAYS = (
    "State which statistics accuracy was measured with. Never report test batches of one task alone.",
    "Count a memory in bytes: a share of the pixels is not a share of the storage.",
)
ADVICE = (
    Advice(
        "Before any replay, try what needs no training: a mean and a covariance of each class, on the frozen latents.",
        "try class means and covariances first", "bounds",
        lambda name: beyond.difference(beyond.GAUSSIANS, beyond.REPLAYED, name, "both", "running"), "mean of old and new classes",
        price=lambda name: beyond.difference(beyond.GAUSSIANS, beyond.REPLAYED, name, "new", "running"),
    ),
    Advice(
        "Put new and memory images into one batch: batch and running statistics then agree.",
        "combine new and memory images in one batch", "training",
        lambda name: beyond.training("mixed-batches").gap(name), "batch less running statistics", -MARGIN, MARGIN,
    ),
    Advice(
        f"Use GroupNorm: it does not matter then how accuracy is measured, and at most {100 * MARGIN:g} points are lost against running statistics.",
        "use GroupNorm", "training",
        lambda name: beyond.difference(beyond.training("group-norm"), beyond.training(""), name, "both", "running"),
        "mean of old and new classes, less BatchNorm under running statistics", -MARGIN,
    ),
    Advice(
        "Store latents in 4 bits rather than 32: at the same bytes more of the old classes is kept, and new classes may lose.",
        "store latents in 4 bits", "bytes",
        lambda name: beyond.difference(beyond.encoding("bits-4"), beyond.encoding(""), name, "old", "running"), "old classes",
        price=lambda name: beyond.difference(beyond.encoding("bits-4"), beyond.encoding(""), name, "new", "running"),
    ),
    Advice(
        "Store latents rather than images in a small memory.", "no images in a small memory", "bytes",
        lambda name: beyond.difference(beyond.encoding(""), beyond.encoding("raw"), name, "old", "running"), "old classes",
        price=lambda name: beyond.difference(beyond.encoding(""), beyond.encoding("raw"), name, "new", "running"),
    ),
    Advice(
        "Train the compressor on images like those to come: on classes of another set it costs accuracy.",
        "train the compressor on images like those to come", "bounds",
        lambda name: beyond.price_abroad(name, "running"), "cost on another set less that on its own",
    ),
    Advice(
        "Over several tasks, use all of the memory from the first task on.", "use all of the memory from the first task on",
        "longer", lambda name: beyond.fixed_less_growing(name, "running"), "mean accuracy after the last task",
    ),
    Advice(
        "Do not stop in the first updates of a task: old classes are at their lowest then.", "do not stop in the first updates",
        "gap", lambda name: beyond.dip(name, "", "running"), "after an epoch less the lowest of the first updates",
    ),
)  # fmt: skip


def advised() -> list[str]:
    """What the runs bear out of `ADVICE`, in few words."""
    return [each.brief for each in ADVICE if each.holds()]


def advice() -> Markdown:
    """What holds in any case, then what the runs bear out of `ADVICE`, as a list."""
    return Markdown("\n".join(f"- {each}" for each in (*ALWAYS, *(a.written() for a in ADVICE if a.holds()))))


def basis_of_advice() -> Markdown:
    """Which runs the advice with numbers rests on, in a sentence."""
    profiles = dict.fromkeys(each.profile for each in ADVICE if each.holds())
    if not profiles:
        return Markdown("")
    runs = "; ".join(f"*{name}*: {cases_of(every_beyond[name])}" for name in profiles)
    return Markdown(
        f"The numbers are of the smaller trainings of @sec-beyond ({runs}), under running statistics where none are named."
    )


def training_numbers() -> Markdown:
    """Replay by each way of training: a row for each data set and way."""
    lines = [
        "| Data set | Training | Old classes | New classes | Taken for new | Batch less running |",
        "|:------|:--------|-----:|-----:|-----:|-----:|",
    ]
    for name in datasets("training"):
        for choice, words in beyond.TRAININGS.items():
            way = beyond.training(choice)
            found = (
                way.accuracy(name, "old", "running"), way.accuracy(name, "new", "running"), way.wrong_task(name, "running"), way.gap(name)
            )  # fmt: skip
            cells = " | ".join(with_interval(each, "") for each in found)
            lines.append(f"| {title(name).markdown} | {words} | {cells} |")
    return Markdown("\n".join(lines))


def closed_forms() -> Markdown:
    """Classifiers in closed form by the old latents that they are fitted on: a row for each data set, classifier and memory."""
    lines = [
        "| Data set | Classifier | Old latents | Old classes | New classes | Mean |",
        "|:------|:--------|----:|-----:|-----:|-----:|",
    ]
    for name in datasets("bounds"):
        for classifier, words in CLASSIFIERS.items():
            for place, (share, number) in enumerate(beyond.CLOSED_FORM_SHARES.items()):
                way = beyond.Way("bounds", classifier, budget=share)
                cells = (with_interval(way.accuracy(name, m, "running"), "") for m in ("old", "new", "both"))
                named = (title(name).markdown, words) if place == 0 else ("", "")
                lines.append(f"| {' | '.join((*named, f'{number:,}' if number else 'all', *cells))} |")
    return Markdown("\n".join(lines))


def sequences(mode: str) -> Markdown:
    """Accuracy task by task in a longer sequence: when learned and at the end, with its mean and with forgetting."""
    tasks = range(len(find_profile("longer").orders[0]))
    lines = [
        f"| Data set | Memory | | {' | '.join(f'Task {task + 1}' for task in tasks)} | Mean | Forgetting |",
        f"|:----|:------|:----|{'---:|' * len(tasks)}---:|---:|",
    ]
    for name in datasets("longer"):
        for (arm, choice), words in beyond.MEMORIES.items():
            learned, kept = (
                [beyond.of_matrix(name, arm, choice, mode, lambda m, t=t, row=row: m[row or t][t]) for t in tasks]
                for row in (0, len(tasks) - 1)
            )
            mean, lost = (beyond.longer(name, arm, choice, mode, measure) for measure in ("accuracy", "forgetting"))
            when = [
                title(name).markdown,
                words.replace("memory of ", ""),
                "learned",
                *(with_interval(each, "") for each in learned),
                "",
                "",
            ]
            end = ["", "", "end", *(with_interval(each, "") for each in (*kept, mean, lost))]
            lines += [f"| {' | '.join(row)} |" for row in (when, end)]
    return Markdown("\n".join(lines))


def dearest(mode: str) -> Markdown:
    """The pair of sets that costs most, in a sentence; nothing where it cannot be told from the cost within a set."""
    if (found := beyond.dearest_pair(mode)) is None or found[1].sign <= 0:
        return Markdown("")
    first, second = map(title, found[0].split("+"))
    return Markdown(
        f"Of the pairs that can be compared, {first.markdown}, then {second.markdown} costs most: {with_interval(found[1], ' points')}, "
        "in part by chance, as the largest of several."
    )


def concluded(profile: str, number: Number, above: str, below: str, undecided: str) -> str:
    """What a difference says: a phrase for the data sets where its interval is above 0, below it, or holds it."""
    phrases: dict[str, list[str]] = {above: [], below: [], undecided: []}
    for name in datasets(profile):
        if (found := number(name)) is not None:
            phrases[{1: above, -1: below, 0: undecided}[found.sign]].append(title(name))
    said = [f"{phrase} on {listed(names)}" for phrase, names in phrases.items() if names]
    return "; ".join(said) or f"({NOT_RUN})"


def state() -> Markdown:
    """How many runs of each profile are there, in words."""
    if not beyond.are_cited():
        return Markdown("not shown in this document")
    parts = []
    for name, runs in every_beyond.items():
        done, every = len(runs.records), len(find_profile(name).runs_of())
        cases = sorted({record["run"]["case"] for record in runs.records})
        where = "" if done >= every or not cases else f", case{'s' * (len(cases) > 1)} {listed(cases)}"
        parts.append(f"*{name}*: {'all ' if done >= every else f'{done} of '}{every}{where}")
    return Markdown("; ".join(parts))
