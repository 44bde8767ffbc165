"""`LatentMemory`: what is kept of the first task, how it is chosen, and how many bytes that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lr_core.errors import UsageError
from lr_core.models import IMAGE_PIXELS, LATENT_VALUES
from lr_core.settings import check_share


@dataclass(frozen=True)
class LatentMemory:
    """Latents of some training images of a task, with labels (section 5 of the paper), or the images. Row i is one image."""

    latents: Tensor  # (m, 1, 6, 6) float32 (float64 in double precision), or (m, 1, 28, 28) uint8 images
    labels: Tensor  # (m,) uint8: a label needs one byte
    positions: Tensor  # (m,) int64 into the training images that it was chosen from
    bits: int = 32  # of a latent's value, as it is stored

    def __post_init__(self) -> None:
        if type(self.bits) is not int or self.bits not in (*range(1, 9), 32):
            raise UsageError(f"{self.bits} bits a value cannot be: choose 1 to 8, or 32, which is single precision")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Size when stored: an image has 36 values of `bits` and a label of one byte, 145 bytes in single precision."""
        values = self.latents.numel()
        if not self.latents.is_floating_point():  # raw images, of 785 bytes each
            return values + len(self)
        ranges = 0 if self.bits == 32 else 8 * values // max(1, len(self))  # least and largest of each of the 36
        return -(-values * self.bits // 8) + len(self) + ranges

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One replay batch: (k, 1, 6, 6) latents and (k,) int64 labels, k = min(size, m); without replacement in it."""
        if len(self) <= size:  # else batches are independent of each other; the paper leaves it open
            return self.latents, self.labels.long()
        chosen = torch.randperm(len(self), generator=generator)[:size].to(self.latents.device)
        return self.latents[chosen], self.labels[chosen].long()


def count(share: float, images: int, least: int = 2, items: str = "items") -> int:
    """How many of `images` a share is; UsageError for fewer than `least`. BatchNorm needs two items in a batch."""
    check_share(share)
    if (kept := round(share * images)) < least:
        what = f"a memory of {100 * share:g} % of {images:,} images does not hold two {items} (BatchNorm needs two)"
        raise UsageError(f"{what}: choose at least {100 * least / images:g} %")
    return kept


def choose(latents: Tensor, labels: Tensor, share: float, generator: torch.Generator) -> LatentMemory:
    """Keep a random `share` of (n, 1, 6, 6) latents: the first `count` of one permutation, so budgets are nested."""
    kept = torch.randperm(len(latents), generator=generator)[: count(share, len(latents))].to(latents.device)
    return LatentMemory(latents[kept], labels[kept].to(torch.uint8), kept)


def pixel_share(memory_images: int, task_images: int) -> float:
    """The paper's measure of a memory: its values as a share of the pixels of the first task's training images."""
    return memory_images * LATENT_VALUES / (task_images * IMAGE_PIXELS)
