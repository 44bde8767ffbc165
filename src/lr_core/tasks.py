"""`Dataset`: all images of a set. `Task`: the images of some of its classes, split into training and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lr_core.errors import UsageError
from lr_core.settings import Settings, make_generator


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
