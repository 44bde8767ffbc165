"""The classifier's convolutions, with their BatchNorm and ELU, in single precision on a CPU (see `steps`).

Maps are made into tiles (`winograd`), (64, channels, images) for a block, these multiplied, and the products made into
maps again. Products of matrices are PyTorch's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lr_core.fast import steps, winograd
from lr_core.fast.steps import ZERO, Array, BatchNorm, compiled, inlined

BLOCK = 128
"""Images of a block: with 50 channels, its tiles and their products take 1.6 MB each."""

_SIDE, _TILE_SIDE = winograd.SIDE, winograd.SIDE + 2
_MAP, _TILE = _SIDE**2, _TILE_SIDE**2
_TO_TILE, _OF_KERNEL, _TO_MAP = winograd.transforms(torch.float32)


# -- compiled steps, for all channels of a block -----------------------------------------------------------------------


def _on_both_axes(matrix: Tensor) -> Callable[..., None]:
    """(p, q) matrix -> function that applies it to both axes of channel `a` of a source, giving channel `b` of a target.

    (8, 6) takes maps to tiles, (6, 8) tiles to maps.
    """
    values = np.ascontiguousarray(matrix.numpy())  # constants of the compiled function, as are the three that follow
    p, q = values.shape
    to_tiles = p == _TILE_SIDE

    @inlined
    def apply(source, a, target, b):
        images = source.shape[2]
        half = np.empty((p * q, images), np.float32)
        for column in range(q):
            for row in range(p):
                for i in range(images):
                    value = ZERO
                    for k in range(q):
                        at = k * q + column
                        value += values[row, k] * (source[a, at, i] if to_tiles else source[at, a, i])
                    half[row * q + column, i] = value
        for row in range(p):
            for column in range(p):
                for i in range(images):
                    value = ZERO
                    for k in range(q):
                        value += values[column, k] * half[row * q + k, i]
                    if to_tiles:
                        target[row * p + column, b, i] = value
                    else:
                        target[b, row * p + column, i] = value

    return apply


_tile_of_map, _map_of_product = _on_both_axes(_TO_TILE), _on_both_axes(_TO_MAP)
_gradient_of_map, _gradient_of_product = _on_both_axes(_TO_TILE.T), _on_both_axes(_TO_MAP.T)


@compiled
def _make_tiles(maps, tiles):
    for c in range(len(maps)):
        _tile_of_map(maps, c, tiles, c)


@compiled
def _make_tiles_of_elu(maps, norm, tiles):
    active = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(len(maps)):
        steps.activate(maps, norm, c, active, 0)
        _tile_of_map(active, 0, tiles, c)


@compiled
def _make_maps(maps, products, bias, moments):
    for c in range(len(maps)):
        _map_of_product(products, c, maps, c)
        for p in range(_MAP):
            for i in range(maps.shape[2]):
                maps[c, p, i] += bias[c]
        steps.take_moments(maps, c, moments)


@compiled
def _make_elu(result, maps, norm):
    for c in range(len(maps)):
        steps.activate(maps, norm, c, result, c)


@compiled
def _back_through_elu(gradient, maps, norm, sums):
    for c in range(len(maps)):
        steps.back_through_elu(gradient, maps, norm, sums, c)


@compiled
def _back_through_maps(gradient, maps, norm, factors, products, totals):
    inner = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(len(maps)):
        steps.back_through_norm(gradient, maps, norm, factors, c, inner, totals)
        _gradient_of_product(inner, 0, products, c)


@compiled
def _back_through_tiles(gradient, tiles):
    for c in range(len(gradient)):
        _gradient_of_map(tiles, c, gradient, c)


@compiled
def _back_through_tiles_of_elu(gradient, tiles, maps, norm, sums):
    for c in range(len(maps)):
        _gradient_of_map(tiles, c, gradient, c)
        steps.back_through_elu(gradient, maps, norm, sums, c)


# -- layers one after the other ----------------------------------------------------------------------------------------


def convolutions(inputs: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """(n, c, 6, 6) float32 -> (n, k, 6, 6) through 3x3 convolution padded with zeros, BatchNorm, ELU, and so on."""
    parameters = chain(*(layer.parameters() for layer in layers))  # weight and bias of each, in pairs
    return _Layers.apply(inputs, layers[1::3], *parameters)


@dataclass(frozen=True)
class _Maps:
    """Maps, block by block; `norm` is the BatchNorm that is not applied yet."""

    blocks: list[Array]
    norm: BatchNorm | None = None

    def make_tiles(self, number: int, tiles: Array) -> None:
        if self.norm:
            _make_tiles_of_elu(self.blocks[number], self.norm.values, tiles)
        else:
            _make_tiles(self.blocks[number], tiles)

    def back_through_tiles(self, number: int, tiles: Array, gradient: Array, sums: Array) -> None:
        if self.norm:
            _back_through_tiles_of_elu(gradient, tiles, self.blocks[number], self.norm.values, sums)
        else:
            _back_through_tiles(gradient, tiles)


class _Layers(torch.autograd.Function):
    # Blocks are summed in their order, so that no result depends on the number of threads.

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, norms: Sequence[nn.Module], *parameters: Tensor) -> Tensor:
        maps = _Maps([steps.to_block(part) for part in inputs.split(BLOCK)])
        count = len(maps.blocks)
        ctx.layers = []
        for module, weight, bias in zip(norms, parameters[::4], parameters[1::4], strict=True):
            kernels = winograd.on_both_axes(_OF_KERNEL, weight.permute(2, 3, 0, 1)).flatten(0, 1)
            blocks = [np.empty((len(weight), *block.shape[1:]), np.float32) for block in maps.blocks]
            moments = np.empty((count, 2, len(weight)), np.float32)
            step = partial(_convolve, maps, kernels, steps.array(bias))
            steps.for_each(step, list(zip(range(count), blocks, moments, strict=True)))
            ctx.layers.append((maps, kernels))
            maps = _Maps(blocks, norm := BatchNorm.of(module, blocks, moments))
        ctx.last = maps
        results = torch.empty(len(inputs), len(norm.deviation), _SIDE, _SIDE)
        steps.for_each(partial(_activate, norm), list(zip(maps.blocks, results.split(BLOCK), strict=True)))
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_results: Tensor) -> tuple[Tensor | None, ...]:
        maps = ctx.last
        gradient: list[Any] = [np.empty_like(block) for block in maps.blocks]
        sums = np.empty((len(gradient), 2, of_results.shape[1]), np.float32)
        calls: Iterable = zip(of_results.split(BLOCK), maps.blocks, gradient, sums, strict=True)
        steps.for_each(partial(_back_through_activation, maps.norm), list(calls))
        of_parameters: list[Tensor] = []
        for before, kernels in reversed(ctx.layers):
            factors, *of_norm = maps.norm.back(sums)
            sums = np.empty((len(gradient), 2, kernels.shape[2]), np.float32)
            totals = np.empty((len(gradient), kernels.shape[1]), np.float32)
            of_kernels = torch.empty(len(gradient), *kernels.shape)
            # The gradient of latents is not needed.
            of_before = [np.empty_like(b) if before.norm or ctx.needs_input_grad[0] else None for b in before.blocks]
            step = partial(_back_through_convolution, maps, factors, before, kernels)
            calls = zip(range(len(gradient)), gradient, of_kernels, totals, of_before, sums, strict=True)
            steps.for_each(step, list(calls))
            of_weight = winograd.on_both_axes(
                _OF_KERNEL.T, of_kernels.sum(dim=0).unflatten(0, (_TILE_SIDE, _TILE_SIDE))
            ).permute(2, 3, 0, 1)
            of_parameters[:0] = [of_weight, torch.from_numpy(totals.sum(axis=0)), *of_norm]
            maps, gradient = before, of_before
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = torch.empty(len(of_results), maps.blocks[0].shape[0], _SIDE, _SIDE)
            for block, part in zip(gradient, of_inputs.split(BLOCK), strict=True):
                steps.from_block(block, part)
        return of_inputs, None, *of_parameters


def _activate(norm: BatchNorm, block: Array, result: Tensor) -> None:
    active = np.empty_like(block)
    _make_elu(active, block, norm.values)
    steps.from_block(active, result)


def _back_through_activation(norm: BatchNorm, of_result: Tensor, block: Array, gradient: Array, sums: Array) -> None:
    steps.to_block(of_result, gradient)
    _back_through_elu(gradient, block, norm.values, sums)


def _convolve(maps: _Maps, kernels: Tensor, bias: Array, number: int, result: Array, moments: Array) -> None:
    """One block through a layer's convolution, matrix products included, on one thread."""
    images = result.shape[2]
    tiles, products = _scratch("tiles", kernels.shape[2], images), _scratch("products", kernels.shape[1], images)
    maps.make_tiles(number, tiles.numpy())
    torch.bmm(kernels, tiles, out=products)
    _make_maps(result, products.numpy(), bias, moments)


def _back_through_convolution(
    maps: _Maps, factors: Array, before: _Maps, kernels: Tensor,
    number: int, gradient: Array, of_kernels: Tensor, total: Array, of_before: Array | None, sums: Array,
) -> None:  # fmt: skip
    """Backward pass of `_convolve`: gradients of the maps before, and of the kernels."""
    images = gradient.shape[2]
    tiles, products = _scratch("tiles", kernels.shape[2], images), _scratch("products", kernels.shape[1], images)
    assert maps.norm is not None
    _back_through_maps(gradient, maps.blocks[number], maps.norm.values, factors, products.numpy(), total)
    before.make_tiles(number, tiles.numpy())
    torch.bmm(products, tiles.transpose(1, 2), out=of_kernels)
    if of_before is not None:
        torch.bmm(kernels.transpose(1, 2), products, out=tiles)
        before.back_through_tiles(number, tiles.numpy(), of_before, sums)


_memory = threading.local()


def _scratch(name: str, channels: int, images: int) -> Tensor:
    """(64, channels, images) scratch memory, the same for all blocks of a thread, so that it stays in the cache."""
    size = _TILE * channels * BLOCK
    memory = getattr(_memory, name, None)
    if memory is None or len(memory) < size:
        setattr(_memory, name, memory := torch.empty(size))
    return memory[: _TILE * channels * images].view(_TILE, channels, images)
