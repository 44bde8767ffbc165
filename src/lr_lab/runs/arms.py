"""The arms of a run (`arms`), and what a variant changes in one: its memory (`policy`) and its networks (`with_group_norm`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lr_core import memory
from lr_core.experiment import FIRST_TASK, NO_REPLAY, REPLAY, Policy
from lr_core.models import IMAGE_PIXELS, LATENT_VALUES
from lr_core.settings import Settings
from lr_lab.runs.variants import VARIANTS, Variant


@dataclass(frozen=True)
class Arm:
    """One training of a run. `share` is that of the first task's images which the memory holds."""

    arm: str
    share: float | None = None
    variant: str = ""


def arms(settings: Settings, variants: Iterable[str], images: int) -> list[Arm]:
    """The arms of a run, the first task first. A budget that holds fewer than two items is a `UsageError`.

    `settings.memory_shares` are budgets: in each arm of a budget, the memory has at most the bytes that latents in single
    precision of this share take. A variant that would change nothing is left out.

    Parameters
    ----------
    images : how many train the first task
    """
    found = [Arm(FIRST_TASK)]
    for name in variants:
        variant = VARIANTS[name]
        if variant.group_norm:
            found.append(Arm(FIRST_TASK, None, name))
        for share in settings.memory_shares if variant.replay else ():
            held = _share(variant, share, images)
            # Of a memory within one batch, all is replayed in any case.
            if name != "whole-memory" or share * images > settings.batch_size:
                found.append(Arm(REPLAY, held, name))
        if variant.no_replay:
            found.append(Arm(NO_REPLAY, None, name))
    return list(dict.fromkeys(found))


def _share(variant: Variant, share: float, images: int) -> float:
    """The share of the images that the bytes of a budget hold; all of them if the bytes hold more."""
    if variant.bits == 32 and not variant.raw:
        memory.count(share, images)
        return share
    latent = 4 * LATENT_VALUES + 1  # bytes, in single precision
    item = IMAGE_PIXELS + 1 if variant.raw else LATENT_VALUES * variant.bits / 8 + 1
    ranges = 0 if variant.raw else 8 * LATENT_VALUES  # the least and the largest of each value
    least = math.ceil((ranges + 2 * item) / latent)  # latents, whose bytes hold two items
    budget = latent * memory.count(share, images, least, f"items as {variant.words}")
    return min(int((budget - ranges) / item), images) / images


def policy(variant: Variant) -> Policy:
    """Which latents are kept, and in how many bits."""

    def choose(latents: Tensor, labels: Tensor, share: float, draw: torch.Generator) -> memory.LatentMemory:
        kept = replace(memory.choose(latents, labels, share, draw), bits=variant.bits)
        return replace(kept, latents=quantise(kept.latents, kept.bits))

    return memory.choose if variant.bits == 32 else choose


def quantise(latents: Tensor, bits: int) -> Tensor:
    """Each value on `2**bits` even levels, from the least to the largest of its place in these (n, 1, 6, 6) latents.

    `LatentMemory` says which bits there are; 32 change nothing.
    """
    if bits == 32:
        return latents
    least = latents.amin(dim=0)
    step = ((latents.amax(dim=0) - least) / (2**bits - 1)).clamp_min(1e-12)  # not 0 where all are the same
    return least + step * ((latents - least) / step).round()


def with_group_norm(network: nn.Module) -> None:
    """Replace each BatchNorm of a sequential network by GroupNorm: five groups, or one where five do not divide the channels.

    Wu and He, "Group Normalization", ECCV 2018. Nothing is then normalised by statistics of a batch.
    """
    assert isinstance(network, nn.Sequential)
    for place, layer in enumerate(network):
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            channels = layer.num_features
            norm = nn.GroupNorm(5 if channels % 5 == 0 else 1, channels)
            network[place] = norm.to(layer.weight.device, layer.weight.dtype)
