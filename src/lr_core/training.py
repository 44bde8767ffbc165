"""The one training loop: SGD on new batches, each followed by one update on the memory where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lr_core.device import Compute
from lr_core.memory import LatentMemory
from lr_core.settings import Settings


@dataclass(frozen=True)
class Epoch:
    """One pass over the new images: accuracy and loss, counted before each update, by batch statistics."""

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


class Trainer:
    """Trains a network in place, an epoch at a time, to the target accuracy or the epoch cap.

    With a memory, every update on a new batch is followed by an update on a batch of it (section 5 of the paper).

    Parameters
    ----------
    inputs : (n, 1, 28, 28) uint8 images or (n, 1, 6, 6) latents, on the device
    labels : (n,) int64, on the device
    generator : draws the order of images and the batches of the memory
    replaying : the part of the network that learns from the memory; all of it where not given
    """

    def __init__(
        self, network: nn.Module, inputs: Tensor, labels: Tensor, *, settings: Settings, compute: Compute,
        generator: torch.Generator, memory: LatentMemory | None = None, replaying: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.network, self.inputs, self.labels, self.memory = network, inputs, labels, memory
        self.settings, self.compute, self.generator = settings, compute, generator
        self.memory_first, self.replaying = "memory-first" in settings.choices, replaying or network
        self.mixed = "mixed-batches" in settings.choices
        self.replay_size = len(memory) if memory and "whole-memory" in settings.choices else settings.batch_size
        self.optimizer = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
        self.latest: Epoch | None = None

    def epochs(self) -> Iterator[Epoch]:
        """Train epoch after epoch, from the latest one on. The caller may break out early, and go on later."""
        while not self.finished:
            with self.compute.sharing():
                self.latest = self._epoch(self.latest.number + 1 if self.latest else 1)
            yield self.latest

    def _epoch(self, number: int) -> Epoch:
        self.network.train()
        # Summed on the device: reading each batch's value would make the device wait for every update.
        correct = torch.zeros((), dtype=torch.int64, device=self.inputs.device)
        loss = torch.zeros((), dtype=torch.float32, device=self.inputs.device)
        for positions in batches(len(self.inputs), self.settings.batch_size, self.generator):
            chosen = positions.to(self.inputs.device)
            batch, targets = self.inputs[chosen], self.labels[chosen]
            if self.memory_first:
                self._replay()
            if self.mixed and self.memory is not None:
                latents, kept = self.memory.draw(self.replay_size, self.generator)
                batch, targets = torch.cat([batch, latents]), torch.cat([targets, kept])
            batch_correct, batch_loss = self._update(self.network, batch, targets, len(chosen))
            correct += batch_correct
            loss += batch_loss
            if not self.memory_first and not self.mixed:
                self._replay()
        return Epoch(number, correct.item() / len(self.inputs), loss.item() / len(self.inputs))

    @property
    def reached_target(self) -> bool:
        """Whether the latest epoch's training accuracy is the target or more."""
        return self.latest is not None and self.latest.train_accuracy >= self.settings.target_train_accuracy

    @property
    def finished(self) -> bool:
        """Whether the latest epoch was the last one."""
        return self.reached_target or (self.latest is not None and self.latest.number >= self.settings.max_epochs)

    def _replay(self) -> None:
        if self.memory is not None:
            latents, labels = self.memory.draw(self.replay_size, self.generator)
            self._update(self.replaying, latents, labels, len(labels))

    def _update(self, network: nn.Module, batch: Tensor, targets: Tensor, new: int) -> tuple[Tensor, Tensor]:
        """One update; returns how many of the first `new` images were right, and the sum of their losses."""
        with self.compute.autocast():
            log_probabilities = network(batch)
        # Negative log-likelihood of the log-softmax that ends Table 2 is the cross entropy.
        loss = F.nll_loss(log_probabilities, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            correct = (log_probabilities[:new].argmax(dim=1) == targets[:new]).sum()
            of_new = loss if new == len(targets) else F.nll_loss(log_probabilities[:new], targets[:new])
        return correct, of_new.detach() * new
