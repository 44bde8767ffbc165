"""Accuracy after each of the first updates of a task, which the curve by epochs does not show: `Updates`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lr_core import metrics
from lr_core.experiment import TaskSequence
from lr_core.settings import EVALUATIONS


class Updates:
    """Follows the optimizer of the task at hand through its first updates, and changes nothing in it.

    An update is one step on a batch of new images, with its step on the memory where that is a step of its own.

    Attributes
    ----------
    accuracy : "old" and "new" -> evaluation mode -> accuracy on the test images before the first update and after each

    Reference: De Lange et al., "Continual evaluation for lifelong learning: Identifying the stability gap", ICLR 2023.
    """

    def __init__(self, sequence: TaskSequence, count: int) -> None:
        self.sequence, self.count = sequence, count
        self.accuracy: dict[str, dict[str, list[float]]] = {
            task: {mode: [] for mode in EVALUATIONS} for task in ("old", "new")
        }
        self._measure()

    @contextmanager
    def following(self) -> Iterator[None]:
        """Inside, the updates are followed until there were `count`."""
        trainer, steps = self.sequence.trainer, 0
        steps_an_update = 1 if trainer.memory is None or trainer.mixed else 2

        def after_step(*unused: object) -> None:
            nonlocal steps
            steps += 1
            if steps % steps_an_update == 0 and steps <= self.count * steps_an_update:
                self._measure()
                trainer.network.train()

        hook = trainer.optimizer.register_step_post_hook(after_step)
        try:
            yield
        finally:
            hook.remove()

    def _measure(self) -> None:
        before = dict(self.sequence.predicted)
        self.sequence.predict()
        labels = [inputs.test_labels for inputs in self.sequence.inputs]
        for mode, found in self.sequence.predicted.items():
            for task, predicted, true in zip(("old", "new"), found, labels, strict=True):
                self.accuracy[task][mode].append(metrics.accuracy(predicted, true))
        self.sequence.predicted = before
