"""What makes training fast leaves what is measured as it is: against a plain loop, and bf16 against single precision."""

import statistics
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lr_core import memory, metrics, models, training
from lr_core.device import Compute
from lr_core.experiment import encode, freeze
from lr_core.fast import accelerate
from lr_core.settings import Settings, make_generator
from lr_core.tasks import split

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import textbook  # noqa: E402  the plain loop is the rival that speed is measured against

pytestmark = pytest.mark.xdist_group("compiled")  # with test_fused.py: one worker compiles for both

SETTINGS = Settings(batch_size=40, learning_rate=0.01, max_epochs=2, images_per_class=50)
TASKS = range(5), range(5, 10)


def on_cpu(precision):
    return Compute(torch.device("cpu"), precision, 1)


def generator(purpose):
    return make_generator(0, purpose)


def images_of(digits, task, part="train"):
    return digits.images.unsqueeze(1)[getattr(task, part)], digits.labels[getattr(task, part)]


def plain_layers():
    """The textbook's networks with the initial weights of ours."""
    networks = textbook.compressor(), textbook.classifier()
    for plain, ours in zip(networks, models.build(0), strict=True):
        plain.load_state_dict(ours.state_dict())
    return networks


def plain_epochs(network, prepare, labels, draws, kept=None):
    """(accuracy, loss) of each epoch, by layers as PyTorch offers them and `prepare` for every batch anew."""
    optimizer = torch.optim.SGD(network.parameters(), lr=SETTINGS.learning_rate, momentum=SETTINGS.momentum)

    def step(inputs, targets):
        output = network(inputs)
        loss = nn.functional.nll_loss(output, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return (output.argmax(1) == targets).sum().item(), loss.item() * len(targets)

    found = []
    for _ in range(SETTINGS.max_epochs):
        network.train()
        tally = torch.zeros(2, dtype=torch.float64)
        for batch in training.batches(len(labels), SETTINGS.batch_size, draws):
            tally += torch.tensor(step(prepare(batch), labels[batch]))
            if kept is not None:
                step(*kept.draw(SETTINGS.batch_size, draws))
        found.append((tally / len(labels)).tolist())
    return found


def two_tasks(digits, where, settings, seed=0):
    """The library's way: all epochs of the first task and of a second one with replay, and the networks."""
    (old, old_labels), (new, new_labels) = (
        images_of(digits, split(digits, classes, settings, seed)) for classes in TASKS
    )
    compressor, classifier = (accelerate(where.place(network)) for network in models.build(seed))
    options = {"settings": settings, "compute": where}
    network = nn.Sequential(compressor, classifier)
    epochs = list(training.Trainer(network, old, old_labels, generator=generator("1"), **options).epochs())
    freeze(compressor)
    kept = memory.choose(encode(compressor, old, where), old_labels, 0.25, generator("memory"))
    latents = encode(compressor, new, where)
    replaying = training.Trainer(classifier, latents, new_labels, generator=generator("2"), memory=kept, **options)
    epochs += replaying.epochs()
    return epochs, network


def test_every_epoch_equals_that_of_a_plain_single_precision_loop(digits):
    (old, old_labels), (new, new_labels) = (images_of(digits, split(digits, classes, SETTINGS, 0)) for classes in TASKS)
    first, head = plain_layers()
    plain = plain_epochs(nn.Sequential(first, head), lambda b: old[b].float() / 255, old_labels, generator("1"))
    freeze(first)
    kept = memory.choose(first(old.float() / 255), old_labels, 0.25, generator("memory"))
    plain += plain_epochs(head, lambda b: first(new[b].float() / 255), new_labels, generator("2"), kept)

    fast, _ = two_tasks(digits, on_cpu("fp32"), SETTINGS)
    assert len(fast) == len(plain) == 2 * SETTINGS.max_epochs
    for ours, (accuracy, loss) in zip(fast, plain, strict=True):
        assert ours.loss == pytest.approx(loss, rel=1e-3)
        assert ours.train_accuracy == pytest.approx(accuracy, abs=1.5 / len(old))  # one image, at most


def final_accuracies(digits, precision, seed):
    """On the test images of both tasks after the second, by batch statistics."""
    where, settings = on_cpu(precision), replace(SETTINGS, images_per_class=20)  # bf16 is slow here
    _, network = two_tasks(digits, where, settings, seed)
    tests = [images_of(digits, split(digits, classes, settings, seed), "test") for classes in TASKS]
    with where.autocast():
        predicted = metrics.predict(network, [images for images, _ in tests], "batch", 50, generator("mixed"))
    return [metrics.accuracy(classes, labels) for classes, (_, labels) in zip(predicted, tests, strict=True)]


def test_bf16_differs_from_single_precision_by_less_than_one_seed_from_another(digits):
    single, half = ([final_accuracies(digits, p, seed) for seed in range(4)] for p in ("fp32", "bf16"))
    for fp32, bf16 in zip(zip(*single, strict=True), zip(*half, strict=True), strict=True):
        assert abs(statistics.mean(fp32) - statistics.mean(bf16)) < statistics.stdev(fp32)
