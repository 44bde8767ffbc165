"""The training in a run of more than two tasks: `train`, as `execute.train` for two."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from lr_core import memory
from lr_core.device import Compute
from lr_core.experiment import NO_REPLAY, REPLAY, TaskSequence, arm_name
from lr_core.fast import accelerate
from lr_core.memory import LatentMemory
from lr_core.settings import EVALUATIONS, Settings
from lr_core.tasks import Dataset
from lr_lab.runs import provenance
from lr_lab.runs.checkpoints import Checkpoints, Progress

MEMORIES = {"": "grows with each task", "fixed-size": "has the size of the last one from the first task on"}
"""How the memory of a replay arm goes on, in words."""


@dataclass
class FixedSize:
    """A policy that keeps `images` latents in all, as many of each finished task. Give it the sequence before it learns."""

    images: int
    sequence: TaskSequence | None = None

    def __call__(self, latents: Tensor, labels: Tensor, share: float, draw: object) -> LatentMemory:
        """What is kept of the latest task; earlier ones give room. Their first images stay, so each is a random share."""
        assert self.sequence is not None
        earlier, room = self.sequence.kept, self.images // (len(self.sequence.kept) + 1)
        earlier[:] = [LatentMemory(k.latents[:room], k.labels[:room], k.positions[:room], k.bits) for k in earlier]
        share = min(1.0, room / len(latents))  # all of a task that is smaller
        return memory.choose(latents, labels, share, draw)  # type: ignore[arg-type]


def train(
    dataset: Dataset, tasks: Sequence[Sequence[int]], seed: int, settings: Settings, *, compute: Compute,
    checkpoints: Checkpoints | None = None, report: Callable[[Progress], None] = lambda progress: None,
) -> dict:  # fmt: skip
    """Train all arms of a sequence of tasks; returns what a record holds of them.

    Without replay, and with a memory of each share that grows or has the size of the last one from the first task on. Of an
    interrupted run, finished arms are kept.
    """
    replays = [(REPLAY, share, name) for share in settings.memory_shares for name in MEMORIES]
    planned = [*replays, (NO_REPLAY, None, "")]
    checkpoints, results = checkpoints or Checkpoints(None), []
    for arm, share, name in planned:
        kept = checkpoints.read(arm_name(arm, share, name))
        if kept is not None:
            results.append(kept[1])
            continue
        fixed = FixedSize(0)
        sequence = TaskSequence(
            dataset, tasks, share=share, seed=seed, settings=settings, compute=compute, accelerate=accelerate,
            policy=fixed if name else memory.choose,
        )  # fmt: skip
        if share is not None:
            fixed.images = sum(memory.count(share, len(task.train)) for task in sequence.tasks[:-1])
        fixed.sequence = sequence
        began, stamp, epochs = time.perf_counter(), provenance.stamp(compute), []
        while len(sequence.learned) < len(tasks):
            sequence.begin()
            for epoch in sequence.epochs():
                done = (len(results) + len(sequence.learned) / len(tasks)) / len(planned)
                report(Progress(arm_name(arm, share, name), done, epoch.number, epoch.train_accuracy))
            epochs.append(epoch.number)
        held = sequence.memory
        result = {
            "arm": arm,
            **({"choice": name} if name else {}),
            "memory_share": share,
            "memory_images": None if held is None else len(held),
            "memory_bytes": None if held is None else sequence.memory_bytes,
            "epochs": epochs,
            "seconds": time.perf_counter() - began,
            "matrix": {mode: [list(row) for row in sequence.matrix(mode)] for mode in EVALUATIONS},
            "confusion": {mode: sequence.confusion(mode) for mode in EVALUATIONS},
            "provenance": stamp,
        }
        checkpoints.write(arm_name(arm, share, name), {}, result)
        results.append(result)
    return {
        "sequence": [
            {"classes": list(task.classes), "train_images": len(task.train), "test_images": len(task.test)}
            for task in sequence.tasks
        ],
        "arms": results,
    }
