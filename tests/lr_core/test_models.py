"""The two networks against Tables 1 and 2 of the paper, layer by layer."""

import pytest
import torch
from torch import nn

from lr_core import models
from lr_core.models import Classifier, Compressor


def facts(layer):
    """What the paper's tables say of a layer, and what they imply (strides, padding, biases)."""
    match layer:
        case nn.Conv2d():
            assert (layer.stride, layer.dilation, layer.groups) == ((1, 1), (1, 1), 1)
            assert layer.bias is not None
            return "conv", layer.in_channels, layer.out_channels, layer.kernel_size, layer.padding
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            assert layer.affine
            assert layer.track_running_stats
            assert (layer.eps, layer.momentum) == (1e-5, 0.1)
            return type(layer).__name__, layer.num_features
        case nn.ELU():
            return "ELU", layer.alpha
        case nn.MaxPool2d():
            assert (layer.stride, layer.padding, layer.ceil_mode) == (layer.kernel_size, 0, False)
            return "max pool", layer.kernel_size
        case nn.Linear():
            assert layer.bias is not None
            return "dense", layer.in_features, layer.out_features
        case nn.Flatten():
            return ("flatten",)
        case nn.LogSoftmax():
            return "log-softmax", layer.dim
    raise AssertionError(f"a layer that is in neither table: {layer}")


TABLE_1 = [
    ("conv", 1, 10, (5, 5), (0, 0)), ("BatchNorm2d", 10), ("ELU", 1.0),
    ("conv", 10, 1, (5, 5), (0, 0)), ("BatchNorm2d", 1), ("ELU", 1.0),
    ("max pool", 3),
]  # fmt: skip
TABLE_2 = [
    ("conv", 1, 50, (3, 3), (1, 1)), ("BatchNorm2d", 50), ("ELU", 1.0),
    *5 * [("conv", 50, 50, (3, 3), (1, 1)), ("BatchNorm2d", 50), ("ELU", 1.0)],
    ("flatten",),
    ("dense", 1800, 16), ("BatchNorm1d", 16), ("ELU", 1.0),
    ("dense", 16, 10), ("log-softmax", 1),
]  # fmt: skip

# Shape of one image after each layer.
SHAPES_1 = [*3 * [(10, 24, 24)], *3 * [(1, 20, 20)], (1, 6, 6)]
SHAPES_2 = [*18 * [(50, 6, 6)], (1800,), *3 * [(16,)], (10,), (10,)]

# Parameters of each layer that has any: weights + biases, or scales + shifts.
PARAMETERS_1 = {0: 10 * 25 + 10, 1: 20, 3: 10 * 25 + 1, 4: 2}
PARAMETERS_2 = (
    {0: 50 * 9 + 50, 1: 100}
    | {3 * layer: 50 * 50 * 9 + 50 for layer in range(1, 6)}
    | {3 * layer + 1: 100 for layer in range(1, 6)}
    | {19: 1800 * 16 + 16, 20: 32, 22: 16 * 10 + 10}
)

BOTH = pytest.mark.parametrize(
    ("network", "table", "input_shape", "shapes", "parameters", "total"),
    [
        (Compressor, TABLE_1, (1, 28, 28), SHAPES_1, PARAMETERS_1, 533),
        (Classifier, TABLE_2, (1, 6, 6), SHAPES_2, PARAMETERS_2, 142_868),
    ],
    ids=["compressor", "classifier"],
)


@BOTH
def test_layers(network, table, input_shape, shapes, parameters, total):
    assert [facts(layer) for layer in network()] == table


@BOTH
def test_shape_after_every_layer(network, table, input_shape, shapes, parameters, total):
    values, found = torch.zeros(2, *input_shape), []
    for layer in network():
        values = layer(values)
        found.append(tuple(values.shape[1:]))
    assert found == shapes


@BOTH
def test_parameter_counts(network, table, input_shape, shapes, parameters, total):
    counts = {i: sum(p.numel() for p in layer.parameters()) for i, layer in enumerate(network())}
    assert {i: count for i, count in counts.items() if count} == parameters
    assert sum(counts.values()) == total


def test_a_latent_has_36_values_for_784_pixels():
    latent = Compressor()(torch.zeros(3, 1, 28, 28))
    assert latent.shape == (3, *models.LATENT_SHAPE) == (3, 1, 6, 6)
    assert latent[0].numel() == models.LATENT_VALUES == 36
    assert models.IMAGE_PIXELS == 784


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_are_scaled_to_0_1_in_the_precision_of_the_weights(dtype):
    compressor = Compressor().to(dtype).eval()
    pixels = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    latents = compressor(pixels)
    assert latents.dtype == dtype
    assert torch.equal(latents, compressor(pixels.to(dtype) / 255))
    assert not torch.equal(latents, compressor(pixels.to(dtype)))


def test_the_last_two_rows_and_columns_do_not_reach_the_latent():
    # 20 = 6 x 3 + 2: the pooling drops the features that alone see them.
    compressor, _ = models.build(0)  # with some weights, other values around are larger than theirs
    compressor.eval()
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    latent = compressor(image)

    def reaches(rows, columns):
        altered = [image.index_fill(2, rows, value).index_fill(3, columns, value) for value in (-9.0, 9.0)]
        return any(not torch.equal(compressor(a), latent) for a in altered)

    none = torch.tensor([], dtype=torch.int64)
    for edge, expected in [(27, False), (26, False), (25, True)]:
        assert reaches(torch.tensor([edge]), none) is expected, f"row {edge}"
        assert reaches(none, torch.tensor([edge])) is expected, f"column {edge}"


def test_classifier_gives_log_probabilities():
    outputs = Classifier().double()(torch.randn(8, 1, 6, 6, dtype=torch.float64))
    assert outputs.shape == (8, 10)
    torch.testing.assert_close(outputs.exp().sum(dim=1), torch.ones(8, dtype=torch.float64))


def test_same_seed_same_weights_other_seed_others():
    def weights(seed):
        return [p for network in models.build(seed) for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(weights(5), weights(5), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(weights(5), weights(6), strict=True) if a.ndim > 1)


def test_build_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    models.build(5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "scaling", [(255, 0), (1 / 0.3081, -0.1307 / 0.3081), (2, -1)], ids=["bytes", "standard", "±1"]
)
def test_scale_and_offset_of_pixels_cancel_but_for_epsilon(scaling):
    # The first convolution is unpadded and BatchNorm follows it. So the paper's open choice of a scaling moves no result.
    images = torch.rand(20, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor, offset = scaling
    found = []
    for pixels in (images, factor * images + offset):
        compressor = models.build(0)[0].double().train()
        compressor[1].eps = 1e-12  # what is left of a difference is its doing
        latents = compressor(pixels)
        latents.square().sum().backward()
        found.append((latents.detach(), compressor[0].weight.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 * other.abs().max().item())
