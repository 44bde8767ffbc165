"""Bad input, generated: settings, cases, runs, data files, archives, records, notebook parameters and command lines.

Each input is accepted and right, or refused with one clear line: never a traceback, never a half-written file. The
inputs are the same every time: 1,000, or 10,000 with --hypothesis-profile thorough.
"""

import bz2
import contextlib
import copy
import csv
import functools
import gzip
import io
import itertools
import json
import lzma
import math
import os
import sys
import tarfile
import tracemalloc
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
import sets
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sets import TRAIN_IMAGES, facts, idx, tiny_description, tiny_files

from lr_core import device
from lr_core.errors import LatentReplayError, UsageError
from lr_core.settings import CASES, PRECISIONS, Settings
from lr_lab import files
from lr_lab.cli import main
from lr_lab.data import catalogue, sources
from lr_lab.data.idx import IDX_PARTS, parse_idx
from lr_lab.grid import dask, notebook, plan, schedule
from lr_lab.grid.local import LocalExecutor
from lr_lab.grid.notebook import run_notebook
from lr_lab.runs import results, store
from lr_lab.runs.profiles import PROFILES
from lr_lab.runs.record import RunId, digest

pytestmark = pytest.mark.generated


def fuzz(number, **strategies):
    """A test of `number` generated inputs, of a tenth of them by default: the same ones every time."""

    def decorate(test):
        unhealthy = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
        chosen = settings(
            max_examples=number * settings().max_examples // 1000,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=unhealthy,
        )
        return chosen(given(**strategies)(test))

    return decorate


def one_line(message):
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    return message


def refusal(call, *arguments):
    """The line that a call is refused with; None where it is accepted. Any other error fails the test."""
    try:
        call(*arguments)
    except LatentReplayError as error:
        return one_line(str(error))
    return None


def number(value):
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def whole(value, least):
    return type(value) is int and least <= value < 2**31


EXTREME = [0, -1, 1, 2, 3, 19, 20, 2**31 - 1, 2**31, 2**63, 10**400, 0.0, -0.0, 1.0, 1e-320, 1e308, math.nan, math.inf]
EXTREME += ["", "nan", "1", "auto", "a\nb", "\u2028", "\ud800", "x" * 5000, True, False, None, [], {}, [[]]]
scalars = st.sampled_from(EXTREME) | st.integers() | st.floats() | st.text(max_size=8)
junk = scalars | st.lists(scalars, max_size=3)
chance = st.randoms(use_true_random=True)  # a generator from one drawn number: far faster than drawing each byte


# -- settings, cases, runs ----------------------------------------------------------------------------------------

shares = st.floats(0, 1, exclude_min=True)
RULES = {  # for each setting: what is right, and the rule that tells
    "train_share": (st.floats(0.01, 0.99), lambda v: number(v) and 0 < v < 1),
    "batch_size": (st.integers(3, 5000), lambda v: whole(v, 3)),
    "learning_rate": (st.floats(1e-9, 10), lambda v: number(v) and v > 0),
    "memory_shares": (
        st.lists(shares, unique=True, max_size=4).map(tuple),
        lambda v: type(v) is tuple and all(number(share) and 0 < share <= 1 for share in v) and len(set(v)) == len(v),
    ),
    "momentum": (st.floats(0, 0.99), lambda v: number(v) and 0 <= v < 1),
    "target_train_accuracy": (st.floats(0.01, 0.99), lambda v: number(v) and 0 < v < 1),
    "max_epochs": (st.integers(1, 999), lambda v: whole(v, 1)),
    "images_per_class": (st.none() | st.integers(20, 9999), lambda v: v is None or whole(v, 20)),
    "precision": (st.sampled_from(PRECISIONS), lambda v: type(v) is str and v in PRECISIONS),
    "latent_sample": (st.integers(1, 999), lambda v: whole(v, 1)),
}


a_setting = st.one_of([st.tuples(st.just(name), right | junk) for name, (right, _) in RULES.items()])


@fuzz(2500, values=st.lists(a_setting, max_size=3).map(dict))
def test_settings_are_right_or_refused_by_name(values):
    wrong = [name for name, value in values.items() if not RULES[name][1](value)]
    message = refusal(lambda: Settings(**values))
    assert (message is None) == (wrong == [])
    if message is None:
        made = Settings(**values)
        assert msgspec.json.decode(json.dumps(made.as_dict()), type=Settings) == made
    else:
        assert any(message.startswith(f"settings: {name} is ") for name in wrong)


def either(*right):
    return st.sampled_from(right) | junk


@fuzz(
    800,
    profile=either("paper", "smoke"),
    dataset=either("mnist", "digits"),
    case=either(1, 2, 3, 4),
    seed=either(0, 1, 2**31 - 1),
)
def test_a_run_is_possible_or_refused(profile, dataset, case, seed):
    right = type(profile) is str and profile in PROFILES and type(dataset) is str and dataset in catalogue.DATASETS
    right = right and type(case) is int and case in CASES and whole(seed, 0)
    message = refusal(RunId, profile, dataset, case, seed)
    assert (message is None) == right
    if right:
        assert len(RunId(profile, dataset, case, seed).stem.encode()) < 200  # a name that any file system takes


@fuzz(200, threads=junk)
def test_threads_are_a_number_or_refused(threads):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "set_num_threads", lambda threads: None)
        message = refusal(device.resolve, "fp64", threads)
    assert (message is None) == (threads is None or (whole(threads, 1) and threads <= 1024))


# -- data files ---------------------------------------------------------------------------------------------------

EXTENTS = [0, 1, 2, 3, 7, 10, 27, 28, 29, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


def damaged(content, chance):
    """Bytes that were altered up to three times: flipped, cut, extended, or with a header that lies."""
    content = bytearray(content)
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, chance.choice([20, len(content)]))
        kind = chance.choice(["bit", "cut", "insert", "type", "extent", "run"])
        if kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = chance.randbytes(chance.randint(1, 20))
        elif kind == "type":
            content[:4] = bytes(chance.choices([0, 1, 3, 8, 9, 11, 13, 255], k=4))
        elif kind == "extent":
            place = 4 * chance.randint(1, 3)
            content[place : place + 4] = chance.choice(EXTENTS).to_bytes(4, "big")
        elif kind == "run":
            content[at : at + 16] = bytes([chance.randint(0, 255)]) * 16
        elif at < len(content):
            content[at] ^= 1 << chance.randint(0, 7)
    return bytes(content)


def parsed(content, ndim):
    """The array in an IDX file, read in another way than the library's; None where the file is not sound."""
    if len(content) < 4 + 4 * ndim or content[:4] != bytes([0, 0, 8, ndim]):
        return None
    shape = [int.from_bytes(content[4 * k : 4 * k + 4], "big") for k in range(1, ndim + 1)]
    values = list(content[4 + 4 * ndim :])
    return np.array(values).reshape(shape) if values and math.prod(shape) == len(values) else None


@fuzz(2500, chance=chance, noise=st.binary(max_size=40))
def test_an_idx_file_is_read_whole_or_refused(chance, noise):
    shape = [chance.randint(1, 4) for _ in range(chance.randint(1, 3))]
    content = damaged(chance.choice([idx(np.arange(math.prod(shape)).reshape(shape))] * 4 + [noise]), chance)
    ndim = chance.choice([len(shape)] * 4 + [1, 2, 3])
    expected = parsed(content, ndim)
    message = refusal(parse_idx, content, "some/file", ndim)
    assert (message is None) == (expected is not None)
    if message is None:
        assert np.array_equal(parse_idx(content, "some/file", ndim), expected)
    else:
        assert message.startswith("some/file")


@fuzz(500, chance=chance, vouched=st.booleans())
def test_a_set_with_a_damaged_file_is_refused_even_if_its_checksum_fits(chance, vouched, tmp_path_factory):
    files = tiny_files()
    name = chance.choice(sorted(files))
    files[name] = damaged(files[name], chance)
    root = tmp_path_factory.getbasetemp() / "idx"
    folder = sets.write(root, files)
    info = tiny_description()
    if vouched:  # as if somebody had described a data set of his own by files that are wrong
        info = replace(info, files={file: facts(content) for file, content in files.items()})
    arrays = [(parsed(files[images], 3), parsed(files[labels], 1)) for images, labels in IDX_PARTS]
    sound = all(
        images is not None and labels is not None and images.shape == (len(labels), 28, 28) and labels.max() < 10
        for images, labels in arrays
    )
    sound = sound and len(set(np.concatenate([labels for _, labels in arrays]).tolist())) == 10
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        patch.setattr(catalogue, "_descriptions", lambda: {"mnist": info})
        patch.setattr(catalogue, "search_path", lambda: [root])
        message = refusal(catalogue.load, "mnist")
        if message is None:
            loaded = catalogue.load("mnist")
            assert np.array_equal(loaded.images, np.concatenate([images for images, _ in arrays]))
            assert np.array_equal(loaded.labels, np.concatenate([labels for _, labels in arrays]))
    assert (message is None) == (sound if vouched else files == tiny_files())
    assert message is None or name in message or vouched
    assert {path.name for path in folder.iterdir()} == set(files)
    for warning in warned:
        one_line(str(warning.message))


@pytest.mark.parametrize("extent", [2**31 - 1, 2**31, 2**32 - 1])
def test_a_header_that_announces_exabytes_takes_no_memory(extent):
    content = b"\0\0\x08\x03" + extent.to_bytes(4, "big") * 3 + bytes(1000)
    tracemalloc.start()
    message = refusal(parse_idx, content, "f", 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "its header announces" in message
    assert peak < 1 << 20


# -- archives -----------------------------------------------------------------------------------------------------

PACK = {"tar": bytes, "gz": functools.partial(gzip.compress, mtime=0), "bz2": bz2.compress, "xz": lzma.compress}
KINDS = [*[tarfile.REGTYPE] * 20, *tarfile.SUPPORTED_TYPES, b"x", b"g", b"Z"]
NAMES = [
    TRAIN_IMAGES,
    f"a/{TRAIN_IMAGES}.gz",
    f"/{TRAIN_IMAGES}",
    f"../{TRAIN_IMAGES}",
    "a/../../b",
    "c",
    "x" * 300,
    "",
]
CONTENTS = [tiny_files()[TRAIN_IMAGES], b"", b"20 size=-512\n", b"30 GNU.sparse.size=9\n"]


def some_archive(chance):
    """A tar archive of a few members that may lie about size and kind, packed in some way, perhaps damaged."""
    out = b""
    for _ in range(chance.randint(0, 3)):
        member, content = tarfile.TarInfo(chance.choice(NAMES)), chance.choice(CONTENTS)
        member.size = chance.choice([len(content)] * 6 + [0, -1, -512, -1024, 2**33, 2**62])
        member.type, member.linkname = chance.choice(KINDS), chance.choice(["", "/etc/passwd", ".."])
        out += member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    pack = PACK[chance.choice(sorted(PACK))]
    packed = pack(chance.choice([bytes, lambda c: damaged(c, chance)])(out + bytes(1024)))
    return chance.choice([bytes, lambda c: damaged(c, chance)])(packed)


@fuzz(1000, chance=chance)
def test_an_archive_gives_the_right_file_or_none(chance, tmp_path_factory):
    content = some_archive(chance)
    folder = tmp_path_factory.getbasetemp() / "archives"
    folder.mkdir(exist_ok=True)
    archive = folder / "package.tgz"
    archive.write_bytes(content)
    wanted = tiny_description().files
    try:
        for file, stream, packed in sources.from_tar(archive, wanted):
            assert catalogue.verify(stream, file, wanted[file], packed=packed) == tiny_files()[file]
    except (sources.SourceFailed, catalogue.Damaged) as failure:
        one_line(str(LatentReplayError(str(failure))))
    assert list(folder.iterdir()) == [archive]


# -- records ------------------------------------------------------------------------------------------------------


def places(value, path=()):
    """Where in a JSON value something is: the path of every item, at most three of each list."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else itertools.islice(enumerate(value), 3)
        for name, item in items:
            yield (*path, name)
            yield from places(item, (*path, name))


@st.composite
def an_edit(draw):
    """How to alter a record: where (as a share of all places), what to do there, and with which value."""
    return draw(st.integers(0, 10**6)), draw(st.sampled_from(["set", "remove", "add", "again"])), draw(junk)


def edited(record, edits):
    record = copy.deepcopy(record)
    for at, what, value in edits:
        paths = list(places(record))
        *path, name = paths[at % len(paths)]
        parent = functools.reduce(lambda item, key: item[key], path, record)
        if what == "set":
            parent[name] = value
        elif what == "remove":
            del parent[name]
        elif isinstance(parent, list):
            parent.append(value if what == "add" else copy.deepcopy(parent[name]))
        else:
            parent[str(value)[:20]] = value
    record.pop("sha256", None)
    return record | {"sha256": digest(record)}


@pytest.fixture(scope="module")
def place(run_id, tmp_path_factory):
    path = run_id.record(tmp_path_factory.mktemp("records"))
    path.parent.mkdir()
    return path


@fuzz(1000, chance=chance)
def test_a_record_of_damaged_bytes_is_refused_by_name(record, place, chance):
    content = json.dumps(record, separators=(",", ":")).encode()
    place.write_bytes(damaged(content, chance))
    message = refusal(store.read, place)
    if message is None:
        assert store.read(place) == record
    else:
        assert message.startswith(f"{place}: ")


@fuzz(1200, edits=st.lists(an_edit(), min_size=1, max_size=2))
def test_a_record_with_altered_values_can_be_shown_or_is_refused_by_name(record, place, edits):
    altered = edited(record, edits)  # its checksum fits
    place.write_text(json.dumps(altered))
    message = refusal(store.read, place)
    if message is not None:
        assert message.startswith(f"{place}: ")
        return
    read = store.read(place)
    assert json.dumps(read) == json.dumps(altered)
    table = results.table([read])
    accuracies = table[["train_accuracy", "test_accuracy", "original_test_accuracy"]].to_numpy(dtype=float)
    assert ((accuracies >= 0) & (accuracies <= 1) | np.isnan(accuracies)).all()
    assert len(results.summary(read)) == len(read["arms"])
    (planned,) = plan.plan([RunId(read["profile"], **read["run"])], place.parents[1], place.parents[1])
    one_line(planned.reason)


@fuzz(300, edits=st.lists(an_edit(), max_size=2))
def test_what_is_written_as_a_record_is_read_back_or_nothing_is_written(record, place, edits):
    altered = edited(record, edits)
    place.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        message = refusal(store.write, altered, place)
    assert list(place.parent.iterdir()) == ([place] if message is None else [])
    assert message is not None or json.loads(place.read_bytes()) == altered


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"schema":2,"key":' + b'{"a":' * 100_000, "Expected `str`, got `object` - at `$.key`"),
        (b'{"schema":2,"run":{"seed":' + b"9" * 5000 + b"}}", "Integer value out of range - at `$.run.seed`"),
        (b'{"schema":NaN}', "JSON is malformed: invalid character (byte 10)"),
    ],
    ids=["lists", "objects", "a long number", "NaN"],
)
def test_json_that_breaks_readers_is_refused(place, content, words):
    place.write_bytes(content)
    assert words in refusal(store.read, place)


@pytest.mark.parametrize(
    ("number", "words"),
    [*((n, "invalid character (byte ") for n in (math.nan, math.inf, -math.inf)), (10**400, "$.arms[0].curve.loss[0]")],
    ids=str,
)
def test_a_number_that_is_none_is_refused_in_reading_and_writing(record, place, number, words):
    altered = copy.deepcopy(record)
    altered["arms"][0]["curve"]["loss"][0] = number
    altered.pop("sha256")
    altered |= {"sha256": digest(altered)}
    place.write_text(json.dumps(altered))
    assert words in refusal(store.read, place)
    place.unlink()
    assert refusal(store.write, altered, place)
    assert not place.exists()


@pytest.mark.parametrize("endless", [False, True], ids=["a terabyte", "endless"])
def test_a_record_that_is_far_too_large_is_not_read_into_memory(place, endless):
    place.unlink(missing_ok=True)
    if endless:
        place.symlink_to("/dev/zero")
    else:
        place.touch()
        os.truncate(place, 1 << 40)
    tracemalloc.start()
    message = refusal(store.read, place)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    place.unlink()
    assert "is larger than any record" in message
    assert peak < 64 << 20


# -- parameters of the notebook -----------------------------------------------------------------------------------


@fuzz(
    50,
    name=st.text().filter(lambda name: name not in ("dataset", "case", "seed", "profile", "runs", "cache", "threads")),
)
def test_an_unknown_parameter_is_refused_before_anything_runs(name):
    with pytest.raises(UsageError, match="case.ipynb has no parameter .*; it has dataset, case, ") as refused:
        run_notebook("case", {name: 1})
    one_line(str(refused.value))


@pytest.mark.long
def test_a_parameter_of_the_wrong_type_is_one_line():
    with pytest.raises(LatentReplayError) as refused:
        run_notebook("case", {"threads": "two"})
    assert "UsageError: threads is 'two'; it must be a whole number from 1 to 1024" in one_line(str(refused.value))


# -- command lines ------------------------------------------------------------------------------------------------

LONG = "x" * 300  # longer than a file's name may be


class NoCluster(LocalExecutor):
    def __init__(self, workers):
        super().__init__()

    def describe(self):
        return "no workers"


@pytest.fixture(scope="module")
def desk(record, run_id, tmp_path_factory):
    """A folder to work in, with one record in it; nothing there trains, executes notebooks or reaches a network."""
    folder = tmp_path_factory.mktemp("desk")
    store.write(record, run_id.record(folder / "runs"))
    (folder / "file").write_text("not a folder")
    (folder / "loop").symlink_to("loop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(files, "project_root", lambda: folder)
        patch.setattr(plan, "RUNS", folder / "runs")
        patch.setattr(plan, "CACHE", folder / "cache")
        patch.setattr(schedule, "run_grid", lambda due, executor, **options: [])
        patch.setattr(dask, "DaskExecutor", NoCluster)
        patch.setattr(catalogue, "raw_folder", lambda: folder / "raw")
        patch.setattr(sources, "attempts", lambda info: [])
        patch.setattr(notebook, "run_notebook", lambda name, parameters: b"")
        yield folder


def run(arguments):
    """Exit status and both outputs of a command line, in this process, with an output as strict as a terminal's."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=e) for e in ("strict", "backslashreplace"))
    status = 0
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return status, *texts


def judged(desk, arguments):
    """The same, having checked what holds for every command line."""
    status, out, err = run(arguments)
    assert status in (0, 1, 2)
    assert "Traceback" not in out + err
    *before, last = err.splitlines() or [""]
    if status == 2 or (status == 1 and not {"data", "grid"} & set(arguments)):
        assert last.startswith("error: ")
        assert all(line.startswith("warning: ") for line in before)
        assert out == ""
    assert not [path for path in desk.rglob("*") if path.suffix == ".part" or path.name.startswith(".writable")]
    return status, out, err


words = st.text(st.characters(exclude_characters="\0"), max_size=12)
folders = st.sampled_from(["runs", "missing", "a/b", "file", "file/below", "loop", ".", "", "\udcff", "a\nb", LONG])
numbers = (
    st.sampled_from(
        ["0", "1", "2", "4", "5", "-1", "1.0", "1e3", "one", "0x1", "2147483647", "2147483648"]
        + ["9" * 5000, "", "٣", " 1"]
    )
    | words
)
OPTIONS = {
    "--dataset": st.sampled_from([*catalogue.DATASETS, "imagenet", "MNIST", ""]) | words,
    "--case": numbers,
    "--seed": numbers,
    "--profile": st.sampled_from([*PROFILES, "full", ""]) | words,
    "--runs": folders,
    "--cache": folders,
    "--workers": numbers,
    "--executor": st.sampled_from(["pool", "dask", "Dask", ""]) | words,
}
FLAGS = ("--force", "--skip-missing")


@st.composite
def a_choice_of_runs(draw):
    command = draw(st.sampled_from(["status", "grid"]))
    known = [name for name in OPTIONS if name not in ("--workers", "--executor") or command == "grid"]
    given = draw(st.lists(st.sampled_from(known).flatmap(lambda n: OPTIONS[n].map(lambda v: (n, v))), max_size=4))
    flags = draw(st.lists(st.sampled_from(FLAGS[: 1 + (command == "grid")]), max_size=2))
    return command, given, flags


def as_int(text):
    try:
        return int(text)
    except ValueError:
        return None


def wrong(name, text):
    """Whether a value is one that a user has to correct."""
    return {
        "--dataset": lambda: text not in catalogue.DATASETS,
        "--case": lambda: as_int(text) not in CASES,
        "--seed": lambda: not whole(as_int(text), 0),
        "--profile": lambda: text not in PROFILES,
        "--workers": lambda: (as_int(text) or 0) < 1,
        "--executor": lambda: text not in ("pool", "dask"),
    }.get(name, lambda: text == "file")()


@fuzz(
    1200,
    choice=a_choice_of_runs(),
    data_path=st.sampled_from(["", "file", "~nobody/x", f":{LONG}::", "\udcff", "a\nb"]),
)
def test_runs_are_chosen_rightly_or_the_choice_is_refused(desk, choice, data_path):
    command, given, flags = choice
    given += [] if any(name == "--dataset" for name, _ in given) else [("--dataset", "digits")]
    last = dict(given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LR_DATA_PATH", data_path)
        status, out, _ = judged(desk, [command, *(f"{name}={text}" for name, text in given), *flags])
    single = ("--profile", "--runs", "--cache", "--workers", "--executor")  # of which the last one given counts
    if any(wrong(name, text) for name, text in given if name not in single or text == last[name]):
        assert status == 2
    elif status == 0:
        profile = PROFILES[last.get("--profile", "paper")]
        chosen = {
            name: {value for n, text in given if n == name for value in [as_int(text) if name != "--dataset" else text]}
            for name in ("--dataset", "--case", "--seed")
        }
        runs = (
            len(chosen["--dataset"]) * len(chosen["--case"] or profile.cases) * len(chosen["--seed"] or profile.seeds)
        )
        assert f" of {runs} runs are due" in out
    else:
        assert status == 1
        assert command == "grid" or LONG in (last.get("--runs"), last.get("--cache"))


@fuzz(
    300,
    target=st.sampled_from(["out.csv", "a/b.csv", "file/x.csv", "runs", ".", "", "\udcff.csv", "a\nb.csv", LONG]),
    profiles=st.lists(st.sampled_from([*PROFILES, "full"]) | words, max_size=3),
    runs=folders,
)
def test_results_are_written_whole_or_not_at_all(desk, target, profiles, runs):
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    status, out, _ = judged(desk, ["results", f"--runs={runs}", "--", target, *profiles])
    assert status == 2 or not set(profiles) - set(PROFILES)
    if status == 0:
        with Path(target).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 4 * 3 * profiles.count("smoke") * (runs == "runs")
        Path(target).unlink()
        before.pop(desk / target, None)
    assert {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()} == before


@fuzz(
    200,
    command=st.sampled_from(["data", "figures"]),
    names=st.lists(st.sampled_from([*catalogue.DATASETS, "imagenet", ""]) | words, max_size=3),
    data_path=st.sampled_from(["", "file", "~nobody/x", "loop", f":{LONG}::", "\udcff", "a\nb"]),
)
def test_data_and_figures_name_what_they_cannot_have(desk, command, names, data_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LR_DATA_PATH", data_path)
        status, _, _ = judged(desk, [command, "--", *names])
    known = set(names) <= set(catalogue.DATASETS)
    assert status == (2 if not known and command == "data" else 0 if set(names) == {"digits"} else status)
    assert status != 0 or set(names) == {"digits"}


tokens = words | st.sampled_from(
    [
        "data",
        "grid",
        "status",
        "figures",
        "results",
        "-h",
        "--help",
        "--",
        "-",
        "=",
        "--=",
        "-x",
        "--dataset",
        "--case=1",
    ]
)


@fuzz(600, arguments=st.lists(tokens, max_size=5))
def test_any_words_are_a_command_or_refused(desk, arguments):
    if "results" not in arguments:  # which writes to whatever it is told, and has a test of its own
        judged(desk, arguments)
