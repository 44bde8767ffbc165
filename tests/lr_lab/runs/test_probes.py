"""What is measured of a trained network beside its accuracies: other test batches, running averages taken anew."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from lr_core import metrics
from lr_core.experiment import TaskSequence
from lr_core.settings import CASES
from lr_lab.runs.probes import probe, reestimate


@pytest.fixture(scope="module")
def learned(digits, tiny, double):
    settings = dataclasses.replace(tiny, images_per_class=100, batch_size=50)
    return TaskSequence(digits, (CASES[1].first, CASES[1].second), share=0.25, settings=settings, compute=double).run()


def test_a_network_is_the_same_after_it_was_probed(learned):
    before = copy.deepcopy(learned.trainer.network.state_dict())
    first = probe(learned)
    assert [n for n, v in learned.trainer.network.state_dict().items() if not torch.equal(v, before[n])] == []
    assert probe(learned) == first


def test_a_batch_of_all_images_has_their_statistics(learned):
    network = copy.deepcopy(learned.classifier).train()  # in training mode each call has its batch's statistics
    with torch.no_grad():
        found = [metrics.accuracy(network(i.test).argmax(1), i.test_labels) for i in learned.inputs]
    assert probe(learned)["batch"]["all"] == found


def test_batches_of_the_trained_size_would_give_the_accuracy_of_the_arm(learned, monkeypatch):
    monkeypatch.setattr("lr_lab.runs.probes.BATCH_SIZES", (learned.settings.batch_size,))
    found = probe(learned)["batch"][str(learned.settings.batch_size)]
    assert tuple(found) == learned.evaluations[-1].accuracy["batch"]


def test_the_compressor_too_may_have_the_statistics_of_the_test_batch(learned, monkeypatch):
    network = copy.deepcopy(nn.Sequential(learned.compressor, learned.classifier)).train()
    tests = [learned.dataset.images[task.test].unsqueeze(1) for task in learned.tasks]
    assert learned.settings.batch_size >= max(map(len, tests))  # one batch each
    with torch.no_grad():
        found = [
            metrics.accuracy(network(t).argmax(1), i.test_labels) for t, i in zip(tests, learned.inputs, strict=True)
        ]
    assert probe(learned)["batch"]["compressor"] == found


def test_averages_taken_anew_are_the_plain_mean_over_the_batches():
    layer = nn.BatchNorm2d(1)
    layer(torch.full((4, 1, 2, 2), 100.0))  # forgotten
    one, two = torch.randn(4, 1, 2, 2), 3 + 2 * torch.randn(6, 1, 2, 2)
    reestimate(layer, [one, two])
    torch.testing.assert_close(layer.running_mean, (one.mean() + two.mean()).reshape(1) / 2)
    torch.testing.assert_close(layer.running_var, (one.var() + two.var()).reshape(1) / 2)
    assert layer.momentum == 0.1
    assert not layer.training


def test_half_of_each_batch_is_new_and_the_other_half_old(learned, monkeypatch):
    seen = []
    monkeypatch.setattr("lr_lab.runs.probes.reestimate", lambda network, batches: seen.append(list(batches)))
    found = probe(learned)
    new, memory, old = learned.inputs[1].train, learned.memory.latents, learned.inputs[0].train
    for batches, other in zip(seen, (memory, old), strict=True):
        size = min(learned.settings.batch_size // 2, len(other))
        assert {len(batch) for batch in batches[:-1]} == {2 * size}
        halves = [batch.split(len(batch) // 2) for batch in batches]
        passed = torch.cat([half for half, _ in halves])
        assert torch.equal(passed.flatten(1).sum(1).sort()[0], new.flatten(1).sum(1).sort()[0])
        rest = torch.cat([half for _, half in halves])
        assert all((row == other).flatten(1).all(1).any() for row in rest)
    assert list(found["reestimated"]) == ["memory", "all"]


def test_each_arm_is_probed(watched):
    found = [arm["probes"] for arm in watched.result["arms"]]
    assert ["reestimated" in probes for probes in found] == [False, True, True, False]
    assert [len(probes["batch"]["all"]) for probes in found] == [1, 2, 2, 2]
    assert ["compressor" in probes["batch"] for probes in found] == [False, True, True, False]
