"""Everything that can be set, with the reason for its value: `Settings` and `CASES`; and the seed of each draw.

"Stated" below means stated by the original paper; everything else it leaves open, and the report says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import TYPE_CHECKING

from lr_core.errors import UsageError

if TYPE_CHECKING:
    import torch

PROTOCOL_VERSION = 1
"""Raise it when you change the numbers of runs on purpose: then all records are due again."""

CLASSES = 10

EVALUATIONS = ("running", "batch", "mixed")
"""Where BatchNorm takes its statistics from when accuracy is measured; defined in `metrics.predict`."""

PRECISIONS = ("auto", "bf16", "fp32", "fp64")

CHOICES = {
    "carry-optimizer": "momentum goes on from one task to the next",
    "memory-first": "the update on the memory comes before the one on a new batch",
    "whole-memory": "an update on the memory takes all of it, not at most one batch",
    "adapting": "the frozen compressor's BatchNorm goes on with each new batch, its weights stay",
    "mixed-batches": "one update takes a new batch and one of the memory together",
    "raw": "the memory holds images, not latents; nothing is frozen unless that is asked for",
}
"""Other ways to learn the second task; all but the first change nothing without a memory. The last two go beyond the paper."""

WHOLE = "a whole number of at least {}, below 2**31"
LIMIT = 2**31  # every whole number that can be set is below it; PyTorch bears no larger ones everywhere


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; True is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_whole(value: object, least: int = -LIMIT) -> bool:
    """Whether it is a whole number of at least `least` and below `LIMIT`; True and 1.0 are not."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < LIMIT


def check_tasks(tasks: Sequence[Sequence[int]], classes: int = CLASSES) -> None:
    """Raise UsageError unless these are two tasks or more, none empty, no class in two of them, all below `classes`."""
    every = [number for task in tasks for number in task]
    if not every:
        raise UsageError("no class is chosen: write digits, and a bar between tasks, as in 01234 | 56789")
    if len(tasks) < 2:
        raise UsageError("there is one task alone, after which nothing can be forgotten: add another, as in 01 | 23")
    for place, task in enumerate(tasks, start=1):
        if not task:
            raise UsageError(f"task {place} is left without a class: name one, or take its bar away")
    for number in sorted(every):
        if every.count(number) > 1:
            raise UsageError(f"class {number} is chosen twice: each class belongs to one task")
        if not 0 <= number < classes:
            raise UsageError(f"there is no class {number}: this data set has 0 to {classes - 1}")


def is_share(value: object) -> bool:
    """Whether it is a number in (0, 1]."""
    return is_number(value) and 0 < value <= 1  # type: ignore[operator]


def check_share(share: float) -> None:
    """Raise UsageError unless `share` of the images is more than nothing and at most all."""
    if not is_share(share):
        raise UsageError(f"a memory of {100 * share:g} % cannot be: choose more than 0 and at most 100 %")


@dataclass(frozen=True)
class Case:
    """One row of Table 3: which classes are learned first, and which second."""

    first: tuple[int, ...]
    second: tuple[int, ...]


CASES: dict[int, Case] = {
    1: Case((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    2: Case((5, 6, 7, 8, 9), (0, 1, 2, 3, 4)),
    3: Case((0, 1, 2, 5, 6), (3, 4, 7, 8, 9)),
    4: Case((5, 6, 7, 0, 1), (8, 9, 2, 3, 4)),
}


@dataclass(frozen=True)
class Settings:
    """All knobs of a run but its data set, case and seed. A profile is a named `Settings`."""

    train_share: float = 0.9  # stated: 90 % of a task's images train, 10 % test
    batch_size: int = 1000  # images per update; stated
    learning_rate: float = 0.001  # of SGD; stated
    memory_shares: tuple[float, ...] = (0.01, 0.05, 0.25)  # of the first task's training images; stated (as pixels)
    momentum: float = 0.9  # open; with it the published accuracies are reached within the epochs that people run
    target_train_accuracy: float = 0.99  # open; many published training accuracies sit just above 0.99
    max_epochs: int = 150  # open; the published training accuracies below 0.99 suggest that there was a cap
    images_per_class: int | None = None  # None is every image; a number makes a reduced run
    precision: str = "auto"  # open; "auto" is fp32 on CPUs, and elsewhere what `device.AUTO` says of the device
    latent_sample: int = 600  # images of each task's test set kept in the record for the latent maps
    choices: tuple[str, ...] = ()  # of `CHOICES`; a sequence makes all of them, a run each in arms of its own

    def __post_init__(self) -> None:
        shares, target, few = self.memory_shares, self.target_train_accuracy, self.images_per_class
        chosen, fraction = self.choices, "between 0 and 1, both excluded"
        known = isinstance(chosen, tuple) and {*chosen} <= {*CHOICES} and {"memory-first", "mixed-batches"} - {*chosen}
        rules = {
            "train_share": (is_share(self.train_share) and self.train_share < 1, fraction),
            # Of a batch of two a shuffled remainder of one could be left, of which BatchNorm has no statistics.
            "batch_size": (is_whole(self.batch_size, 3), WHOLE.format(3)),
            "learning_rate": (is_number(self.learning_rate) and self.learning_rate > 0, "a positive number"),
            "memory_shares": (
                isinstance(shares, tuple) and all(map(is_share, shares)) and len(set(shares)) == len(shares),
                "a tuple of different shares of the images, each in (0, 1]",
            ),
            "momentum": (is_number(self.momentum) and 0 <= self.momentum < 1, "in [0, 1)"),
            "target_train_accuracy": (is_share(target) and target < 1, fraction),
            "max_epochs": (is_whole(self.max_epochs, 1), WHOLE.format(1)),
            "images_per_class": (few is None or is_whole(few, 20), f"None or {WHOLE.format(20)}"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            "latent_sample": (is_whole(self.latent_sample, 1), WHOLE.format(1)),
            "choices": (known, f"a tuple of {', '.join(CHOICES)}; not both memory-first and mixed-batches"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise UsageError(f"settings: {name} is {short_repr(getattr(self, name))}; it must be {rule}")

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; tuples become lists. What was added after the first records is left out at its default."""
        values = dataclasses.asdict(self) | {"memory_shares": list(self.memory_shares), "choices": list(self.choices)}
        return {name: value for name, value in values.items() if name != "choices" or value}


def derived_seed(seed: int, *purpose: object) -> int:
    """An independent 63-bit seed for each purpose, so that no draw depends on how many were made before it."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for one purpose. On the CPU even for CUDA runs: the same images are then drawn everywhere."""
    import torch  # here: it takes seconds, and most commands need none

    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
