"""Latent replay as a careful user of PyTorch writes it: the textbook rival of `lr_core`.

The same networks, data, batches and order of updates as the protocol, by the usual means: a DataLoader over tensors in
memory, layers as PyTorch offers them, single precision, the frozen compressor run on every batch of every epoch.
After an epoch it measures accuracy once, in evaluation mode; `lr_core` measures under three modes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

BATCH = 1000


def compressor() -> nn.Sequential:
    """Table 1."""
    return nn.Sequential(
        nn.Conv2d(1, 10, kernel_size=5), nn.BatchNorm2d(10), nn.ELU(),
        nn.Conv2d(10, 1, kernel_size=5), nn.BatchNorm2d(1), nn.ELU(),
        nn.MaxPool2d(3),
    )  # fmt: skip


def classifier() -> nn.Sequential:
    """Table 2."""
    layers: list[nn.Module] = []
    for channels in (1, 50, 50, 50, 50, 50):
        layers += [nn.Conv2d(channels, 50, kernel_size=3, padding=1), nn.BatchNorm2d(50), nn.ELU()]
    return nn.Sequential(
        *layers,
        nn.Flatten(), nn.Linear(50 * 36, 16), nn.BatchNorm1d(16), nn.ELU(), nn.Linear(16, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def shuffled(dataset: Dataset) -> DataLoader:
    """Batches in a new random order for every pass."""
    return DataLoader(dataset, batch_size=BATCH, shuffle=True)


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    """Pass after pass."""
    while True:
        yield from loader


def optimizer_for(network: nn.Module) -> torch.optim.Optimizer:
    """SGD with the settings of the paper profile."""
    return torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)


def update(network: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> int:
    """One step down the gradient; how many images were classified rightly before it."""
    optimizer.zero_grad()
    output = network(inputs)
    loss = F.nll_loss(output, labels)
    loss.backward()
    optimizer.step()
    return int((output.argmax(dim=1) == labels).sum())


def first_task_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, new: Iterable[list[Tensor]]) -> int:
    """Compressor and classifier together, on new images; also the baseline without replay."""
    network.train()
    return sum(update(network, optimizer, images, labels) for images, labels in new)


def replay_epoch(
    frozen: nn.Module,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    new: Iterable[list[Tensor]],
    memory: Iterator[list[Tensor]],
) -> int:
    """The classifier alone: for each batch of new images one update on their latents, then one on the memory."""
    frozen.eval()
    network.train()
    correct = 0
    for images, labels in new:
        with torch.no_grad():
            latents = frozen(images)
        correct += update(network, optimizer, latents, labels)
        update(network, optimizer, *next(memory))
    return correct


@torch.no_grad()
def remember(frozen: nn.Module, task: TensorDataset, share: float) -> TensorDataset:
    """The latents of a random share of a task's images, with their labels."""
    frozen.eval()
    chosen = torch.randperm(len(task))[: round(share * len(task))]
    images, labels = task[chosen]
    return TensorDataset(frozen(images), labels)


@torch.no_grad()
def accuracy(network: nn.Module, task: TensorDataset) -> float:
    """Share of a task's images that are classified rightly, in evaluation mode."""
    network.eval()
    correct = sum(
        int((network(images).argmax(dim=1) == labels).sum()) for images, labels in DataLoader(task, batch_size=BATCH)
    )
    return correct / len(task)


def run_case(
    old: tuple[TensorDataset, TensorDataset],
    new: tuple[TensorDataset, TensorDataset],
    epochs: int,
    shares: Iterable[float] = (0.01, 0.05, 0.25),
) -> list[float]:
    """The five arms of a case, `epochs` each; accuracy on old images after every epoch of a second task."""
    (old_train, old_test), (new_train, new_test) = old, new
    first, head = compressor(), classifier()
    network = nn.Sequential(first, head)
    optimizer = optimizer_for(network)
    for _ in range(epochs):
        first_task_epoch(network, optimizer, shuffled(old_train))
        accuracy(network, old_test)
    learned, kept = {k: v.clone() for k, v in network.state_dict().items()}, []

    for share in shares:
        network.load_state_dict(learned)
        memory = endless(shuffled(remember(first, old_train, share)))
        optimizer = optimizer_for(head)
        for _ in range(epochs):
            replay_epoch(first, head, optimizer, shuffled(new_train), memory)
            accuracy(network, new_test)
            kept.append(accuracy(network, old_test))

    network.load_state_dict(learned)
    optimizer = optimizer_for(network)
    for _ in range(epochs):
        first_task_epoch(network, optimizer, shuffled(new_train))
        accuracy(network, new_test)
        kept.append(accuracy(network, old_test))
    return kept
