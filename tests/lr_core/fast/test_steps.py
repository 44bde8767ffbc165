"""What is compiled for single precision gives what the layers give in double precision, one after the other."""

from __future__ import annotations

import copy
import threading
import time

import pytest
import torch
from torch import Tensor, nn

from lr_core import metrics, models
from lr_core.device import Compute
from lr_core.fast import accelerate, steps
from lr_core.fast.classifier import convolutions
from lr_core.settings import Settings
from lr_core.training import Trainer
from lr_lab.runs.checkpoints import state

pytestmark = pytest.mark.xdist_group("compiled")  # with test_speed_changes_nothing.py: one worker compiles for both


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """As many threads as a test asks for, also where there are fewer cores."""
    monkeypatch.setattr(steps, "CORES", 4)


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def latents(images: int, values: float = 1.0) -> Tensor:
    return torch.randn(images, 1, 6, 6, generator=torch.Generator().manual_seed(images)) * values


def networks(training: bool = True) -> tuple[models.Classifier, models.Classifier]:
    """Twins, the second one in double precision; their running statistics are those of some training."""
    _, network = models.build(0)
    with torch.no_grad():
        for _ in range(3):
            nn.Sequential.forward(network, latents(50, 2))
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    twin = copy.deepcopy(network).double().train(training)
    accelerate(network.train(training))
    return network, twin


def compressors(training: bool = True) -> tuple[models.Compressor, models.Compressor]:
    network, _ = models.build(0)
    with torch.no_grad():
        for _ in range(3):
            nn.Sequential.forward(network, photographs(50) / 255)
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    twin = copy.deepcopy(network).double().train(training)
    accelerate(network.train(training))
    return network, twin


def photographs(images: int) -> Tensor:
    return torch.randint(
        0, 256, (images, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(images)
    )


def assert_same_gradients_and_statistics(network: nn.Module, exact: nn.Module, tolerance: float) -> None:
    largest = max(parameter.grad.norm() for parameter in exact.parameters())
    for (name, ours), (_, right) in zip(network.named_parameters(), exact.named_parameters(), strict=True):
        # The bias ahead of batch statistics has no effect: what is right is zero, which no error is relative to.
        if right.grad.norm() > 1e-9:
            assert distance(ours.grad, right.grad) < tolerance, name
        else:
            assert ours.grad.norm() < 1e-4 * largest, name
    for (name, ours), (_, right) in zip(network.named_buffers(), exact.named_buffers(), strict=True):
        torch.testing.assert_close(ours.double(), right.double(), rtol=1e-4, atol=1e-6, msg=name)


def distance(mine: Tensor, exact: Tensor) -> float:
    """Relative to the size of what is right."""
    return ((mine.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("training", [True, False], ids=["batch statistics", "running statistics"])
@pytest.mark.parametrize("images", [2, 128, 257])  # part of a block of 128, a whole one, two and one image
def test_classifier_is_that_of_its_layers(images: int, training: bool) -> None:
    network, exact = networks(training)
    mine, theirs = latents(images).requires_grad_(), latents(images).double().requires_grad_()
    results = network(mine), nn.Sequential.forward(exact, theirs)
    assert distance(*results) < 1e-5
    weights = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(2))
    for result in results:
        (result * weights).sum().backward()
    tolerance = 2e-4 if images > 2 else 2e-2  # with two images, many a gradient is a small difference of large ones
    assert distance(mine.grad, theirs.grad) < tolerance
    assert_same_gradients_and_statistics(network, exact, tolerance)


@pytest.mark.parametrize("training", [True, False], ids=["batch statistics", "running statistics"])
@pytest.mark.parametrize("images", [2, 64, 129])  # blocks are of 64
def test_compressor_is_that_of_its_layers(images: int, training: bool) -> None:
    network, exact = compressors(training)
    results = network(photographs(images)), nn.Sequential.forward(exact, photographs(images).double() / 255)
    assert distance(*results) < 1e-5
    weights = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(2))
    for result in results:
        (result * weights).sum().backward()
    assert_same_gradients_and_statistics(network, exact, 1e-3)


def test_pooling_gives_the_gradient_to_the_first_of_equals() -> None:
    network, exact = compressors(training=False)
    flat = torch.full((3, 1, 28, 28), 7, dtype=torch.uint8)  # all values of a map are the same
    network(flat).sum().backward()
    nn.Sequential.forward(exact, flat.double() / 255).sum().backward()
    assert_same_gradients_and_statistics(network, exact, 1e-4)


def test_latents_do_not_depend_on_the_other_images_of_a_batch(threads: int) -> None:
    network, _ = compressors(training=False)
    images = photographs(150)
    with torch.no_grad():
        latents = network(images)
        assert torch.equal(latents[[0, 64, 149]], network(images[[0, 64, 149]]))


def test_gradient_by_the_images_is_still_to_be_had() -> None:
    network, exact = compressors()
    mine, theirs = (photographs(5).to(dtype).div(255).requires_grad_() for dtype in (torch.float32, torch.float64))
    network(mine)[:, 0, 0, 0].sum().backward()
    exact(theirs)[:, 0, 0, 0].sum().backward()
    assert distance(mine.grad, theirs.grad) < 1e-3


@pytest.mark.parametrize("evaluation", ["running", "batch", "mixed"])
def test_evaluation_modes_predict_what_the_layers_predict(evaluation: str) -> None:
    network, exact = networks()
    before = copy.deepcopy(network.state_dict())
    tasks = latents(150), latents(151, 3.0)
    mine, theirs = (
        metrics.predict(n, [t.to(dtype) for t in tasks], evaluation, 100, torch.Generator().manual_seed(3))
        for n, dtype in ((network, torch.float32), (exact, torch.float64))
    )
    for ours, right in zip(mine, theirs, strict=True):
        assert (ours == right).float().mean() > 0.99  # what is on the border between two classes may fall either way
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), f"evaluation changed {name}"


def trained(threads: int, precision: str, images: int) -> dict[str, Tensor]:
    """Weights, BatchNorm statistics and momentum after two epochs of both networks, and what they then predict."""
    where = Compute(torch.device("cpu"), precision, threads)
    settings = Settings(batch_size=300, max_epochs=2)
    network = accelerate(nn.Sequential(*map(where.place, models.build(0))))
    labels = torch.arange(images) % 10
    trainer = Trainer(
        network,
        photographs(images),
        labels,
        settings=settings,
        compute=where,
        generator=torch.Generator().manual_seed(0),
    )
    epochs = list(trainer.epochs())
    with where.sharing():
        predicted = metrics.predict(network, [photographs(images)], "batch", 150, torch.Generator())
    return state(trainer) | {"loss": torch.tensor([epoch.loss for epoch in epochs]), "predicted": predicted[0]}


# Only single precision is computed in blocks: a batch of 300 is three of the classifier's and five of the compressor's.
@pytest.mark.parametrize(("precision", "images"), [("fp32", 400), ("fp64", 40)])
def test_training_gives_the_same_bits_on_any_number_of_threads(precision: str, images: int) -> None:
    first, *others = (trained(number, precision, images) for number in (1, 2, 4))
    for again in others:
        assert [name for name, value in first.items() if not torch.equal(value, again[name])] == []


def test_pytorch_has_its_threads_back_after_training(threads: int) -> None:
    trained(2, "fp64", 20)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("asked", "cores", "used"), [(4, 2, 2), (2, 4, 2), (3, 1, 1)])
def test_there_are_never_more_threads_than_cores(monkeypatch, asked: int, cores: int, used: int) -> None:
    monkeypatch.setattr(steps, "CORES", cores)
    together = threading.Barrier(used)
    calls = [[together]] * (2 * used)
    with Compute(torch.device("cpu"), "fp32", asked).sharing():
        steps.for_each(
            lambda barrier: barrier.wait(timeout=20), calls
        )  # passes only where `used` threads wait at a time
        seen: set[int] = set()
        steps.for_each(lambda: (seen.add(threading.get_ident()), time.sleep(0.01)), [[]] * 50)
    assert len(seen) <= used


@pytest.mark.parametrize("failing", [0, 5])
def test_what_a_step_raises_is_raised_once_all_threads_have_ended(failing: int) -> None:
    done = []

    def step(number: int) -> None:
        if number == failing:
            raise IndexError("of the step itself")
        done.append(number)

    with Compute(torch.device("cpu"), "fp32", 3).sharing(), pytest.raises(IndexError, match="of the step itself"):
        steps.for_each(step, [[number] for number in range(8)])
    assert len(set(done)) == len(done) < 8


def test_a_batchnorm_without_momentum_averages_over_all_batches() -> None:
    network, _ = models.build(0)
    exact = copy.deepcopy(network.train()).double()
    ours = accelerate(network)
    for twin in (ours, exact):
        for layer in twin:
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None
    for count in (10, 20, 30):
        ours(photographs(count))
        nn.Sequential.forward(exact, photographs(count).double() / 255)
    for (name, found), (_, right) in zip(ours.named_buffers(), exact.named_buffers(), strict=True):
        torch.testing.assert_close(found.double(), right.double(), rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_stays_visible(value: float) -> None:
    network, _ = networks(training=False)
    images = latents(3)
    images[1] = value
    found = network(images)
    assert torch.isnan(found[1]).any()
    assert torch.isfinite(found[[0, 2]]).all()


def test_the_incoming_gradient_is_left_as_it_was() -> None:
    network, _ = networks(training=False)
    result = convolutions(latents(1), list(network)[:18])
    gradient = torch.ones_like(result)
    result.backward(gradient)
    assert torch.equal(gradient, torch.ones_like(result))


def test_elu_is_exact_to_single_precision_wherever_it_is_read() -> None:
    layers = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1, eps=0).eval(), nn.ELU()
    with torch.no_grad():
        layers[0].weight.zero_()[0, 0, 1, 1] = 1
        layers[0].bias.zero_()
        # One value a map: the convolution, which does nothing here, rounds by the largest of a map.
        values = torch.cat([-torch.logspace(-6, 3, 350), torch.linspace(0, 50, 10)])[:, None, None, None]
        found = convolutions(values.expand(-1, 1, 6, 6), layers)
    expected = nn.functional.elu(values.double()).expand(-1, 1, 6, 6)
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=0)
