"""The classifier's convolutions with their BatchNorm and ELU, in single precision on a CPU, a block of images at a time.

What a layer does to a block of images stays in the processor's cache: maps are made into tiles (`winograd`), these
multiplied, the products made into maps, and their moments taken while they are at hand. BatchNorm's scale and shift
and ELU are left to whoever reads the maps next, and on the way back done again, which costs less than fetching what
they gave. Products of matrices are PyTorch's; the rest is compiled by numba when it is first called: seconds, once in
a process.

Maps of a block are (channels, 36, images), its tiles (64, channels, images), with images last: every inner loop runs
over neighbours in memory. What holds for a layer's channels is (rows, channels).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lr_core import winograd

os.environ.setdefault("NUMBA_OPT", "2")  # numba's own, 3, compiles for twice as long to the same speed
from numba import njit  # noqa: E402

Array = NDArray[np.float32]

BLOCK = 128
"""Images of a block: with 50 channels, its tiles and their products take 1.6 MB each."""

_SIDE, _TILE_SIDE = winograd.SIDE, winograd.SIDE + 2
_MAP, _TILE = _SIDE**2, _TILE_SIDE**2
_TO_TILE, _OF_KERNEL, _TO_MAP = winograd.transforms(torch.float32)

# A Python number beside them would make a result double.
_0, _1, _2, _3, _4, _5 = np.arange(6, dtype=np.float32)
_LEAST, _DOUBLINGS, _PARTS = np.float32(-30), 7, np.float32(2**7)

# Not all of "fast": that a training diverged must show, so what is not a number or infinite is kept.
_FASTMATH = {"arcp", "contract", "nsz", "reassoc"}
_compiled = njit(nogil=True, fastmath=_FASTMATH)
_inlined = njit(fastmath=_FASTMATH, inline="always")


# -- parts of compiled functions --------------------------------------------------------------------------------------


def _tiles_by(matrix: Tensor) -> Callable[..., None]:
    """(8, 6) matrix -> function that applies it to both axes of channel `a` of maps, giving channel `b` of tiles."""
    values = np.ascontiguousarray(matrix.numpy())  # constants of the compiled function

    @_inlined
    def apply(maps, a, tiles, b):
        half = np.empty((_TILE_SIDE * _SIDE, maps.shape[2]), np.float32)
        for column in range(_SIDE):
            for row in range(_TILE_SIDE):
                for i in range(maps.shape[2]):
                    value = _0
                    for k in range(_SIDE):
                        value += values[row, k] * maps[a, k * _SIDE + column, i]
                    half[row * _SIDE + column, i] = value
        for row in range(_TILE_SIDE):
            for column in range(_TILE_SIDE):
                for i in range(maps.shape[2]):
                    value = _0
                    for k in range(_SIDE):
                        value += values[column, k] * half[row * _SIDE + k, i]
                    tiles[row * _TILE_SIDE + column, b, i] = value

    return apply


def _maps_by(matrix: Tensor) -> Callable[..., None]:
    """(6, 8) matrix -> function that applies it to both axes of channel `c` of tiles, giving that channel of maps."""
    values = np.ascontiguousarray(matrix.numpy())

    @_inlined
    def apply(tiles, maps, c):
        half = np.empty((_SIDE * _TILE_SIDE, maps.shape[2]), np.float32)
        for column in range(_TILE_SIDE):
            for row in range(_SIDE):
                for i in range(maps.shape[2]):
                    value = _0
                    for k in range(_TILE_SIDE):
                        value += values[row, k] * tiles[k * _TILE_SIDE + column, c, i]
                    half[row * _TILE_SIDE + column, i] = value
        for row in range(_SIDE):
            for column in range(_SIDE):
                for i in range(maps.shape[2]):
                    value = _0
                    for k in range(_TILE_SIDE):
                        value += values[column, k] * half[row * _TILE_SIDE + k, i]
                    maps[c, row * _SIDE + column, i] = value

    return apply


_tile_of_map, _map_of_product = _tiles_by(_TO_TILE), _maps_by(_TO_MAP)
_gradient_of_map, _gradient_of_product = _maps_by(_TO_TILE.T), _tiles_by(_TO_MAP.T)


@_inlined
def _expm1(z):
    """exp(z) - 1 of a z below zero, by operations that a processor does on several numbers at once."""
    y = (_LEAST if z < _LEAST else z) / _PARTS
    e = ((((y / _5 + _1) * y / _4 + _1) * y / _3 + _1) * y / _2 + _1) * y  # five terms of its Taylor series
    for _ in range(_DOUBLINGS):
        e *= e + _2  # exp(2 y) - 1 from exp(y) - 1
    return e


@_inlined
def _activate(maps, norm, c, result, r):
    for p in range(_MAP):
        for i in range(maps.shape[2]):
            z = norm[0, c] * maps[c, p, i] + norm[1, c]
            result[r, p, i] = z if z > _0 else _expm1(z)


@_inlined
def _through_elu(gradient, maps, norm, sums, c):
    """In place; and the sums of the gradient, and of its products with the distances of the maps from their mean."""
    total = _0
    products = _0
    for p in range(_MAP):
        for i in range(maps.shape[2]):
            z = norm[0, c] * maps[c, p, i] + norm[1, c]
            value = gradient[c, p, i] * (_1 if z > _0 else _expm1(z) + _1)
            gradient[c, p, i] = value
            total += value
            products += value * (maps[c, p, i] - norm[2, c])
    sums[0, c] = total
    sums[1, c] = products


# -- compiled functions, each for the channels from `first` up to `last` of a block -----------------------------------


@_compiled
def _make_tiles(maps, tiles, first, last):
    for c in range(first, last):
        _tile_of_map(maps, c, tiles, c)


@_compiled
def _make_tiles_of_elu(maps, norm, tiles, first, last):
    active = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(first, last):
        _activate(maps, norm, c, active, 0)
        _tile_of_map(active, 0, tiles, c)


@_compiled
def _make_maps(maps, products, bias, moments, first, last):
    """And the mean of each channel, and the sum of the squared distances from it."""
    for c in range(first, last):
        _map_of_product(products, maps, c)
        total = _0
        for p in range(_MAP):
            for i in range(maps.shape[2]):
                maps[c, p, i] += bias[c]
                total += maps[c, p, i]
        mean = total / np.float32(_MAP * maps.shape[2])
        squares = _0
        for p in range(_MAP):
            for i in range(maps.shape[2]):
                squares += (maps[c, p, i] - mean) ** 2
        moments[0, c] = mean
        moments[1, c] = squares


@_compiled
def _make_elu(maps, norm, result, first, last):
    for c in range(first, last):
        _activate(maps, norm, c, result, c)


@_compiled
def _back_through_elu(gradient, maps, norm, sums, first, last):
    for c in range(first, last):
        _through_elu(gradient, maps, norm, sums, c)


@_compiled
def _back_through_norm(gradient, maps, norm, factors, products, totals, first, last):
    """And through the step from products to maps; and the sum of each channel in between."""
    inner = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(first, last):
        total = _0
        for p in range(_MAP):
            for i in range(maps.shape[2]):
                distance = maps[c, p, i] - norm[2, c]
                value = factors[0, c] * gradient[c, p, i] + factors[1, c] * distance + factors[2, c]
                inner[0, p, i] = value
                total += value
        _gradient_of_product(inner, 0, products, c)
        totals[c] = total


@_compiled
def _back_through_tiles(gradient, tiles, first, last):
    for c in range(first, last):
        _gradient_of_map(tiles, gradient, c)


@_compiled
def _back_through_tiles_of_elu(gradient, tiles, maps, norm, sums, first, last):
    for c in range(first, last):
        _gradient_of_map(tiles, gradient, c)
        _through_elu(gradient, maps, norm, sums, c)


# -- layers one after the other ---------------------------------------------------------------------------------------


def convolutions(inputs: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """(n, c, 6, 6) float32 -> (n, k, 6, 6) through 3x3 convolution padded with zeros, BatchNorm, ELU, and so on.

    BatchNorm takes the statistics that its module would take, and updates the running ones where that would.
    """
    norms = layers[1::3]
    pairs = zip(layers[::3], norms, strict=True)
    parameters = [(conv.weight, conv.bias, norm.weight, norm.bias) for conv, norm in pairs]
    return _Layers.apply(inputs, norms, *chain(*parameters))


@dataclass(frozen=True)
class _Norm:
    """BatchNorm of maps."""

    values: Array  # (3, channels): scale, shift (maps * scale + shift is normalised) and mean
    deviation: NDArray[np.float64]  # (channels,)
    count: int  # of values that mean and deviation are taken of; 0 if they are the running ones

    @classmethod
    def of(cls, module: Any, gain: Array, offset: Array, sizes: list[int], moments: Array) -> _Norm:
        """As `module`, a BatchNorm2d, normalises maps of blocks of these sizes with these (blocks, 2, channels) moments."""
        count = 0
        if module.training:
            share = np.array(sizes)[:, None] / (count := sum(sizes))
            means, squares = moments.astype(np.float64).swapaxes(0, 1)
            mean = (share * means).sum(axis=0)
            variance = squares.sum(axis=0) / count + (share * (means - mean) ** 2).sum(axis=0)
            if module.track_running_stats:
                module.num_batches_tracked.add_(1)
                module.running_mean.lerp_(torch.from_numpy(mean).float(), module.momentum)
                module.running_var.lerp_(torch.from_numpy(variance * count / (count - 1)).float(), module.momentum)
        else:
            mean, variance = (buffer.double().numpy() for buffer in (module.running_mean, module.running_var))
        deviation = np.sqrt(variance + module.eps)
        scale = gain / deviation
        return cls(np.stack([scale, offset - scale * mean, mean]).astype(np.float32), deviation, count)

    def back(self, sums: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], Array]:
        """Sums of blocks as in `_through_elu` -> gradients of gain and offset, factors for `_back_through_norm`."""
        of_offset, products = sums.sum(axis=0, dtype=np.float64)
        of_gain = products / self.deviation
        factors = np.zeros_like(self.values)
        factors[0] = self.values[0]
        if self.count:
            factors[1] = -self.values[0] * of_gain / self.deviation / self.count
            factors[2] = -self.values[0] * of_offset / self.count
        return of_gain, of_offset, factors


@dataclass(frozen=True)
class _Maps:
    """Maps, block by block, and, where they are of a convolution, what is left to do to them before ELU."""

    blocks: list[Array]
    norm: _Norm | None = None

    def tiles(self, number: int, scratch: _Scratch) -> Tensor:
        block = self.blocks[number]
        tiles = scratch.of(block.shape[2])
        if self.norm:
            _on_channels(_make_tiles_of_elu, block, self.norm.values, tiles.numpy())
        else:
            _on_channels(_make_tiles, block, tiles.numpy())
        return tiles


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, modules: Sequence[nn.Module], *parameters: Tensor) -> Tensor:
        maps = _Maps(_blocks(inputs))
        ctx.layers = []
        for module, weight, bias, gain, offset in zip(modules, *(parameters[i::4] for i in range(4)), strict=True):
            kernels = winograd.on_both_axes(_OF_KERNEL, weight.permute(2, 3, 0, 1)).flatten(0, 1)
            tiles, products = _Scratch(weight.shape[1]), _Scratch(len(weight))
            blocks = [np.empty((len(weight), *block.shape[1:]), np.float32) for block in maps.blocks]
            moments = np.empty((len(blocks), 2, len(weight)), np.float32)
            constant = _array(bias)
            for number, block in enumerate(blocks):
                result = torch.bmm(kernels, maps.tiles(number, tiles), out=products.of(block.shape[2]))
                _on_channels(_make_maps, block, result.numpy(), constant, moments[number])
            sizes = [_MAP * block.shape[2] for block in blocks]
            ctx.layers.append((maps, kernels))
            maps = _Maps(blocks, _Norm.of(module, _array(gain), _array(offset), sizes, moments))
        ctx.last, norm = maps, maps.norm
        assert norm is not None
        results = torch.empty(len(inputs), len(maps.blocks[0]), _SIDE, _SIDE)
        for block, part in zip(maps.blocks, results.split(BLOCK), strict=True):
            active = np.empty_like(block)
            _on_channels(_make_elu, block, norm.values, active)
            part.flatten(2).copy_(torch.from_numpy(active).permute(2, 0, 1))
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_results: Tensor) -> tuple[Tensor | None, ...]:
        maps = ctx.last
        gradient = _blocks(of_results)
        sums = np.empty((len(gradient), 2, len(gradient[0])), np.float32)
        for part, block, of_block in zip(gradient, maps.blocks, sums, strict=True):
            _on_channels(_back_through_elu, part, block, maps.norm.values, of_block)
        of_parameters: list[Tensor] = []
        for before, kernels in reversed(ctx.layers):
            _, outputs, inputs = kernels.shape
            of_gain, of_offset, factors = maps.norm.back(sums)
            sums = np.empty((len(gradient), 2, inputs), np.float32)
            totals = np.empty((len(gradient), outputs), np.float32)
            of_kernels = torch.zeros_like(kernels)
            scratch, products = _Scratch(inputs), _Scratch(outputs)
            for number, block in enumerate(maps.blocks):
                part, of_products = gradient[number], products.of(block.shape[2])
                norm = maps.norm.values
                _on_channels(_back_through_norm, part, block, norm, factors, of_products.numpy(), totals[number])
                tiles = before.tiles(number, scratch)
                of_kernels.baddbmm_(of_products, tiles.transpose(1, 2))
                if not (before.norm or ctx.needs_input_grad[0]):
                    continue
                torch.bmm(kernels.transpose(1, 2), of_products, out=tiles)
                if len(part) != inputs:
                    gradient[number] = part = np.empty_like(before.blocks[number])
                if before.norm:
                    arrays = part, tiles.numpy(), before.blocks[number], before.norm.values, sums[number]
                    _on_channels(_back_through_tiles_of_elu, *arrays)
                else:
                    _on_channels(_back_through_tiles, part, tiles.numpy())
            of_kernels = of_kernels.unflatten(0, (_TILE_SIDE, _TILE_SIDE))
            of_weight = winograd.on_both_axes(_OF_KERNEL.T, of_kernels).permute(2, 3, 0, 1)
            rest = totals.sum(axis=0, dtype=np.float64), of_gain, of_offset
            of_parameters[:0] = [of_weight, *(torch.from_numpy(values).float() for values in rest)]
            maps = before
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = torch.cat([torch.from_numpy(part).permute(2, 0, 1) for part in gradient])
            of_inputs = of_inputs.unflatten(2, (_SIDE, _SIDE))
        return of_inputs, None, *of_parameters


class _Scratch:
    """Tiles of a block, or their products: in the same memory for every block, so that it stays in the cache."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.memory = torch.empty(_TILE * channels * BLOCK)

    def of(self, images: int) -> Tensor:
        return self.memory[: _TILE * self.channels * images].view(_TILE, self.channels, images)


def _blocks(values: Tensor) -> list[Array]:
    """(n, c, 6, 6) -> blocks of maps; copies, whatever the number of images."""
    parts = (part.flatten(2).permute(1, 2, 0) for part in values.detach().split(BLOCK))
    return [part.clone(memory_format=torch.contiguous_format).numpy() for part in parts]


def _array(values: Tensor) -> Array:
    return values.detach().contiguous().numpy()


def _on_channels(function: Callable[..., None], *arrays: Array) -> None:
    """With as many threads as PyTorch has; the first array is maps, or their gradient."""
    channels = len(arrays[0])
    threads = min(torch.get_num_threads(), channels)
    if threads == 1:
        function(*arrays, 0, channels)
        return
    bounds = pairwise(channels * part // threads for part in range(threads + 1))
    for job in [_pool(threads).submit(function, *arrays, *part) for part in bounds]:
        job.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="fused")
