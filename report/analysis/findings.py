"""What the runs show: accuracies, forgetting, and distances from the published values, over all runs that there are.

Each function returns a `Value`, or None if the runs that it needs are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from analysis.edition import Runs, ours
from analysis.estimates import Estimate, Reader, estimate
from analysis.published import published_value
from analysis.sourced import Value, accuracy, mean, run_id, source
from lr_core.settings import EVALUATIONS
from lr_lab.runs import results


def arms(name: str, runs: Runs = ours, dataset: str | None = None) -> Iterator[tuple[dict, dict]]:
    """(record, arm) of every run, of one data set or of all."""
    for record in runs.records:
        if dataset in (None, record["run"]["dataset"]):
            yield from ((record, arm) for arm in record["arms"] if arm["arm"] == name)


def mean_over_cases(found: Iterable[tuple[dict, float | None]]) -> Value | None:
    """Mean of values, each with its record: over the seeds of a case first, so that each case weighs the same."""
    cases: dict[tuple, list[float | None]] = {}
    for record, value in found:
        cases.setdefault((record["run"]["dataset"], record["run"]["case"]), []).append(value)
    return mean(map(mean, cases.values()))


def mean_accuracy(
    name: str, measure: str, evaluation: str, share: float | None = None, runs: Runs = ours
) -> Value | None:
    """Mean of one accuracy over all runs."""
    return mean_over_cases(
        (record, accuracy(record, arm, evaluation, measure))
        for record, arm in arms(name, runs)
        if arm["memory_share"] == share
    )


def mean_epochs(name: str, runs: Runs = ours) -> Value | None:
    """Mean number of epochs of an arm."""
    return mean_over_cases((record, Value(arm["epochs"], [source(record, arm)])) for record, arm in arms(name, runs))


def forgetting(name: str, evaluation: str, share: float | None = None) -> Value | None:
    """Mean forgetting over all runs."""
    before = {run_id(record): accuracy(record, arm, evaluation, "test") for record, arm in arms("first-task")}
    return mean_over_cases(
        (record, before[run_id(record)] - accuracy(record, arm, evaluation, "original_test"))
        for record, arm in arms(name)
        if arm["memory_share"] == share
    )


def train_test_gap(evaluation: str) -> Value | None:
    """Mean of training less test accuracy over the first tasks."""
    found = (
        (record, [accuracy(record, arm, evaluation, measure) for measure in ("train", "test")])
        for record, arm in arms("first-task")
    )
    return mean_over_cases((record, train - test) for record, (train, test) in found)


# -- all stages at a glance -------------------------------------------------------------------------------------------

STAGES: dict[str, tuple[str, float | None]] = {
    "before": ("first-task", None),
    "none": ("no-replay", None),
    **{f"memory-{share:g}": ("replay", share) for share in ours.settings.memory_shares},
}
"""Arm and memory, in the order of the headline figure."""


def stages() -> pd.DataFrame:
    """Published accuracy and ours on old and new classes at every stage, by data set and evaluation mode.

    Ours is averaged over the cases of each seed, then over seeds; published is averaged over the same cases.
    """
    columns = ["dataset", "measure", "stage", "evaluation", "published", "ours", "half_width", "seeds", "cases"]
    rows = [
        row
        for dataset in ours.datasets
        for measure in ("old", "new")
        for stage in STAGES
        for evaluation in EVALUATIONS
        if (row := _stage(dataset, measure, stage, evaluation))
    ]
    return pd.DataFrame(rows, columns=columns).astype({"half_width": float}).round(4)


def _stage(dataset: str, measure: str, stage: str, evaluation: str) -> tuple | None:
    name, share = STAGES[stage]
    if name == "first-task" and measure == "new":
        return None
    key = "original_test" if measure == "old" and name != "first-task" else "test"
    # Without several seeds of every case, the first seed stands alone: an average of other cases would be no comparison.
    first = [id(record) for record in ours.of(dataset)]
    runs = ours if dataset in ours.repeated_datasets else ours.only(lambda record: id(record) in first)
    made = estimate((runs, dataset, _reader(name, share, key, evaluation), 1.0))
    theirs = [published_value(dataset, case, name, key, share) for case in made.cases] if made else []
    if made is None or None in theirs:
        return None
    average = mean(theirs)
    return (
        dataset,
        measure,
        stage,
        evaluation,
        average,
        float(made.value),
        made.half_width,
        len(made.seeds),
        len(theirs),
    )


def _reader(name: str, share: float | None, measure: str, evaluation: str) -> Reader:
    def read(record: Mapping) -> Value | None:
        arm = next((a for a in record["arms"] if (a["arm"], a["memory_share"]) == (name, share)), None)
        return None if arm is None else accuracy(record, arm, evaluation, measure)

    return read


def kept_beyond_half(dataset: str, evaluation: str, share: float) -> Estimate | None:
    """Accuracy on old classes with this memory, less the middle between that without replay and that before the second task."""
    parts = (
        ("replay", share, "original_test", 1.0),
        ("no-replay", None, "original_test", -0.5),
        ("first-task", None, "test", -0.5),
    )
    return estimate(*((ours, dataset, _reader(*name, evaluation), weight) for *name, weight in parts))


# -- beside the published values --------------------------------------------------------------------------------------


def gaps(
    name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None
) -> list[tuple[Value, dict, dict]]:
    """(ours less published, record, arm) of every run and budget that has a published value."""
    found = []
    for record, arm in arms(name, runs, dataset):
        theirs = _published(record, arm, measure)
        value = accuracy(record, arm, evaluation, measure)
        if theirs is not None and value is not None:
            found.append((value - theirs, record, arm))
    return found


def _published(record: dict, arm: dict, measure: str) -> float | None:
    """The published value of an arm's accuracy."""
    run = record["run"]
    return published_value(run["dataset"], run["case"], arm["arm"], measure, arm["memory_share"])


def mean_gap(name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None) -> Value | None:
    """Mean absolute difference from the published values."""
    return mean_over_cases((record, abs(gap)) for gap, record, _ in gaps(name, measure, evaluation, runs, dataset))


def published_mean(name: str, measure: str, runs: Runs = ours) -> float | None:
    """Mean of the published values of the cases that these runs have."""
    return mean_over_cases((record, _published(record, arm, measure)) for record, arm in arms(name, runs))


def unlearned_when_lost(evaluation: str, runs: Runs = ours) -> Value | None:
    """How far the baseline is from the published training accuracy when it keeps less than the published one.

    Published less ours, on average over the runs. Ours is that of the first epoch looked at from which on accuracy on old classes
    stays below the published one; of the last epoch if there is none. Curves look at some epochs only, so a little more is
    learned there than at the crossing: the true distance is not smaller.
    """
    found = []
    for record, arm in arms("no-replay", runs):
        kept, learned = (_published(record, arm, measure) for measure in ("original_test", "train"))
        if kept is None or learned is None:
            continue
        curve = results.curve(arm)
        old = curve["old"][evaluation]
        above = max((place for place, value in enumerate(old) if value >= kept), default=0)  # 0 is before the task
        epoch = curve["epochs"][min(above + 1, len(old) - 1)]
        unlearned = learned - arm["curve"]["train_accuracy"][epoch - 1]
        found.append((record, Value(unlearned, [source(record, arm)])))
    return mean_over_cases(found)


# -- between evaluation modes, budgets and profiles -------------------------------------------------------------------


def errors(kind: str, evaluation: str, share: float | None, name: str = "replay", runs: Runs = ours) -> Value | None:
    """Mean share of the old test images that are taken for a new class ("task"), or for another old one ("class")."""
    found = []
    for record, arm in arms(name, runs):
        if arm["memory_share"] == share:
            first, second = (record["tasks"][task]["classes"] for task in ("first", "second"))
            by_kind = dict(
                zip(("task", "class"), results.error_kinds(arm["confusion"][evaluation], first, second), strict=True)
            )
            found.append((record, Value(by_kind[kind], [source(record, arm)])))
    return mean_over_cases(found)


def spread_over_evaluations(measure: str = "original_test", runs: Runs = ours) -> Value | None:
    """How far the evaluation mode alone moves a replay arm's accuracy: largest less smallest, on average."""
    return mean_over_cases(
        (record, _range(accuracy(record, arm, e, measure) for e in EVALUATIONS)) for record, arm in arms("replay", runs)
    )


def spread_over_budgets(evaluation: str, measure: str = "original_test") -> Value | None:
    """How far the memory budget alone moves accuracy: largest less smallest over the budgets, on average."""
    return mean_over_cases(
        (record, _range(accuracy(record, arm, evaluation, measure) for arm in record["arms"] if arm["arm"] == "replay"))
        for record in ours.records
    )


def _range(found: Iterable[Value | None]) -> Value:
    known = [value for value in found if value is not None]
    return max(known) - min(known)


def gain_over_running(evaluation: str, measure: str = "original_test", runs: Runs = ours) -> Value | None:
    """How much higher the replay arms' accuracy is under an evaluation mode than under running statistics."""
    found = (
        (record, [accuracy(record, arm, e, measure) for e in (evaluation, "running")])
        for record, arm in arms("replay", runs)
    )
    return mean_over_cases((record, value - running) for record, (value, running) in found)


def paired(others: Runs) -> list[tuple[dict, dict, dict, dict]]:
    """(record, arm, record of the others, the same arm of it) of the runs that both have."""
    return [
        (record, arm, other, same)
        for other in others.records
        for record in ours.of(other["run"]["dataset"], other["run"]["case"], other["run"]["seed"])
        for arm, same in zip(record["arms"], other["arms"], strict=True)
    ]


def shift(others: Runs, measure: str, name: str | None = None) -> Value | None:
    """Mean absolute difference between the same arms of ours and of others, over evaluation modes.

    `name` chooses one kind of arm; None takes all.
    """
    found = [
        (record, [accuracy(record, arm, evaluation, measure), accuracy(other, same, evaluation, measure)])
        for record, arm, other, same in paired(others)
        if name in (None, arm["arm"])
        for evaluation in EVALUATIONS
    ]
    return mean_over_cases((record, abs(a - b)) for record, (a, b) in found if a is not None and b is not None)
