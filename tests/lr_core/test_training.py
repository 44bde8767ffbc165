"""The training loop against one written by hand, when it stops, and what it leaves alone."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lr_core import memory, training
from lr_core.device import Compute
from lr_core.settings import Settings
from lr_lab.runs.checkpoints import restore, state

SETTINGS = Settings(batch_size=8, learning_rate=0.1, momentum=0.9, max_epochs=3, precision="fp64")
LABELS = torch.arange(20) % 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs(seed=1, count=20):
    return torch.randn(count, 1, 6, 6, generator=generator(seed), dtype=torch.float64)


def network():
    """A few layers of the classifier's kinds; only BatchNorm makes a batch more than the sum of its images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ELU(), nn.Linear(8, 10), nn.LogSoftmax(1)
        ).double()


def kept(count=11):
    """A memory of more images than a batch holds, all of classes 5 to 7."""
    return memory.LatentMemory(inputs(2, count), (torch.arange(count) % 3 + 5).to(torch.uint8), torch.arange(count))


def by_hand(network, momentum, replay):
    """Three epochs with nothing of the library: every step of SGD written out.

    Returns losses and accuracies on the new images, one an epoch.
    """
    draws, velocity, tallies = generator(7), {}, []

    def step(batch, targets):
        log_probabilities = network(batch)
        loss = F.nll_loss(log_probabilities, targets)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for number, (weight, gradient) in enumerate(zip(network.parameters(), gradients, strict=True)):
                old = velocity.get(number)
                velocity[number] = gradient.clone() if old is None else old.mul_(momentum).add_(gradient)
                weight.add_(velocity[number], alpha=-0.1)
        return (log_probabilities.argmax(1) == targets).sum().item(), loss.item() * len(targets)

    network.train()
    images = inputs()
    for _ in range(3):
        correct = loss = 0
        for batch in torch.randperm(20, generator=draws).split(8):
            right, lost = step(images[batch], LABELS[batch])
            correct, loss = correct + right, loss + lost
            if replay is not None:
                chosen = torch.randperm(len(replay), generator=draws)[:8]
                step(replay.latents[chosen], replay.labels[chosen].long())
        tallies.append((correct / 20, loss / 20))
    return tallies


def begin(net, settings=SETTINGS, seed=7, **options):
    compute = options.pop("compute", Compute(torch.device("cpu"), "fp64", 1))
    images = options.pop("images", inputs())
    return training.Trainer(
        net, images, LABELS, settings=settings, compute=compute, generator=generator(seed), **options
    )


def train(*arguments, **options):
    return list(begin(*arguments, **options).epochs())


# -- batches ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(2, 50), st.integers(0, 2**32))
def test_batches_hold_every_image_once(count, size, seed):
    parts = training.batches(count, size, generator(seed))
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert all(len(part) == size for part in parts[:-2])
    assert all(2 <= len(part) <= size + 1 for part in parts) or count == 1


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (20, 5, [5, 5, 5, 5]),
        (22, 5, [5, 5, 5, 5, 2]),
        (21, 5, [5, 5, 5, 6]),  # BatchNorm has no statistics of a single image left over
        (6, 5, [6]),
        (4, 5, [4]),
        (1, 5, [1]),
        (31_500, 1000, [1000] * 31 + [500]),
    ],
)
def test_sizes_of_batches(count, size, sizes):
    assert [len(part) for part in training.batches(count, size, generator())] == sizes


def test_every_epoch_has_an_order_of_its_own():
    draws = generator()
    first, second = (torch.cat(training.batches(50, 10, draws)) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.cat(training.batches(50, 10, generator())))


# -- the loop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("replay", [None, kept()], ids=["no memory", "memory"])
def test_training_is_the_loop_written_by_hand(momentum, replay):
    ours, plain = network(), network()
    epochs = train(ours, replace(SETTINGS, momentum=momentum, target_train_accuracy=0.999), memory=replay)
    tallies = by_hand(plain, momentum, replay)
    for name, value in plain.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert [epoch.train_accuracy for epoch in epochs] == [accuracy for accuracy, _ in tallies]
    # The tally of the loss is kept in single precision.
    assert [epoch.loss for epoch in epochs] == pytest.approx([loss for _, loss in tallies], rel=1e-6)


def test_the_memory_is_updated_on_after_each_new_batch():
    net, seen = network(), []
    net.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    train(net, replace(SETTINGS, max_epochs=1), memory=kept(3))
    assert seen == [8, 3, 8, 3, 4, 3]  # the memory is smaller than a batch: all of it, every time


def test_the_loss_is_the_cross_entropy_of_the_classifier():
    net, images = network(), inputs()
    logits = net[:-1](images)
    expected = F.cross_entropy(logits, LABELS).item()
    settings = replace(SETTINGS, batch_size=20, max_epochs=1)
    assert train(network(), settings)[0].loss == pytest.approx(expected, rel=1e-6)


def test_frozen_weights_stay():
    net = network()
    net[1].requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    train(net)
    after = net.state_dict()
    assert torch.equal(before["1.weight"], after["1.weight"])
    assert not torch.equal(before["4.weight"], after["4.weight"])


# -- when it stops ------------------------------------------------------------------------------------------------


def separable():
    """Images that their labels can be read off: every pass soon classifies all of them rightly."""
    return inputs() * 0.01 + 5 * F.one_hot(LABELS, 36).double().reshape(20, 1, 6, 6)


@pytest.mark.parametrize("target", [0.5, 0.9])
def test_training_stops_after_the_first_epoch_that_reaches_the_target(target):
    settings = replace(SETTINGS, target_train_accuracy=target, max_epochs=100)
    epochs = train(network(), settings, images=separable())
    assert len(epochs) < 100
    assert epochs[-1].train_accuracy >= target
    assert all(epoch.train_accuracy < target for epoch in epochs[:-1])


def test_reaching_the_target_exactly_is_enough():
    settings = replace(SETTINGS, target_train_accuracy=0.9, max_epochs=100)
    reached = train(network(), settings, images=separable())
    exact = replace(settings, target_train_accuracy=min(reached[-1].train_accuracy, 0.999))
    assert len(train(network(), exact, images=separable())) == len(reached)


@pytest.mark.parametrize("cap", [1, 2, 5])
def test_training_stops_at_the_cap(cap):
    settings = replace(SETTINGS, target_train_accuracy=0.999, max_epochs=cap, learning_rate=1e-6)
    assert [epoch.number for epoch in train(network(), settings)] == list(range(1, cap + 1))


def test_the_caller_may_evaluate_between_epochs():
    net, heard = network(), []
    for epoch in begin(net).epochs():
        assert net.training
        net.eval()  # as measuring accuracy does: the next epoch trains all the same
        heard.append(epoch)
    silent = network()
    assert train(silent) == heard
    assert len(heard) == 3
    for name, value in silent.state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name


# -- interrupted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_training_goes_on_after_any_epoch_as_if_it_had_not_been_interrupted(momentum, after):
    settings = replace(SETTINGS, momentum=momentum, target_train_accuracy=0.999)
    whole = network()
    epochs = train(whole, settings, memory=kept())
    begun = begin(network(), settings, memory=kept())
    for _ in range(after):
        next(begun.epochs())
    kept_state = {name: value.clone() for name, value in state(begun).items()}
    for _ in begun.epochs():  # what is made of it afterwards does not matter
        pass
    net = network()
    resumed = begin(net, settings, seed=8, memory=kept())
    restore(resumed, kept_state, epochs[after - 1])
    assert list(resumed.epochs()) == epochs[after:]
    for name, value in whole.state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name


def test_what_had_reached_its_target_is_not_trained_on():
    settings = replace(SETTINGS, target_train_accuracy=0.5, max_epochs=100)
    begun = begin(network(), settings, images=separable())
    epochs = list(begun.epochs())
    resumed = begin(network(), settings, images=separable())
    restore(resumed, state(begun), epochs[-1])
    assert resumed.reached_target
    assert list(resumed.epochs()) == []


# -- randomness and precision -------------------------------------------------------------------------------------


def test_training_leaves_the_global_generator_alone():
    net, before = network(), torch.get_rng_state()
    train(net, memory=kept())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_of_images_is_drawn_from_the_generator():
    one, same, other = network(), network(), network()
    for net, seed in ((one, 1), (same, 1), (other, 2)):
        train(net, seed=seed)
    assert torch.equal(one[1].weight, same[1].weight)
    assert not torch.equal(one[1].weight, other[1].weight)


@pytest.mark.parametrize(("precision", "dense"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_bf16_is_for_the_layers_and_not_for_the_weights(precision, dense):
    net, seen = network().float(), []
    net[1].register_forward_hook(lambda module, arguments, output: seen.append(output.dtype))
    compute = Compute(torch.device("cpu"), precision, 1)
    train(net, replace(SETTINGS, max_epochs=1), compute=compute, images=inputs().float())
    assert set(seen) == {dense}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
