"""Variants of an arm: which arms a run has, how much a budget of bytes holds, quantised memories, and GroupNorm."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from lr_core import memory, metrics, models
from lr_core.errors import UsageError
from lr_core.experiment import TaskSequence
from lr_core.settings import CASES, CHOICES, EVALUATIONS, Settings, make_generator
from lr_lab.runs import execute
from lr_lab.runs.arms import Arm, arms, policy, quantise, with_group_norm
from lr_lab.runs.profiles import PROFILES
from lr_lab.runs.variants import READINGS, VARIANTS

BUDGETS = Settings(memory_shares=(0.07, 0.35), batch_size=100)


def test_names_are_those_of_the_experiment():
    assert {choice for variant in VARIANTS.values() for choice in variant.choices} == {*CHOICES}
    assert {*READINGS} == {name for name in CHOICES if name in VARIANTS} - {"raw", "mixed-batches"}


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ([""], [("replay", 0.07, ""), ("replay", 0.35, ""), ("no-replay", None, "")]),
        (["frozen"], [("no-replay", None, "frozen")]),
        (["mixed-batches"], [("replay", 0.07, "mixed-batches"), ("replay", 0.35, "mixed-batches")]),
        (["whole-memory"], [("replay", 0.35, "whole-memory")]),  # 7 % of 1,000 are less than a batch
        (
            ["group-norm"],
            [(a, s, "group-norm") for a, s in [("first-task", None), ("replay", 0.07), ("replay", 0.35), ("no-replay", None)]],
        ),
    ],
)  # fmt: skip
def test_arms(variants, expected):
    first, *found = arms(BUDGETS, variants, 1000)
    assert first == Arm("first-task")
    assert found == [Arm(*each) for each in expected]


@pytest.mark.parametrize(
    ("variant", "images", "items"),
    # 45,675 bytes are 315 latents in single precision; 31,500 images are the first task of the paper.
    [("", 31_500, 315), ("bits-8", 31_500, 1226), ("bits-4", 31_500, 2388), ("raw", 31_500, 58), ("raw-frozen", 31_500, 58)]
    + [("bits-8", 1000, 266), ("bits-4", 600, 305), ("bits-4", 40, 40)],
)  # fmt: skip
def test_a_budget_is_one_of_bytes(variant, images, items):
    share = {31_500: 0.01, 1000: 0.07, 600: 0.07, 40: 0.9}[images]
    arm = next(a for a in arms(Settings(memory_shares=(share,)), [variant], images) if a.arm == "replay")
    assert round(arm.share * images) == items
    latents = torch.rand(images, *((1, 28, 28) if VARIANTS[variant].raw else (1, 6, 6)))
    latents = (255 * latents).to(torch.uint8) if VARIANTS[variant].raw else latents
    kept = policy(VARIANTS[variant])(latents, torch.zeros(images), arm.share, make_generator(0))
    budget = 145 * round(share * images)
    assert len(kept) == items
    assert kept.bytes <= budget
    one_more = 145 if variant == "" else 785 if VARIANTS[variant].raw else 36 * VARIANTS[variant].bits / 8 + 1
    assert items == images or kept.bytes + one_more > budget


@pytest.mark.parametrize("variant", [name for name, variant in VARIANTS.items() if variant.replay])
def test_a_budget_that_holds_no_two_items_is_refused(variant):
    other = f" as {VARIANTS[variant].words}" if VARIANTS[variant].raw or VARIANTS[variant].bits < 32 else ""
    least = 11 if VARIANTS[variant].raw else 3 if other else 2  # latents of 145 bytes; two images take 1,570
    words = f"a memory of {least - 1} % of 100 images does not hold two items{other} .*choose at least {least} %"
    with pytest.raises(UsageError, match=words):
        arms(Settings(memory_shares=((least - 1) / 100,)), [variant], 100)
    assert arms(Settings(memory_shares=(least / 100,), batch_size=3), [variant], 100)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
def test_the_bytes_of_a_memory_are_those_of_its_file(bits, tmp_path):
    draw = make_generator(1)
    latents, labels = torch.randn(101, 1, 6, 6, generator=draw), torch.arange(101) % 5
    kept = policy(dataclasses.replace(VARIANTS["bits-8"], bits=bits))(latents, labels, 1.0, draw)
    values = kept.latents.flatten(1).numpy()
    least, largest = values.min(0), values.max(0)
    step = (largest - least) / (2**bits - 1)
    codes = np.rint((values - least) / step).astype(np.uint8)
    packed = np.packbits(np.unpackbits(codes.reshape(-1, 1), axis=1)[:, -bits:])
    path = tmp_path / "memory"
    path.write_bytes(b"".join(part.tobytes() for part in (least, largest, packed, kept.labels.numpy())))
    assert path.stat().st_size == kept.bytes
    # The file holds all that is needed: read again, it gives the same latents.
    content = path.read_bytes()
    low, high = np.frombuffer(content[:288], np.float32).reshape(2, 36)
    flags = np.unpackbits(np.frombuffer(content[288:-101], np.uint8))[: 101 * 36 * bits].reshape(-1, bits)
    read = low + flags.dot(1 << np.arange(bits)[::-1]).reshape(101, 36) * (high - low) / (2**bits - 1)
    np.testing.assert_allclose(read, values, atol=1e-5)


def test_in_single_precision_the_file_has_the_latents_and_the_labels(tmp_path):
    latents, labels = torch.randn(50, 1, 6, 6), torch.arange(50) % 5
    kept = memory.choose(latents, labels, 0.2, make_generator(1))
    path = tmp_path / "memory"
    path.write_bytes(kept.latents.numpy().tobytes() + kept.labels.numpy().tobytes())
    assert path.stat().st_size == kept.bytes == 10 * 145


@pytest.mark.parametrize("bits", range(1, 9))
def test_quantised_values_lie_within_half_a_step_on_few_levels(bits):
    latents = torch.randn(200, 1, 6, 6, generator=make_generator(0))
    found = quantise(latents, bits)
    step = (latents.amax(0) - latents.amin(0)) / (2**bits - 1)
    assert ((found - latents).abs() <= step / 2 + 1e-5).all()
    assert max(len(found[:, 0, row, column].unique()) for row in range(6) for column in range(6)) <= 2**bits
    assert torch.equal(quantise(torch.ones(3, 1, 6, 6), bits), torch.ones(3, 1, 6, 6))
    assert quantise(latents, 32) is latents


@pytest.mark.parametrize("bits", [0, 9, 16, -1])
def test_other_bits_are_refused(bits):
    with pytest.raises(UsageError, match=f"{bits} bits a value cannot be: choose 1 to 8, or 32"):
        policy(dataclasses.replace(VARIANTS["bits-8"], bits=bits))(
            torch.rand(9, 1, 6, 6), torch.zeros(9), 1.0, make_generator(0)
        )


def test_with_group_norm_an_image_is_judged_by_itself_in_every_mode():
    networks = models.build(0)
    for network in networks:
        with_group_norm(network)
    whole = nn.Sequential(*networks)
    assert not [layer for layer in whole.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    images = [torch.rand(7, 1, 28, 28), torch.rand(9, 1, 28, 28)]
    found = [metrics.predict(whole, images, mode, 4, make_generator(0)) for mode in EVALUATIONS]
    assert all(torch.equal(a, b) for mode in found[1:] for a, b in zip(mode, found[0], strict=True))
    plain = models.build(0)
    assert all(torch.equal(a[0].weight, b[0].weight) for a, b in zip(networks, plain, strict=True))  # drawn as before


def test_every_variant_trains_and_the_paper_s_arms_stay_as_they_are(digits, tiny, double):
    settings = dataclasses.replace(tiny, images_per_class=30, batch_size=20, max_epochs=1, memory_shares=(0.25,))
    paper = execute.train(digits, CASES[1], 0, settings, compute=double)
    profile = dataclasses.replace(PROFILES["smoke"], variants=tuple(VARIANTS), joint=True, updates=3)
    found = execute.train(digits, CASES[1], 0, settings, profile=profile, compute=double)
    by_name = {(arm["arm"], arm.get("choice", "")): arm for arm in found["arms"]}
    assert {choice for _, choice in by_name} == {*VARIANTS} - {"closed-forms"}  # which trains no second task
    for arm in paper["arms"]:
        assert by_name[arm["arm"], ""]["curve"] == arm["curve"]
    assert by_name["replay", "bits-4"]["memory_bytes"] <= by_name["replay", ""]["memory_bytes"]
    assert set(found["bounds"]["joint"]) == {*EVALUATIONS}
    modes = by_name["replay", "group-norm"]["accuracy"]
    assert modes["running"] == modes["batch"] == modes["mixed"]


def test_a_first_task_of_its_own_for_group_norm(digits, tiny, double):
    sequence = TaskSequence(
        digits, (CASES[1].first, CASES[1].second), settings=tiny, compute=double, accelerate=with_group_norm
    )
    assert isinstance(sequence.classifier[1], nn.GroupNorm)
    assert sequence.classifier[1].num_groups == 5
    assert sequence.compressor[4].num_groups == 1  # of one channel
