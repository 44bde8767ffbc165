"""One run from its name to its record: `run` is what the notebook template calls, `train` the training in it.

The experiment is `lr_core.TaskSequence`. This module adds checkpoints, so that an interrupted run goes on, progress,
and provenance.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from torch import Tensor

from lr_core.device import Compute, resolve
from lr_core.experiment import FIRST_TASK, Evaluation, TaskSequence, arm_name
from lr_core.fast import accelerate
from lr_core.settings import CASES, EVALUATIONS, Case, Settings
from lr_core.tasks import Dataset
from lr_core.training import Epoch
from lr_lab.data import catalogue
from lr_lab.files import absolute
from lr_lab.runs import longer, provenance, store
from lr_lab.runs.arms import Arm, arms, policy, with_group_norm
from lr_lab.runs.bounds import bounds, joint
from lr_lab.runs.checkpoints import Checkpoints, Progress, restore, state, write_progress
from lr_lab.runs.latent_plane import latent_plane
from lr_lab.runs.probes import probe
from lr_lab.runs.profiles import Profile, find_profile
from lr_lab.runs.record import RunId, make_record
from lr_lab.runs.updates import Updates
from lr_lab.runs.variants import VARIANTS

OnProgress = Callable[[Progress], None]


def run(
    run_id: RunId,
    *,
    runs: Path | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    report: OnProgress = lambda progress: None,
) -> dict:
    """Train all arms of a run and return its record.

    Parameters
    ----------
    runs : folder of all runs; with it the record is written to `run_id.record(runs)`
    cache : folder for checkpoints and progress. Checkpoints stay: the caller removes them once it has the record
    threads : that share the work of a step; None for as many as PyTorch has. Results do not depend on it
    report : called after every epoch

    Raises
    ------
    LatentReplayError
        The data are not there or damaged, or a folder cannot be written.
    """
    runs, cache = (folder if folder is None else absolute(folder) for folder in (runs, cache))
    profile = find_profile(run_id.profile)
    settings = profile.settings
    key = run_id.key(settings)
    folder = cache / key if cache is not None else None

    def write_and_report(progress: Progress) -> None:
        if folder is not None:
            write_progress(folder, progress)
        report(progress)

    data, compute, kept = catalogue.load(run_id.dataset), resolve(settings.precision, threads), Checkpoints(folder, key)
    if profile.orders:
        order = profile.orders[run_id.case - 1]
        result = longer.train(
            data, order, run_id.seed, settings, compute=compute, checkpoints=kept, report=write_and_report
        )
    else:
        case = CASES[run_id.case]
        result = train(
            data, case, run_id.seed, settings, profile=profile, compute=compute, checkpoints=kept, report=write_and_report
        )  # fmt: skip
    record = make_record(run_id, settings, result)
    if runs is not None:
        store.write(record, run_id.record(runs))
    return record


def train(
    dataset: Dataset,
    case: Case,
    seed: int,
    settings: Settings,
    *,
    profile: Profile | None = None,
    compute: Compute | None = None,
    checkpoints: Checkpoints | None = None,
    report: OnProgress = lambda progress: None,
) -> dict:
    """Train all arms of a case; returns what a record holds of them (`make_record` adds the rest).

    The first task is trained once, and once more with another normalisation. Each other arm is a branch of it.

    Parameters
    ----------
    profile : which variants the arms have, and what else is measured; its `settings` are not used
    """
    profile = profile or Profile(settings, (), ())

    def begun(group_norm: bool = False) -> TaskSequence:
        return TaskSequence(
            dataset, (case.first, case.second), share=None, seed=seed, settings=settings, compute=compute,
            accelerate=with_group_norm if group_norm else accelerate,
        )  # fmt: skip

    first = begun()
    chosen = arms(settings, profile.variants or ("",), len(first.tasks[0].train))
    first_of = {arm.variant: begun(VARIANTS[arm.variant].group_norm) for arm in chosen if arm.arm == FIRST_TASK} | {
        "": first
    }
    results: list[dict] = []

    def report_share_of_all(progress: Progress) -> None:
        report(dataclasses.replace(progress, done=(len(results) + progress.done) / len(chosen)))

    for arm in chosen:
        variant = VARIANTS[arm.variant]
        sequence = first_of.get(arm.variant, first)
        if arm.arm != FIRST_TASK:
            sequence = sequence.branch(
                arm.share, frozen=variant.frozen, policy=policy(variant), choices=variant.choices
            )  # fmt: skip
        made = _ArmTraining(arm, sequence, checkpoints or Checkpoints(None), profile.updates)
        results.append(made.result(report_share_of_all))
    # The compressor is frozen, so one plane serves both tasks, before and after the second.
    points, variance = latent_plane(first.branch(frozen=True), settings.latent_sample)
    tasks, latents = {}, {}
    for name, task, (xy, labels) in zip(("first", "second"), first.tasks, points, strict=True):
        tasks[name] = {
            "classes": list(task.classes), "train_images": len(task.train), "test_images": len(task.test),
        }  # fmt: skip
        images = task.test[: settings.latent_sample]
        latents[name] = {"image": images.tolist(), "label": labels.tolist(), "xy": xy.tolist()}
    return {
        "tasks": tasks,
        "arms": [result["arm"] for result in results],
        "latents": {
            "explained_variance_ratio": list(variance),
            "tasks": latents,
            "predicted": [result["sample"]["predicted"] for result in results],
            "last_correct": [result["sample"]["last_correct"] for result in results],
        },
        "bounds": bounds(first, settings.memory_shares) | ({"joint": joint(begun())} if profile.joint else {}),
    }


class _ArmTraining:
    """One arm of a run, trained or read from its checkpoint."""

    def __init__(self, arm: Arm, sequence: TaskSequence, checkpoints: Checkpoints, updates: int) -> None:
        self.arm, self.sequence, self.checkpoints, self.updates = arm, sequence, checkpoints, updates
        self.name = arm_name(arm.arm, arm.share, arm.variant)
        self.curve: dict = {"train_accuracy": [], "loss": [], "epochs": [], "new": {mode: [] for mode in EVALUATIONS}}
        # For each sampled image of the first task the last evaluated epoch after which it was right; -1 for never.
        self.last_correct: dict[str, list[int]] | None = None

    def result(self, report: OnProgress) -> dict:
        """What the record holds of the arm, and of the sampled images."""
        kept = self.checkpoints.read(self.name)
        if kept is None:
            result = self._train(report)
            self.checkpoints.write(self.name, state(self.sequence.trainer), result)
            return result
        tensors, result = kept
        curve = result["arm"]["curve"]
        epoch = Epoch(result["arm"]["epochs"], curve["train_accuracy"][-1], curve["loss"][-1])
        if self.arm.arm == FIRST_TASK:  # other arms branch off it
            self.sequence.begin()
            restore(self.sequence.trainer, tensors, epoch)
            self.sequence.predict()
            for _ in self.sequence.epochs():
                raise AssertionError("the first task was finished")
        report(Progress(self.name, 1.0, epoch.number, epoch.train_accuracy))
        return result

    def _train(self, report: OnProgress) -> dict:
        sequence, settings = self.sequence, self.sequence.settings
        began, stamp = time.perf_counter(), provenance.stamp(sequence.compute)
        self._add_to_curve(sequence.begin())
        trainer = sequence.trainer
        unfinished = self._unfinished(stamp)
        if unfinished is not None:
            tensors, kept = unfinished
            restore(trainer, tensors, Epoch(**kept["epoch"]))
            sequence.predict()
            self.curve, self.last_correct = kept["curve"], kept["last_correct"]
            stamp, began = kept["provenance"], began - kept["seconds"]
        followed = Updates(sequence, self.updates) if self._is_followed else None
        with followed.following() if followed else nullcontext():
            for epoch in sequence.epochs():
                self.curve["train_accuracy"].append(epoch.train_accuracy)
                self.curve["loss"].append(epoch.loss)
                if sequence.evaluations[-1].epoch == epoch.number:
                    self._add_to_curve(sequence.evaluations[-1])
                unfinished_result = {
                    "epoch": dataclasses.asdict(epoch), "curve": self.curve, "last_correct": self.last_correct,
                    "seconds": time.perf_counter() - began, "provenance": stamp,
                }  # fmt: skip
                self.checkpoints.write(self.name, state(trainer), unfinished_result, finished=False)
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
        predicted = {
            mode: [classes[: settings.latent_sample].tolist() for classes in by_task]
            for mode, by_task in sequence.predicted.items()
        }
        return {
            "arm": {
                "arm": self.arm.arm,
                **({"choice": self.arm.variant} if self.arm.variant else {}),
                "memory_share": self.arm.share,
                "memory_images": None if memory is None else len(memory),
                "memory_bytes": None if memory is None else memory.bytes,
                "epochs": latest.number,
                "reached_target": trainer.reached_target,
                "seconds": time.perf_counter() - began,
                "accuracy": accuracy,
                "curve": self.curve,
                "confusion": {mode: sequence.confusion(mode) for mode in EVALUATIONS},
                "probes": probe(sequence),
                **({"updates": followed.accuracy} if followed else {}),
                "provenance": stamp,
            },
            "sample": {"predicted": predicted, "last_correct": self.last_correct},
        }

    @property
    def _is_followed(self) -> bool:
        return self.updates > 0 and self.arm.arm != FIRST_TASK

    def _add_to_curve(self, evaluation: Evaluation) -> None:
        """Add an evaluation to the curve, and to what is known of the sampled images of the first task."""
        self.curve["epochs"].append(evaluation.epoch)
        sample = self.sequence.tasks[0].test[: self.sequence.settings.latent_sample]
        for mode, (*old, new) in evaluation.accuracy.items():
            self.curve["new"][mode].append(new)
            if not old:
                continue
            self.curve.setdefault("old", {}).setdefault(mode, []).extend(old)
            self.last_correct = self.last_correct or {}
            last = self.last_correct.setdefault(mode, [-1] * len(sample))
            correct = self.sequence.predicted[mode][0][: len(sample)].cpu() == self.sequence.dataset.labels[sample]
            for place in correct.nonzero().flatten().tolist():
                last[place] = evaluation.epoch

    def _unfinished(self, stamp: dict[str, object]) -> tuple[dict[str, Tensor], dict] | None:
        """The checkpoint of an interrupted arm, if the same library on a machine like this one began it."""
        kept = self.checkpoints.read(self.name, finished=False)
        if kept is None or self._is_followed:  # its first updates are in no checkpoint
            return None
        began = kept[1]["provenance"]
        differ = [key for key in began if key != "started" and began[key] != stamp.get(key)]
        if differ:  # else the provenance of the arm would not be true
            warnings.warn(
                f"{self.name}: begun where {', '.join(differ)} differed; it is trained from its start", stacklevel=2
            )
            return None
        return kept
