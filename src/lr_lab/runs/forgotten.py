"""Which images a sequence of tasks has forgotten: `find_forgotten`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lr_core.experiment import TaskSequence


@dataclass(frozen=True)
class Forgotten:
    """Test images that were classified correctly when their task had been learned, and are not now."""

    positions: Tensor  # (n,) int64 into the data set
    labels: Tensor  # (n,) int64
    predicted: Tensor  # (n,) int64: the class that is predicted now
    known: int  # how many were correct when their task had been learned


def find_forgotten(sequence: TaskSequence, mode: str = "mixed") -> Forgotten:
    """Among the test images of all tasks before the present one, under one evaluation mode."""
    none = torch.empty(0, dtype=torch.int64)
    earlier = range(len(sequence.inputs) - 1)
    positions = torch.cat([none, *(sequence.tasks[number].test for number in earlier)])
    then = torch.cat([none, *(sequence.learned[number][mode].cpu() for number in earlier)])
    now = torch.cat([none, *(sequence.predicted[mode][number].cpu() for number in earlier)])
    labels = sequence.dataset.labels[positions]
    lost = (then == labels) & (now != labels)
    return Forgotten(positions[lost], labels[lost], now[lost], int((then == labels).sum()))
