"""The latent memory: what it keeps, that latents and labels stay together, and how large it is."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_core import memory, models
from lr_core.errors import UsageError
from lr_core.experiment import encode, freeze
from lr_core.settings import CASES, Settings
from lr_core.tasks import split


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, dtype=torch.float32):
    """Latents that are all their own number, with labels 0 to 9 in turn: each row can be recognised."""
    latents = torch.arange(count, dtype=dtype).reshape(-1, 1, 1, 1).expand(-1, 1, 6, 6).contiguous()
    return latents, torch.arange(count) % 10


# -- what is kept -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first_task(digits, double):
    """A frozen compressor whose BatchNorm has seen images; training images, labels and latents of a first task."""
    task = split(digits, CASES[1].first, Settings(images_per_class=40), seed=0)
    images, labels = digits.images.unsqueeze(1)[task.train], digits.labels[task.train]
    compressor, _ = models.build(0)
    double.place(compressor)(images[:50])
    freeze(compressor)
    return compressor, images, labels, encode(compressor, images, double)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 1])
def test_encoding_the_stored_images_again_gives_the_stored_latents(first_task, double, share):
    compressor, images, labels, latents = first_task
    kept = memory.choose(latents, labels, share, generator())
    assert torch.equal(kept.latents, encode(compressor, images[kept.positions], double))
    assert torch.equal(kept.labels.long(), labels[kept.positions])
    assert len(kept.positions.unique()) == len(kept) == round(share * len(images))


def test_the_memory_of_a_run_is_paired_with_its_images(watched):
    task, data = watched.tasks[0], watched.dataset
    memories = [kept for *_, kept in watched.trained if kept is not None]
    assert [len(kept) for kept in memories] == [4, 22]  # 5 % and 25 % of 90
    for kept in memories:
        stored = kept.positions
        assert set(stored.tolist()) <= set(task.train.tolist())
        again = encode(watched.frozen[0][0], data.images.unsqueeze(1)[stored], watched.compute)
        assert torch.equal(kept.latents, again)
        assert torch.equal(kept.labels.long(), data.labels[stored])
        assert set(kept.labels.tolist()) <= {0, 1, 2, 3, 4}


def test_budgets_are_nested():
    latents, labels = numbered(1000)
    small, middle, large = (memory.choose(latents, labels, share, generator(3)) for share in (0.01, 0.05, 0.25))
    assert torch.equal(small.positions, large.positions[:10])
    assert torch.equal(middle.positions, large.positions[:50])
    assert [len(kept) for kept in (small, middle, large)] == [10, 50, 250]


def test_what_is_kept_is_drawn_from_the_generator():
    latents, labels = numbered(1000)
    one, same, other = (memory.choose(latents, labels, 0.05, generator(seed)).positions for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("images", "share", "kept"),
    [(31_500, 0.01, 315), (31_500, 0.05, 1575), (31_500, 0.25, 7875), (100, 0.015, 2), (100, 1, 100), (10, 0.26, 3)],
)
def test_how_many_images_a_share_keeps(images, share, kept):
    assert len(memory.choose(torch.empty(images, 1, 6, 6), torch.zeros(images), share, generator())) == kept


@pytest.mark.parametrize(
    ("images", "share", "words"),
    [
        (1000, 0.0001, "a memory of 0.01 % of 1,000 images does not hold two items .*choose at least 0.2 %"),
        (31_500, 1e-9, "a memory of 1e-07 % of 31,500 images .*choose at least 0.00634921 %"),
        (100, 0.014, "a memory of 1.4 % of 100 images .*choose at least 2 %"),
    ],
)
def test_a_share_that_holds_fewer_than_two_images_is_refused(images, share, words):
    with pytest.raises(UsageError, match=words):
        memory.choose(*numbered(images), share, generator())
    assert memory.count(2 / images, images) == 2


@pytest.mark.parametrize("bits", [0, 9, 16, -1, 8.0, True])
def test_other_bits_are_refused(bits):
    with pytest.raises(UsageError, match=f"^{bits} bits a value cannot be: choose 1 to 8, or 32"):
        memory.LatentMemory(*numbered(2), torch.arange(2), bits=bits)


def test_an_empty_memory_takes_no_bytes():
    assert memory.LatentMemory(torch.empty(0, 1, 6, 6), torch.empty(0), torch.empty(0), bits=4).bytes == 0


@given(st.floats().filter(lambda share: not 0 < share <= 1))
def test_share_outside_0_to_1_is_refused(share):
    with pytest.raises(UsageError, match="more than 0 and at most 100 %"):
        memory.choose(*numbered(10), share, generator())


# -- replay batches -----------------------------------------------------------------------------------------------


@given(st.integers(2, 60), st.integers(1, 60), st.integers(0, 2**32))
@settings(deadline=None)
def test_a_replay_batch_is_paired_and_has_no_image_twice(count, size, seed):
    kept = memory.choose(*numbered(count), 1, generator())
    latents, labels = kept.draw(size, generator(seed))
    numbers = latents[:, 0, 0, 0].long()
    assert len(latents) == len(labels) == min(size, count)
    assert len(numbers.unique()) == len(numbers)
    assert torch.equal(labels, numbers % 10)
    assert labels.dtype == torch.int64


def test_replay_batches_differ_and_reach_the_whole_memory():
    kept, draws = memory.choose(*numbered(30), 1, generator()), generator(1)
    drawn = [kept.draw(10, draws)[0][:, 0, 0, 0].tolist() for _ in range(40)]
    assert drawn[0] != drawn[1]
    assert {number for batch in drawn for number in batch} == set(range(30))


# -- size ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [2, 315, 1575, 7875])
def test_an_image_takes_145_bytes(images):
    # 36 float32 values and one byte for the label.
    assert memory.choose(*numbered(images), 1, generator()).bytes == 145 * images


@pytest.mark.parametrize(("images", "percent"), [(315, 0.0459), (1575, 0.2296), (7875, 1.148)])
def test_pixel_shares_of_the_paper(images, percent):
    share = 100 * memory.pixel_share(images, 31_500)
    assert math.isclose(share, percent, rel_tol=5e-4)
    assert math.isclose(share, 100 * images / 31_500 * 36 / 784)
