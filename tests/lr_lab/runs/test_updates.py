"""Accuracy after each of the first updates: what is followed, and that nothing is disturbed by it."""

import dataclasses

import pytest
import torch

from lr_core.experiment import TaskSequence
from lr_core.settings import EVALUATIONS
from lr_core.training import Trainer
from lr_lab.runs.updates import Updates

HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))


@pytest.fixture(scope="module")
def learned(digits, tiny, double):
    settings = dataclasses.replace(tiny, images_per_class=40, batch_size=40, max_epochs=2)
    return TaskSequence(digits, HALVES, share=None, settings=settings, compute=double).run(until=1)


def followed(learned, count, **branch):
    sequence = learned.branch(**branch)
    sequence.begin()
    updates = Updates(sequence, count)
    with updates.following():
        for _ in sequence.epochs():
            pass
    return sequence, updates.accuracy


ARMS = [{"share": 0.25}, {"share": 0.25, "choices": ("mixed-batches",)}, {"share": None}]


@pytest.mark.parametrize("branch", ARMS)
def test_following_changes_nothing(learned, branch):
    sequence, _ = followed(learned, 7, **branch)
    plain = learned.branch(**branch).run()
    weights = [network.state_dict().values() for s in (sequence, plain) for network in (s.compressor, s.classifier)]
    assert all(map(torch.equal, [*weights[0], *weights[1]], [*weights[2], *weights[3]]))
    assert sequence.evaluations == plain.evaluations


@pytest.mark.parametrize("branch", ARMS)
def test_the_last_update_of_an_epoch_is_where_its_evaluation_is(learned, branch):
    sequence, accuracy = followed(learned, 10, **branch)  # 180 images in batches of 40: five updates an epoch
    for mode in EVALUATIONS:
        old, new = accuracy["old"][mode], accuracy["new"][mode]
        assert len(old) == len(new) == 11
        epochs = [evaluation.accuracy[mode] for evaluation in sequence.evaluations[-3:]]
        assert [(old[place], new[place]) for place in (0, 5, 10)] == epochs


def test_an_update_is_both_steps(learned, monkeypatch):
    steps, update = [], Trainer._update
    monkeypatch.setattr(Trainer, "_update", lambda self, *rest: (steps.append(1), update(self, *rest))[1])
    _, accuracy = followed(learned, 3, share=0.25)
    assert len(steps) == 2 * 5 * 2
    assert len(accuracy["old"]["running"]) == 4


def test_no_more_updates_are_followed_than_there_are(learned):
    _, accuracy = followed(learned, 64, share=None)
    assert len(accuracy["old"]["running"]) == 1 + 10
