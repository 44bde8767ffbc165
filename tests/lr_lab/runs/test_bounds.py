"""Classifiers without gradients on the frozen latents: they get what a memory holds, and are measured task by task."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from lr_core.experiment import TaskSequence
from lr_core.settings import CASES
from lr_lab.runs.bounds import bounds


@pytest.fixture(scope="module")
def sequence(digits, tiny, double):
    settings = dataclasses.replace(tiny, images_per_class=60)
    tasks = (CASES[1].first, CASES[1].second)
    return TaskSequence(digits, tasks, share=None, settings=settings, compute=double).run(1)


@pytest.fixture(scope="module")
def found(sequence):
    return bounds(sequence, (0.01, 0.25))


def test_every_classifier_has_every_share_that_leaves_two_images_a_class(found):
    assert {name: list(by_share) for name, by_share in found.items()} == {
        name: ["0.25", "1.0"] for name in ("nearest-mean", "linear", "quadratic")
    }  # 1 % are three images


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_nearest_mean_is_that_of_the_memory_of_a_replay_arm_and_of_all_new_latents(sequence, found, share):
    replay = sequence.branch(share)
    replay.begin()
    flat = [latents.flatten(1).numpy() for latents in (replay.memory.latents, replay.inputs[1].train)]
    labels = [replay.memory.labels.numpy(), replay.inputs[1].train_labels.numpy()]
    classifier = NearestCentroid().fit(np.concatenate(flat), np.concatenate(labels))
    scores = [classifier.score(i.test.flatten(1).numpy(), i.test_labels.numpy()) for i in replay.inputs]
    assert found["nearest-mean"][repr(share)] == scores


def test_they_learn_both_tasks(found):
    assert all(accuracy > 0.5 for by_share in found.values() for accuracy in by_share["1.0"])


def test_gaussians_do_not_depend_on_the_scale_of_a_latent(sequence, found, monkeypatch):
    scale = torch.ones(1, 6, 6).double()
    scale[0, 0, 0] = 1e-3
    encode = sequence.encode
    monkeypatch.setattr(sequence, "encode", lambda positions: scale * encode(positions))
    assert bounds(sequence, (0.25,))["quadratic"] == found["quadratic"]


def test_they_are_in_the_record(watched, record):
    assert record["bounds"] == watched.result["bounds"]
    assert set(record["bounds"]) == {"nearest-mean", "linear", "quadratic"}
