"""Checkpoints of an unfinished run: kept whole, or set aside; what was trained is not trained again."""

import json
import shutil
import warnings
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from grids import without_timings

from lr_core.errors import LatentReplayError
from lr_core.experiment import arm_name
from lr_core.settings import CASES
from lr_lab.runs import execute, provenance
from lr_lab.runs.checkpoints import Checkpoints
from lr_lab.runs.record import make_record

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3, dtype=torch.int64)}
RESULT = {"arm": {"arm": "no-replay", "memory_share": None, "epochs": 3, "accuracy": 0.123456789012345}, "sample": None}


@pytest.fixture
def kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "arms")
    checkpoints.write("no-replay", WEIGHTS, RESULT)
    return checkpoints


def test_what_is_written_is_read(kept):
    weights, result = kept.read("no-replay")
    assert result == RESULT
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert {file.name for file in kept.folder.iterdir()} == {"no-replay.safetensors"}
    assert kept.finished() == 1


def test_weights_in_any_memory_format_are_kept(tmp_path):
    weight = torch.rand(10, 4, 5, 5).to(memory_format=torch.channels_last)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write("no-replay", {"w": weight}, RESULT)
    assert torch.equal(checkpoints.read("no-replay")[0]["w"], weight)


def test_an_unfinished_arm_is_not_taken_for_a_finished_one(kept):
    assert kept.read("first-task") is None
    kept.write("first-task", WEIGHTS, {"epoch": 1}, finished=False)
    assert kept.read("first-task") is None
    assert kept.finished() == 1
    assert kept.read("first-task", finished=False)[1] == {"epoch": 1}


def test_a_finished_arm_leaves_nothing_unfinished(kept):
    kept.write("first-task", WEIGHTS, {}, finished=False)
    kept.write("first-task", WEIGHTS, RESULT)
    assert kept.read("first-task", finished=False) is None
    assert kept.read("first-task")[1] == RESULT


def test_a_new_result_replaces_the_old(kept):
    kept.write("no-replay", WEIGHTS, RESULT | {"sample": 1})
    assert kept.read("no-replay")[1]["sample"] == 1


def test_without_a_folder_nothing_is_kept():
    checkpoints = Checkpoints(None)
    checkpoints.write("no-replay", WEIGHTS, RESULT)
    assert checkpoints.read("no-replay") is None
    assert checkpoints.finished() == 0
    checkpoints.clear()


def test_clear_removes_the_folder_and_may_be_repeated(kept):
    kept.clear()
    kept.clear()
    assert not kept.folder.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LatentReplayError, match=r"file/arms/arm\.safetensors: cannot be written"):
        Checkpoints(tmp_path / "file" / "arms").write("arm", WEIGHTS, RESULT)


def altered(**metadata):
    """The same file with other metadata; None leaves an entry out."""

    def alter(content):
        size = int.from_bytes(content[:8], "little")
        known = json.loads(content[8 : 8 + size])["__metadata__"] | metadata
        known = {name: value for name, value in known.items() if value is not None}
        return safetensors.torch.save(safetensors.torch.load(content), known)

    return alter


DAMAGE = {
    "cut short": lambda content: content[:-1],
    "cut within its header": lambda content: content[:20],
    "empty": lambda content: b"",
    "no such file": lambda content: b"\x80 no tensors",
    "a size that lies": lambda content: b"\xff" * 8 + content[8:],
    "a bit of the weights flipped": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "a digit of the result altered": lambda content: content.replace(b"0.123456789", b"0.123456788"),
    "without metadata": lambda content: safetensors.torch.save(safetensors.torch.load(content)),
    "without its checksum": altered(sha256=None),
    "without its run": altered(key=None),
    "of another run": altered(key="other"),
    "of an earlier version": altered(format=None),
    "without its arm": altered(arm=None),
    "of another arm": altered(arm="first-task"),
    "without its result": altered(result=None),
    "with another result": altered(result="{}"),
}


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_named_set_aside_and_not_used(tmp_path, damage, finished):
    kept = Checkpoints(tmp_path / "arms")
    kept.write("no-replay", WEIGHTS, RESULT, finished=finished)
    (file,) = kept.folder.iterdir()
    damaged = damage(file.read_bytes())
    assert damaged != file.read_bytes()
    file.write_bytes(damaged)
    with pytest.warns(UserWarning, match="damaged checkpoint") as warnings:
        assert kept.read("no-replay", finished=finished) is None
    (warning,) = warnings
    message = str(warning.message)
    assert str(file) in message
    assert "trained again" in message
    assert "\n" not in message
    assert {f.name: f.read_bytes() for f in kept.folder.iterdir()} == {f"{file.name}.damaged": damaged}
    # The second time there is nothing left to warn of, and a new arm can be kept.
    assert kept.read("no-replay", finished=finished) is None
    kept.write("no-replay", WEIGHTS, RESULT, finished=finished)
    assert kept.read("no-replay", finished=finished) is not None


# -- in a run -----------------------------------------------------------------------------------------------------


def cut(folder, arm):
    file = folder / f"{arm}.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def swap(folder, arm):
    shutil.copy(folder / "replay-0.25.safetensors", folder / f"{arm}.safetensors")


@pytest.mark.parametrize(
    ("arm", "damage"),
    [("first-task", cut), ("replay-0.05", swap), ("no-replay", cut)],
    ids=["first task, cut", "replay, another arm's", "no replay, cut"],
)
def test_the_damaged_arm_alone_is_trained_again_to_the_same_record(
    digits, tiny, tiny_arms, watched, run_id, record, tmp_path, arm, damage
):
    folder, reported = shutil.copytree(watched.checkpoints.folder, tmp_path / "arms"), []
    damage(folder, arm)
    with pytest.warns(UserWarning, match=f"{arm}.safetensors: damaged checkpoint"):
        result = execute.train(digits, CASES[1], 0, tiny, checkpoints=Checkpoints(folder), report=reported.append)
    once = {name: 1 for name in tiny_arms}  # an arm that is read reports once, one that is trained after each epoch
    assert {name: sum(p.arm == name for p in reported) for name in tiny_arms} == once | {arm: tiny.max_epochs}
    assert without_timings(make_record(run_id, tiny, result)) == without_timings(record)


def test_shares_that_hardly_differ_are_arms_of_their_own(digits, tiny, watched, tmp_path):
    folder = shutil.copytree(watched.checkpoints.folder, tmp_path / "arms")
    settings = replace(tiny, memory_shares=(0.25, 0.25000001))
    result = execute.train(digits, CASES[1], 0, settings, checkpoints=Checkpoints(folder))
    assert [arm["memory_share"] for arm in result["arms"]] == [None, 0.25, 0.25000001, None]


class Interrupted(Exception):
    """Stands for whatever ends a run: it comes after an epoch, once that is kept."""


def interrupted(digits, settings, folder, arm, epoch):
    def stop(progress):
        if (progress.arm, progress.epoch) == (arm, epoch):
            raise Interrupted

    with pytest.raises(Interrupted):
        execute.train(digits, CASES[1], 0, settings, checkpoints=Checkpoints(folder), report=stop)


@pytest.mark.parametrize("arm", ["first-task", "replay-0.05", "no-replay"])
def test_an_interrupted_arm_goes_on_to_the_same_record(digits, tiny, tiny_arms, run_id, record, tmp_path, arm):
    reported = []
    for epoch in range(1, tiny.max_epochs + 1):  # also after the last one, whose results were not kept yet
        interrupted(digits, tiny, tmp_path, arm, epoch)
    result = execute.train(digits, CASES[1], 0, tiny, checkpoints=Checkpoints(tmp_path), report=reported.append)
    assert arm not in {progress.arm for progress in reported}  # all of its epochs had been trained before
    assert without_timings(make_record(run_id, tiny, result)) == without_timings(record)
    seconds = next(a["seconds"] for a in result["arms"] if arm_name(a["arm"], a["memory_share"]) == arm)
    assert seconds > 0


def test_an_arm_that_another_library_began_is_trained_from_its_start(
    digits, tiny, run_id, record, tmp_path, monkeypatch
):
    interrupted(digits, tiny, tmp_path, "first-task", 1)
    reported, stamp = [], provenance.stamp
    monkeypatch.setattr(provenance, "stamp", lambda compute: stamp(compute) | {"sources_sha256": "other"})
    with pytest.warns(
        UserWarning, match="first-task: begun where sources_sha256 differed; it is trained from its start"
    ):
        result = execute.train(digits, CASES[1], 0, tiny, checkpoints=Checkpoints(tmp_path), report=reported.append)
    assert [p.epoch for p in reported if p.arm == "first-task"] == list(range(1, tiny.max_epochs + 1))
    assert result["arms"][0]["accuracy"] == record["arms"][0]["accuracy"]


def test_a_checkpoint_that_is_removed_while_it_is_read_is_none(tmp_path, monkeypatch):
    import safetensors

    kept = Checkpoints(tmp_path, "key")
    kept.write("replay", {"a": torch.ones(3)}, {})

    def removed(file, framework):
        file.unlink()
        raise RuntimeError(f"unable to open file <{file}> in read-only mode: No such file or directory (2)")

    monkeypatch.setattr(safetensors, "safe_open", removed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kept.read("replay") is None
