"""The one training loop: SGD on new batches, each followed by one update on the memory where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lr_core.compute import Compute
from lr_core.config import Settings
from lr_core.memory import LatentMemory


@dataclass(frozen=True)
class Epoch:
    """What one pass over the new images gave, tallied while training: before each update, by batch statistics."""

    number: int  # from 1
    train_accuracy: float  # on the new images alone
    loss: float  # mean cross entropy in nats an image, on the new images alone


def batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """A fresh random order of `count` positions in batches of `size`; what is left over makes a smaller last batch.

    A single image left over joins the batch before it: BatchNorm has no statistics of one image.
    """
    parts = list(torch.randperm(count, generator=generator).split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def train(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    settings: Settings,
    compute: Compute,
    generator: torch.Generator,
    memory: LatentMemory | None = None,
    after_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train `network` in place until the target accuracy or the epoch cap; one `Epoch` for each pass.

    `inputs` are (n, 1, 28, 28) uint8 images or (n, 1, 6, 6) latents, `labels` (n,) int64, both on the device. With a
    `memory`, every update on a new batch is followed by an update on a batch of it (section 5 of the paper).
    """
    epochs = []
    for epoch in passes(
        network, inputs, labels, settings=settings, compute=compute, generator=generator, memory=memory
    ):
        epochs.append(epoch)
        after_epoch(epoch)
    return epochs


def passes(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    settings: Settings,
    compute: Compute,
    generator: torch.Generator,
    memory: LatentMemory | None = None,
) -> Iterator[Epoch]:
    """`train`, one pass each time that it is asked for the next: whoever stops asking stops the training."""
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)

    def update(batch: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with compute.autocast():
            log_probabilities = network(batch)
        # Negative log-likelihood of the log-softmax that ends Table 2 is the cross entropy.
        loss = F.nll_loss(log_probabilities, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            correct = (log_probabilities.argmax(dim=1) == targets).sum()
        return correct, loss.detach() * len(targets)

    for number in range(1, settings.max_epochs + 1):
        network.train()
        # Summed on the device: reading each batch's value would make the device wait for every update.
        correct = torch.zeros((), dtype=torch.int64, device=inputs.device)
        loss = torch.zeros((), dtype=torch.float32, device=inputs.device)
        for positions in batches(len(inputs), settings.batch_size, generator):
            chosen = positions.to(inputs.device)
            batch_correct, batch_loss = update(inputs[chosen], labels[chosen])
            correct += batch_correct
            loss += batch_loss
            if memory is not None:
                update(*memory.draw(settings.batch_size, generator))
        epoch = Epoch(number, correct.item() / len(inputs), loss.item() / len(inputs))
        yield epoch
        if epoch.train_accuracy >= settings.target_train_accuracy:
            break
