"""What the compiled steps of both networks share: how they are compiled, BatchNorm and ELU, blocks and threads.

In single precision on a CPU, `compressor` and `classifier` take a block of images from one layer's maps to the next
one's, so that intermediate values stay in the processor's cache. A step that makes maps takes their moments too.
BatchNorm and ELU are applied lazily, by the step that reads the maps, and recomputed in the backward pass: that costs
less than writing and reading their results. Numba compiles a step at its first call, about 15 seconds in all; `cache`
keeps the code on disk for later processes.

Maps of a block are (channels, positions, images), images last: every inner loop runs over neighbours in memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features
from numpy.typing import NDArray
from torch import Tensor

from lr_core import device

_FEATURES = get_host_cpu_features()
if _FEATURES.get("avx512f"):  # use vectors of 512 bits: LLVM prefers 256, since old processors slow down
    os.environ.setdefault("NUMBA_CPU_FEATURES", f"{_FEATURES.flatten()},-prefer-256-bit")
os.environ.setdefault("NUMBA_OPT", "2")  # numba's default, 3, compiles twice as long for the same speed
from numba import njit  # noqa: E402

from lr_core.fast.cache import Cache  # noqa: E402

Array = NDArray[np.float32]

# Not all of "fast": NaN and infinity must stay, to show that a training diverged.
_FASTMATH = {"arcp", "contract", "nsz", "reassoc"}
inlined = njit(fastmath=_FASTMATH, inline="always")


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a step at its first call, or load what an earlier process compiled."""
    step: Any = njit(nogil=True, fastmath=_FASTMATH)(function)
    step._cache = Cache(function)  # numba has no public way to set another cache
    return step


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""How many cores this process may use."""

# In single precision: a Python number would make results double.
ZERO, ONE, TWO, THREE, FOUR, FIVE = np.arange(6, dtype=np.float32)
_LEAST, _DOUBLINGS, _PARTS = np.float32(-30), 7, np.float32(2**7)


# -- parts of compiled steps, for channel c of a block -----------------------------------------------------------------


@inlined
def take_moments(maps, c, moments):
    """(2, channels) moments: mean, and sum of squared distances from it."""
    total = ZERO
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            total += maps[c, p, i]
    mean = total / np.float32(maps.shape[1] * maps.shape[2])
    squares = ZERO
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            squares += (maps[c, p, i] - mean) ** 2
    moments[0, c] = mean
    moments[1, c] = squares


@inlined
def expm1(z):
    """exp(z) - 1 of a z below zero, by operations that a processor does on several numbers at once."""
    y = (_LEAST if z < _LEAST else z) / _PARTS
    e = ((((y / FIVE + ONE) * y / FOUR + ONE) * y / THREE + ONE) * y / TWO + ONE) * y  # Taylor's series, five terms
    for _ in range(_DOUBLINGS):
        e *= e + TWO  # exp(2 y) - 1 from exp(y) - 1
    return e


@inlined
def activate(maps, norm, c, result, r):
    """BatchNorm and ELU, to channel r of the result."""
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            z = norm[0, c] * maps[c, p, i] + norm[1, c]
            result[r, p, i] = z if z > ZERO else expm1(z)


@inlined
def back_through_elu(gradient, maps, norm, sums, c):
    """In place; (2, channels) sums: of the gradient, and of its products with the distances of maps from their mean."""
    total = ZERO
    products = ZERO
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            z = norm[0, c] * maps[c, p, i] + norm[1, c]
            value = gradient[c, p, i] * (ONE if z > ZERO else expm1(z) + ONE)
            gradient[c, p, i] = value
            total += value
            products += value * (maps[c, p, i] - norm[2, c])
    sums[0, c] = total
    sums[1, c] = products


@inlined
def back_through_norm(gradient, maps, norm, factors, c, result, totals):
    """To channel 0 of the result, with `BatchNorm.back`'s factors; and its sum."""
    total = ZERO
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            distance = maps[c, p, i] - norm[2, c]
            value = factors[0, c] * gradient[c, p, i] + factors[1, c] * distance + factors[2, c]
            result[0, p, i] = value
            total += value
    totals[c] = total


# -- between the steps -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchNorm:
    """How maps are normalised."""

    values: Array  # (3, channels): scale, shift (scale * maps + shift is normalised) and mean
    deviation: NDArray[np.float64]  # (channels,)
    count: int  # number of values a channel that mean and deviation are of; 0 if they are the running ones

    @classmethod
    def of(cls, module: Any, blocks: Sequence[Array], moments: Array) -> BatchNorm:
        """As `module`, a BatchNorm2d, normalises blocks with these (blocks, 2, channels) moments.

        It takes the statistics that the module would take, and updates the running ones where that would.
        """
        count = 0
        if module.training:
            sizes = [block[0].size for block in blocks]
            share = np.array(sizes)[:, None] / (count := sum(sizes))
            means, squares = moments.astype(np.float64).swapaxes(0, 1)
            mean = (share * means).sum(axis=0)
            variance = squares.sum(axis=0) / count + (share * (means - mean) ** 2).sum(axis=0)
            if module.track_running_stats:
                module.num_batches_tracked.add_(1)
                # Without momentum the running ones are means over all batches.
                weight = 1 / module.num_batches_tracked.item() if module.momentum is None else module.momentum
                module.running_mean.lerp_(torch.from_numpy(mean).float(), weight)
                module.running_var.lerp_(torch.from_numpy(variance * count / (count - 1)).float(), weight)
        else:
            mean, variance = (buffer.double().numpy() for buffer in (module.running_mean, module.running_var))
        deviation = np.sqrt(variance + module.eps)
        scale = array(module.weight) / deviation
        shift = array(module.bias) - scale * mean
        return cls(np.stack([scale, shift, mean]).astype(np.float32), deviation, count)

    def back(self, sums: Array) -> tuple[Array, Tensor, Tensor]:
        """(blocks, 2, channels) sums of `back_through_elu` -> factors of `back_through_norm`, gradients of the module's.

        Of its weight and of its bias.
        """
        of_bias, products = sums.sum(axis=0, dtype=np.float64)
        of_weight = products / self.deviation
        factors = np.zeros_like(self.values)
        factors[0] = self.values[0]
        if self.count:
            factors[1] = -self.values[0] * of_weight / self.deviation / self.count
            factors[2] = -self.values[0] * of_bias / self.count
        return factors, torch.from_numpy(of_weight).float(), torch.from_numpy(of_bias).float()


def array(values: Tensor) -> Array:
    """The same values, in one piece."""
    return values.detach().contiguous().numpy()


def to_block(values: Tensor, block: Array | None = None) -> Array:
    """(images, c, h, w) -> a block of maps, (c, h * w, images), float32: the one given, or a new one."""
    if block is None:
        block = np.empty((values.shape[1], values.shape[2] * values.shape[3], len(values)), np.float32)
    torch.from_numpy(block).copy_(values.detach().flatten(2).permute(1, 2, 0))
    return block


def from_block(block: Array, values: Tensor) -> None:
    """Write a block of maps to its (images, c, h, w), contiguous."""
    values.flatten(2).copy_(torch.from_numpy(block).permute(2, 0, 1))


def for_each(step: Callable[..., object], calls: Sequence[Sequence[Any]]) -> None:
    """A step with each of these arguments, one call for each block, on as many threads as `device.threads` says.

    There are never more threads than cores: they would take each other's place in the processor's cache.
    Whoever is free takes the next block, this thread too, so that a thread which another process holds up is not waited
    for. Compiled steps and PyTorch's operations leave Python to the other threads. What a step computes must not depend
    on which blocks were done before.
    """
    waiting = deque(calls)

    def work() -> None:
        while True:
            try:
                call = waiting.popleft()
            except IndexError:
                return
            step(*call)

    threads = min(device.threads(), CORES)
    helpers = [_pool(threads).submit(work) for _ in range(min(threads, len(calls)) - 1)]
    try:
        work()
    finally:
        waiting.clear()  # where a step failed
        for helper in helpers:
            if not helper.cancel():
                helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # Matrix products on one thread each: PyTorch sets the number for the calling thread alone.
    return ThreadPoolExecutor(threads, thread_name_prefix="fused", initializer=torch.set_num_threads, initargs=(1,))
