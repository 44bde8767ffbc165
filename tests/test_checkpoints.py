"""Finished arms of an unfinished run: kept whole, or set aside and trained again."""

import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from lr_core import config, protocol, records
from lr_core.checkpoints import Checkpoints
from lr_core.errors import LatentReplayError

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
    assert {file.name for file in kept.folder.iterdir()} == {"no-replay.json", "no-replay.safetensors"}


def test_weights_in_any_memory_format_are_kept(tmp_path):
    weight = torch.rand(10, 4, 5, 5).to(memory_format=torch.channels_last)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write("no-replay", {"w": weight}, RESULT)
    assert torch.equal(checkpoints.read("no-replay")[0]["w"], weight)


def test_an_arm_that_was_not_finished_is_not_there(kept):
    assert kept.read("first-task") is None
    # The result is written last: without it, weights vouch for nothing.
    (kept.folder / "no-replay.json").unlink()
    assert kept.read("no-replay") is None
    assert (kept.folder / "no-replay.safetensors").exists()


def test_a_new_result_replaces_the_old(kept):
    kept.write("no-replay", WEIGHTS, RESULT | {"sample": 1})
    assert kept.read("no-replay")[1]["sample"] == 1


def test_without_a_folder_nothing_is_kept():
    checkpoints = Checkpoints(None)
    checkpoints.write("no-replay", WEIGHTS, RESULT)
    assert checkpoints.read("no-replay") is None
    checkpoints.clear()


def test_clear_removes_the_folder_and_may_be_repeated(kept):
    kept.clear()
    kept.clear()
    assert not kept.folder.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LatentReplayError, match=r"file/arms/arm\.safetensors: cannot be written"):
        Checkpoints(tmp_path / "file" / "arms").write("arm", WEIGHTS, RESULT)


def other_weights():
    return safetensors.torch.save({"a": torch.zeros(2, 3)})


def without(name):
    return lambda content: json.dumps({k: v for k, v in json.loads(content).items() if k != name}).encode()


DAMAGE = {
    "result cut short": ("json", lambda content: content[:-5]),
    "result empty": ("json", lambda content: b""),
    "result not JSON": ("json", lambda content: b"\x80 no text"),
    "result no object": ("json", lambda content: b"[]"),
    "result null": ("json", lambda content: b"null"),
    "result with a digit altered": ("json", lambda content: content.replace(b"0.123456789", b"0.123456788")),
    "result without its checksum": ("json", without("sha256")),
    "result without the weights' checksum": ("json", without("weights_sha256")),
    "result without the result": ("json", without("result")),
    "result without its run": ("json", without("key")),
    "result of another run": ("json", lambda content: content.replace(b'"key": ""', b'"key": "other"')),
    "weights cut short": ("safetensors", lambda content: content[:-1]),
    "weights empty": ("safetensors", lambda content: b""),
    "weights with a bit flipped": (
        "safetensors",
        lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    ),
    "weights of another arm": ("safetensors", lambda content: other_weights()),
}


@pytest.mark.parametrize(("kind", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_named_set_aside_and_not_used(kept, kind, damage):
    file = kept.folder / f"no-replay.{kind}"
    damaged = damage(file.read_bytes())
    assert damaged != file.read_bytes()
    file.write_bytes(damaged)
    with pytest.warns(UserWarning, match="damaged checkpoint") as warnings:
        assert kept.read("no-replay") is None
    (warning,) = warnings
    message = str(warning.message)
    assert str(kept.folder / "no-replay.json") in message
    assert "trained again" in message
    assert "\n" not in message
    assert {f.name for f in kept.folder.iterdir()} == {"no-replay.json.damaged", "no-replay.safetensors.damaged"}
    assert (kept.folder / f"no-replay.{kind}.damaged").read_bytes() == damaged
    # The second time there is nothing left to warn of, and a new arm can be kept.
    assert kept.read("no-replay") is None
    kept.write("no-replay", WEIGHTS, RESULT)
    assert kept.read("no-replay") is not None


def test_missing_weights_are_damage_too(kept):
    (kept.folder / "no-replay.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"set aside as no-replay\.json\.damaged"):
        assert kept.read("no-replay") is None


# -- in a run -----------------------------------------------------------------------------------------------------


def cut_weights(folder, arm):
    file = folder / f"{arm}.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def swap_weights(folder, arm):
    shutil.copy(folder / "replay-0.25.safetensors", folder / f"{arm}.safetensors")


def cut_result(folder, arm):
    file = folder / f"{arm}.json"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("arm", "damage"),
    [("first-task", cut_weights), ("replay-0.05", swap_weights), ("no-replay", cut_result)],
    ids=["first task, weights cut", "replay, weights of another arm", "no replay, result cut"],
)
def test_the_damaged_arm_alone_is_trained_again_to_the_same_record(
    digits, tiny, tiny_arms, watched, run_id, record, tmp_path, arm, damage
):
    folder, told = shutil.copytree(watched.checkpoints.folder, tmp_path / "arms"), []
    damage(folder, arm)
    again = protocol.Run(digits, config.case(1), 0, tiny, checkpoints=Checkpoints(folder), report=told.append)
    with pytest.warns(UserWarning, match=f"{arm}.json: damaged checkpoint"):
        result = again.result()
    once = {name: 1 for name in tiny_arms}  # an arm that is read reports once, one that is trained after each epoch
    assert {name: sum(p.arm == name for p in told) for name in tiny_arms} == once | {arm: tiny.max_epochs}
    assert records.without_timings(records.make(run_id, tiny, result)) == records.without_timings(record)


def test_shares_that_hardly_differ_are_arms_of_their_own(digits, tiny, watched, tmp_path):
    folder = shutil.copytree(watched.checkpoints.folder, tmp_path / "arms")
    settings = replace(tiny, memory_shares=(0.25, 0.25000001))
    run = protocol.Run(digits, config.case(1), 0, settings, checkpoints=Checkpoints(folder))
    assert [arm["memory_share"] for arm in run.result()["arms"]] == [None, 0.25, 0.25000001, None]
