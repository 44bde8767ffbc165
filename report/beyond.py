"""What goes beyond the original: numbers of the profiles `bounds`, `training`, `bytes`, `unlike`, `longer` and `gap`.

The seed is the unit: a number is averaged over the cases of a data set within a seed, then over seeds. Its interval is that of
the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import pandas as pd
from edition import Runs, beyond
from sourced import Value, accuracy, mean, source
from verdicts import RULE

from lr_core.settings import EVALUATIONS
from lr_lab.evidence import paired_effect
from lr_lab.runs import results
from lr_lab.runs.profiles import find_profile

Reader = Callable[[Mapping], Value | None]
"""One number of a record; None where the record has none."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the half-width of its confidence interval, None for one seed."""

    value: Value
    half_width: float | None
    seeds: int
    cases: int

    @property
    def low(self) -> float:
        """Lower end of the interval; the mean itself for one seed."""
        return float(self.value) - (self.half_width or 0)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return float(self.value) + (self.half_width or 0)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0; 0 for one seed."""
        if self.half_width is None or self.low <= 0 <= self.high:
            return 0
        return 1 if self.value > 0 else -1


def by_seed(runs: Runs, dataset: str, read: Reader) -> tuple[dict[int, Value], int]:
    """The number of each seed, averaged over cases, and how many cases that are.

    All seeds have the same cases: of the profile's, as many from the first one on as two seeds have, or one seed.
    """
    found: dict[int, dict[int, Value | None]] = {}
    for record in runs.records:
        if record["run"]["dataset"] == dataset and (value := read(record)) is not None:
            found.setdefault(record["run"]["seed"], {})[record["run"]["case"]] = value
    known = sorted({case for values in found.values() for case in values})
    for wanted in (2, 1):
        for count in range(len(known), 0, -1):
            whole = [seed for seed, values in found.items() if values.keys() >= {*known[:count]}]
            if len(whole) >= wanted:
                averages = {seed: mean(found[seed][case] for case in known[:count]) for seed in sorted(whole)}
                return {seed: value for seed, value in averages.items() if value is not None}, count
    return {}, 0


def estimate(*parts: tuple[Runs, str, Reader, float]) -> Estimate | None:
    """A sum of numbers, each with its weight; None where one of them has no seed. Seeds are paired."""
    values, cases = zip(*(by_seed(runs, dataset, read) for runs, dataset, read, _ in parts), strict=True)
    seeds = [seed for seed in values[0] if all(seed in other for other in values)]
    if not seeds:
        return None
    weights = [weight for *_, weight in parts]
    sums = [
        Value(
            sum(weight * found[seed] for weight, found in zip(weights, values, strict=True)),
            frozenset().union(*(found[seed].sources for found in values)),
        )
        for seed in seeds
    ]
    average = mean(sums)
    assert average is not None
    effect = paired_effect(sums, RULE["confidence"])
    return Estimate(average, effect.half_width if effect else None, len(seeds), min(cases))


@dataclass(frozen=True)
class Way:
    """One way to learn or to classify, and how its numbers are read from records of a profile.

    `budget` is the place among the profile's budgets; None for what has no memory. For a classifier in closed form, `budget` is
    the share of the old latents.
    """

    profile: str
    name: str  # "replay", "no-replay", "first-task", a classifier of `bounds`, or "joint"
    choice: str = ""
    budget: float | None = None

    def reader(self, measure: str, mode: str) -> Reader:
        """Of accuracy on "old" or "new" classes, or of the mean of "both"."""
        if measure == "both":
            old, new = self.reader("old", mode), self.reader("new", mode)
            return lambda record: mean_of_two(old(record), new(record))

        def read(record: Mapping) -> Value | None:
            if self.name in record.get("bounds", {}):
                key = mode if self.name == "joint" else repr(self.budget)
                found = record["bounds"][self.name].get(key)
                return None if found is None else Value(found[measure == "new"], [source(record, record["arms"][0])])
            arm = self.arm(record)
            return None if arm is None else accuracy(record, arm, mode, "test" if measure == "new" else "original_test")

        return read

    def arm(self, record: Mapping) -> dict | None:
        """The arm of a record, None where it has none."""
        found = [arm for arm in record["arms"] if (arm["arm"], arm.get("choice", "")) == (self.name, self.choice)]
        place = int(self.budget or 0)
        return found[place] if place < len(found) else None

    def term(self, dataset: str, measure: str, mode: str, weight: float = 1.0) -> tuple[Runs, str, Reader, float]:
        """A part of an `estimate`."""
        return beyond[self.profile], dataset, self.reader(measure, mode), weight

    def accuracy(self, dataset: str, measure: str, mode: str) -> Estimate | None:
        """Mean accuracy over seeds."""
        return estimate(self.term(dataset, measure, mode))

    def bytes(self) -> float | None:
        """What the memory takes, on average over runs."""
        held = [arm["memory_bytes"] for record in beyond[self.profile].records if (arm := self.arm(record))]
        return sum(held) / len(held) if held else None

    def gap(self, dataset: str, measure: str = "old") -> Estimate | None:
        """Accuracy under batch less running statistics."""
        return estimate(self.term(dataset, measure, "batch"), self.term(dataset, measure, "running", -1))

    def wrong_task(self, dataset: str, mode: str) -> Estimate | None:
        """Share of the old test images that are taken for a new class."""

        def read(record: Mapping) -> Value | None:
            arm = self.arm(record)
            if arm is None:
                return None
            old, new = (record["tasks"][task]["classes"] for task in ("first", "second"))
            return Value(results.error_kinds(arm["confusion"][mode], old, new)[0], [source(record, arm)])

        return estimate((beyond[self.profile], dataset, read, 1.0))


def mean_of_two(first: Value | None, second: Value | None) -> Value | None:
    """None where one of them is."""
    return None if first is None or second is None else mean([first, second])


def difference(first: Way, second: Way, dataset: str, measure: str, mode: str) -> Estimate | None:
    """Accuracy of the first way less that of the second, by the same seeds."""
    return estimate(first.term(dataset, measure, mode), second.term(dataset, measure, mode, -1))


def datasets(profile: str) -> list[str]:
    """The data sets of which a profile has runs, in the order of the profile."""
    there = {record["run"]["dataset"] for record in beyond[profile].records}
    chosen = find_profile(profile)
    return [name for name in (*chosen.datasets, *chosen.in_case_1) if name in there]


def state(profile: str) -> str:
    """How many of a profile's runs are there."""
    done, every = len(beyond[profile].records), len(find_profile(profile).runs_of())
    return f"all {every} runs" if done >= every else f"{done} of {every} runs"


def hours() -> float:
    """Training time of all profiles together."""
    return sum(results.seconds(record) for runs in beyond.values() for record in runs.records) / 3600


# -- the parts --------------------------------------------------------------------------------------------------------

BUDGETS = (0, 1, 2)  # places of the three budgets in bytes
BOUNDS: dict[str, Way] = {
    "nothing replayed, nothing frozen": Way("bounds", "no-replay"),
    "nothing replayed, compressor frozen": Way("bounds", "no-replay", "frozen"),
    "nearest class mean": Way("bounds", "nearest-mean", budget=1.0),
    "linear discriminant": Way("bounds", "linear", budget=1.0),
    "quadratic discriminant": Way("bounds", "quadratic", budget=1.0),
    **{f"replay, budget {n + 1}": Way("bounds", "replay", budget=n) for n in BUDGETS},
    "replay of everything": Way("bounds", "replay", budget=3),
    "all classes at once": Way("bounds", "joint"),
}
TRAININGS = {"": "in turn", "mixed-batches": "mixed batches", "group-norm": "GroupNorm"}
ENCODINGS = {
    "": "latents, 32 bits",
    "bits-8": "latents, 8 bits",
    "bits-4": "latents, 4 bits",
    "raw-frozen": "images, compressor frozen",
    "raw": "images, nothing frozen",
}


def encoding(choice: str, budget: int) -> Way:
    """Replay of a memory of one encoding. That of latents in single precision is in the profile of bounds."""
    return Way("bytes" if choice else "bounds", "replay", choice, budget)


def training(choice: str, budget: int) -> Way:
    """Replay by one way of training."""
    return Way("training", "replay", choice, budget)


def _rows(ways: Iterable[tuple[str, Way]], profile: str, measures: tuple[str, ...]) -> Iterable[tuple]:
    for dataset in datasets(profile):
        for name, way in ways:
            for measure in measures:
                for mode in EVALUATIONS:
                    found = way.accuracy(dataset, measure, mode)
                    if found is not None:
                        yield (
                            dataset,
                            name,
                            measure,
                            mode,
                            float(found.value),
                            found.half_width,
                            found.seeds,
                            found.cases,
                        )


_COLUMNS = ["dataset", "way", "measure", "evaluation", "accuracy", "half_width", "seeds", "cases"]


@cache
def bounds_frame() -> pd.DataFrame:
    """Accuracy on old and on new classes of each of `BOUNDS`. Classifiers in closed form are the same in every mode."""
    return pd.DataFrame([*_rows(BOUNDS.items(), "bounds", ("old", "new", "both"))], columns=_COLUMNS).round(4)


@cache
def training_frame() -> pd.DataFrame:
    """Accuracy by way of training and budget."""
    ways = [(f"{words}, budget {n + 1}", training(choice, n)) for choice, words in TRAININGS.items() for n in (0, 1)]
    return pd.DataFrame([*_rows(ways, "training", ("old", "new"))], columns=_COLUMNS).round(4)


@cache
def bytes_frame() -> pd.DataFrame:
    """Accuracy by encoding and bytes of the memory."""
    found = []
    for choice, words in ENCODINGS.items():
        for n in BUDGETS:
            way = encoding(choice, n)
            found += [(*row, way.bytes()) for row in _rows([(words, way)], way.profile, ("old", "new"))]
    return pd.DataFrame(found, columns=[*_COLUMNS, "bytes"]).round(4)


@cache
def unlike_frame() -> pd.DataFrame:
    """Accuracy of pairs of sets, and of case 1 within a set, by budget."""
    found = []
    for n in BUDGETS:
        way = Way("unlike", "replay", budget=n)
        found += [(*row, n) for row in _rows([("pair", way)], "unlike", ("old", "new"))]
        within = Way("bounds", "replay", budget=n)
        for dataset in datasets("bounds"):
            for measure in ("old", "new"):
                for mode in EVALUATIONS:
                    read = within.reader(measure, mode)
                    value = estimate((_case_1(), dataset, read, 1.0))
                    if value is not None:
                        row = (dataset, "within", measure, mode, float(value.value), value.half_width, value.seeds, 1)
                        found.append((*row, n))
    return pd.DataFrame(found, columns=[*_COLUMNS, "budget"]).round(4)


@cache
def _case_1() -> Runs:
    runs = Runs("bounds", beyond["bounds"].runs)
    runs.records = [record for record in beyond["bounds"].records if record["run"]["case"] == 1]
    return runs


MEMORIES = {
    ("replay", ""): "memory grows",
    ("replay", "fixed-size"): "memory of fixed size",
    ("no-replay", ""): "no replay",
}


def sequence_reader(arm: str, choice: str, mode: str, of: Callable[[list], float]) -> Reader:
    """A number of the accuracy matrix of an arm of a longer sequence."""

    def read(record: Mapping) -> Value | None:
        found = [a for a in record["arms"] if (a["arm"], a.get("choice", "")) == (arm, choice)]
        return Value(of(found[0]["matrix"][mode]), [source(record, found[0])]) if found else None

    return read


def sequence(arm: str, choice: str, mode: str, measure: str, dataset: str) -> Estimate | None:
    """One of `results.sequence_measures` of a longer sequence."""
    read = sequence_reader(arm, choice, mode, lambda matrix: results.sequence_measures(matrix)[measure])
    return estimate((beyond["longer"], dataset, read, 1.0))


@cache
def longer_frame() -> pd.DataFrame:
    """Mean accuracy over the tasks so far, after each task."""
    found = []
    for dataset in datasets("longer"):
        for (arm, choice), words in MEMORIES.items():
            for mode in EVALUATIONS:
                for task in range(len(find_profile("longer").orders[0])):
                    read = sequence_reader(arm, choice, mode, lambda matrix, task=task: sum(matrix[task]) / (task + 1))
                    value = estimate((beyond["longer"], dataset, read, 1.0))
                    if value is not None:
                        found.append((dataset, words, mode, task + 1, float(value.value), value.half_width))
    columns = ["dataset", "memory", "evaluation", "tasks", "accuracy", "half_width"]
    return pd.DataFrame(found, columns=columns).round(4)


GAPS = {("replay", ""): "in turn", ("replay", "mixed-batches"): "mixed batches", ("no-replay", ""): "no replay"}


def gap_reader(arm: str, choice: str, mode: str, of: Callable[[list[float]], float]) -> Reader:
    """A number of the accuracies on old classes before the first update and after each."""
    way = Way("gap", arm, choice, 0)

    def read(record: Mapping) -> Value | None:
        found = way.arm(record)
        return (
            Value(of(found["updates"]["old"][mode]), [source(record, found)]) if found and "updates" in found else None
        )

    return read


def gap(arm: str, choice: str, mode: str, of: Callable[[list[float]], float], dataset: str) -> Estimate | None:
    """The same over seeds."""
    return estimate((beyond["gap"], dataset, gap_reader(arm, choice, mode, of), 1.0))


@cache
def gap_frame() -> pd.DataFrame:
    """Accuracy on old classes after each of the first updates."""
    found = []
    for dataset in datasets("gap"):
        for (arm, choice), words in GAPS.items():
            for mode in EVALUATIONS:
                for update in range(find_profile("gap").updates + 1):
                    value = gap(arm, choice, mode, lambda values, update=update: values[update], dataset)
                    if value is not None:
                        found.append((dataset, words, mode, update, float(value.value)))
    return pd.DataFrame(found, columns=["dataset", "training", "evaluation", "update", "accuracy"]).round(4)
