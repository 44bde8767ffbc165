"""What is measured: the three evaluation modes on networks small enough to see through, and the plain measures."""

import copy
import doctest

import pytest
import torch
from torch import nn

from lr_core import metrics, models
from lr_core.errors import UsageError
from lr_core.settings import EVALUATIONS

MODES = pytest.mark.parametrize("mode", EVALUATIONS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Sizes(nn.Module):
    """Passes its input through and notes how many images came, and which (their first value)."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, inputs):
        self.seen.append(inputs.flatten(1)[:, 0].tolist())
        return inputs


def sign():
    """One feature; BatchNorm; then class 5 for what lies above the mean it assumes, class 0 for what lies below."""
    dense = nn.Linear(1, 10)
    with torch.no_grad():
        dense.weight.zero_()
        dense.bias.fill_(-100)
        dense.weight[5], dense.weight[0] = 1, -1
        dense.bias[[0, 5]] = 0
    return nn.Sequential(nn.BatchNorm1d(1), dense)


def one_hot(labels):
    """Inputs whose largest value stands at their class, before BatchNorm and after."""
    return nn.functional.one_hot(labels, 10).float()


# -- the three modes ----------------------------------------------------------------------------------------------


def test_batch_statistics_leak_the_task_and_no_other_mode_does():
    """The same image, with value 0, is in both tasks; the others are brighter in task A and darker in task B.

    No rule for single images can separate the two. Statistics of a batch from one task can: the leak.
    """
    in_a, in_b = torch.tensor([[0.0], [1.0], [1.0], [1.0]]), torch.tensor([[0.0], [-1.0], [-1.0], [-1.0]])
    network = sign()

    def first_image(mode):
        on_a, on_b = metrics.predict(network, [in_a, in_b], mode, batch_size=8, generator=generator())
        return on_a[0].item(), on_b[0].item()

    assert first_image("batch") == (0, 5)  # each time the class of the task that it came with
    for mode in ("running", "mixed"):
        on_a, on_b = first_image(mode)
        assert on_a == on_b, mode


def test_running_statistics_judge_each_image_by_itself():
    network = nn.Sequential(nn.BatchNorm1d(10), nn.Linear(10, 10, bias=False)).double()
    network(torch.randn(64, 10, generator=generator(1), dtype=torch.float64) + 1)  # statistics unlike the initial ones
    images = torch.randn(40, 10, generator=generator(2), dtype=torch.float64)
    (together,) = metrics.predict(network, [images], "running", 40, generator())
    alone = [metrics.predict(network, [image[None]], "running", 40, generator())[0] for image in images]
    assert torch.equal(together, torch.cat(alone))
    assert len(together.unique()) > 1


def test_batch_statistics_of_a_task_ignore_the_other_task():
    network = models.build(0)[1].double()
    old, new = (torch.randn(30, 1, 6, 6, generator=generator(seed), dtype=torch.float64) + seed for seed in (1, 2))
    alone = metrics.predict(network, [new], "batch", 10, generator())
    assert torch.equal(metrics.predict(network, [new, old], "batch", 10, generator())[0], alone[0])
    assert not torch.equal(metrics.predict(network, [new, old], "mixed", 10, generator())[0], alone[0])


@MODES
def test_predictions_come_back_in_the_order_of_the_images(mode):
    # With every class as often as every other, one-hot rows keep their largest value under any statistics.
    labels = [torch.arange(10).repeat(7), torch.arange(10).flip(0).repeat(3)]
    network = nn.Sequential(Sizes(), nn.BatchNorm1d(10))
    predicted = metrics.predict(network, [one_hot(part) for part in labels], mode, 1000, generator())
    assert [len(part) for part in predicted] == [70, 30]
    for found, expected in zip(predicted, labels, strict=True):
        assert torch.equal(found, expected)
        assert found.dtype == torch.int64


@pytest.mark.parametrize(
    ("mode", "sizes"),
    [
        ("running", [15, 15, 14, 14, 14]),  # 30 in 2, 42 in 3; not 20 + 10 and 20 + 20 + 2
        ("batch", [15, 15, 14, 14, 14]),
        ("mixed", [18, 18, 18, 18]),  # 72 in 4
    ],
)
def test_batches_have_equal_sizes_and_hold_both_tasks_in_mode_mixed_only(mode, sizes):
    tasks, watch = [torch.full((30, 1), 1.0), torch.full((42, 1), 2.0)], Sizes()
    metrics.predict(nn.Sequential(watch, nn.BatchNorm1d(1)), tasks, mode, 20, generator())
    assert [len(batch) for batch in watch.seen] == sizes
    assert {len(set(batch)) for batch in watch.seen} == ({2} if mode == "mixed" else {1})


def test_the_mixture_is_drawn_from_the_generator():
    tasks = [torch.arange(50.0)[:, None], torch.arange(50.0, 100)[:, None]]

    def order(seed):
        watch = Sizes()
        metrics.predict(nn.Sequential(watch, nn.BatchNorm1d(1)), tasks, "mixed", 10, generator(seed))
        return watch.seen

    assert order(1) == order(1) != order(2)
    assert sorted(sum(order(1), [])) == list(range(100))


@MODES
def test_measuring_leaves_the_network_as_it_was(mode):
    compressor, classifier = models.build(0)
    network = nn.Sequential(compressor, classifier)
    network(torch.rand(16, 1, 28, 28, generator=generator(1)))
    before = copy.deepcopy(network.state_dict())
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8, generator=generator(2))
    metrics.predict(network, [images[:12], images[12:]], mode, 5, generator())
    after = network.state_dict()
    assert sum(name.endswith("num_batches_tracked") for name in before) == 9
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert not any(module.training for module in network.modules())
    assert all(m.track_running_stats for m in network.modules() if hasattr(m, "track_running_stats"))


@MODES
def test_an_interrupted_measurement_leaves_batchnorm_as_it_was(mode):
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 10))  # the shapes do not fit: forward fails
    with pytest.raises(RuntimeError):
        metrics.predict(network, [torch.zeros(8, 3)], mode, 4, generator())
    assert not network[0].training
    assert network[0].track_running_stats
    assert network[0].num_batches_tracked == 0


def test_unknown_mode_names_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown evaluation mode 'eval'; known are running, batch, mixed"):
        metrics.predict(sign(), [torch.zeros(2, 1)], "eval", 2, generator())


# -- the measures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicted", "labels", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3], [3, 1, 2], 0.0),
        ([1, 2, 3, 4], [1, 0, 3, 0], 0.5),
        ([0], [9], 0.0),
        ([5, 6, 7], [0, 1, 7], 1 / 3),  # a class of the other task is simply wrong
    ],
)
def test_accuracy(predicted, labels, expected):
    assert metrics.accuracy(torch.tensor(predicted), torch.tensor(labels)) == expected


@pytest.mark.parametrize(
    ("predicted", "labels", "cells"),
    [
        ([], [], {}),
        ([3], [7], {(7, 3): 1}),
        ([0, 0, 9, 9], [0, 1, 9, 9], {(0, 0): 1, (1, 0): 1, (9, 9): 2}),
    ],
)
def test_confusion_has_true_classes_as_rows(predicted, labels, cells):
    counts = metrics.confusion(torch.tensor(predicted, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64))
    assert counts == [[cells.get((row, column), 0) for column in range(10)] for row in range(10)]


def test_confusion_agrees_with_accuracy_and_class_sizes():
    labels, predicted = (torch.randint(0, 10, (500,), generator=generator(seed)) for seed in (1, 2))
    counts = torch.tensor(metrics.confusion(predicted, labels))
    assert counts.sum(dim=1).tolist() == labels.bincount(minlength=10).tolist()
    assert counts.sum(dim=0).tolist() == predicted.bincount(minlength=10).tolist()
    assert counts.trace().item() / 500 == metrics.accuracy(predicted, labels)


@pytest.mark.parametrize(
    ("matrix", "lost"),
    [
        ([[1.0], [0.0, 0.5]], 1.0),
        ([[0.75], [0.5, 1.0]], 0.25),
        ([[0.5], [0.75, 1.0]], -0.25),
        ([[1.0], [0.5, 0.75], [0.25, 0.25, 1.0]], (0.75 + 0.5) / 2),
        ([[0.5]], None),
        ([], None),
    ],
)
def test_forgetting(matrix, lost):
    assert metrics.forgetting(matrix) == lost


def test_the_examples_in_docstrings_hold():
    assert doctest.testmod(metrics).attempted > 0
    assert doctest.testmod(metrics).failed == 0
