"""`Monitor` follows a network through a task: what it gets right under every evaluation mode, after the epochs looked at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lr_core import metrics
from lr_core.metrics import is_evaluated
from lr_core.settings import EVALUATIONS
from lr_core.tasks import Inputs
from lr_core.training import Epoch


class Monitor:
    """Predictions on the test images of the new task, and of the old one where there is one.

    Parameters
    ----------
    predict : (inputs of each task, evaluation mode, "train" or "test") -> predicted classes of each task
    new, old : the tasks; old is None in the first task
    sample : how many test images of each task are followed one by one
    seen : `seen()` of a monitor of the same training, to go on from there
    """

    def __init__(
        self,
        predict: Callable[[list[Tensor], str, str], list[Tensor]],
        new: Inputs,
        old: Inputs | None,
        sample: int,
        seen: dict | None = None,
    ) -> None:
        self.predict, self.new, self.old, self.sample = predict, new, old, sample
        self.tasks = [new] if old is None else [new, old]
        self.predicted: dict[str, list[Tensor]] = {}  # of the latest look, by evaluation mode, new task first
        self.curve: dict = {"train_accuracy": [], "loss": [], "epochs": [], "new": {mode: [] for mode in EVALUATIONS}}
        self.last_correct: dict[str, Tensor] | None = None
        if old is not None:
            self.curve["old"] = {mode: [] for mode in EVALUATIONS}
            # For each sampled old image the last epoch looked at after which it was classified rightly; -1 for never.
            self.last_correct = {mode: torch.full((len(old.test[:sample]),), -1) for mode in EVALUATIONS}
        if seen is None:
            self.look(0)  # before the task
            return
        self.curve = seen["curve"]
        self.last_correct = seen["last_correct"] and {m: torch.tensor(v) for m, v in seen["last_correct"].items()}
        for mode in EVALUATIONS:
            self._predict(mode)

    def after_epoch(self, epoch: Epoch, *, last: bool) -> None:
        """Note how training went, and look at the test images where this epoch is one to look at."""
        self.curve["train_accuracy"].append(epoch.train_accuracy)
        self.curve["loss"].append(epoch.loss)
        if last or is_evaluated(epoch.number):
            self.look(epoch.number)

    def look(self, epoch: int) -> None:
        """Predict all test images under every evaluation mode."""
        self.curve["epochs"].append(epoch)
        for mode in EVALUATIONS:
            predicted = self._predict(mode)
            for name, task, classes in zip(("new", "old"), self.tasks, predicted, strict=False):
                self.curve[name][mode].append(metrics.accuracy(classes, task.test_labels))
            if self.old is not None and self.last_correct is not None:
                right = (predicted[1] == self.old.test_labels)[: self.sample].cpu()
                self.last_correct[mode][right] = epoch

    def _predict(self, mode: str) -> list[Tensor]:
        if mode == "mixed" and self.old is None:  # one task cannot be mixed: the same as "batch", without its time
            self.predicted[mode] = self.predicted["batch"]
        else:
            self.predicted[mode] = self.predict([task.test for task in self.tasks], mode, "test")
        return self.predicted[mode]

    def seen(self) -> dict[str, object]:
        """What was noted so far, as JSON takes it; predictions follow from the weights."""
        return {"curve": self.curve, "last_correct": self._last_correct()}

    def accuracies(self) -> dict[str, dict[str, float | None]]:
        """By evaluation mode, accuracy on the new task's training and test images and on the old task's test images."""
        found: dict[str, dict[str, float | None]] = {}
        for mode in EVALUATIONS:
            if mode == "mixed" and self.old is None:
                found[mode] = dict(found["batch"])
                continue
            # Only in mixed batches does the old task bear on what the new one gets.
            tasks = self.tasks if mode == "mixed" else [self.new]
            on_train = self.predict([task.train for task in tasks], mode, "train")[0]
            found[mode] = {
                "train": metrics.accuracy(on_train, self.new.train_labels),
                "test": self.curve["new"][mode][-1],
                "original_test": None if self.old is None else self.curve["old"][mode][-1],
            }
        return found

    def confusions(self) -> dict[str, list[list[int]]]:
        """By evaluation mode, the confusion matrix over the test images of all tasks so far."""
        labels = torch.cat([task.test_labels for task in self.tasks])
        return {mode: metrics.confusion(torch.cat(classes), labels) for mode, classes in self.predicted.items()}

    def sampled(self) -> dict[str, object]:
        """Of the sampled test images, first task before second: predictions now, and when old ones were last right."""
        return {
            "predicted": {
                mode: [classes[: self.sample].tolist() for classes in reversed(predicted)]
                for mode, predicted in self.predicted.items()
            },
            "last_correct": self._last_correct(),
        }

    def _last_correct(self) -> dict[str, list[int]] | None:
        if self.last_correct is None:
            return None
        return {mode: last.tolist() for mode, last in self.last_correct.items()}
