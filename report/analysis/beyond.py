"""What goes beyond the original: numbers of the profiles `bounds`, `training`, `bytes`, `unlike`, `longer` and `gap`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from analysis.edition import Runs, beyond, ours
from analysis.estimates import Estimate, Reader, estimate
from analysis.sourced import Value, accuracy, mean, source
from lr_core.models import LATENT_VALUES, Compressor
from lr_core.settings import EVALUATIONS
from lr_lab.runs import results
from lr_lab.runs.profiles import find_profile


@dataclass(frozen=True)
class Way:
    """One way to learn or to classify, and how its numbers are read from the records of a profile.

    `budget` is the place among the budgets of a memory, from 0; of a classifier in closed form it is the share of old latents.
    """

    profile: str
    name: str  # "replay", "no-replay", "first-task", or of a record's `bounds` a classifier or "joint"
    choice: str = ""
    budget: float = 0

    @property
    def runs(self) -> Runs:
        """The runs of the profile."""
        return beyond.get(self.profile, ours)

    def arm(self, record: Mapping) -> dict | None:
        """The arm of a record, None where it has none."""
        found = [arm for arm in record["arms"] if (arm["arm"], arm.get("choice", "")) == (self.name, self.choice)]
        return found[int(self.budget)] if self.budget < len(found) else None

    def reader(self, measure: str, mode: str) -> Reader:
        """Of the accuracy on "old" or on "new" classes, or of the mean of "both"."""

        def read(record: Mapping) -> Value | None:
            if measure == "both":
                parts = [self.reader(part, mode)(record) for part in ("old", "new")]
                return None if None in parts else mean(parts)
            if self.name in record.get("bounds", {}):
                found = record["bounds"][self.name].get(mode if self.name == "joint" else repr(self.budget))
                return None if found is None else Value(found[measure == "new"], [source(record, record["arms"][0])])
            arm = self.arm(record)
            return None if arm is None else accuracy(record, arm, mode, "test" if measure == "new" else "original_test")

        return read

    def term(self, dataset: str, measure: str, mode: str, weight: float = 1.0) -> tuple[Runs, str, Reader, float]:
        """A part of an `estimate`."""
        return self.runs, dataset, self.reader(measure, mode), weight

    def accuracy(self, dataset: str, measure: str, mode: str, beside: Way | None = None) -> Estimate | None:
        """Mean accuracy over seeds; `beside` another way, over the runs that both have."""
        others = [] if beside is None else [beside.term(dataset, measure, mode, 0.0)]
        return estimate(self.term(dataset, measure, mode), *others)

    def gap(self, dataset: str, measure: str = "old") -> Estimate | None:
        """Accuracy under batch less running statistics."""
        return estimate(self.term(dataset, measure, "batch"), self.term(dataset, measure, "running", -1.0))

    def wrong_task(self, dataset: str, mode: str) -> Estimate | None:
        """Share of the old test images that are taken for a new class."""

        def read(record: Mapping) -> Value | None:
            arm = self.arm(record)
            if arm is None:
                return None
            old, new = (record["tasks"][task]["classes"] for task in ("first", "second"))
            return Value(results.error_kinds(arm["confusion"][mode], old, new)[0], [source(record, arm)])

        return estimate((self.runs, dataset, read, 1.0))

    def bytes(self) -> float | None:
        """What the memory takes, on average over runs."""
        held = [arm["memory_bytes"] for record in self.runs.records if (arm := self.arm(record))]
        return fmean(held) if held else None


def difference(first: Way, second: Way, dataset: str, measure: str, mode: str) -> Estimate | None:
    """Accuracy of the first way less that of the second, in the same runs."""
    return estimate(first.term(dataset, measure, mode), second.term(dataset, measure, mode, -1.0))


def at_full_size(dataset: str, mode: str) -> Estimate | None:
    """Gaussians less replay of the smallest memory, mean of old and new, in runs of the original's size."""
    return difference(Way("closed-forms", "quadratic", budget=1.0), Way("paper", "replay"), dataset, "both", mode)


def datasets(profile: str) -> list[str]:
    """The data sets of which a profile has runs, in its order."""
    there = {record["run"]["dataset"] for record in beyond[profile].records}
    return [name for name in dict.fromkeys(name for name, *_ in find_profile(profile).runs_of()) if name in there]


def are_cited() -> bool:
    """Whether this document shows these profiles."""
    return all(runs.cited for runs in beyond.values())


def price(profile: str, dataset: str, mode: str, weight: float = 1.0) -> list[tuple[Runs, str, Reader, float]]:
    """Accuracy on new classes: of a whole network without replay, less that of the frozen compressor with the largest memory.

    Terms of an `estimate`. The compressor, the frozen weights and the replay have a part in it.
    """
    whole, frozen = Way(profile, "no-replay"), Way(profile, "replay", budget=BUDGETS[-1])
    return [whole.term(dataset, "new", mode, weight), frozen.term(dataset, "new", mode, -weight)]


def price_abroad(dataset: str, mode: str, pairs: Iterable[str] | None = None) -> Estimate | None:
    """How much more a compressor of `dataset` costs on the classes of other sets than on the other classes of its own.

    Of case 1. What freezing and replay cost in any case cancels. The mean over `pairs`, else over all that begin with it.
    """
    every = [name for name in find_profile("unlike").datasets if name.startswith(f"{dataset}+")]
    chosen = every if pairs is None else [*pairs]
    abroad = [term for pair in chosen for term in price("unlike", pair, mode, 1 / len(chosen))]
    return estimate(*abroad, *price("bounds", dataset, mode, -1.0))


def dearest_pair(mode: str) -> tuple[str, Estimate] | None:
    """The pair of sets with the largest `price_abroad`."""
    found = [(pair, price_abroad(pair.partition("+")[0], mode, [pair])) for pair in datasets("unlike")]
    known = [(pair, value) for pair, value in found if value is not None]
    return max(known, key=lambda each: each[1].value) if known else None


def training_hours() -> float:
    """Of all profiles together, on one core."""
    return sum(results.seconds(record) for runs in beyond.values() for record in runs.records) / 3600


def compressor_bytes() -> int:
    """What the weights of the compressor and its running averages take in single precision."""
    return 4 * sum(values.numel() for values in Compressor().state_dict().values() if values.is_floating_point())


def gaussian_bytes(classes: int = 5) -> int:
    """What a mean and a covariance in single precision take for each class, a symmetric matrix stored once."""
    return 4 * classes * (LATENT_VALUES + LATENT_VALUES * (LATENT_VALUES + 1) // 2)


# -- the parts, each as a table for its figure --------------------------------------------------------------------------

BUDGETS = (0, 1, 2)
LATENTS = (63, 315, 1575)  # of a memory of each budget
CLOSED_FORM_SHARES = {
    **dict(zip(find_profile("bounds").settings.memory_shares, LATENTS, strict=False)), 1.0: None,
}  # fmt: skip
"""The old latents that a classifier in closed form is fitted on: share -> how many, None for all."""
FIRST_UPDATES = 16  # of a task, in which a dip is looked for; chosen when the first runs were seen
MIDDLE = 1  # the budget that holds the bytes of the paper's smallest memory
BOUNDS: dict[str, Way] = {
    "nothing frozen or replayed": Way("bounds", "no-replay"),
    "compressor frozen, nothing replayed": Way("bounds", "no-replay", "frozen"),
    "nearest class mean": Way("bounds", "nearest-mean", budget=1.0),
    "linear discriminant": Way("bounds", "linear", budget=1.0),
    "quadratic discriminant": Way("bounds", "quadratic", budget=1.0),
    "quadratic, of 315 latents": Way("bounds", "quadratic", budget=find_profile("bounds").settings.memory_shares[1]),
    **{f"replay of {n:,} latents": Way("bounds", "replay", budget=place) for place, n in enumerate(LATENTS)},
    "replay of everything": Way("bounds", "replay", budget=3),
    "all classes at once": Way("bounds", "joint"),
}
GAUSSIANS, REPLAYED = BOUNDS["quadratic discriminant"], Way("bounds", "replay", budget=MIDDLE)
TRAININGS = {"": "in turn", "mixed-batches": "combined batches", "group-norm": "GroupNorm"}
ENCODINGS = {
    "": "latents, 32 bits",
    "bits-8": "latents, 8 bits",
    "bits-4": "latents, 4 bits",
    "raw-frozen": "images, compressor frozen",
    "raw": "images, nothing frozen",
}
MEMORIES = {
    ("replay", ""): "memory grows",
    ("replay", "fixed-size"): "memory of fixed size",
    ("no-replay", ""): "no replay",
}
GAPS = {("replay", ""): "in turn", ("replay", "mixed-batches"): "combined batches", ("no-replay", ""): "no replay"}
_COLUMNS = ["dataset", "way", "measure", "evaluation", "accuracy", "half_width", "seeds", "cases"]


def training(choice: str, budget: int = MIDDLE) -> Way:
    """Replay by one of `TRAININGS`."""
    return Way("training", "replay", choice, budget)


def encoding(choice: str, budget: int = MIDDLE) -> Way:
    """Replay of a memory with one of `ENCODINGS`. That in single precision is among the bounds."""
    return Way("bytes" if choice else "bounds", "replay", choice, budget)


def _rows(
    profile: str, ways: Iterable[tuple[str, Way]], measures: tuple[str, ...] = ("old", "new"), beside: Way | None = None
) -> Iterator[tuple]:
    for dataset in datasets(profile):
        for name, way in ways:
            for measure in measures:
                for mode in EVALUATIONS:
                    if (found := way.accuracy(dataset, measure, mode, beside)) is not None:
                        numbers = float(found.value), found.half_width, len(found.seeds), len(found.cases)
                        yield dataset, name, measure, mode, *numbers


def _table(rows: Iterable[tuple], columns: list[str]) -> pd.DataFrame:
    data = pd.DataFrame([*rows], columns=columns)
    return data.astype({"half_width": float}).round(4) if "half_width" in columns else data.round(4)


def bounds_table() -> pd.DataFrame:
    """Accuracy of each of `BOUNDS`. Classifiers in closed form are the same in every mode."""
    return _table(_rows("bounds", BOUNDS.items(), ("old", "new", "both")), _COLUMNS)


def training_table() -> pd.DataFrame:
    """Accuracy by way of training and budget (0 or 1)."""
    rows = ((*row, n) for n in (0, 1) for row in _rows("training", [(w, training(c, n)) for c, w in TRAININGS.items()]))
    return _table(rows, [*_COLUMNS, "budget"])


def bytes_table() -> pd.DataFrame:
    """Accuracy by encoding and bytes of the memory, over the runs that have all encodings."""
    rows = (
        (*row, encoding(choice, n).bytes())
        for choice, words in ENCODINGS.items()
        for n in BUDGETS
        for row in _rows("bytes", [(words, encoding(choice, n))], beside=encoding("raw", n))
    )
    return _table(rows, [*_COLUMNS, "bytes"])


def within(way: Way, dataset: str, measure: str, mode: str) -> Estimate | None:
    """Accuracy in case 1 of one data set, which pairs of sets are compared with."""
    read = way.reader(measure, mode)
    return estimate((way.runs, dataset, lambda r: read(r) if r["run"]["case"] == 1 else None, 1.0))


def unlike_table() -> pd.DataFrame:
    """Accuracy of pairs of sets, and of case 1 within each set, by the latents that are replayed; 0 without replay."""
    rows = []
    for latents, arm in ((0, ("no-replay", "", 0)), *((n, ("replay", "", b)) for b, n in enumerate(LATENTS))):
        inside, across = (Way(profile, *arm) for profile in ("bounds", "unlike"))
        for dataset in datasets("bounds") if datasets("unlike") else []:
            for measure in ("old", "new"):
                for mode in EVALUATIONS:
                    if (found := within(inside, dataset, measure, mode)) is not None:
                        rows.append((dataset, "within a set", measure, mode, float(found.value), found.half_width,
                                     len(found.seeds), 1, latents))  # fmt: skip
        rows += [(*row, latents) for row in _rows("unlike", [("pair of sets", across)])]
    return _table(rows, [*_COLUMNS, "latents"])


def _matrix_reader(arm: str, choice: str, mode: str, number: Callable[[list], float]) -> Reader:
    def read(record: Mapping) -> Value | None:
        found = [a for a in record["arms"] if (a["arm"], a.get("choice", "")) == (arm, choice)]
        return Value(number(found[0]["matrix"][mode]), [source(record, found[0])]) if found else None

    return read


def of_matrix(dataset: str, arm: str, choice: str, mode: str, number: Callable[[list], float]) -> Estimate | None:
    """A number of the accuracy matrix of a sequence of five tasks: row i is measured when task i was learned."""
    return estimate((beyond["longer"], dataset, _matrix_reader(arm, choice, mode, number), 1.0))


def longer(dataset: str, arm: str, choice: str, mode: str, measure: str) -> Estimate | None:
    """One of `results.sequence_measures` of a sequence of five tasks."""
    return of_matrix(dataset, arm, choice, mode, lambda matrix: results.sequence_measures(matrix)[measure])


def fixed_less_growing(dataset: str, mode: str) -> Estimate | None:
    """Mean accuracy at the end with a memory of fixed size less that with one that grows."""
    fixed, growing = (
        _matrix_reader("replay", choice, mode, lambda matrix: fmean(matrix[-1])) for choice in ("fixed-size", "")
    )
    return estimate((beyond["longer"], dataset, fixed, 1.0), (beyond["longer"], dataset, growing, -1.0))


def longer_table() -> pd.DataFrame:
    """Mean accuracy over the tasks so far, after each task."""
    rows = []
    for dataset in datasets("longer"):
        for (arm, choice), words in MEMORIES.items():
            for mode in EVALUATIONS:
                for task in range(len(find_profile("longer").orders[0])):
                    found = of_matrix(dataset, arm, choice, mode, lambda matrix, task=task: fmean(matrix[task]))
                    if found is not None:
                        numbers = float(found.value), found.half_width, len(found.seeds), len(found.cases)
                        rows.append((dataset, words, mode, task + 1, *numbers))
    return _table(rows, ["dataset", "memory", "evaluation", "tasks", "accuracy", "half_width", "seeds", "orders"])


def _after_updates(arm: str, choice: str, mode: str, number: Callable[[list[float]], float]) -> Reader:
    """A number of the accuracies on old classes before the first update and after each."""
    way = Way("gap", arm, choice)

    def read(record: Mapping) -> Value | None:
        found = way.arm(record)
        return Value(number(found["updates"]["old"][mode]), [source(record, found)]) if found else None

    return read


def epoch_updates() -> int:
    """Updates in an epoch of the profile `gap`."""
    settings = find_profile("gap").settings
    return round(settings.train_share * 5 * (settings.images_per_class or 0) / settings.batch_size)


def _dip(values: list[float]) -> float:
    return values[epoch_updates()] - min(values[1 : FIRST_UPDATES + 1])


def dip(dataset: str, choice: str, mode: str, less: str | None = None) -> Estimate | None:
    """Accuracy on old classes after the first epoch, less its lowest in the first updates: what curves by epoch hide.

    Below 0 where there is no dip. `less` subtracts that of another evaluation mode.
    """
    runs = beyond["gap"]
    terms = [(runs, dataset, _after_updates("replay", choice, mode, _dip), 1.0)]
    if less is not None:
        terms.append((runs, dataset, _after_updates("replay", choice, less, _dip), -1.0))
    return estimate(*terms)


def gap_table() -> pd.DataFrame:
    """Accuracy on old classes after each of the first updates, a column for each evaluation mode; `cases` names them."""
    rows = []
    for dataset in datasets("gap"):
        for (arm, choice), words in GAPS.items():
            for update in range(find_profile("gap").updates + 1):
                readers = [
                    _after_updates(arm, choice, mode, lambda values, n=update: values[n]) for mode in EVALUATIONS
                ]
                found = [each for r in readers if (each := estimate((beyond["gap"], dataset, r, 1.0))) is not None]
                if len(found) == len(EVALUATIONS):
                    rests_on = len(found[0].seeds), ", ".join(map(str, found[0].cases))
                    rows.append((dataset, words, update, *(float(each.value) for each in found), *rests_on))
    return _table(rows, ["dataset", "training", "update", *EVALUATIONS, "seeds", "cases"])
