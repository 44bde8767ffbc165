"""`LatentMemory`: what is kept of the first task, how it is chosen, and how many bytes that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lr_core.models import IMAGE_PIXELS, LATENT_VALUES
from lr_core.settings import check_share


@dataclass(frozen=True)
class LatentMemory:
    """Latents of some training images of a task, with their labels (section 5 of the paper); or the images themselves.

    Invariant: row i of `latents`, `labels` and `positions` is one and the same image.
    """

    latents: Tensor  # (m, 1, 6, 6) float32 (float64 in double precision), or (m, 1, 28, 28) uint8 images
    labels: Tensor  # (m,) uint8: a label needs one byte
    positions: Tensor  # (m,) int64 into the training images that it was chosen from
    bits: int = 32  # of a latent's value, as it is stored

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Size when stored: for each image 36 values of `bits` and a label of one byte, so 145 bytes in single precision.

        Of fewer bits, also the least and the largest of each of the 36 values, of four bytes each. A raw image has 785.
        """
        values = self.latents.numel()
        if not self.latents.is_floating_point():
            return values + len(self)
        return -(-values * self.bits // 8) + len(self) + (0 if self.bits == 32 else 8 * values // len(self))

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One replay batch: (k, 1, 6, 6) latents and (k,) int64 labels, k = min(size, m).

        Without replacement within a batch, independent from batch to batch; the paper leaves it open.
        """
        if len(self) <= size:
            return self.latents, self.labels.long()
        chosen = torch.randperm(len(self), generator=generator)[:size].to(self.latents.device)
        return self.latents[chosen], self.labels[chosen].long()


def choose(latents: Tensor, labels: Tensor, share: float, generator: torch.Generator) -> LatentMemory:
    """Keep a random `share` of (n, 1, 6, 6) latents, at least two (BatchNorm needs two images in a batch).

    The first images of one permutation are kept. So budgets are nested: with equal generators, a larger memory contains
    a smaller one.
    """
    check_share(share)
    order = torch.randperm(len(latents), generator=generator)
    kept = order[: max(2, round(share * len(latents)))].to(latents.device)
    return LatentMemory(latents[kept], labels[kept].to(torch.uint8), kept)


def pixel_share(memory_images: int, task_images: int) -> float:
    """The paper's measure of a memory: its values as a share of the pixels of the first task's training images."""
    return memory_images * LATENT_VALUES / (task_images * IMAGE_PIXELS)
