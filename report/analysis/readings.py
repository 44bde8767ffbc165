"""Other readings of what the original leaves open, each beside ours: does it come closer to the published numbers?

Five are trained (profiles `choices` and `literal`): each arm is compared with the same arm of the same seed of ours. The others
need no training: test batches of another size, running averages taken anew (`lr_lab.runs.probes`), and an earlier end, which
is read from the curves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import pandas as pd

from analysis import verdicts
from analysis.edition import choices, literal, ours
from analysis.findings import mean_over_cases
from analysis.published import MEASURES, published, published_value
from analysis.sourced import Value, accuracy, mean, source
from analysis.verdicts import Judged
from lr_core.settings import EVALUATIONS
from lr_lab.runs import results
from lr_lab.runs.variants import READINGS as SECOND_TASK
from lr_lab.runs.variants import VARIANTS

EPOCHS = (5, 10, 20)
PLAIN_SGD = "plain-sgd"
TRAINED = (*SECOND_TASK, PLAIN_SGD)

READINGS: dict[str, str] = {
    **{name: VARIANTS[name].words for name in SECOND_TASK},
    PLAIN_SGD: "plain SGD, no momentum",
    "batch 50": "test batches of 50",
    "batch 200": "test batches of 200",
    "batch all": "all of a task in one test batch",
    "batch compressor": "compressor by batch statistics too",
    "reestimated memory": "averages anew: new, memory",
    "reestimated all": "averages anew: new, all old",
    **{f"epochs {number}": f"at most {number} epochs" for number in EPOCHS},
}
"""In words, by name."""

KINDS = {
    ("replay", "original_test"): "old classes, replay",
    ("replay", "test"): "new classes, replay",
    ("no-replay", "original_test"): "old classes, no replay",
}
"""The accuracies whose distances are shown: (arm, measure)."""


@dataclass(frozen=True)
class Pair:
    """One accuracy of one run as ours has it, and under another reading; with the published one. Shares of the images."""

    reading: str
    record: Mapping  # of ours
    arm: str
    share: float | None
    measure: str
    evaluation: str
    ours: Value
    other: Value
    published: float


@cache
def pairs() -> list[Pair]:
    """Every comparison that the runs of this edition allow, of accuracies that were published."""
    return [*_pairs()]


def _pairs() -> Iterator[Pair]:
    for record in ours.records:
        for arm in record["arms"]:
            for reading, evaluation, measure, other in (*_probed(record, arm), *_ended_early(record, arm)):
                yield from _pair(reading, record, arm, evaluation, measure, other)
    for reading, changed, arm in _trained():
        run, name = changed["run"], (arm["arm"], arm["memory_share"])
        for record in ours.of(run["dataset"], run["case"], run["seed"]):
            same = next(each for each in record["arms"] if (each["arm"], each["memory_share"]) == name)
            for evaluation in EVALUATIONS:
                for measure in MEASURES:
                    yield from _pair(
                        reading, record, same, evaluation, measure, accuracy(changed, arm, evaluation, measure)
                    )


def _trained() -> Iterator[tuple[str, dict, dict]]:
    """(reading, record, arm) of each arm that was trained otherwise."""
    for record in choices.records:
        yield from ((arm["choice"], record, arm) for arm in record["arms"] if "choice" in arm)
    for record in literal.records:
        yield from ((PLAIN_SGD, record, arm) for arm in record["arms"])


def _pair(
    reading: str, record: Mapping, arm: Mapping, evaluation: str, measure: str, other: Value | None
) -> Iterator[Pair]:
    run, share = record["run"], arm["memory_share"]
    theirs = published_value(run["dataset"], run["case"], arm["arm"], measure, share)
    same = accuracy(record, arm, evaluation, measure)
    if theirs is not None and same is not None and other is not None:
        yield Pair(reading, record, arm["arm"], share, measure, evaluation, same, other, theirs)


def _probed(record: Mapping, arm: Mapping) -> Iterator[tuple[str, str, str, Value]]:
    """Readings that were probed at the end of an arm. Records of earlier editions have none."""
    for kind, evaluation in (("batch", "batch"), ("reestimated", "running")):
        for name, accuracies in arm.get("probes", {}).get(kind, {}).items():
            for measure, value in zip(("original_test", "test")[-len(accuracies) :], accuracies, strict=True):
                yield f"{kind} {name}", evaluation, measure, Value(value, [source(record, arm)])


def _ended_early(record: Mapping, arm: Mapping) -> Iterator[tuple[str, str, str, Value]]:
    curve = results.curve(arm)
    for number in EPOCHS:
        place = max(n for n, epoch in enumerate(curve["epochs"]) if epoch <= number)
        for evaluation in EVALUATIONS:
            for measure, task in (("test", "new"), ("original_test", "old")):
                if task in curve:
                    yield (
                        f"epochs {number}",
                        evaluation,
                        measure,
                        Value(curve[task][evaluation][place], [source(record, arm)]),
                    )


@dataclass(frozen=True)
class Distance:
    """How far ours and another reading lie from the published numbers on average, each case weighing the same."""

    reading: str
    arm: str
    measure: str
    evaluation: str
    ours: Value
    other: Value
    shift: Value  # other less ours
    runs: int
    cases: int


@cache
def distances(datasets: tuple[str, ...] | None = None) -> list[Distance]:
    """One for each reading, kind of accuracy and evaluation mode that there are pairs of, on these data sets alone if any are named."""
    found: dict[tuple, list[Pair]] = {}
    for pair in pairs():
        if datasets is None or pair.record["run"]["dataset"] in datasets:
            found.setdefault((pair.reading, pair.arm, pair.measure, pair.evaluation), []).append(pair)
    every = ((reading, *kind, evaluation) for reading in READINGS for kind in KINDS for evaluation in EVALUATIONS)
    return [_distance(key, found[key]) for key in every if key in found]


def _distance(key: tuple[str, str, str, str], chosen: list[Pair]) -> Distance:
    runs = {tuple(pair.record["run"].values()) for pair in chosen}
    return Distance(
        *key,
        _mean((pair.record, abs(pair.ours - pair.published)) for pair in chosen),
        _mean((pair.record, abs(pair.other - pair.published)) for pair in chosen),
        _mean((pair.record, pair.other - pair.ours) for pair in chosen),
        len(runs), len({run[:2] for run in runs}),
    )  # fmt: skip


def _mean(found: Iterator[tuple[Mapping, Value]]) -> Value:
    average = mean_over_cases(found)
    assert average is not None
    return average


def distance(
    reading: str, arm: str, measure: str, evaluation: str, datasets: tuple[str, ...] | None = None
) -> Distance | None:
    """The `Distance` of a reading, None where nothing was compared."""
    wanted = (reading, arm, measure, evaluation)
    return next((d for d in distances(datasets) if (d.reading, d.arm, d.measure, d.evaluation) == wanted), None)


def nearest(arm: str, measure: str, evaluation: str) -> Distance | None:
    """The reading that gains most on ours in distance from the published numbers; None where nothing was compared."""
    found = [d for d in distances() if (d.arm, d.measure, d.evaluation) == (arm, measure, evaluation)]
    return max(found, key=lambda d: d.ours - d.other, default=None)


def largest_shift(
    evaluation: str, measure: str = "original_test", datasets: tuple[str, ...] | None = None
) -> Value | None:
    """The largest mean change of accuracy after replay by another way to train the second task, without its sign."""
    found = [
        abs(d.shift)
        for d in distances(datasets)
        if d.reading in SECOND_TASK and (d.arm, d.measure, d.evaluation) == ("replay", measure, evaluation)
    ]
    return max(found, default=None)


def early_end(measure: str, evaluation: str, datasets: tuple[str, ...] | None = None) -> Distance | None:
    """Trainings that end after the fewest of `EPOCHS`."""
    return distance(f"epochs {EPOCHS[0]}", "replay", measure, evaluation, datasets)


AVERAGES = {
    "running": "running averages of training",
    "memory": "taken anew: new images and the memory",
    "all": "taken anew: new and all old images",
    "batch": "batch statistics",
}
"""Where BatchNorm has its statistics from, in the comparison of `averages`."""


def averages(measure: str, kind: str, share: float | None = None) -> Value | None:
    """Mean accuracy after replay by statistics of one kind of `AVERAGES`, over the runs that were probed."""
    found = []
    for record in ours.records:
        for arm in record["arms"]:
            anew = arm.get("probes", {}).get("reestimated")
            if anew is None or share not in (None, arm["memory_share"]):
                continue
            if kind in EVALUATIONS:
                found.append((record, accuracy(record, arm, kind, measure)))
            else:
                found.append((record, Value(anew[kind][measure == "test"], [source(record, arm)])))
    return mean_over_cases(found)


def probed_runs() -> int:
    """How many runs were probed."""
    return sum(any("probes" in arm for arm in record["arms"]) for record in ours.records)


def _by_reading(*number: object) -> dict[str, list[Pair]]:
    """The pairs of one published number: data set, case, arm, share, measure and evaluation mode."""
    return _by_number().get(number, {})


@cache
def _by_number() -> dict[tuple, dict[str, list[Pair]]]:
    found: dict[tuple, dict[str, list[Pair]]] = {}
    for pair in pairs():
        run = pair.record["run"]
        key = run["dataset"], run["case"], pair.arm, pair.share, pair.measure, pair.evaluation
        found.setdefault(key, {}).setdefault(pair.reading, []).append(pair)
    return found


@dataclass(frozen=True)
class Baseline:
    """The largest accuracy on old classes that was published without replay, and what ours and other readings keep there."""

    dataset: str
    case: int
    published: float
    ours: Value
    reading: str  # of the others the one that keeps most in the end
    other: Value


@dataclass(frozen=True)
class NearestEpoch:
    """The epoch of a training without replay that comes closest to the published pair of a case: kept and learned."""

    reading: str  # "" as in ours
    epoch: int
    old: Value
    new: Value
    published_old: float
    published_new: float


def _largest_baseline() -> tuple[str, int, float, float]:
    """Data set and case of the published baseline that keeps most; accuracy on its old and on its new classes."""
    kept = published[published.arm == "no-replay"]
    row = kept.loc[kept.original_test_accuracy.idxmax()]
    return row.dataset, int(row.case), row.original_test_accuracy, row.test_accuracy


def baseline(evaluation: str = "batch") -> Baseline | None:
    """None where its case was not run."""
    dataset, case, kept, _ = _largest_baseline()
    found = _by_reading(dataset, case, "no-replay", None, "original_test", evaluation)
    if not found:
        return None
    others = {reading: mean(pair.other for pair in chosen) for reading, chosen in found.items()}
    most = max(others, key=lambda reading: others[reading])
    # Over the runs of all readings, each once: the epochs need no run of their own, so they have every run.
    ours_kept = mean(pair.ours for pair in found[f"epochs {EPOCHS[0]}"])
    return Baseline(dataset, case, kept, ours_kept, most, others[most])


def nearest_epoch(evaluation: str = "batch") -> NearestEpoch | None:
    """Of all trainings of the case of `baseline`, ours and others, the epoch whose larger distance from the pair is smallest."""
    dataset, case, kept, learned = _largest_baseline()
    found = []
    trained = [("", record, arm) for record in ours.records for arm in record["arms"]]
    for reading, record, arm in (*trained, *_trained()):
        run = record["run"]
        if (run["dataset"], run["case"], arm["arm"]) != (dataset, case, "no-replay"):
            continue
        curve = results.curve(arm)
        for epoch, old, new in zip(curve["epochs"], curve["old"][evaluation], curve["new"][evaluation], strict=True):
            old, new = (Value(value, [source(record, arm)]) for value in (old, new))
            found.append(NearestEpoch(reading, epoch, old, new, kept, learned))
    return min(found, key=lambda e: max(abs(e.old - kept), abs(e.new - learned)), default=None)


@dataclass(frozen=True)
class Explanation:
    """Under which other reading or evaluation mode a published number lies inside the prediction interval."""

    words: str  # "none" if there is none, "not tried" without a trained reading
    sources: frozenset[str] = frozenset()  # the arms that show it


def explains(judged: Judged) -> Explanation:
    """The nearest reading or evaluation mode if there are several. With many tried, one can lie inside by chance."""
    near = _by_reading(*judged.number, judged.evaluation)
    # What a reading changes, in the runs that were made both ways, on the mean over all seeds: a seed that lies low by chance
    # must not count for the reading.
    found = [
        (
            abs(judged.difference + fmean(pair.other - pair.ours for pair in chosen)),
            READINGS[reading],
            frozenset().union(*(pair.other.sources for pair in chosen)),
        )
        for reading, chosen in near.items()
    ]
    for mode in EVALUATIONS:
        values = ours.values(judged.dataset, judged.case, judged.arm, judged.measure, mode, judged.share)
        if mode != judged.evaluation and (average := mean(values)) is not None:
            found.append((abs(average - judged.published), f"{mode} statistics", average.sources))
    inside = [each for each in found if each[0] <= (judged.half_width or 0)]
    if inside:
        return Explanation(*min(inside, key=lambda each: each[0])[1:])
    return Explanation("none" if set(TRAINED) & set(near) else "not tried")


def verdicts_explained() -> pd.DataFrame:
    """All verdicts as a table; of a number that differs, the reading or mode that explains it, and the runs that show it."""
    explained = [explains(each) if each.verdict == "differs" else Explanation("") for each in verdicts.judged()]
    runs = [sorted({arm.rpartition("/")[0] for arm in each.sources}) for each in explained]
    return verdicts.frame().assign(
        inside_it_with=[each.words for each in explained], shown_by=[" ".join(each) for each in runs]
    )


def frame() -> pd.DataFrame:
    """All of `distances` as a table."""
    data = pd.DataFrame([vars(each) for each in distances()], columns=list(Distance.__dataclass_fields__))
    return data.astype({name: float for name in ("ours", "other", "shift")}).round(4)
