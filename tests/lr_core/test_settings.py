"""Settings, profiles, cases and seeds: what is stated, what is accepted, and what is refused in which words."""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lr_core.errors import UsageError
from lr_core.settings import CASES, Settings, check_tasks, derived_seed, make_generator
from lr_lab.runs.profiles import PROFILES, find_profile

EVERY_CASE = {
    1: ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    2: ((5, 6, 7, 8, 9), (0, 1, 2, 3, 4)),
    3: ((0, 1, 2, 5, 6), (3, 4, 7, 8, 9)),
    4: ((5, 6, 7, 0, 1), (8, 9, 2, 3, 4)),
}


# -- cases --------------------------------------------------------------------------------------------------------


def test_cases_are_table_3():
    assert {number: (case.first, case.second) for number, case in CASES.items()} == EVERY_CASE


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_a_case_divides_the_ten_classes(case):
    check_tasks((case.first, case.second))
    assert sorted(case.first + case.second) == list(range(10))


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([(0, 1, 2, 3, 4), (4, 5, 6, 7, 8, 9)], "class 4 is chosen twice"),
        ([(0, 0, 1), (2, 3)], "class 0 is chosen twice"),
        ([(0, 1), (2, 10)], "no class 10: this data set has 0 to 9"),
        ([(-1, 0), (1, 2)], "no class -1"),
        ([(0, 1), ()], "task 2 is left without a class"),
        ([(), (0, 1)], "task 1 is left without a class"),
        ([(0, 1)], "one task alone"),
        ([(), ()], "no class is chosen"),
    ],
)
def test_impossible_tasks_are_refused(tasks, words):
    with pytest.raises(UsageError, match=words):
        check_tasks(tasks)


# -- settings -----------------------------------------------------------------------------------------------------


def test_defaults_are_what_the_paper_states():
    stated = {"train_share": 0.9, "batch_size": 1000, "learning_rate": 0.001, "memory_shares": (0.01, 0.05, 0.25)}
    settings = Settings()
    assert {name: getattr(settings, name) for name in stated} == stated
    assert settings.images_per_class is None  # all of them


NUMBERS_THAT_ARE_NONE = [math.nan, math.inf, -math.inf, True, "0.5", None, [0.5], 1j]
BAD_SETTINGS = {
    "memory_shares": [(0,), (-0.1,), (1.01,), (0.5, 2), (0.1, 0.1), "0.5", *[(x,) for x in NUMBERS_THAT_ARE_NONE]],
    "train_share": [0, 1, -0.1, 1.5, *NUMBERS_THAT_ARE_NONE],
    "target_train_accuracy": [0, 1, -0.1, 1.5, *NUMBERS_THAT_ARE_NONE],
    "batch_size": [0, -1, 1.5, 1000.0, *NUMBERS_THAT_ARE_NONE],
    "max_epochs": [0, -1, 1.5, 150.0, *NUMBERS_THAT_ARE_NONE],
    "latent_sample": [0, -1, 1.5, *NUMBERS_THAT_ARE_NONE],
    "images_per_class": [0, 19, -1, 600.0, *[x for x in NUMBERS_THAT_ARE_NONE if x is not None]],
    "learning_rate": [0, -0.1, *NUMBERS_THAT_ARE_NONE],
    "momentum": [-0.1, 1, 1.5, *NUMBERS_THAT_ARE_NONE],
    "precision": ["double", "AUTO", "", 64, None],
    "choices": [
        "memory-first",
        ["memory-first"],
        ("memory",),
        ("adapting", ""),
        ("memory-first", "mixed-batches"),
        None,
    ],
}


def test_every_setting_has_refused_values():
    assert set(BAD_SETTINGS) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_SETTINGS.items() for value in values], ids=repr
)
def test_bad_setting_is_refused(name, value):
    with pytest.raises(UsageError) as refusal:
        Settings(**{name: value})
    message = str(refusal.value)
    assert message.startswith(f"settings: {name} is {value!r}; it must be ")
    assert "\n" not in message


@pytest.mark.parametrize("value", [0.05, None, 1, True])
def test_memory_shares_that_are_no_list_are_refused(value):
    with pytest.raises(UsageError, match="memory_shares"):
        Settings(memory_shares=value)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_too_small_for_batchnorm_is_refused(batch_size):
    # Of one image there are no batch statistics; an odd number of test images in batches of two ends in a single one.
    with pytest.raises(UsageError, match="batch_size"):
        Settings(batch_size=batch_size)


@given(st.floats().filter(lambda share: not 0 < share <= 1))
def test_every_share_outside_0_to_1_is_refused(share):
    with pytest.raises(UsageError, match=r"memory_shares .*\(0, 1\]"):
        Settings(memory_shares=(0.1, share))


@given(st.floats(0, 1, exclude_min=True))
def test_every_share_within_0_to_1_is_accepted(share):
    assert Settings(memory_shares=(share,)).memory_shares == (share,)


def test_as_dict_holds_every_field_but_what_was_added_later_and_is_at_its_default():
    every = {field.name for field in dataclasses.fields(Settings)}
    assert set(Settings().as_dict()) == every - {"choices"}
    assert set(Settings(choices=("adapting",)).as_dict()) == every


# -- profiles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["papers", "", "PAPER", None])
def test_unknown_profile_names_the_known_ones(name):
    with pytest.raises(UsageError, match=f"unknown profile .*known are {', '.join(PROFILES)}"):
        find_profile(name)


@pytest.mark.parametrize(
    "order",
    [
        (),
        ((0, 1, 2),),  # one task alone
        ((0, 1), ()),
        ((0, 1), (1, 2)),  # a class twice
        ((0, 0), (1, 2)),
        ((0, 1), (3, 4)),  # a class left out
        ((1, 2), (3, 4)),
    ],
)
def test_an_order_that_has_no_class_0_to_k_once_each_is_refused(order):
    with pytest.raises(UsageError, match="^profile: an order is .*; it must be two tasks or more, none without"):
        replace(PROFILES["smoke-longer"], orders=(*PROFILES["longer"].orders, order))


def test_literal_is_paper_without_momentum_and_with_a_higher_cap():
    paper, literal = (find_profile(name).settings.as_dict() for name in ("paper", "literal"))
    differing = {name: (paper[name], literal[name]) for name in paper if paper[name] != literal[name]}
    assert differing == {"momentum": (0.9, 0.0), "max_epochs": (150, 300)}


def test_bf16_is_the_paper_in_another_precision():
    assert find_profile("bf16").settings == replace(find_profile("paper").settings, precision="bf16")


@pytest.mark.parametrize(
    ("name", "datasets", "cases", "seeds", "preliminary", "images_per_class"),
    [
        ("paper", ("mnist", "kmnist", "fashion-mnist"), (1, 2, 3, 4), (0, 1, 2), False, None),
        ("literal", ("mnist",), (1, 2, 3, 4), (0,), False, None),
        ("bf16", ("mnist",), (1,), (0,), False, None),
        ("quick", ("mnist", "kmnist", "fashion-mnist"), (1,), (0,), True, 600),
        ("smoke", ("digits",), (1, 3), (0,), True, 60),
    ],
)
def test_what_a_profile_runs(name, datasets, cases, seeds, preliminary, images_per_class):
    profile = find_profile(name)
    assert (profile.datasets, profile.cases, profile.preliminary) == (datasets, cases, preliminary)
    assert profile.settings.images_per_class == images_per_class
    assert profile.seeds == seeds
    assert profile.purpose


# -- seeds --------------------------------------------------------------------------------------------------------


def test_derived_seeds_are_pinned():
    # A record's numbers hang on these: who changes them raises PROTOCOL_VERSION.
    assert derived_seed(0, "weights") == 133_441_691_874_178_746
    assert derived_seed(1, "digits", "fold", 3) == 8_904_815_821_271_900_883


def test_derived_seeds_differ_by_seed_and_by_purpose():
    purposes = [("weights",), ("memory",), ("batches", "first-task"), ("batches", "no-replay"), ("mixed", "test")]
    seeds = [derived_seed(seed, *purpose) for seed in range(50) for purpose in purposes]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)  # what torch accepts


def test_a_draw_does_not_depend_on_other_draws():
    alone = torch.rand(5, generator=make_generator(0, "memory"))
    torch.rand(100, generator=make_generator(0, "weights"))
    assert torch.equal(torch.rand(5, generator=make_generator(0, "memory")), alone)
    assert not torch.equal(torch.rand(5, generator=make_generator(0, "weights")), alone)


def test_generators_leave_the_global_one_alone():
    before = torch.get_rng_state()
    torch.rand(5, generator=make_generator(0, "memory"))
    assert torch.equal(torch.get_rng_state(), before)
