"""The experiment: one case from raw images to numbers. First task, freeze, memory, second task for each arm."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lr_core import memory, metrics, models
from lr_core.device import Compute, resolve
from lr_core.experiment import FIRST_TASK, NO_REPLAY, REPLAY, arm_name, encode, freeze
from lr_core.rounding import rounded
from lr_core.settings import Case, Settings, derived_seed, make_generator
from lr_core.tasks import Dataset, Inputs, Task, split
from lr_core.training import Epoch, Training
from lr_lab.runs.checkpoints import Checkpoints, Progress
from lr_lab.runs.monitor import Monitor
from lr_lab.runs.provenance import stamp


class Run:
    """One case of one data set with one seed: trains its arms in turn and returns what a record holds of them.

    Every arm draws from generators of its own, so that an arm's numbers do not depend on which arms ran before it or
    were taken from a checkpoint.
    """

    def __init__(
        self,
        dataset: Dataset,
        case: Case,
        seed: int,
        settings: Settings,
        *,
        compute: Compute | None = None,
        checkpoints: Checkpoints | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.dataset, self.case, self.seed, self.settings = dataset, case, seed, settings
        self.compute = compute or resolve(settings.precision)
        self.checkpoints = checkpoints or Checkpoints(None)
        self.report = report
        self.first = split(dataset, case.first, settings, seed)
        self.second = split(dataset, case.second, settings, seed)
        self.compressor, self.classifier = self._networks()

    def arms(self) -> Iterator[tuple[str, float | None]]:
        """(arm, memory share) in the order in which they are trained."""
        yield FIRST_TASK, None
        yield from ((REPLAY, share) for share in self.settings.memory_shares)
        yield NO_REPLAY, None

    def result(self) -> dict[str, object]:
        """Train all arms; what `record.make_record` makes the record of."""
        results = [self._arm(arm, share) for arm, share in self.arms()]
        return {
            "tasks": {
                name: {"classes": list(t.classes), "train_images": len(t.train), "test_images": len(t.test)}
                for name, t in (("first", self.first), ("second", self.second))
            },
            "arms": [result["arm"] for result in results],
            "latents": self._latent_map([result["sample"] for result in results]),
        }

    # -- one arm ------------------------------------------------------------------------------------------------

    def _arm(self, arm: str, share: float | None) -> dict:
        name = arm_name(arm, share)
        kept = self.checkpoints.read(name)
        if kept is not None:
            weights, result = kept
            if arm == FIRST_TASK:
                nn.Sequential(self.compressor, self.classifier).load_state_dict(weights)
                freeze(self.compressor)
            self._tell(arm, share, 1.0, result["arm"]["epochs"], result["arm"]["curve"]["train_accuracy"][-1])
            return result
        if arm == FIRST_TASK:
            network: nn.Module = nn.Sequential(self.compressor, self.classifier)
            result = self._train(network, arm, None, new=self._images(self.first))
            freeze(self.compressor)
        else:
            network, result = self._train_second_task(arm, share)
        self.checkpoints.write(name, network.state_dict(), result)
        return result

    def _train_second_task(self, arm: str, share: float | None) -> tuple[nn.Module, dict]:
        # A fresh copy of the first task's networks for each arm.
        compressor, classifier = self._networks()
        compressor.load_state_dict(self.compressor.state_dict())
        classifier.load_state_dict(self.classifier.state_dict())
        if arm == NO_REPLAY:
            network = nn.Sequential(compressor, classifier)
            old, new = self._images(self.first), self._images(self.second)
            return network, self._train(network, arm, None, new=new, old=old)
        assert share is not None
        old, new = self._latents
        kept = memory.choose(old.train, old.train_labels, share, make_generator(self.seed, "memory"))
        return classifier, self._train(classifier, arm, share, new=new, old=old, kept=kept)

    def _train(
        self, network: nn.Module, arm: str, share: float | None,
        *, new: Inputs, old: Inputs | None = None, kept: memory.LatentMemory | None = None,
    ) -> dict:  # fmt: skip
        """Train on the new task's inputs, followed by a monitor; what the record holds of the arm."""
        name, began, provenance = arm_name(arm, share), time.perf_counter(), stamp(self.compute)
        training = Training(
            network, new.train, new.train_labels, settings=self.settings, compute=self.compute,
            generator=make_generator(self.seed, "batches", name), memory=kept,
        )  # fmt: skip
        seen = None
        unfinished = self._unfinished(name, provenance)
        if unfinished is not None:
            state, so_far = unfinished
            training.resume(state, Epoch(**so_far["epoch"]))
            seen, provenance = so_far["monitor"], so_far["provenance"]
            began -= so_far["seconds"]

        def predict(inputs: list[Tensor], mode: str, part: str) -> list[Tensor]:
            # The same shuffling after every epoch: a curve then moves because the network does.
            shuffle = make_generator(self.seed, "mixed", part)
            with self.compute.sharing(), self.compute.autocast():
                return metrics.predict(network, inputs, mode, self.settings.batch_size, shuffle)

        monitor = Monitor(predict, new, old, self.settings.latent_sample, seen)
        for epoch in training:
            monitor.after_epoch(epoch, last=training.finished)
            so_far = {
                "epoch": dataclasses.asdict(epoch), "monitor": monitor.seen(),
                "seconds": time.perf_counter() - began, "provenance": provenance,
            }  # fmt: skip
            self.checkpoints.write(name, training.state(), so_far, finished=False)
            self._tell(arm, share, epoch.number / self.settings.max_epochs, epoch.number, epoch.train_accuracy)
        assert training.latest is not None
        accuracies = monitor.accuracies()
        self.compute.synchronize()
        return {
            "arm": {
                "arm": arm,
                "memory_share": share,
                "memory_images": None if kept is None else len(kept),
                "memory_bytes": None if kept is None else kept.bytes,
                "epochs": training.latest.number,
                "reached_target": training.reached_target,
                "seconds": time.perf_counter() - began,
                "accuracy": accuracies,
                "curve": monitor.curve,
                "confusion": monitor.confusions(),
                "provenance": provenance,
            },
            "sample": monitor.sampled(),
        }

    def _unfinished(self, name: str, provenance: dict[str, object]) -> tuple[dict[str, Tensor], dict] | None:
        """What is kept of an arm that was interrupted, if this library on a machine like this one began it."""
        kept = self.checkpoints.read(name, finished=False)
        if kept is None:
            return None
        began = kept[1]["provenance"]
        differ = [key for key in began if key != "started" and began[key] != provenance.get(key)]
        if differ:  # an arm is made by one library on one kind of machine, else its provenance would not be true
            warnings.warn(
                f"{name}: begun where {', '.join(differ)} differed; it is trained from its start", stacklevel=2
            )
            return None
        return kept

    def _tell(self, arm: str, share: float | None, within: float, epoch: int, train_accuracy: float) -> None:
        arms = list(self.arms())
        done = (arms.index((arm, share)) + within) / len(arms)
        self.report(Progress(arm_name(arm, share), done, epoch, train_accuracy))

    def _networks(self) -> tuple[models.Compressor, models.Classifier]:
        compressor, classifier = models.build(derived_seed(self.seed, "weights"))
        self.compute.place(compressor)
        self.compute.place(classifier)
        return compressor, classifier

    # -- inputs -------------------------------------------------------------------------------------------------

    def _images(self, task: Task) -> Inputs:
        images, labels = self.dataset.images.unsqueeze(1), self.dataset.labels
        parts = (images[task.train], labels[task.train], images[task.test], labels[task.test])
        return Inputs(*(part.to(self.compute.device) for part in parts))

    @cached_property
    def _latents(self) -> tuple[Inputs, Inputs]:
        """Both tasks through the frozen compressor: encoded once, for all epochs of all replay arms."""
        first, second = self._images(self.first), self._images(self.second)
        return tuple(  # type: ignore[return-value]
            Inputs(
                encode(self.compressor, task.train, self.compute), task.train_labels,
                encode(self.compressor, task.test, self.compute), task.test_labels,
            )
            for task in (first, second)
        )  # fmt: skip

    def _latent_map(self, samples: list[dict]) -> dict[str, object]:
        """Test latents of both tasks in the plane of the first task's two main components, for the latent figures.

        The basis is fitted once, on all training latents of the first task; the compressor is frozen, so one basis
        serves both tasks, before and after the second.
        """
        size = self.settings.latent_sample
        first, second = self._latents
        basis = PCA(n_components=2, svd_solver="full").fit(_rows(first.train))
        tasks = {}
        for name, task, inputs in (("first", self.first, first), ("second", self.second, second)):
            tasks[name] = {
                "image": task.test[:size].tolist(),
                "label": inputs.test_labels[:size].tolist(),
                "xy": rounded(basis.transform(_rows(inputs.test[:size]))).tolist(),
            }
        ratios = rounded(basis.explained_variance_ratio_, 6).tolist()
        by_arm = {name: [sample[name] for sample in samples] for name in ("predicted", "last_correct")}
        return {"explained_variance_ratio": ratios, "tasks": tasks, **by_arm}


def _rows(latents: Tensor) -> np.ndarray:
    """(n, 1, 6, 6) latents -> (n, 36) float64."""
    return latents.flatten(1).cpu().double().numpy()
