"""Other ways to learn the second task: what each changes, and what it leaves alone."""

import copy
import dataclasses

import pytest
import torch

from lr_core.errors import UsageError
from lr_core.experiment import TaskSequence
from lr_core.models import Compressor
from lr_core.settings import CHOICES
from lr_core.training import Trainer

HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))


@pytest.fixture(scope="module")
def learned(digits, tiny, double):
    """A sequence that has learned its first task; its memory of 25 % is larger than a batch."""
    settings = dataclasses.replace(tiny, images_per_class=40, batch_size=40)
    return TaskSequence(digits, HALVES, share=None, settings=settings, compute=double).run(until=1)


@pytest.fixture
def updates(monkeypatch):
    """(network, batch) of each update."""
    seen, update = [], Trainer._update

    def watching(trainer, network, batch, *rest):
        seen.append((network, batch))
        return update(trainer, network, batch, *rest)

    monkeypatch.setattr(Trainer, "_update", watching)
    return seen


def state(sequence):
    networks = (sequence.compressor.state_dict(), sequence.classifier.state_dict())
    return torch.cat([value.flatten().double() for weights in networks for value in weights.values()])


def momentum(sequence):
    optimizer = sequence.trainer.optimizer
    return [
        optimizer.state.get(parameter, {}).get("momentum_buffer") for parameter in optimizer.param_groups[0]["params"]
    ]


def is_memory(sequence, batch):
    return batch.shape[1:] == (1, 6, 6) and bool((batch[0] == sequence.memory.latents).flatten(1).all(1).any())


def test_ordinarily_the_memory_comes_second_one_batch_at_a_time(learned, updates):
    sequence = learned.branch(0.25).run()
    assert [is_memory(sequence, batch) for _, batch in updates[:6]] == [False, True] * 3
    assert {len(batch) for _, batch in updates[1::2]} == {40}


def test_memory_first(learned, updates):
    sequence = learned.branch(0.25, choices=("memory-first",)).run()
    assert [is_memory(sequence, batch) for _, batch in updates[:6]] == [True, False] * 3


def test_memory_first_draws_the_same_batches(learned, updates):
    learned.branch(0.25).run()
    ordinary = updates[:4]
    updates.clear()
    learned.branch(0.25, choices=("memory-first",)).run()
    assert all(torch.equal(ordinary[place][1], updates[place ^ 1][1]) for place in range(4))


def test_whole_memory(learned, updates):
    sequence = learned.branch(0.25, choices=("whole-memory",)).run()
    assert len(sequence.memory) == 45
    assert {len(batch) for _, batch in updates[1::2]} == {45}


@pytest.mark.parametrize("share", [0.25, None])
def test_carry_optimizer(learned, share):
    def begun(*choices):
        sequence = learned.branch(share, choices=choices)
        sequence.begin()
        return sequence

    assert momentum(begun()) == [None] * len(momentum(begun()))
    carried, before = momentum(begun("carry-optimizer")), momentum(learned)
    assert len(carried) == len(before) if share is None else len(carried) < len(before)
    assert all(map(torch.equal, carried, before[-len(carried) :]))  # the classifier's are the last
    assert not any(map(torch.Tensor.is_set_to, carried, before[-len(carried) :]))  # a branch has its own


def test_an_adapting_compressor_keeps_its_weights_and_sees_new_images_alone(learned, updates):
    before = {name: value.clone() for name, value in learned.compressor.state_dict().items()}
    sequence = learned.branch(0.25, choices=("adapting",)).run()
    after = sequence.compressor.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == [
        f"{layer}.{name}" for layer in (1, 4) for name in ("running_mean", "running_var", "num_batches_tracked")
    ]
    new = [batch for _, batch in updates if batch.shape[1:] == (1, 28, 28)]
    assert int(after["1.num_batches_tracked"] - before["1.num_batches_tracked"]) == len(new) == len(updates) / 2
    assert all(is_memory(sequence, batch) for network, batch in updates if network is sequence.classifier)
    assert torch.equal(sequence.memory.latents, learned.branch(0.25).run().memory.latents)


def test_an_adapting_compressor_does_not_disturb_the_branches_after_it(learned):
    expected = state(learned.branch(0.25).run())
    learned.branch(0.25, choices=("adapting",)).run()
    assert torch.equal(state(learned.branch(0.25).run()), expected)


def test_of_three_tasks_the_second_is_remembered_by_the_adapted_compressor(digits, tiny, double):
    settings = dataclasses.replace(tiny, images_per_class=40, choices=("adapting",))
    sequence = TaskSequence(digits, ((0, 1), (2, 3), (4, 5)), share=0.25, settings=settings, compute=double).run(
        until=2
    )
    adapted = copy.deepcopy(sequence.compressor)
    sequence.begin()
    images = digits.images[sequence.kept[1].positions].unsqueeze(1)
    with torch.no_grad():
        torch.testing.assert_close(sequence.kept[1].latents, adapted.eval()(images))
    assert type(adapted) is Compressor


def test_mixed_batches_have_as_many_images_as_two_updates(learned, updates):
    sequence = learned.branch(0.25, choices=("mixed-batches",)).run()
    both = [batch for _, batch in updates]
    ordinary = learned.branch(0.25)
    updates.clear()
    ordinary.run()
    apart = [batch for _, batch in updates]
    assert 2 * len(both) * ordinary.trainer.latest.number == len(apart) * sequence.trainer.latest.number
    assert torch.equal(both[0], torch.cat(apart[:2]))  # the same images are drawn


def test_in_mixed_batches_accuracy_and_loss_are_of_new_images(learned, monkeypatch):
    sequence = learned.branch(0.25, choices=("mixed-batches",))
    sequence.begin()
    trainer, found = sequence.trainer, []
    monkeypatch.setattr(trainer.network, "forward", lambda batch: torch.log_softmax(_always(batch, 5), 1))
    monkeypatch.setattr(trainer.optimizer, "step", lambda: found.append(None))
    epoch = next(trainer.epochs())
    assert epoch.train_accuracy == (sequence.inputs[1].train_labels == 5).double().mean()
    expected = torch.where(sequence.inputs[1].train_labels == 5, *_losses())
    assert epoch.loss == pytest.approx(expected.mean().item(), rel=1e-5)
    assert len(found) == 5  # 180 images in batches of 40, and a step for each


def _always(batch, number):
    scores = torch.zeros(len(batch), 10, dtype=batch.dtype, requires_grad=True)
    return scores + torch.nn.functional.one_hot(torch.tensor(number), 10)


def _losses():
    log_probabilities = torch.log_softmax(torch.tensor([1.0, *[0.0] * 9]), 0)
    return -log_probabilities[0], -log_probabilities[1]


def test_a_raw_memory_holds_images_and_freezes_nothing(learned, updates):
    sequence = learned.branch(0.25, choices=("raw",)).run()
    kept, latents = sequence.memory, learned.branch(0.25).run().memory
    assert torch.equal(kept.positions, latents.positions)  # the same images
    assert torch.equal(kept.latents[:, 0], sequence.dataset.images[kept.positions])
    assert kept.bytes == sequence.memory_bytes == 45 * (784 + 1)
    assert {batch.shape[1:] for _, batch in updates[:10]} == {(1, 28, 28)}
    assert not torch.equal(sequence.compressor[0].weight, learned.compressor[0].weight)


def test_raw_images_through_a_frozen_compressor_are_replay_of_their_latents(learned):
    raw = learned.branch(0.25, choices=("raw",), frozen=True).run()
    torch.testing.assert_close(state(raw), state(learned.branch(0.25).run()))


@pytest.mark.parametrize("chosen", [("adapting", "raw"), ("adapting", "mixed-batches"), ("raw", "mixed-batches")])
def test_choices_that_do_not_go_together(learned, chosen):
    with pytest.raises(UsageError, match="choose one of adapting, raw and mixed-batches"):
        learned.branch(0.25, choices=chosen, frozen=True)


def test_raw_images_can_be_mixed_with_new_ones_where_nothing_is_frozen(learned, updates):
    learned.branch(0.25, choices=("raw", "mixed-batches")).run()
    assert updates[0][1].shape == (80, 1, 28, 28)


@pytest.mark.parametrize("choice", list(CHOICES))
def test_each_choice_changes_what_is_learned_with_a_memory(learned, choice):
    assert not torch.equal(state(learned.branch(0.25, choices=(choice,)).run()), state(learned.branch(0.25).run()))


@pytest.mark.parametrize("choice", list(CHOICES)[1:])
def test_without_a_memory_all_but_the_first_change_nothing(learned, choice):
    assert torch.equal(state(learned.branch(choices=(choice,)).run()), state(learned.branch().run()))
