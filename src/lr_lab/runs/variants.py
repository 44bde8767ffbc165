"""Other ways to make an arm of a run, one at a time: `VARIANTS`. `arms` makes them.

Some are other readings of the paper, the others go beyond it. Each is compared with the arm of the same name that is made as
in the paper: first task, split, memory and order of images are the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """How an arm differs from the one of the paper."""

    words: str
    choices: tuple[str, ...] = ()  # of `settings.CHOICES`
    replay: bool = True  # whether there are arms with a memory
    no_replay: bool = False  # and one without
    frozen: bool | None = None  # None: with a memory of latents
    group_norm: bool = False  # then it has a first task of its own
    bits: int = 32  # of each stored value
    raw: bool = False  # the memory holds images


VARIANTS: dict[str, Variant] = {
    "": Variant("as in the paper", no_replay=True),
    "carry-optimizer": Variant("momentum carried over", ("carry-optimizer",), no_replay=True),
    "memory-first": Variant("memory before the new batch", ("memory-first",)),
    "whole-memory": Variant("all of the memory at once", ("whole-memory",)),
    "adapting": Variant("compressor's normalisation adapts", ("adapting",)),
    "closed-forms": Variant("no second task; classifiers in closed form", replay=False),
    "frozen": Variant("compressor frozen, nothing replayed", replay=False, no_replay=True, frozen=True),
    "mixed-batches": Variant("combined batches", ("mixed-batches",)),
    "group-norm": Variant("GroupNorm", no_replay=True, group_norm=True),
    "bits-8": Variant("latents of 8 bits", bits=8),
    "bits-4": Variant("latents of 4 bits", bits=4),
    "raw-frozen": Variant("images, compressor frozen", ("raw",), frozen=True, raw=True),
    "raw": Variant("images, nothing frozen", ("raw",), raw=True),
}
READINGS = ("carry-optimizer", "memory-first", "whole-memory", "adapting")
"""Of these, those that read the paper in another way."""
