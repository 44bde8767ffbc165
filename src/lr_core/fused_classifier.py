"""The classifier's convolutions, with their BatchNorm and ELU, in single precision on a CPU (see `fused`).

Maps are made into tiles (`winograd`), (64, channels, images) for a block, these multiplied, and the products made into
maps again. Products of matrices are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lr_core import fused, winograd
from lr_core.fused import ZERO, Array, BatchNorm, compiled, inlined

BLOCK = 128
"""Images of a block: with 50 channels, its tiles and their products take 1.6 MB each."""

_SIDE, _TILE_SIDE = winograd.SIDE, winograd.SIDE + 2
_MAP, _TILE = _SIDE**2, _TILE_SIDE**2
_TO_TILE, _OF_KERNEL, _TO_MAP = winograd.transforms(torch.float32)


# -- compiled steps, each for the channels from `first` up to `last` of a block ----------------------------------------


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
def _make_tiles(maps, tiles, first, last):
    for c in range(first, last):
        _tile_of_map(maps, c, tiles, c)


@compiled
def _make_tiles_of_elu(maps, norm, tiles, first, last):
    active = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(first, last):
        fused.activate(maps, norm, c, active, 0)
        _tile_of_map(active, 0, tiles, c)


@compiled
def _make_maps(maps, products, bias, moments, first, last):
    for c in range(first, last):
        _map_of_product(products, c, maps, c)
        for p in range(_MAP):
            for i in range(maps.shape[2]):
                maps[c, p, i] += bias[c]
        fused.take_moments(maps, c, moments)


@compiled
def _make_elu(maps, norm, result, first, last):
    for c in range(first, last):
        fused.activate(maps, norm, c, result, c)


@compiled
def _back_through_elu(gradient, maps, norm, sums, first, last):
    for c in range(first, last):
        fused.back_through_elu(gradient, maps, norm, sums, c)


@compiled
def _back_through_maps(gradient, maps, norm, factors, products, totals, first, last):
    inner = np.empty((1, _MAP, maps.shape[2]), np.float32)
    for c in range(first, last):
        fused.back_through_norm(gradient, maps, norm, factors, c, inner, totals)
        _gradient_of_product(inner, 0, products, c)


@compiled
def _back_through_tiles(gradient, tiles, first, last):
    for c in range(first, last):
        _gradient_of_map(tiles, c, gradient, c)


@compiled
def _back_through_tiles_of_elu(gradient, tiles, maps, norm, sums, first, last):
    for c in range(first, last):
        _gradient_of_map(tiles, c, gradient, c)
        fused.back_through_elu(gradient, maps, norm, sums, c)


# -- layers one after the other ----------------------------------------------------------------------------------------


def convolutions(inputs: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """(n, c, 6, 6) float32 -> (n, k, 6, 6) through 3x3 convolution padded with zeros, BatchNorm, ELU, and so on."""
    parameters = chain(*(layer.parameters() for layer in layers))  # weight and bias of each, in pairs
    return _Layers.apply(inputs, layers[1::3], *parameters)


@dataclass(frozen=True)
class _Maps:
    """Maps, block by block, and, where they are of a convolution, what is left to do to them before ELU."""

    blocks: list[Array]
    norm: BatchNorm | None = None

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
    def forward(ctx: Any, inputs: Tensor, norms: Sequence[nn.Module], *parameters: Tensor) -> Tensor:
        maps = _Maps(fused.to_blocks(inputs, BLOCK))
        ctx.layers = []
        for module, weight, bias in zip(norms, parameters[::4], parameters[1::4], strict=True):
            kernels = winograd.on_both_axes(_OF_KERNEL, weight.permute(2, 3, 0, 1)).flatten(0, 1)
            tiles, products = _Scratch(weight.shape[1]), _Scratch(len(weight))
            blocks = [np.empty((len(weight), *block.shape[1:]), np.float32) for block in maps.blocks]
            moments = np.empty((len(blocks), 2, len(weight)), np.float32)
            constant = fused.array(bias)
            for number, block in enumerate(blocks):
                result = torch.bmm(kernels, maps.tiles(number, tiles), out=products.of(block.shape[2]))
                _on_channels(_make_maps, block, result.numpy(), constant, moments[number])
            ctx.layers.append((maps, kernels))
            maps = _Maps(blocks, norm := BatchNorm.of(module, blocks, moments))
        ctx.last = maps
        active = [np.empty_like(block) for block in maps.blocks]
        for block, output in zip(maps.blocks, active, strict=True):
            _on_channels(_make_elu, block, norm.values, output)
        return fused.from_blocks(active, _SIDE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_results: Tensor) -> tuple[Tensor | None, ...]:
        maps = ctx.last
        gradient = fused.to_blocks(of_results, BLOCK)
        sums = np.empty((len(gradient), 2, len(gradient[0])), np.float32)
        for part, block, of_block in zip(gradient, maps.blocks, sums, strict=True):
            _on_channels(_back_through_elu, part, block, maps.norm.values, of_block)
        of_parameters: list[Tensor] = []
        for before, kernels in reversed(ctx.layers):
            _, outputs, inputs = kernels.shape
            factors, *of_norm = maps.norm.back(sums)
            sums = np.empty((len(gradient), 2, inputs), np.float32)
            totals = np.empty((len(gradient), outputs), np.float32)
            of_kernels = torch.zeros_like(kernels)
            scratch, products = _Scratch(inputs), _Scratch(outputs)
            for number, block in enumerate(maps.blocks):
                part, of_products = gradient[number], products.of(block.shape[2])
                norm = maps.norm.values
                _on_channels(_back_through_maps, part, block, norm, factors, of_products.numpy(), totals[number])
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
            of_parameters[:0] = [of_weight, torch.from_numpy(totals.sum(axis=0)), *of_norm]
            maps = before
        of_inputs = fused.from_blocks(gradient, _SIDE) if ctx.needs_input_grad[0] else None
        return of_inputs, None, *of_parameters


class _Scratch:
    """Tiles of a block, or their products: in the same memory for every block, so that it stays in the cache."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.memory = torch.empty(_TILE * channels * BLOCK)

    def of(self, images: int) -> Tensor:
        return self.memory[: _TILE * self.channels * images].view(_TILE, self.channels, images)


def _on_channels(step: Callable[..., None], *arrays: Array) -> None:
    """The first array is maps, or their gradient."""
    channels = len(arrays[0])
    parts = min(torch.get_num_threads(), channels)
    bounds = pairwise(channels * part // parts for part in range(parts + 1))
    fused.for_each(step, [(*arrays, *part) for part in bounds])
