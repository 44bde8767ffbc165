"""Runs of more than two tasks: their arms, their memories, their records, and that finished arms are kept."""

import dataclasses
import json

import pytest
import torch

from lr_core.errors import LatentReplayError, UsageError
from lr_core.experiment import TaskSequence
from lr_core.settings import EVALUATIONS
from lr_lab.grid.plan import RUNS
from lr_lab.runs import execute, longer, results, store
from lr_lab.runs.checkpoints import Checkpoints
from lr_lab.runs.profiles import PROFILES, find_profile
from lr_lab.runs.record import RunId

TASKS = ((0, 1), (2, 3), (4, 5))


@pytest.fixture(scope="module")
def short(tiny):
    return dataclasses.replace(tiny, images_per_class=40, batch_size=30, max_epochs=1, memory_shares=(0.25,))


@pytest.fixture(scope="module")
def found(digits, short, double):
    return longer.train(digits, TASKS, 0, short, compute=double)


def test_arms_and_their_memories(found):
    # A task has 72 training images, of which 18 are kept; two tasks come before the last one.
    facts = [
        (a["arm"], a.get("choice"), a["memory_images"], a["memory_bytes"], len(a["epochs"])) for a in found["arms"]
    ]
    assert facts == [
        ("replay", None, 36, 36 * 145, 3), ("replay", "fixed-size", 36, 36 * 145, 3), ("no-replay", None, None, None, 3),
    ]  # fmt: skip
    assert [task["classes"] for task in found["sequence"]] == [[0, 1], [2, 3], [4, 5]]


def test_a_memory_of_fixed_size_is_full_from_the_first_task_on(digits, short, double):
    policy = longer.FixedSize(36)
    policy.sequence = TaskSequence(digits, TASKS, share=0.25, settings=short, compute=double, policy=policy)
    policy.sequence.run(1)
    policy.sequence.begin()
    first = policy.sequence.memory
    assert len(first) == 36
    for _ in policy.sequence.epochs():
        pass
    policy.sequence.begin()
    assert [len(kept) for kept in policy.sequence.kept] == [18, 18]
    assert torch.equal(policy.sequence.kept[0].positions, first.positions[:18])
    assert torch.equal(policy.sequence.kept[0].latents, first.latents[:18])


def test_a_task_that_is_smaller_than_the_memory_is_kept_whole(digits, short, double):
    policy = longer.FixedSize(10_000)
    policy.sequence = TaskSequence(digits, TASKS, share=0.25, settings=short, compute=double, policy=policy)
    policy.sequence.run(1)
    policy.sequence.begin()
    assert len(policy.sequence.memory) == len(policy.sequence.tasks[0].train)


def test_an_order_of_a_profile_is_that_of_its_records():
    """Its classes are not in the key of a run: who changes an order gives it another number."""
    records = store.read_all(RUNS, "longer")
    assert len(records) == 18
    for record in records:
        classes = tuple(tuple(task["classes"]) for task in record["sequence"])
        assert classes == find_profile("longer").orders[record["run"]["case"] - 1]


def test_the_matrix_is_that_of_the_sequence(digits, short, double, found):
    sequence = TaskSequence(digits, TASKS, share=0.25, settings=short, compute=double).run()
    for mode in EVALUATIONS:
        assert found["arms"][0]["matrix"][mode] == [list(row) for row in sequence.matrix(mode)]
        assert found["arms"][0]["confusion"][mode] == sequence.confusion(mode)


def test_finished_arms_are_kept(digits, short, double, found, tmp_path, monkeypatch):
    longer.train(digits, TASKS, 0, short, compute=double, checkpoints=Checkpoints(tmp_path))
    (tmp_path / "no-replay.safetensors").unlink()
    made, begin = [], TaskSequence.begin
    monkeypatch.setattr(TaskSequence, "begin", lambda self: (made.append(self.share), begin(self))[1])
    again = longer.train(digits, TASKS, 0, short, compute=double, checkpoints=Checkpoints(tmp_path))
    assert made == [None] * 3
    assert [arm["matrix"] for arm in again["arms"]] == [arm["matrix"] for arm in found["arms"]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    run_id = RunId("smoke-longer", "digits", 1, 0)
    return execute.run(run_id, runs=runs, threads=1), run_id.record(runs)


def test_its_record_is_read_again(recorded):
    record, path = recorded
    assert store.read(path) == json.loads(json.dumps(record))
    assert store.read_all(path.parents[1], "smoke-longer") == [store.read(path)]
    assert list(results.longer_summary(record).index) == ["replay 25 %", "replay 25 %, fixed-size", "no-replay"]
    table = results.table([record])
    assert len(table) == 9
    row = table[(table.evaluation == "mixed") & (table.arm == "no-replay")].iloc[0]
    *earlier, last = record["arms"][2]["matrix"]["mixed"][-1]
    assert (row.test_accuracy, row.original_test_accuracy) == (last, pytest.approx(sum(earlier) / 2))


def test_a_matrix_with_a_value_that_is_no_share_is_refused(recorded, tmp_path):
    record, path = recorded
    record = json.loads(json.dumps(record))
    record["arms"][0]["matrix"]["mixed"][0][0] = 1.5
    with pytest.raises(LatentReplayError, match="is not a whole record"):
        store.write(record, tmp_path / "smoke-longer" / path.name)


@pytest.mark.parametrize("case", [0, 4])
def test_an_order_that_the_profile_does_not_have_is_refused(case):
    with pytest.raises(UsageError, match=f"unknown case {case}; known are 1, 2, 3"):
        RunId("longer", "mnist", case, 0)


def test_every_order_has_each_class_once():
    assert [sorted(number for task in order for number in task) for order in PROFILES["longer"].orders] == [
        [*range(10)]
    ] * 3
