"""The textbook rival as a program: `python rival_textbook.py {first,second,case} THREADS`."""

from __future__ import annotations

import sys
from itertools import islice

import textbook
import torch
from torch import nn
from torch.utils.data import TensorDataset
from workload import MEMORY_SHARE, UPDATES, serve, tasks


def dataset(images: torch.Tensor, labels: torch.Tensor) -> TensorDataset:
    """Of images in [0, 1]."""
    return TensorDataset(images.float() / 255, labels)


def main(phase: str, threads: int) -> None:
    """Train until standard input ends."""
    torch.set_num_threads(threads)
    if phase == "case":
        from rival_lr_core import EPOCHS, IMAGES_PER_CLASS

        parts = []
        for images, labels in tasks(IMAGES_PER_CLASS):
            order, cut = torch.randperm(len(images)), round(0.9 * len(images))
            parts.append(tuple(dataset(images[p], labels[p]) for p in (order[:cut], order[cut:])))
        old, new = parts

        def case() -> int:
            textbook.run_case(old, new, EPOCHS)
            return EPOCHS * (len(old[0]) + 4 * len(new[0]))

        serve(case)
        return
    old, new = (dataset(*part) for part in tasks())
    first, head = textbook.compressor(), textbook.classifier()
    network = nn.Sequential(first, head)
    optimizer = textbook.optimizer_for(network if phase == "first" else head)
    memory = textbook.endless(textbook.shuffled(textbook.remember(first, old, MEMORY_SHARE)))

    def updates() -> int:
        batches = islice(textbook.shuffled(new), UPDATES)
        if phase == "first":
            textbook.first_task_epoch(network, optimizer, batches)
        else:
            textbook.replay_epoch(first, head, optimizer, batches, memory)
        return UPDATES * textbook.BATCH

    serve(updates)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
