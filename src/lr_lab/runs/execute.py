"""One run from its name to its record: `run` is what the notebook template calls, `train` the training in it.

The experiment is `lr_core.TaskSequence`. Around it here: checkpoints, so that an interrupted run goes on, progress,
and provenance. Modules that need torch are imported late: who only reads progress needs none.
"""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lr_core.settings import CASES, EVALUATIONS, Case, Settings
from lr_lab.data import catalogue
from lr_lab.files import absolute, write_atomically
from lr_lab.runs import store
from lr_lab.runs.checkpoints import Checkpoints, Progress, restore, state
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId, make_record

if TYPE_CHECKING:
    from torch import Tensor

    from lr_core.device import Compute
    from lr_core.experiment import Evaluation, TaskSequence
    from lr_core.tasks import Dataset

Report = Callable[[Progress], None]


def run(
    run_id: RunId,
    *,
    runs: Path | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    report: Report = lambda progress: None,
) -> dict:
    """Train all arms of a run and return its record.

    Parameters
    ----------
    runs : folder of all runs; with it the record is written to `run_id.record(runs)`
    cache : folder for checkpoints and progress. It is not cleared: who keeps the record does that
    threads : that share the work of a step; None for as many as PyTorch has. Results do not depend on it
    report : called after every epoch

    Raises
    ------
    LatentReplayError
        The data are not there or damaged, or a folder cannot be written.
    """
    from lr_core.device import resolve

    runs, cache = (folder if folder is None else absolute(folder) for folder in (runs, cache))
    settings = find_profile(run_id.profile).settings
    key = run_id.key(settings)
    folder = cache / key if cache is not None else None

    def progressed(progress: Progress) -> None:
        if folder is not None:
            write_progress(folder, progress)
        report(progress)

    result = train(
        catalogue.load(run_id.dataset), CASES[run_id.case], run_id.seed, settings,
        compute=resolve(settings.precision, threads), checkpoints=Checkpoints(folder, key), report=progressed,
    )  # fmt: skip
    record = make_record(run_id, settings, result)
    if runs is not None:
        store.write(record, run_id.record(runs))
    return record


def write_progress(folder: Path, progress: Progress) -> None:
    """Write how far a run is, for other processes."""
    write_atomically(folder / "progress.json", json.dumps(vars(progress)).encode())


def read_progress(folder: Path) -> Progress | None:
    """How far a run is, or None where nothing is written yet."""
    try:
        return Progress(**json.loads((folder / "progress.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


# -- training -----------------------------------------------------------------------------------------------------


def train(
    dataset: Dataset,
    case: Case,
    seed: int,
    settings: Settings,
    *,
    compute: Compute | None = None,
    checkpoints: Checkpoints | None = None,
    report: Report = lambda progress: None,
) -> dict:
    """Train all arms of a case; what a record holds of them (`make_record` adds the rest).

    The first task is trained once. Each other arm is a branch of it.
    """
    from lr_core.experiment import FIRST_TASK, NO_REPLAY, REPLAY, TaskSequence
    from lr_core.fast import accelerate

    first = TaskSequence(
        dataset, (case.first, case.second), share=None, seed=seed, settings=settings, compute=compute,
        accelerate=accelerate,
    )  # fmt: skip
    arms = [(FIRST_TASK, None), *((REPLAY, share) for share in settings.memory_shares), (NO_REPLAY, None)]
    results = []
    for number, (name, share) in enumerate(arms):
        arm = _Arm(name, share, first if name == FIRST_TASK else first.branch(share), checkpoints or Checkpoints(None))
        results.append(arm.result(lambda progress, n=number: report(_of_all(progress, n, len(arms)))))  # type: ignore[misc]
    return {
        "tasks": {
            name: {"classes": list(t.classes), "train_images": len(t.train), "test_images": len(t.test)}
            for name, t in zip(("first", "second"), first.tasks, strict=True)
        },
        "arms": [result["arm"] for result in results],
        "latents": _latent_map(first, settings.latent_sample)
        | {name: [result["sample"][name] for result in results] for name in ("predicted", "last_correct")},
    }


def _of_all(progress: Progress, number: int, arms: int) -> Progress:
    return dataclasses.replace(progress, done=(number + progress.done) / arms)


def _latent_map(first: TaskSequence, size: int) -> dict:
    """Test latents of both tasks in the plane of the first task's two main components.

    The compressor is frozen, so one plane serves both tasks, before and after the second.
    """
    from lr_lab.runs.latent_plane import latent_plane

    points, variance = latent_plane(first.branch(frozen=True), size)
    tasks = {
        name: {"image": task.test[:size].tolist(), "label": labels.tolist(), "xy": xy.tolist()}
        for name, task, (xy, labels) in zip(("first", "second"), first.tasks, points, strict=True)
    }
    return {"explained_variance_ratio": list(variance), "tasks": tasks}


class _Arm:
    """One arm of a run, trained or read from its checkpoint."""

    def __init__(self, arm: str, share: float | None, sequence: TaskSequence, checkpoints: Checkpoints) -> None:
        from lr_core.experiment import arm_name

        self.arm, self.share, self.sequence, self.checkpoints = arm, share, sequence, checkpoints
        self.name = arm_name(arm, share)
        self.curve: dict = {"train_accuracy": [], "loss": [], "epochs": [], "new": {mode: [] for mode in EVALUATIONS}}
        # For each sampled image of the first task the last evaluated epoch after which it was right; -1 for never.
        self.last_correct: dict[str, list[int]] | None = None

    def result(self, report: Report) -> dict:
        from lr_core.training import Epoch

        kept = self.checkpoints.read(self.name)
        if kept is not None:
            weights, result = kept
            curve = result["arm"]["curve"]
            epoch = Epoch(result["arm"]["epochs"], curve["train_accuracy"][-1], curve["loss"][-1])
            if not self.sequence.evaluations:  # the first task: other arms branch off it
                self.sequence.begin()
                self.sequence.trainer.network.load_state_dict(weights)
                self.sequence.trainer.latest = epoch
                self.sequence.predict()
                for _ in self.sequence.epochs():
                    raise AssertionError("the first task was finished")
            report(Progress(self.name, 1.0, epoch.number, epoch.train_accuracy))
            return result
        result = self._train(report)
        self.checkpoints.write(self.name, self.sequence.trainer.network.state_dict(), result)
        return result

    def _train(self, report: Report) -> dict:
        from lr_core.training import Epoch
        from lr_lab.runs.provenance import stamp

        sequence, settings = self.sequence, self.sequence.settings
        began, provenance = time.perf_counter(), stamp(sequence.compute)
        self._note(sequence.begin())
        trainer = sequence.trainer
        unfinished = self._unfinished(provenance)
        if unfinished is not None:
            kept, notes = unfinished
            restore(trainer, kept, Epoch(**notes["epoch"]))
            sequence.predict()
            self.curve, self.last_correct = notes["curve"], notes["last_correct"]
            provenance, began = notes["provenance"], began - notes["seconds"]
        for epoch in sequence.epochs():
            self.curve["train_accuracy"].append(epoch.train_accuracy)
            self.curve["loss"].append(epoch.loss)
            if sequence.evaluations[-1].epoch == epoch.number:
                self._note(sequence.evaluations[-1])
            notes = {
                "epoch": dataclasses.asdict(epoch), "curve": self.curve, "last_correct": self.last_correct,
                "seconds": time.perf_counter() - began, "provenance": provenance,
            }  # fmt: skip
            self.checkpoints.write(self.name, state(trainer), notes, finished=False)
            report(Progress(self.name, epoch.number / settings.max_epochs, epoch.number, epoch.train_accuracy))
        accuracy = {
            mode: {
                "train": sequence.train_accuracy(mode),
                "test": self.curve["new"][mode][-1],
                "original_test": self.curve["old"][mode][-1] if "old" in self.curve else None,
            }
            for mode in EVALUATIONS
        }
        memory, latest = sequence.memory, trainer.latest
        assert latest is not None
        sampled = {
            mode: [classes[: settings.latent_sample].tolist() for classes in predicted]
            for mode, predicted in sequence.predicted.items()
        }
        return {
            "arm": {
                "arm": self.arm,
                "memory_share": self.share,
                "memory_images": None if memory is None else len(memory),
                "memory_bytes": None if memory is None else memory.bytes,
                "epochs": latest.number,
                "reached_target": trainer.reached_target,
                "seconds": time.perf_counter() - began,
                "accuracy": accuracy,
                "curve": self.curve,
                "confusion": {mode: sequence.confusion(mode) for mode in EVALUATIONS},
                "provenance": provenance,
            },
            "sample": {"predicted": sampled, "last_correct": self.last_correct},
        }

    def _note(self, evaluation: Evaluation) -> None:
        """Add an evaluation to the curve, and to what is known of the sampled images of the first task."""
        self.curve["epochs"].append(evaluation.epoch)
        for mode, (*old, new) in evaluation.accuracy.items():
            self.curve["new"][mode].append(new)
            if old:
                self.curve.setdefault("old", {}).setdefault(mode, []).extend(old)
                self._note_correct(mode, evaluation.epoch)

    def _note_correct(self, mode: str, epoch: int) -> None:
        positions = self.sequence.tasks[0].test[: self.sequence.settings.latent_sample]
        predicted = self.sequence.predicted[mode][0][: len(positions)].cpu()
        if self.last_correct is None:
            self.last_correct = {}
        last = self.last_correct.setdefault(mode, [-1] * len(positions))
        for place, right in enumerate((predicted == self.sequence.dataset.labels[positions]).tolist()):
            if right:
                last[place] = epoch

    def _unfinished(self, provenance: dict[str, object]) -> tuple[dict[str, Tensor], dict] | None:
        """The checkpoint of an interrupted arm, if the same library on a machine like this one began it."""
        kept = self.checkpoints.read(self.name, finished=False)
        if kept is None:
            return None
        began = kept[1]["provenance"]
        differ = [key for key in began if key != "started" and began[key] != provenance.get(key)]
        if differ:  # else the provenance of the arm would not be true
            warnings.warn(
                f"{self.name}: begun where {', '.join(differ)} differed; it is trained from its start", stacklevel=2
            )
            return None
        return kept
