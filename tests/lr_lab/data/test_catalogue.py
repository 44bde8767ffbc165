"""Facts about finding, verifying and loading data.

Most use a data set of four tiny files made here, so they hold on any machine; those on the three real sets run wherever
their files are on the search path.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sets
import torch
from msgspec.structs import replace
from sets import (
    BUILT_IN,
    DAMAGE,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    facts,
    flipped,
    idx,
    present,
    real_sets,
    tiny_description,
    tiny_files,
    write,
)

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.data import catalogue, digits, fetch
from lr_lab.data.idx import IDX_PARTS, parse_idx

tiny = sets.tiny

CLASS_COUNTS = {
    "mnist": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
    "fashion-mnist": [7000] * 10,
    "kmnist": [7000] * 10,
    "digits": [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
}


# ------------------------------------------------------------------------------------------------ the table of sets


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_set_is_described_in_full(name: str) -> None:
    info = catalogue.describe(name)
    assert len(info.class_names) == len(set(info.class_names)) == 10
    assert info.title
    assert info.origin
    assert info.licence
    assert info.sources
    assert all(len(sha256) == 64 for sha256 in catalogue.checksums(name).values())
    assert set(info.files) == ({file for part in IDX_PARTS for file in part} if info.folder else {"images", "labels"})


def test_the_paper_uses_three_of_the_four_sets() -> None:
    assert catalogue.DATASETS[:4] == BUILT_IN  # a user may have added others
    assert catalogue.PAPER_DATASETS == ("mnist", "fashion-mnist", "kmnist")


def test_kmnist_names_its_classes_in_romaji_and_in_modern_hiragana() -> None:
    info = catalogue.describe("kmnist")
    assert info.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert "".join(info.glyphs) == "おきすつなはまやれを"


@pytest.mark.parametrize("function", [catalogue.load, catalogue.checksums])
def test_an_unknown_name_is_a_usage_error_that_names_the_known_ones(function: Callable[[str], object]) -> None:
    with pytest.raises(
        UsageError, match="unknown data set 'minst': choose one of mnist, fashion-mnist, kmnist, digits"
    ):
        function("minst")


# ------------------------------------------------------------------------------------------------------- real images


@pytest.mark.parametrize("name", [pytest.param(n, marks=present(n)) for n in BUILT_IN])
def test_a_set_loads_whole(name: str) -> None:
    data = catalogue.load(name)
    n = catalogue.describe(name).images
    assert data.images.shape == (n, 28, 28)
    assert data.images.dtype == torch.uint8
    assert data.images.is_contiguous()
    assert data.labels.shape == (n,)
    assert data.labels.dtype == torch.int64
    assert torch.bincount(data.labels, minlength=10).tolist() == CLASS_COUNTS[name]
    assert data.images.min() == 0
    assert data.images.max() == 255
    assert data.checksums == catalogue.checksums(name)


@real_sets
def test_training_images_come_before_test_images(name: str) -> None:
    data, info = catalogue.load(name), catalogue.describe(name)
    assert len(data.images) == info.images == 70_000
    for part, rows in ((IDX_PARTS[0], slice(0, 60_000)), (IDX_PARTS[1], slice(60_000, None))):
        for file, tensor in zip(part, (data.images[rows], data.labels[rows].to(torch.uint8)), strict=True):
            content = idx(tensor.numpy())
            assert hashlib.sha256(content).hexdigest() == info.files[file].sha256


# ------------------------------------------------------------------------------------------------------------ digits


def test_digits_are_the_same_bytes_everywhere() -> None:
    data = catalogue.load("digits")
    assert hashlib.sha256(data.images.numpy().tobytes()).hexdigest() == data.checksums["images"]
    assert hashlib.sha256(data.labels.numpy().astype("<i8").tobytes()).hexdigest() == data.checksums["labels"]


def test_digits_of_another_scikit_learn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "enlarge", lambda values: np.zeros((len(values), 28, 28), np.uint8))
    with pytest.raises(LatentReplayError, match=r"images differ: expected SHA-256 [0-9a-f]{64}, found"):
        catalogue.load("digits")


def test_digits_are_always_available() -> None:
    assert "digits" in catalogue.available()


@pytest.mark.parametrize(("value", "pixel"), [(0, 0), (16, 255), (8, 128), (1, 16)])
def test_a_flat_image_stays_flat_when_enlarged(value: int, pixel: int) -> None:
    assert (digits.enlarge(np.full((1, 8, 8), value)) == pixel).all()


def test_enlarging_is_bilinear_with_aligned_pixel_centres() -> None:
    small = np.random.default_rng(0).integers(0, 17, (50, 8, 8))
    reference = torch.nn.functional.interpolate(torch.tensor(small)[:, None].double(), size=28, mode="bilinear")
    difference = torch.tensor(digits.enlarge(small)).double() - reference[:, 0] * 255 / 16
    assert difference.abs().max() <= 0.5 + 1e-9


# ------------------------------------------------------------------------------------------------------- search path


def test_what_lies_further_down_the_search_path_is_found(tiny: SimpleNamespace) -> None:
    files = tiny_files()
    write(tiny.second, files)
    expected = np.concatenate([np.frombuffer(files[f], np.uint8, offset=16) for f in (TRAIN_IMAGES, TEST_IMAGES)])
    assert (catalogue.load("mnist").images.numpy().ravel() == expected).all()


def test_data_raw_is_searched_last(tiny: SimpleNamespace) -> None:
    assert catalogue.search_path() == [tiny.first, tiny.second, tiny.raw]
    write(tiny.raw, tiny_files())
    assert len(catalogue.load("mnist").images) == 10


def test_empty_entries_of_the_search_path_are_no_folder(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LR_DATA_PATH", f"{os.pathsep} {os.pathsep}")
    assert catalogue.search_path() == [tiny.raw]


def test_relative_entries_are_those_of_the_folder_in_which_they_are_first_read(
    tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LR_DATA_PATH", f"first{os.pathsep}~/second")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    expected = [tiny.first, tmp_path / "home" / "second", tiny.raw]
    assert catalogue.search_path() == expected
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")  # as a kernel is started there
    assert catalogue.search_path() == expected
    assert os.environ["LR_DATA_PATH"] == os.pathsep.join(map(str, expected[:2])), "what a child process reads"


# What other projects call `dataset.toml`, and what only looks like one of ours.
FOREIGN = {
    "another project's": b"[dataset]\nname = 'sensors'\nfiles = 3\n",
    "no tables": b"name = 'sensors'\n",
    "no TOML": b"name: sensors\n",
    "no text": b"\xff\xfe\x00",
    "nested too deeply": b"a = " + b"[" * 100_000,
    "a value of another kind": b"""[letters]
title = "Letters"
folder = "letters/raw"
images = "many"
class_names = []
origin = ""
licence = ""
paper = false
sources = []
files = {}
""",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_in_a_data_root_that_is_not_ours_is_passed_over_with_a_warning(
    content: bytes, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_root / "sensors" / "dataset.toml"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (data_root / "folder" / "dataset.toml").mkdir(parents=True)  # no file: no word of it
    catalogue.reread()
    monkeypatch.setattr(catalogue, "raw_folder", lambda: data_root / "raw")
    with pytest.warns(UserWarning, match="ignored: ") as warned:
        assert catalogue.DATASETS == BUILT_IN
    (message,) = [str(warning.message) for warning in warned]
    assert message.startswith(f"ignored: {path} is not a table of data sets (")
    assert "\n" not in message


def test_nothing_is_read_when_the_library_is_imported(tmp_path: Path) -> None:
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "dataset.toml").write_text("name: sensors")
    watched = (
        "import sys; opened = []; sys.addaudithook(lambda event, about: event == 'open' and opened.append(about[0])); "
    )
    modules = "import lr_lab.data.catalogue, lr_lab.data.fetch, lr_lab.grid.schedule, lr_lab.data.custom, lr_lab.cli; "
    shown = "print([path for path in opened if str(path).endswith('.toml')])"
    command = [sys.executable, "-W", "error::UserWarning", "-c", watched + modules + shown]
    done = subprocess.run(
        command, env=os.environ | {"LR_DATA_PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_is_missing_is_named_with_the_folders_looked_in_and_the_remedy(tiny: SimpleNamespace) -> None:
    with pytest.raises(LatentReplayError) as caught:
        catalogue.load("mnist")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("Tiny", TRAIN_IMAGES, str(tiny.first), str(tiny.second), str(tiny.raw), "make data", "LR_DATA_PATH"):
        assert part in message


def test_available_looks_at_lengths_only(tiny: SimpleNamespace) -> None:
    assert catalogue.available() == ()
    files = tiny_files()
    write(tiny.first, files)
    assert catalogue.available() == ("mnist",)
    write(tiny.first, {TEST_LABELS: files[TEST_LABELS][:-1]})
    assert catalogue.available() == ()


# ------------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named_and_refused(kind: str, tiny: SimpleNamespace) -> None:
    damage, file, words = DAMAGE[kind]
    files = tiny_files()
    folder = write(tiny.first, files | damage(files))
    with pytest.warns(UserWarning, match="not used"), pytest.raises(LatentReplayError) as caught:
        catalogue.load("mnist")
    assert f"{folder / file} " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", DAMAGE)
def test_an_intact_copy_further_down_replaces_a_damaged_one(kind: str, tiny: SimpleNamespace) -> None:
    damage, _, words = DAMAGE[kind]
    files = tiny_files()
    write(tiny.first, files | damage(files))
    write(tiny.second, files)
    with pytest.warns(UserWarning, match="not used") as warned:
        data = catalogue.load("mnist")
    assert any(words in str(warning.message) for warning in warned)
    assert hashlib.sha256(idx(data.images[:7].numpy())).hexdigest() == data.checksums[TRAIN_IMAGES]


def test_swapped_files_of_one_length_are_recognised(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_files()
    other = {TRAIN_IMAGES: flipped(files[TRAIN_IMAGES])}
    mine = tiny_description()
    both = {"mnist": mine, "x": replace(mine, title="Other", files={TRAIN_IMAGES: facts(other[TRAIN_IMAGES])})}
    monkeypatch.setattr(catalogue, "_descriptions", lambda: both)
    write(tiny.first, files | other)
    with (
        pytest.warns(UserWarning, match="not used"),
        pytest.raises(LatentReplayError, match=f"it is Other's {TRAIN_IMAGES}"),
    ):
        catalogue.load("mnist")


def test_a_folder_or_a_dangling_link_in_a_file_s_place_is_refused(tiny: SimpleNamespace) -> None:
    folder = write(tiny.first, tiny_files())
    for place in (lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")):
        path = folder / TRAIN_IMAGES
        path.unlink()
        place(path)
        with (
            pytest.warns(UserWarning, match="not used"),
            pytest.raises(LatentReplayError, match=f"{TRAIN_IMAGES} is not a file"),
        ):
            catalogue.load("mnist")
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


def test_a_file_that_is_far_too_long_is_not_read(tiny: SimpleNamespace) -> None:
    folder = write(tiny.first, tiny_files())
    os.truncate(folder / TRAIN_IMAGES, 1 << 40)  # a terabyte, sparse
    with pytest.warns(UserWarning, match="not used"), pytest.raises(LatentReplayError, match="is too long"):
        catalogue.load("mnist")


def test_images_and_labels_of_different_number_are_refused(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tiny_files() | {TRAIN_LABELS: idx(np.arange(8))}
    wrong = replace(tiny_description(), files={file: facts(content) for file, content in files.items()})
    monkeypatch.setattr(catalogue, "_descriptions", lambda: {"mnist": wrong})
    write(tiny.first, files)
    with pytest.raises(LatentReplayError, match=r"images of shape \(7, 28, 28\), train-labels-idx1-ubyte 8 labels"):
        catalogue.load("mnist")


def test_a_table_that_lacks_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(tiny_description(), files={TRAIN_IMAGES: facts(b"")})
    monkeypatch.setattr(catalogue, "_descriptions", lambda: {"mnist": wrong})
    with pytest.raises(
        LatentReplayError, match=f"Tiny: the files of the table mnist lack {TRAIN_LABELS}, {TEST_IMAGES}"
    ):
        catalogue.load("mnist")


NAMES = tuple("abcdefghijkl")


@pytest.mark.parametrize(
    ("names", "images", "labels", "words"),
    [
        (NAMES[:5], (10, 28, 28), np.arange(10) % 5, "5 class_names in the table mnist; a set needs 10"),
        (NAMES[:11], (11, 28, 28), np.arange(11), "11 class_names in the table mnist; a set needs 10"),
        ((), (10, 28, 28), np.arange(10), "0 class_names in the table mnist; a set needs 10"),
        (NAMES[:9] + ("a",), (10, 28, 28), np.arange(10), "two class_names in the table mnist are 'a'"),
        (NAMES[:10], (11, 28, 28), np.arange(11), "holds label 10; labels must be 0 to 9"),
        (NAMES[:10], (10, 28, 28), np.arange(10) % 5, r"class 5 \(f\) has no images; a set needs images of all 10"),
        (NAMES[:10], (10, 28, 28), np.arange(10).clip(0, 8), r"class 9 \(j\) has no images"),
        (
            NAMES[:10],
            (10, 32, 32),
            np.arange(10),
            r"holds images of 32 x 32; they must be 28 x 28. .custom.from_arrays",
        ),
        (NAMES[:10], (10, 28, 14), np.arange(10), "holds images of 28 x 14; they must be 28 x 28"),
        (NAMES[:10], (12, 28, 28), np.arange(12) % 10, "its files hold 12 images, the table mnist says 10"),
    ],
)
def test_a_table_of_another_kind_of_set_is_one_line(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, names: tuple, images: tuple, labels: np.ndarray, words: str
) -> None:
    values = np.random.default_rng(0).integers(0, 256, images)
    parts = {(TRAIN_IMAGES, TRAIN_LABELS): slice(7), (TEST_IMAGES, TEST_LABELS): slice(7, None)}
    files = {
        file: idx(of[part]) for pair, part in parts.items() for file, of in zip(pair, (values, labels), strict=True)
    }
    count = len(labels) if "says 10" not in words else 10
    described = {file: facts(content) for file, content in files.items()}
    wrong = replace(tiny_description(), files=described, class_names=names, images=count)
    monkeypatch.setattr(catalogue, "_descriptions", lambda: {"mnist": wrong})
    write(tiny.first, files)
    with pytest.raises(LatentReplayError, match=words) as refusal:
        catalogue.load("mnist")
    assert str(refusal.value).startswith("Tiny: ")
    assert "\n" not in str(refusal.value)


# -------------------------------------------------------------------------------------------------------- packed files


def test_a_packed_file_is_unpacked_and_verified(tiny: SimpleNamespace) -> None:
    files = tiny_files()
    write(tiny.second, {f"{file}.gz": gzip.compress(content) for file, content in files.items()})
    assert catalogue.available() == ("mnist",)
    data = catalogue.load("mnist")
    assert hashlib.sha256(idx(data.images[:7].numpy())).hexdigest() == data.checksums[TRAIN_IMAGES]
    assert fetch.fetch("mnist").line == f"Tiny: present: verified in {tiny.second / 'MNIST' / 'raw'}"


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (lambda content: b"no gzip", r"cannot be unpacked \(Not a gzipped file"),
        (lambda content: b"", "is empty: expected 15 bytes, found 0"),
        (lambda content: gzip.compress(content)[:-9], "cannot be unpacked"),
        (lambda content: gzip.compress(content)[:10] + b"\xff" * 20, "cannot be unpacked"),
        (lambda content: gzip.compress(content[:-1]), "is truncated: expected 15 bytes, found 14"),
        (lambda content: gzip.compress(bytes(50_000_000)), "is too long: expected 15 bytes, found more"),
        (lambda content: gzip.compress(flipped(content)), r"\.gz is not the right file: expected SHA-256"),
    ],
    ids=["no gzip", "empty", "cut", "noise", "too short", "a bomb", "one bit flipped"],
)
def test_a_packed_file_that_is_not_the_right_one_is_named(tiny: SimpleNamespace, packed, words: str) -> None:
    files = tiny_files()
    content = packed(files.pop(TRAIN_LABELS))
    folder = write(tiny.first, files | {f"{TRAIN_LABELS}.gz": content})
    with pytest.warns(UserWarning, match="not used"), pytest.raises(LatentReplayError, match=words) as refusal:
        catalogue.load("mnist")
    assert str(folder / f"{TRAIN_LABELS}.gz") in str(refusal.value)
    write(tiny.second, tiny_files())
    with pytest.warns(UserWarning, match="not used"):
        assert len(catalogue.load("mnist").images) == 10


# --------------------------------------------------------------------------------------------------------------- IDX


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a header of 16 bytes that begins with 00000803, found 0 bytes that begin with nothing"),
        (b"\0\0\x08\x03\0\0\0\x01", "a header of 16 bytes that begins with 00000803, found 8 bytes"),
        (b"\0\0\x0d\x03" + b"\0\0\0\x01" * 3 + b"\0", "begins with 00000803, found 17 bytes that begin with 00000d03"),
        (b"\0\0\x08\x01" + b"\0\0\0\x01" * 3 + b"\0", "begins with 00000803, found 17 bytes that begin with 00000801"),
        (b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\0" * 7, "announces 2 x 2 x 2 = 8 values, 7 are there"),
        (b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\0" * 9, "8 values, 9 are there"),
        (b"\0\0\x08\x03" + b"\xff\xff\xff\xff" * 3 + b"\0", "4294967295 x 4294967295 x 4294967295"),
        (b"\0\0\x08\x03" + b"\0\0\0\0" + b"\xff\xff\xff\xff" * 2, "= 0 values, 0 are there"),
    ],
)
def test_an_idx_file_that_lies_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(LatentReplayError) as caught:
        parse_idx(content, "some/file", 3)
    assert words in str(caught.value)
    assert "some/file" in str(caught.value)
