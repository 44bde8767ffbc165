"""The record of a run: written whole or not at all, read only if unaltered, and keyed by what its numbers follow from."""

import copy
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from grids import without_timings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lr_core.errors import LatentReplayError, UsageError
from lr_core.settings import PROTOCOL_VERSION, Settings
from lr_lab import files
from lr_lab.data import catalogue
from lr_lab.runs import results, store
from lr_lab.runs.profiles import PROFILES
from lr_lab.runs.record import RunId, digest


def renamed(record, run):
    """The same results under the name of another run, with a checksum that fits."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    content |= {"profile": run.profile, "run": {"dataset": run.dataset, "case": run.case, "seed": run.seed}}
    return content | {"sha256": digest(content)}


@pytest.fixture
def path(record, run_id, tmp_path):
    path = run_id.record(tmp_path / "runs")
    store.write(record, path)
    return path


def refusal(path):
    with pytest.raises(LatentReplayError) as caught:
        store.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 600
    return message


# -- names --------------------------------------------------------------------------------------------------------


def test_where_a_run_is_kept(tmp_path):
    run = RunId("paper", "fashion-mnist", 3, 12)
    assert run.record(tmp_path) == tmp_path / "paper" / "fashion-mnist-case3-seed12.json"
    assert run.notebook(tmp_path) == tmp_path / "paper" / "fashion-mnist-case3-seed12.ipynb"
    assert str(run) == "paper fashion-mnist case 3 seed 12"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (("papers", "mnist", 1, 0), "unknown profile 'papers'"),
        (("paper", "cifar", 1, 0), "unknown data set 'cifar'"),
        (("paper", "mnist", 5, 0), "unknown case 5"),
        (("paper", "mnist", "1", 0), "unknown case '1'"),
        (("paper", "mnist", 1, -1), "seed is -1"),
        (("paper", "mnist", 1, "0"), "seed is '0'"),
        (("paper", "mnist", 1, 0.0), "seed is 0.0"),
        (("paper", "mnist", 1, True), "seed is True"),
        (("paper", "mnist", 1, None), "seed is None"),
    ],
)
def test_impossible_run_is_refused(run, words):
    with pytest.raises(UsageError, match=words):
        RunId(*run)


@pytest.mark.parametrize("case", [True, 1.0])
def test_case_must_be_a_whole_number(case):
    with pytest.raises(UsageError, match="unknown case"):
        RunId("paper", "mnist", case, 0)


# -- keys ---------------------------------------------------------------------------------------------------------

OTHER_VALUES = {
    "train_share": 0.8,
    "batch_size": 100,
    "learning_rate": 0.01,
    "memory_shares": (0.01, 0.05),
    "choices": ("memory-first",),
    "momentum": 0.0,
    "target_train_accuracy": 0.98,
    "max_epochs": 151,
    "images_per_class": 600,
    "precision": "fp32",
    "latent_sample": 601,
}


def test_the_key_of_a_committed_record_is_pinned():
    # Hours of training are due again when this changes. Do so by raising PROTOCOL_VERSION, never by accident.
    key = RunId("paper", "mnist", 1, 0).key(PROFILES["paper"].settings)
    assert key == "5230e762279eaea25d5609f6083e98c67c72d980a8790df4aa89c290fc5ece2c"


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_in_the_key(name):
    run, changed = RunId("paper", "mnist", 1, 0), dataclasses.replace(Settings(), **{name: OTHER_VALUES[name]})
    assert run.key(changed) != run.key(Settings())


@pytest.mark.parametrize("other", [("paper", "kmnist", 1, 0), ("paper", "mnist", 2, 0), ("paper", "mnist", 1, 1)])
def test_data_set_case_and_seed_are_in_the_key(other):
    assert RunId(*other).key(Settings()) != RunId("paper", "mnist", 1, 0).key(Settings())


def test_the_name_of_the_profile_is_not_in_the_key():
    # A profile is a name for its settings: the same settings under another name are the same numbers.
    assert RunId("paper", "mnist", 1, 0).key(Settings()) == RunId("quick", "mnist", 1, 0).key(Settings())


def test_protocol_version_and_data_are_in_the_key(monkeypatch):
    run = RunId("paper", "mnist", 1, 0)
    keys = [run.key(Settings())]
    monkeypatch.setattr("lr_lab.runs.record.PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    keys.append(run.key(Settings()))
    monkeypatch.setattr(catalogue, "checksums", lambda name: {"train-images-idx3-ubyte": "0" * 64})
    keys.append(run.key(Settings()))
    assert len(set(keys)) == 3
    assert all(len(key) == 64 for key in keys)


def test_a_record_carries_its_key_and_what_it_is_the_digest_of(record, run_id, tiny):
    basis = run_id.basis(tiny)
    assert record["key"] == run_id.key(tiny) == digest(basis)
    assert {name: record[name] for name in basis} == basis
    assert record["settings"] == tiny.as_dict()


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text(), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_digest_does_not_depend_on_order_or_on_a_trip_through_json(value):
    backwards = dict(reversed(value.items()))
    assert digest(value) == digest(backwards) == digest(json.loads(json.dumps(value)))


# -- writing and reading ------------------------------------------------------------------------------------------


def test_what_is_written_is_read(path, record):
    assert store.read(path) == record == json.loads(path.read_bytes())
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644  # others may read what is committed


def edit(**changes):
    """The record with other values and a checksum that fits; None takes a field away."""

    def edited(content):
        record = {name: value for name, value in (json.loads(content) | changes).items() if value is not None}
        record.pop("sha256", None)
        return json.dumps(record | {"sha256": digest(record)}).encode()

    return edited


def too_good(content):
    record = json.loads(content)
    record["arms"][1]["accuracy"]["mixed"]["test"] = 1.01
    return edit(arms=record["arms"])(content)


def without_a_mode(content):
    record = json.loads(content)
    del record["arms"][0]["accuracy"]["batch"]
    return edit(arms=record["arms"])(content)


def an_arm_again(content):
    record = json.loads(content)
    return edit(arms=[*record["arms"], record["arms"][1]])(content)


BAD = {
    "empty": (lambda content: b"", "schema 2: Input data was truncated"),
    "cut in half": (lambda content: content[: len(content) // 2], "schema 2: Input data was truncated"),
    "cut by its last brace": (lambda content: content.rstrip()[:-1], "schema 2: Input data was truncated"),
    "no JSON": (lambda content: b"<html>404</html>", "JSON is malformed: invalid character (byte 0)"),
    "no text": (lambda content: b"\x1f\x8b\x08\x00\xff", "JSON is malformed: invalid character (byte 0)"),
    "no UTF-8": (lambda content: content.replace(b"smoke", b"smok\xe9"), "'utf-8' codec can't decode byte 0xe9"),
    "two records in one": (lambda content: content + content, "JSON is malformed: trailing characters"),
    "a list": (lambda content: b"[" + content + b"]", "Expected `object`, got `array`"),
    "null": (lambda content: b"null", "Expected `object`, got `null`"),
    "a later schema": (edit(schema=3), "schema 2: Invalid enum value 3 - at `$.schema`"),
    "schema as text": (edit(schema="2"), "schema 2: Expected `int`, got `str` - at `$.schema`"),
    "schema as a fraction": (edit(schema=2.0), "schema 2: Expected `int`, got `float` - at `$.schema`"),
    "an unknown field": (edit(extra=1), "Object contains unknown field `extra`"),
    "an unknown field with a long name": (edit(**{"x" * 5000: 1}), "Object contains unknown field `xxx"),
    "no arms": (edit(arms=[]), "Expected `array` of length >= 1 - at `$.arms`"),
    "an accuracy above 1": (too_good, "Expected `float` <= 1.0 - at `$.arms[1].accuracy.mixed.test`"),
    "an evaluation mode missing": (without_a_mode, "missing required field `batch` - at `$.arms[0].accuracy`"),
    "an arm again": (an_arm_again, "an arm is there more than once - at `$.arms`"),
    "a key that is none": (edit(key="abc"), "Expected `str` matching regex '^[0-9a-f]{64}\\\\Z' - at `$.key`"),
    "True for a number": (edit(protocol_version=True), "Expected `int`, got `bool` - at `$.protocol_version`"),
    "a number too large": (edit(protocol_version=2**31), "Expected `int` <= 2147483647 - at `$.protocol_version`"),
    "a setting of two lines": (
        edit(settings={"precision": "a\nb"}),
        "a setting is 'a\\nb', expected a-z, 0-9, - and _",
    ),
    "a setting that is an object": (edit(settings={"precision": {}}), "got `object` - at `$.settings[...]`"),
    "a digit altered": (lambda content: content.replace(b'"loss":[1', b'"loss":[2', 1), "does not match its checksum"),
    "an epoch altered": (
        lambda content: content.replace(b'"epochs":2', b'"epochs":3', 1),
        "does not match its checksum",
    ),
}


@pytest.mark.parametrize(("damage", "words"), BAD.values(), ids=BAD)
def test_bad_record_is_refused_by_name(path, damage, words):
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert words in refusal(path)


FIELDS = (
    "schema", "key", "profile", "protocol_version", "run", "settings", "data", "tasks", "arms", "latents",
)  # fmt: skip


def test_the_fields_of_a_record(record):
    assert set(record) == {"sha256", *FIELDS, "bounds"}  # the last is not in records from before


@pytest.mark.parametrize("field", FIELDS)
def test_record_without_a_field_is_refused(path, field):
    path.write_bytes(edit(**{field: None})(path.read_bytes()))
    assert f"Object missing required field `{field}`" in refusal(path)


def test_record_without_its_checksum_is_refused(path, record):
    path.write_text(json.dumps({name: value for name, value in record.items() if name != "sha256"}))
    assert "Object missing required field `sha256`" in refusal(path)


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_and_no_cut_gives_other_numbers(record, run_id, tmp_path, data):
    path = run_id.record(tmp_path)
    path.parent.mkdir(exist_ok=True)
    content = bytearray(json.dumps(record).encode())
    if data.draw(st.booleans(), label="cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = store.read(path)
    except LatentReplayError:
        return
    assert found == record  # 1e-05 as 1E-05, say


@pytest.mark.parametrize(
    "other", [RunId("smoke", "digits", 2, 0), RunId("smoke", "digits", 1, 1), RunId("paper", "digits", 1, 0)], ids=str
)
def test_record_under_the_name_of_another_run_is_refused(path, tmp_path, other):
    place = other.record(tmp_path / "runs")
    place.parent.mkdir(exist_ok=True)
    path.rename(place)
    assert "is the record of smoke/digits-case1-seed0" in refusal(place)


def test_a_record_that_is_not_there_is_named(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "smoke" / "digits-case1-seed0.json")
    assert "cannot be read" in refusal(tmp_path)


def test_a_record_can_be_read_from_its_own_folder(path, record, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert store.read(type(path)(path.name)) == record


def test_a_wrong_record_is_not_written(record, run_id, tmp_path):
    wrong = copy.deepcopy(record)
    wrong["arms"][0]["epochs"] = 0
    with pytest.raises(LatentReplayError, match=r"Expected `int` >= 1 - at `\$\.arms\[0\]\.epochs`"):
        store.write(wrong, run_id.record(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(record, run_id, tmp_path):
    (tmp_path / "smoke").write_text("a file where a folder should be")
    with pytest.raises(LatentReplayError, match=r"digits-case1-seed0\.json: cannot be written \(.+\)") as refused:
        store.write(record, run_id.record(tmp_path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_record_and_nothing_else(path, record, monkeypatch, step):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    before = path.read_bytes()
    with pytest.raises(LatentReplayError, match="No space left on device"):
        store.write(renamed(record, RunId("smoke", "digits", 1, 0)), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("times", "written"), [(1, True), (2, True), (3, False)])
def test_a_folder_that_is_removed_in_the_middle_is_made_again(tmp_path, monkeypatch, times, written):
    path, left = tmp_path / "folder" / "file", list(range(times))

    def removed(handle):
        if left:
            left.pop()
            shutil.rmtree(path.parent)

    monkeypatch.setattr(os, "fsync", removed)
    if written:
        files.write_atomically(path, b"content")
        assert path.read_bytes() == b"content"
    else:
        with pytest.raises(LatentReplayError, match=r"file: cannot be written \(No such file or directory\)"):
            files.write_atomically(path, b"content")


KILLED = """
import os, pathlib, sys, time
from lr_lab import files
def hang(*arguments):
    print("writing", flush=True)
    time.sleep(600)
setattr(os, sys.argv[2], hang)
files.write_atomically(pathlib.Path(sys.argv[1]), b"half a record")
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_killed_while_writing_leaves_the_old_record(path, record, step):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), step], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "writing\n"
    child.kill()
    child.communicate()
    assert len(list(path.parent.iterdir())) == 2  # what it left behind is there, but is no record
    assert store.read(path) == record
    assert store.read_all(path.parents[1], "smoke") == [record]


def test_a_damaged_file_is_set_aside_not_lost(tmp_path):
    for content in (b"one", b"two", b"three"):
        (tmp_path / "a.json").write_bytes(content)
        files.set_aside(tmp_path / "a.json")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"a.json.damaged": b"one", "a.json.damaged-2": b"two", "a.json.damaged-3": b"three"}


# -- many records -------------------------------------------------------------------------------------------------


def test_records_are_read_in_the_order_of_data_set_case_and_seed(record, tmp_path):
    in_order = [
        RunId("smoke", dataset, case, seed)
        for dataset, case, seed in [
            ("mnist", 1, 2), ("mnist", 1, 10), ("mnist", 2, 0), ("fashion-mnist", 1, 0), ("kmnist", 1, 0), ("digits", 3, 0),
        ]
    ]  # fmt: skip
    for run in reversed(in_order):
        store.write(renamed(record, run), run.record(tmp_path))
    (tmp_path / "smoke" / "mnist-case1-seed2.ipynb").write_text("no record")
    (tmp_path / "paper").mkdir()
    found = [RunId(entry["profile"], **entry["run"]) for entry in store.read_all(tmp_path, "smoke")]
    assert found == in_order
    assert store.read_all(tmp_path, "paper") == store.read_all(tmp_path, "literal") == []


def test_one_bad_record_among_many_is_named(path):
    bad = path.with_name("digits-case2-seed0.json")
    bad.write_bytes(path.read_bytes())
    with pytest.raises(LatentReplayError, match=r"digits-case2-seed0\.json: is the record of smoke/digits-case1-seed0"):
        store.read_all(path.parents[1], "smoke")


def write_of(path, record, **run):
    """The record under another data set, case or seed, which may be unknown."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    content |= {"run": record["run"] | run}
    place = path.with_name("{dataset}-case{case}-seed{seed}.json".format(**content["run"]))
    store.write(content | {"sha256": digest(content)}, place)
    return place


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (
            {"dataset": "letters"},
            "unknown data set 'letters': choose one of .*digits.* "
            "To have the data set letters, set LR_DATA_PATH to the folder that holds letters/dataset.toml$",
        ),
        ({"case": 9}, r"unknown case 9; known are 1, 2, 3, 4$"),
    ],
)
def test_sound_records_of_what_is_not_known_here_are_left_out_with_one_line_and_kept(path, record, run, words):
    places = [write_of(path, record, seed=seed, **run) for seed in (0, 1)]
    with pytest.warns(UserWarning, match=words) as warned:
        assert store.read_all(path.parents[1], "smoke") == [record]
    (message,) = [str(warning.message) for warning in warned]
    for text in (message, refusal(places[0])):
        assert not re.search("delete|damaged|grid", text)
    assert all(place.exists() for place in places)


def test_the_record_of_an_unknown_data_set_under_the_name_of_a_known_run_is_refused(path, record):
    os.replace(write_of(path, record, dataset="letters"), path)
    assert "is the record of smoke/letters-case1-seed0; give it that name back" in refusal(path)


# -- tables -------------------------------------------------------------------------------------------------------

COLUMNS = [
    "profile", "dataset", "case", "seed", "arm", "choice", "evaluation",
    "memory_images_percent", "train_accuracy", "test_accuracy", "original_test_accuracy", "epochs", "seconds", "memory_bytes",
]  # fmt: skip


def test_results_have_a_row_for_every_arm_and_evaluation_mode(record):
    table = results.table([record, renamed(record, RunId("paper", "mnist", 2, 7))])
    assert list(table.columns) == COLUMNS
    assert len(table) == 2 * 4 * 3
    assert not table.duplicated(
        ["profile", "dataset", "case", "seed", "arm", "memory_images_percent", "evaluation"]
    ).any()
    arms = table[table.evaluation == "mixed"].iloc[:4]
    assert list(arms.arm) == ["first-task", "replay", "replay", "no-replay"]
    assert arms.memory_images_percent.fillna(-1).tolist() == [-1, 5, 25, -1]
    assert arms.memory_bytes.fillna(-1).tolist() == [-1, 4 * 145, 22 * 145, -1]
    assert arms.original_test_accuracy.isna().tolist() == [True, False, False, False]
    assert set(table.profile) == {"smoke", "paper"}


def test_results_are_the_numbers_of_the_record(record):
    table = results.table([record]).set_index(["arm", "memory_images_percent", "evaluation"])
    arm, row = record["arms"][2], table.loc[("replay", 25.0, "batch")]
    assert row.train_accuracy == arm["accuracy"]["batch"]["train"]
    assert row.test_accuracy == arm["accuracy"]["batch"]["test"]
    assert row.original_test_accuracy == arm["accuracy"]["batch"]["original_test"]
    assert (row.epochs, row.seconds, row.dataset, row.case, row.seed) == (2, round(arm["seconds"], 1), "digits", 1, 0)


def test_results_survive_csv(record, tmp_path):
    table = results.table([record])
    table.to_csv(tmp_path / "results.csv", index=False)
    again = pd.read_csv(tmp_path / "results.csv", dtype={"memory_bytes": "Int64"})
    pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_no_records_give_an_empty_table():
    table = results.table([])
    assert list(table.columns) == COLUMNS
    assert table.empty


def test_timings_are_all_that_may_differ(record):
    later = copy.deepcopy(record)
    later["sha256"] = "0" * 64
    for arm in later["arms"]:
        arm["seconds"] += 1
        arm["provenance"]["started"] = "2000-01-01T00:00:00+00:00"
    assert without_timings(later) == without_timings(record)
    later["arms"][0]["provenance"]["threads"] += 1
    assert without_timings(later) != without_timings(record)
    untimed = without_timings(record)
    assert set(record) - set(untimed) == {"sha256"}
    assert set(record["arms"][0]) - set(untimed["arms"][0]) == {"seconds"}
