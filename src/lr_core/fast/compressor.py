"""The compressor, all of it, in single precision on a CPU (see `steps`).

Its convolutions have one channel in or out, of which the library's, made for many, take ten times as long as the sums
need. Each step below treats a block of images; blocks are shared among threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lr_core.fast import steps
from lr_core.fast.steps import ZERO, Array, BatchNorm, compiled, inlined

BLOCK = 64
"""Images of a block: one channel after the first convolution takes 150 kB."""

_IMAGE, _KERNEL, _POOL = 28, 5, 3
_FIRST = _IMAGE - _KERNEL + 1
_SECOND = _FIRST - _KERNEL + 1
_LATENT = _SECOND // _POOL


# -- compiled steps ----------------------------------------------------------------------------------------------------


@inlined
def _fill(maps, c, value):
    for p in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            maps[c, p, i] = value


@inlined
def _correlate(source, side, kernels, k, target, t):
    """Add to channel t of the target, (side - 4) wide, the correlation of a source, `side` wide, with kernel k."""
    images = source.shape[2]
    values = source[0].reshape(-1)  # positions of a row are one piece of memory
    results = target[t].reshape(-1)
    width = (side - _KERNEL + 1) * images
    for y in range(side - _KERNEL + 1):
        result = results[y * width : (y + 1) * width]
        for dy in range(_KERNEL):
            row = values[(y + dy) * side * images : (y + dy + 1) * side * images]
            v0, v1, v2, v3, v4 = row, row[images:], row[2 * images :], row[3 * images :], row[4 * images :]
            w = kernels[k, dy * _KERNEL : (dy + 1) * _KERNEL]
            w0, w1, w2, w3, w4 = w[0], w[1], w[2], w[3], w[4]
            for i in range(width):
                result[i] += w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i] + w4 * v4[i]


@inlined
def _of_kernel(source, side, gradient, of_kernels, k):
    """Gradient of kernel k in `_correlate`, from the gradient of its target."""
    images = source.shape[2]
    values = source[0].reshape(-1)
    of_results = gradient[0].reshape(-1)
    width = (side - _KERNEL + 1) * images
    for p in range(_KERNEL**2):
        of_kernels[k, p] = ZERO
    for y in range(side - _KERNEL + 1):
        of_result = of_results[y * width : (y + 1) * width]
        for dy in range(_KERNEL):
            row = values[(y + dy) * side * images : (y + dy + 1) * side * images]
            v0, v1, v2, v3, v4 = row, row[images:], row[2 * images :], row[3 * images :], row[4 * images :]
            s0, s1, s2, s3, s4 = ZERO, ZERO, ZERO, ZERO, ZERO
            for i in range(width):
                s0 += of_result[i] * v0[i]
                s1 += of_result[i] * v1[i]
                s2 += of_result[i] * v2[i]
                s3 += of_result[i] * v3[i]
                s4 += of_result[i] * v4[i]
            w = of_kernels[k, dy * _KERNEL : (dy + 1) * _KERNEL]
            w[0] += s0
            w[1] += s1
            w[2] += s2
            w[3] += s3
            w[4] += s4


@compiled
def _convolve(images, kernels, bias, maps, moments):
    for c in range(len(kernels)):
        _fill(maps, c, bias[c])
        _correlate(images, _IMAGE, kernels, c, maps, c)
        steps.take_moments(maps, c, moments)


@compiled
def _convolve_elu(maps, norm, kernels, bias, result, moments):
    active = np.empty((1, *maps.shape[1:]), np.float32)
    _fill(result, 0, bias[0])
    for c in range(len(kernels)):
        steps.activate(maps, norm, c, active, 0)
        _correlate(active, _FIRST, kernels, c, result, 0)
    steps.take_moments(result, 0, moments)


@inlined
def _largest(active, row, column, i):
    """Where the largest value of a pooled block is, the first of equals."""
    best = row * _POOL * _SECOND + column * _POOL
    for dy in range(_POOL):
        for dx in range(_POOL):
            p = (row * _POOL + dy) * _SECOND + column * _POOL + dx
            if active[0, p, i] > active[0, best, i] or np.isnan(active[0, p, i]):
                best = p
    return best


@compiled
def _pool_elu(maps, norm, latents):
    active = np.empty(maps.shape, np.float32)
    steps.activate(maps, norm, 0, active, 0)
    for row in range(_LATENT):
        for column in range(_LATENT):
            for i in range(maps.shape[2]):
                latents[0, row * _LATENT + column, i] = active[0, _largest(active, row, column, i), i]


@compiled
def _back_through_pool_elu(of_latents, maps, norm, gradient, sums):
    active = np.empty(maps.shape, np.float32)
    steps.activate(maps, norm, 0, active, 0)
    _fill(gradient, 0, ZERO)
    for row in range(_LATENT):
        for column in range(_LATENT):
            for i in range(maps.shape[2]):
                gradient[0, _largest(active, row, column, i), i] = of_latents[0, row * _LATENT + column, i]
    steps.back_through_elu(gradient, maps, norm, sums, 0)


@compiled
def _back_through_second(gradient, maps, norm, factors, before, norm_before, turned, result, of_kernels, total, sums):
    """To the maps after the first convolution: there, the gradient is a correlation too, with the kernel turned around."""
    images = maps.shape[2]
    inner = np.empty(maps.shape, np.float32)
    steps.back_through_norm(gradient, maps, norm, factors, 0, inner, total)
    padded = np.zeros((1, _IMAGE * _IMAGE, images), np.float32)
    for y in range(_SECOND):
        for x in range(_SECOND):
            for i in range(images):
                padded[0, (y + _KERNEL - 1) * _IMAGE + x + _KERNEL - 1, i] = inner[0, y * _SECOND + x, i]
    active = np.empty((1, *before.shape[1:]), np.float32)
    for c in range(len(turned)):
        steps.activate(before, norm_before, c, active, 0)
        _of_kernel(active, _FIRST, inner, of_kernels, c)
        _fill(result, c, ZERO)
        _correlate(padded, _IMAGE, turned, c, result, c)
        steps.back_through_elu(result, before, norm_before, sums, c)


@compiled
def _back_through_first(gradient, maps, norm, factors, images, of_kernels, totals):
    inner = np.empty((1, *maps.shape[1:]), np.float32)
    for c in range(len(maps)):
        steps.back_through_norm(gradient, maps, norm, factors, c, inner, totals)
        _of_kernel(images, _IMAGE, inner, of_kernels, c)


# -- the network -------------------------------------------------------------------------------------------------------


def compress(images: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """(n, 1, 28, 28) float32 in [0, 1] -> (n, 1, 6, 6) latents. Not differentiable by the images."""
    first, first_norm, _, second, second_norm, *_ = layers
    parameters = [p for layer in (first, first_norm, second, second_norm) for p in layer.parameters()]
    return _Compress.apply(images, first_norm, second_norm, *parameters)


class _Compress(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, first_norm: nn.Module, second_norm: nn.Module, *parameters: Tensor) -> Tensor:
        first_weight, first_bias, _, _, second_weight, second_bias, _, _ = parameters
        pixels = [_empty(1, _IMAGE**2, len(part)) for part in images.split(BLOCK)]
        _on_blocks(steps.to_block, list(images.split(BLOCK)), pixels)
        sizes = [block.shape[2] for block in pixels]
        kernels, moments = steps.array(first_weight.flatten(1)), _empty(len(sizes), 2, len(first_weight))
        maps = [_empty(len(kernels), _FIRST**2, size) for size in sizes]
        _on_blocks(_convolve, pixels, kernels, steps.array(first_bias), maps, list(moments))
        first = maps, BatchNorm.of(first_norm, maps, moments)
        kernels, moments = steps.array(second_weight[0].flatten(1)), _empty(len(sizes), 2, 1)
        maps = [_empty(1, _SECOND**2, size) for size in sizes]
        _on_blocks(_convolve_elu, first[0], first[1].values, kernels, steps.array(second_bias), maps, list(moments))
        second = maps, BatchNorm.of(second_norm, maps, moments)
        latents = torch.empty(len(images), 1, _LATENT, _LATENT)
        _on_blocks(_pool, second[0], second[1].values, list(latents.split(BLOCK)))
        ctx.pixels, ctx.first, ctx.second, ctx.kernels = pixels, first, second, kernels
        return latents

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_latents: Tensor) -> tuple[Tensor | None, ...]:
        (first_maps, first_norm), (second_maps, second_norm) = ctx.first, ctx.second
        blocks, channels = len(ctx.pixels), len(ctx.kernels)
        of_second = [np.empty_like(block) for block in second_maps]
        sums = _empty(blocks, 2, 1)
        of_blocks = [steps.to_block(part) for part in of_latents.split(BLOCK)]
        _on_blocks(_back_through_pool_elu, of_blocks, second_maps, second_norm.values, of_second, list(sums))
        factors, *of_second_norm = second_norm.back(sums)
        of_first = [np.empty_like(block) for block in first_maps]
        sums, of_kernels, total = _empty(blocks, 2, channels), _empty(blocks, channels, _KERNEL**2), _empty(blocks, 1)
        after = of_second, second_maps, second_norm.values, factors
        before = first_maps, first_norm.values, np.ascontiguousarray(ctx.kernels[:, ::-1])
        _on_blocks(_back_through_second, *after, *before, of_first, list(of_kernels), list(total), list(sums))
        of_second_convolution = _summed(of_kernels, 1, channels, _KERNEL, _KERNEL), _summed(total, 1)
        factors, *of_first_norm = first_norm.back(sums)
        totals = _empty(blocks, channels)
        after = of_first, first_maps, first_norm.values, factors
        _on_blocks(_back_through_first, *after, ctx.pixels, list(of_kernels), list(totals))
        of_first_convolution = _summed(of_kernels, channels, 1, _KERNEL, _KERNEL), _summed(totals, channels)
        return None, None, None, *of_first_convolution, *of_first_norm, *of_second_convolution, *of_second_norm


def _empty(*shape: int) -> Array:
    return np.empty(shape, np.float32)


def _summed(parts: Array, *shape: int) -> Tensor:
    """Over the blocks."""
    return torch.from_numpy(parts.sum(axis=0, dtype=np.float64)).float().view(shape)


def _pool(maps: Array, norm: Array, latents: Tensor) -> None:
    pooled = _empty(1, _LATENT**2, maps.shape[2])
    _pool_elu(maps, norm, pooled)
    steps.from_block(pooled, latents)


def _on_blocks(step: Callable[..., object], *arguments: list[Any] | Array) -> None:
    """A list has one array for each block, an array is the same for all."""
    blocks = len(next(part for part in arguments if isinstance(part, list)))
    steps.for_each(step, [[part[i] if isinstance(part, list) else part for part in arguments] for i in range(blocks)])
