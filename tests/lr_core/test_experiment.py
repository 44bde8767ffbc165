"""Sequences of tasks: what is refused, and that two tasks are an arm of the protocol, bit for bit."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from lr_core import memory
from lr_core.errors import UsageError
from lr_core.experiment import TaskSequence
from lr_lab.panel.text import parse_tasks
from lr_lab.runs.forgotten import find_forgotten
from lr_lab.runs.latent_plane import latent_plane

HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
PAIRS = ((0, 1), (2, 3), (4, 5))


@pytest.fixture(scope="module")
def pairs(digits, tiny, double):
    """Three tasks of two, learned, with what was seen on the way."""
    settings = dataclasses.replace(tiny, images_per_class=40)
    return TaskSequence(digits, PAIRS, share=0.25, settings=settings, compute=double).run()


# -- what a user types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("01234 | 56789", HALVES),
        ("01|23456789", ((0, 1), (2, 3, 4, 5, 6, 7, 8, 9))),
        ("0, 1 | 2 3 | 4,5", PAIRS),
        ("7|3", ((7,), (3,))),
    ],
)
def test_tasks_are_digits_with_a_bar_between_them(text, tasks):
    assert parse_tasks(text) == tasks


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no class is chosen"),
        (" | ", "no class is chosen"),
        ("0123456789", "one task alone"),
        ("01 | | 23", "task 2 is left without a class"),
        ("01 |", "task 2 is left without a class"),
        ("01 | 12", "class 1 is chosen twice"),
        ("01 | 2x", "'x' is no class"),
        ("01 / 23", "'/' is no class"),
        (123456789, "tasks are 123456789, which is no text"),  # what papermill's -p makes of 0123456789
    ],
)
def test_tasks_that_cannot_be_are_refused_in_one_line(text, complaint):
    with pytest.raises(UsageError) as refusal:
        parse_tasks(text)
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 5, float("nan")])
def test_a_memory_of_nothing_or_of_more_than_all_is_refused(digits, tiny, share):
    with pytest.raises(UsageError, match="more than 0 and at most 100 %"):
        TaskSequence(digits, HALVES, share=share, settings=tiny)


def test_a_class_that_the_data_lack_is_refused(digits, tiny):
    few = dataclasses.replace(digits, class_names=digits.class_names[:6])
    with pytest.raises(UsageError, match="there is no class 6: this data set has 0 to 5"):
        TaskSequence(few, ((0, 1), (5, 6)), settings=tiny)


def test_replay_without_freezing_is_refused(digits, tiny):
    with pytest.raises(UsageError, match="needs a frozen compressor"):
        TaskSequence(digits, HALVES, share=0.05, frozen=False, settings=tiny)


# -- two tasks are the protocol ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "share"), [(2, 0.25), (3, None)], ids=["replay", "no replay"])
def test_two_tasks_are_an_arm_of_the_protocol(watched, digits, tiny, double, place, share):
    sequence = TaskSequence(digits, HALVES, share=share, settings=tiny, compute=watched.compute).run()
    first, arm = watched.result["arms"][0], watched.result["arms"][place]
    assert arm["memory_share"] == share
    for mode, curve in first["curve"]["new"].items():
        assert [evaluation.accuracy[mode][0] for evaluation in sequence.evaluations if evaluation.task == 0] == curve
    for mode in arm["curve"]["old"]:
        second = [evaluation.accuracy[mode] for evaluation in sequence.evaluations if evaluation.task == 1]
        assert [old for old, _ in second] == arm["curve"]["old"][mode]
        assert [new for _, new in second] == arm["curve"]["new"][mode]
        assert np.sum(sequence.confusion(mode)) == np.sum(arm["confusion"][mode])
        assert sequence.confusion(mode) == arm["confusion"][mode]
    assert (sequence.memory and len(sequence.memory)) == arm["memory_images"]
    weights = {k: v for k, v in watched.weights("replay-0.25" if share else "no-replay").items()}
    network = sequence.classifier if share else nn.Sequential(sequence.compressor, sequence.classifier)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_branches_of_one_first_task_are_sequences_of_their_own(digits, tiny, double):
    first = TaskSequence(digits, HALVES, settings=tiny, compute=double)
    assert {evaluation.task for evaluation in first.learn(1)} == {0}
    before = copy.deepcopy(first.classifier.state_dict())
    branch = first.branch(0.25).run()
    alone = TaskSequence(digits, HALVES, share=0.25, settings=tiny, compute=double).run()
    assert branch.evaluations == alone.evaluations
    assert all(torch.equal(value, before[name]) for name, value in first.classifier.state_dict().items())
    assert (len(first.evaluations), first.kept) == (3, [])
    with pytest.raises(UsageError, match="a branch starts where the first task alone"):
        branch.branch()


# -- more than two ----------------------------------------------------------------------------------------------------


def test_each_evaluation_covers_the_tasks_so_far(pairs, tiny):
    assert [(evaluation.task, evaluation.epoch) for evaluation in pairs.evaluations if evaluation.epoch == 0] == [
        (0, 0),
        (1, 0),
        (2, 0),
    ]
    assert all(len(evaluation.accuracy["mixed"]) == evaluation.task + 1 for evaluation in pairs.evaluations)
    assert all((evaluation.train_accuracy is None) == (evaluation.epoch == 0) for evaluation in pairs.evaluations)


def test_memory_grows_by_a_share_of_each_finished_task(pairs, digits):
    assert [len(kept) for kept in pairs.kept] == [18, 18]  # a quarter of 72
    assert pairs.memory_bytes == 36 * (4 * 36 + 1)
    assert torch.equal(digits.labels[pairs.memory.positions], pairs.memory.labels.long())
    torch.testing.assert_close(pairs.encode(pairs.memory.positions), pairs.memory.latents)


def test_matrix_and_forgetting(pairs):
    rows = pairs.matrix("running")
    assert [len(row) for row in rows] == [1, 2, 3]
    lost = [rows[0][0] - rows[2][0], rows[1][1] - rows[2][1]]
    assert pairs.forgetting("running") == pytest.approx(sum(lost) / 2)


def test_forgotten_were_right_and_are_wrong(pairs, digits):
    lost = find_forgotten(pairs, "running")
    assert torch.equal(lost.labels, digits.labels[lost.positions])
    assert not (lost.labels == lost.predicted).any()
    assert set(lost.labels.tolist()) <= {0, 1, 2, 3}
    old = pairs.matrix("running")
    known = round(8 * old[0][0]) + round(8 * old[1][1])  # of eight test images each
    assert lost.known == known
    assert len(lost.positions) <= known


def test_the_plane_shows_every_task(pairs):
    planes, shares = latent_plane(pairs, sample=5)
    assert [points.shape for points, _ in planes] == [(5, 2)] * 3
    assert [set(labels) <= set(task) for (_, labels), task in zip(planes, PAIRS, strict=True)] == [True] * 3
    assert shares[0] >= shares[1] > 0


def test_breaking_out_early_keeps_what_was_learned(digits, tiny, double):
    sequence = TaskSequence(digits, HALVES, share=0.25, settings=tiny, compute=double)
    for evaluation in sequence.learn():
        if (evaluation.task, evaluation.epoch) == (1, 1):
            break
    assert len(sequence.evaluations) == 5
    assert len(sequence.matrix()) == 2
    assert len(sequence.memory) == 22
    assert np.sum(sequence.confusion()) == 20


def test_before_anything_was_learned(digits, tiny, double):
    sequence = TaskSequence(digits, HALVES, settings=tiny, compute=double)
    next(sequence.learn())
    assert (sequence.memory, sequence.memory_bytes, sequence.forgetting()) == (None, 0, None)
    assert len(find_forgotten(sequence).positions) == 0


# -- parts of one's own -----------------------------------------------------------------------------------------------


class Thumbnail(nn.Module):
    def forward(self, images):
        assert 0 <= images.min() <= images.max() <= 1
        return nn.functional.adaptive_avg_pool2d(images, 6)


def test_a_compressor_of_ones_own(digits, tiny, double):
    sequence = TaskSequence(digits, HALVES, share=0.25, settings=tiny, compute=double, compressor=Thumbnail()).run()
    image = digits.images[:1].unsqueeze(1).double() / 255
    torch.testing.assert_close(sequence.encode(torch.tensor([0])), nn.functional.adaptive_avg_pool2d(image, 6))
    assert len(sequence.memory) == 22


def test_a_classifier_of_ones_own_for_other_latents(digits, tiny, double):
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(2 * 9, 10), nn.LogSoftmax(dim=1))
    compressor = nn.Sequential(nn.Conv2d(1, 2, 5), nn.AdaptiveAvgPool2d(3))
    sequence = TaskSequence(
        digits, HALVES, share=0.25, settings=tiny, compute=double, compressor=compressor, classifier=classifier
    ).run()
    assert sequence.memory.latents.shape == (22, 2, 3, 3)
    assert sequence.memory_bytes == 22 * (4 * 18 + 1)


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"compressor": nn.Conv2d(3, 1, 5)}, r"the compressor does not take \(n, 1, 28, 28\) images"),
        ({"compressor": nn.AdaptiveAvgPool2d(5)}, "the classifier does not take latents of shape"),
        ({"classifier": nn.Sequential(nn.Flatten(), nn.Linear(36, 5))}, r"gives \(2, 5\) for two images"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(digits, tiny, double, parts, complaint):
    with pytest.raises(UsageError, match=complaint) as refusal:
        TaskSequence(digits, HALVES, settings=tiny, compute=double, **parts)
    assert "\n" not in str(refusal.value)


def test_a_policy_of_ones_own(digits, tiny, double):
    def first_ones(latents, labels, share, generator):
        kept = torch.arange(round(share * len(latents)))
        return memory.LatentMemory(latents[kept], labels[kept].to(torch.uint8), kept)

    sequence = TaskSequence(digits, HALVES, share=0.1, settings=tiny, compute=double, policy=first_ones).run()
    assert torch.equal(sequence.memory.positions, sequence.tasks[0].train[:9])
