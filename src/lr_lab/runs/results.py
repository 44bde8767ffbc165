"""The numbers in records as tables: of many runs (`table`), of one (`summary`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from lr_core.settings import EVALUATIONS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "profile", "dataset", "case", "seed", "arm", "choice", "evaluation", "memory_images_percent", "train_accuracy",
    "test_accuracy", "original_test_accuracy", "epochs", "seconds", "memory_bytes",
)  # fmt: skip


def table(records: Iterable[dict]) -> pd.DataFrame:
    """Tidy: one row per profile, data set, case, seed, arm, choice, memory budget and evaluation mode.

    The columns are `COLUMNS`; accuracies are shares, 0 to 1. Empty where an arm has no such value. Of a sequence of tasks,
    test accuracy is on the last one, original test accuracy the mean over those before it.
    """
    import pandas as pd  # here: most commands need no table

    rows = [
        (
            record["profile"], *(record["run"][name] for name in ("dataset", "case", "seed")), arm["arm"],
            arm.get("choice", float("nan")), evaluation, _percent(arm), *_accuracies(arm, evaluation),
            epochs(arm), round(arm["seconds"], 1), arm["memory_bytes"],
        )
        for record in records for arm in record["arms"] for evaluation in EVALUATIONS
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).astype({"memory_bytes": "Int64"})


def summary(record: dict) -> pd.DataFrame:
    """One run at a glance: a row for each arm, for each evaluation mode its accuracies in percent, two decimals."""
    measures = {"train": "train", "test": "test", "original_test": "original test"}
    return _by_mode(record, measures.values(), lambda arm, mode: [arm["accuracy"][mode][name] for name in measures])


def closed_forms(record: dict) -> pd.DataFrame:
    """Classifiers in closed form on the frozen latents (`bounds.bounds`): test accuracy in percent by share of the old latents."""
    import pandas as pd

    found = {name: shares for name, shares in record["bounds"].items() if name != "joint"}
    labels = [(name, f"{float(share):.0%}") for name, shares in found.items() for share in shares]
    rows = [[f"{100 * value:.1f}" for value in values] for shares in found.values() for values in shares.values()]
    return pd.DataFrame(
        rows, pd.MultiIndex.from_tuples(labels, names=["classifier", "of the old latents"]), ["old", "new"]
    )


def longer_summary(record: dict) -> pd.DataFrame:
    """A run of several tasks at a glance: a row for each arm, for each evaluation mode its `sequence_measures` in percent."""
    return _by_mode(
        record, sequence_measures([[1.0]]), lambda arm, mode: sequence_measures(arm["matrix"][mode]).values()
    )


def _by_mode(record: dict, names: Iterable[str], values: Callable[[dict, str], Iterable[float | None]]) -> pd.DataFrame:
    """A row for each arm, for each evaluation mode these values in percent."""
    import pandas as pd

    rows = [
        ["" if value is None else f"{100 * value:.2f}" for mode in EVALUATIONS for value in values(arm, mode)]
        for arm in record["arms"]
    ]
    columns = pd.MultiIndex.from_product([EVALUATIONS, names], names=["evaluation", None])
    return pd.DataFrame(rows, index=pd.Index(map(_label, record["arms"]), name="arm"), columns=columns)


def sequence_measures(matrix: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of an accuracy matrix (`metrics.forgetting`): mean accuracy at the end, mean when learned, and forgetting.

    >>> sequence_measures([[1.0], [0.5, 0.75]])
    {'accuracy': 0.625, 'learned': 0.875, 'forgetting': 0.5}
    """
    from lr_core.metrics import forgetting  # here: it imports torch

    return {
        "accuracy": fmean(matrix[-1]),
        "learned": fmean(row[-1] for row in matrix),
        "forgetting": forgetting(matrix) or 0.0,
    }


def error_kinds(confusion: Sequence[Sequence[int]], task: Sequence[int], others: Sequence[int]) -> tuple[float, float]:
    """Errors on the test images of a task, as shares of them: taken for a class of other tasks, and of the task itself.

    The two add up to 1 - accuracy, where no image is taken for a class of no task.

    >>> error_kinds([[6, 2, 2], [1, 9, 0], [0, 0, 5]], task=[0, 1], others=[2])
    (0.1, 0.15)
    """
    images = sum(sum(confusion[true]) for true in task)
    wrong_task = sum(confusion[true][predicted] for true in task for predicted in others)
    wrong_class = sum(confusion[true][predicted] for true in task for predicted in task if predicted != true)
    return wrong_task / images, wrong_class / images


def curve(arm: Mapping) -> dict:
    """An arm's `epochs`, and its accuracy on `old` and `new` classes after them, by evaluation mode.

    Of the epochs that are looked at today, and the last one: records of before hold all, which would draw seeds apart.
    """
    from lr_core.metrics import is_evaluated  # here: it imports torch, which the status of a grid does not need

    whole = arm["curve"]
    places = [n for n, e in enumerate(whole["epochs"]) if is_evaluated(e) or e == whole["epochs"][-1]]
    thinned = {
        task: {mode: [values[n] for n in places] for mode, values in whole[task].items()}
        for task in ("old", "new")
        if task in whole
    }
    return {"epochs": [whole["epochs"][n] for n in places], **thinned}


def second_task_arms(record: Mapping) -> list[Mapping]:
    """The arms that learn the second task: those with an accuracy on old classes."""
    return [arm for arm in record["arms"] if "old" in arm["curve"]]


def _accuracies(arm: dict, evaluation: str) -> list[float | None]:
    if "matrix" in arm:
        *earlier, last = arm["matrix"][evaluation][-1]
        return [None, last, fmean(earlier)]
    return [arm["accuracy"][evaluation][part] for part in ("train", "test", "original_test")]


def epochs(arm: Mapping) -> int:
    """How many epochs an arm was trained, of a sequence over all tasks."""
    return sum(arm["epochs"]) if "matrix" in arm else arm["epochs"]


def seconds(record: dict) -> float:
    """How long the training of all arms took."""
    return sum(arm["seconds"] for arm in record["arms"])


def _label(arm: dict) -> str:
    percent = _percent(arm)
    label = arm["arm"] if percent is None else f"{arm['arm']} {percent:g} %"
    return f"{label}, {arm['choice']}" if "choice" in arm else label


def _percent(arm: dict) -> float | None:
    """Share of the first task's training images that the arm's memory holds."""
    return None if arm["memory_share"] is None else round(100 * arm["memory_share"], 6)
