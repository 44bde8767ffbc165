"""`Dataset`: all images of a set. `Task`: the images of some of its classes, split into training and test images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr

import torch
from torch import Tensor

from lr_core.errors import UsageError
from lr_core.settings import CLASSES, Settings, make_generator


@dataclass(frozen=True)
class Dataset:
    """All images of a data set, training and test files merged in that order."""

    name: str
    title: str
    images: torch.Tensor  # (n, 28, 28) uint8, 0 = background
    labels: torch.Tensor  # (n,) int64, 0 to 9
    class_names: tuple[str, ...]  # ten, by label
    checksums: dict[str, str]  # file name -> SHA-256 of the unpacked file
    glyphs: tuple[str, ...] = ()  # ten, by label, or none

    def __str__(self) -> str:
        """Title, number of images, and of each class its number, name and images."""
        counts = self.labels.bincount(minlength=len(self.class_names)).tolist()
        classes = (
            f"{number} {name} ({count:,})"
            for number, (name, count) in enumerate(zip(self.class_names, counts, strict=True))
        )
        return f"{self.title}: {len(self.images):,} images, classes {', '.join(classes)}"


@dataclass(frozen=True)
class Task:
    """One task's images: positions of its training and test images in the data set."""

    classes: tuple[int, ...]
    train: Tensor  # (n,) int64
    test: Tensor  # (n,) int64


def split(dataset: Dataset, classes: Sequence[int], settings: Settings, seed: int) -> Task:
    """The task's folds (one a class), shuffled together and cut into 90 % training and 10 % test images (section 5)."""
    folds = []
    for number in classes:
        fold = torch.nonzero(dataset.labels == number).flatten()
        if settings.images_per_class is not None:
            order = torch.randperm(len(fold), generator=make_generator(seed, dataset.name, "fold", number))
            fold = fold[order[: settings.images_per_class]]
        folds.append(fold)
    pooled = torch.cat(folds)
    pooled = pooled[torch.randperm(len(pooled), generator=make_generator(seed, dataset.name, "split", *classes))]
    train_images = round(settings.train_share * len(pooled))
    if min(train_images, len(pooled) - train_images) < 2:
        raise UsageError(
            f"settings: train_share {settings.train_share} of {len(pooled)} images leaves fewer than two for training or "
            "for testing; choose another share or more images"
        )
    return Task(tuple(classes), pooled[:train_images], pooled[train_images:])


@dataclass(frozen=True)
class Inputs:
    """What a network is trained and tested on in one task: images or latents, with their labels, on the device."""

    train: Tensor  # (n, 1, 28, 28) uint8 images or (n, 1, 6, 6) latents
    train_labels: Tensor  # (n,) int64
    test: Tensor
    test_labels: Tensor


def parse_tasks(text: str) -> tuple[tuple[int, ...], ...]:
    """Classes written as digits, tasks apart by a bar: "01234 | 56789" -> ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)).

    Blanks and commas between the digits are as good as none. Raises UsageError for anything else, and wherever
    `check_tasks` does.
    """
    if not isinstance(text, str):  # papermill's -p makes a number of digits alone, without the zeros that lead
        raise UsageError(
            f"tasks are {short_repr(text)}, which is no text: write digits, and a bar between tasks, as in '01234 | 56789' "
            "(digits alone are a number to papermill's -p, and text to its -r)"
        )
    strange = re.search(r"[^\d\s,|]", text)
    if strange:
        raise UsageError(f"{strange[0]!r} is no class: write digits, and a bar between tasks, as in 01234 | 56789")
    tasks = tuple(tuple(int(digit) for digit in re.findall(r"\d", part)) for part in text.split("|"))
    check_tasks(tasks)
    return tasks


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
    twice = sorted({number for number in every if every.count(number) > 1})
    if twice:
        raise UsageError(f"class {twice[0]} is chosen twice: each class belongs to one task")
    unknown = sorted(set(every) - set(range(classes)))
    if unknown:
        raise UsageError(f"there is no class {unknown[0]}: this data set has 0 to {classes - 1}")
