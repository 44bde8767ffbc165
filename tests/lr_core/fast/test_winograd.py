"""The convolution by minimal filtering gives what the direct one gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lr_core import models
from lr_core.fast import accelerate, classifier, winograd


def tensors(images: int, inputs: int, outputs: int, dtype: torch.dtype) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(images * 10_000 + inputs * 100 + outputs)
    shapes = (images, inputs, 6, 6), (outputs, inputs, 3, 3), (outputs,)
    return [torch.randn(shape, generator=draw, dtype=dtype).requires_grad_() for shape in shapes]


def fast(maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """(n, c, 6, 6) maps -> (n, k, 6, 6), by the transforms and a product of matrices for each of the 64 points."""
    to_tile, of_kernel, to_map = winograd.transforms(maps.dtype)
    tiles = winograd.on_both_axes(to_tile, maps.permute(2, 3, 1, 0))
    kernels = winograd.on_both_axes(of_kernel, weight.permute(2, 3, 0, 1))
    return winograd.on_both_axes(to_map, kernels @ tiles).permute(3, 2, 0, 1) + bias[:, None, None]


@given(images=st.integers(1, 9), inputs=st.integers(1, 7), outputs=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_result_and_all_gradients_are_those_of_the_direct_convolution(images: int, inputs: int, outputs: int) -> None:
    mine, direct = (tensors(images, inputs, outputs, torch.float64) for _ in range(2))
    results = fast(*mine), F.conv2d(*direct, padding=1)
    torch.testing.assert_close(*results, rtol=0, atol=1e-11)
    weights = torch.linspace(-1, 1, results[0].numel(), dtype=torch.float64).view(results[0].shape)
    for result in results:
        (result * weights).sum().backward()
    for ours, theirs in zip(mine, direct, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-10)


def test_single_precision_error_is_below_one_hundred_thousandth_of_the_result() -> None:
    maps, weight, bias = tensors(200, 50, 50, torch.float32)
    exact = F.conv2d(maps.double(), weight.double(), bias.double(), padding=1)
    error = (fast(maps, weight, bias).double() - exact).square().mean().sqrt() / exact.std()
    assert 1e-8 < error < 1e-5  # a thousandth of bf16's: 2 ** -8 = 4e-3


def test_bf16_takes_the_direct_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("minimal filtering loses too many digits in bf16")

    monkeypatch.setattr(classifier, "convolutions", refuse)
    network = accelerate(models.build(0)[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.zeros(2, 1, 6, 6)).shape == (2, 10)
    with pytest.raises(AssertionError):
        network(torch.zeros(2, 1, 6, 6))
