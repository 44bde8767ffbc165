"""What is measured: predictions under the three evaluation modes, accuracy, confusion, forgetting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lr_core.errors import UsageError
from lr_core.settings import CLASSES, EVALUATIONS


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, every BatchNorm normalises by the statistics of the batch at hand and leaves its buffers untouched."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.train()
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()
            layer.track_running_stats = True


@torch.no_grad()
def predict(
    network: nn.Module, tasks: Sequence[Tensor], evaluation: str, batch_size: int, generator: torch.Generator
) -> list[Tensor]:
    """Predicted classes, (n_t,) int64 for each task's inputs (n_t, 1, 28, 28) uint8 or (n_t, 1, 6, 6) float.

    The evaluation mode says where BatchNorm takes its statistics from:

    running
        The running averages of training, as `model.eval()` does: each image is judged by itself.
    batch
        The batch at hand, whose images all come from one task, as when a network is left in training mode. Batch
        statistics then leak the task.
    mixed
        The batch at hand, in which the images of all `tasks` are shuffled: batch statistics without the leak. With
        one task there is nothing to mix, and it is the same as "batch".

    Batches have equal sizes, as near to `batch_size` as possible. The network is left as by `model.eval()`.
    """
    if evaluation not in EVALUATIONS:
        raise UsageError(f"unknown evaluation mode {evaluation!r}; known are {', '.join(EVALUATIONS)}")
    network.eval()
    if evaluation == "running":
        return [_classes(network, inputs, batch_size) for inputs in tasks]
    with batch_statistics(network):
        if evaluation == "batch" or len(tasks) == 1:
            return [_classes(network, inputs, batch_size) for inputs in tasks]
        everything = torch.cat(list(tasks))
        order = torch.randperm(len(everything), generator=generator).to(everything.device)
        predicted = torch.empty(len(everything), dtype=torch.int64, device=everything.device)
        predicted[order] = _classes(network, everything[order], batch_size)
    return list(predicted.split([len(inputs) for inputs in tasks]))


def _classes(network: nn.Module, inputs: Tensor, batch_size: int) -> Tensor:
    batches = inputs.tensor_split(max(1, math.ceil(len(inputs) / batch_size)))
    return torch.cat([network(batch).argmax(dim=1) for batch in batches])


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of (n,) predictions that equal their labels, among all ten classes (no task is given away)."""
    return (predicted == labels).sum().item() / len(labels)


def confusion(predicted: Tensor, labels: Tensor) -> list[list[int]]:
    """(10, 10) counts: row the true class, column the predicted one."""
    counts = torch.bincount(labels * CLASSES + predicted, minlength=CLASSES * CLASSES)
    return counts.reshape(CLASSES, CLASSES).tolist()


def forgetting(matrix: Sequence[Sequence[float]]) -> float | None:
    """Mean loss of accuracy on the tasks before the last one, since each was learned.

    Row i of the accuracy matrix R holds, after task i, the accuracy on the test images of tasks 0 to i. With T tasks:
    sum over i < T of (R[i][i] - R[T][i]), divided by T - 1. None for one task. With two tasks this is the measure of
    Chaudhry et al. (2018), with the other sign the backward transfer of Lopez-Paz and Ranzato (2017).

    >>> forgetting([[1.0], [0.5, 0.75], [0.25, 0.25, 1.0]])
    0.625
    """
    lost = [row[place] - matrix[-1][place] for place, row in enumerate(matrix[:-1])]
    return sum(lost) / len(lost) if lost else None


def is_evaluated(epoch: int) -> bool:
    """Whether accuracy is measured after this epoch: 0 to 10, then every fifth. After the last one it always is."""
    return epoch <= 10 or epoch % 5 == 0
