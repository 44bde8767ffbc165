"""What the tests of data share: a set of four tiny files made here, ways to damage it, and marks for the real sets."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lr_lab.data import catalogue
from lr_lab.data.catalogue import Description, FileFacts
from lr_lab.data.idx import IDX_PARTS

BUILT_IN = ("mnist", "fashion-mnist", "kmnist", "digits")  # `catalogue.DATASETS` has those that a user added as well
(TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS) = IDX_PARTS


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
        monkeypatch.setattr(catalogue, "_descriptions", lambda: {"mnist": description})

    describe_as("torchvision:MNIST")
    places.sources = describe_as
    monkeypatch.setattr(catalogue, "raw_folder", lambda: places.raw)
    monkeypatch.setenv("LR_DATA_PATH", f"{places.first}{os.pathsep}{places.second}")
    return places


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
        "is too long: expected 11 bytes, found more",
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


def present(name: str) -> pytest.MarkDecorator:
    here = name in catalogue.available()
    return pytest.mark.skipif(not here, reason=f"{name} is not on the search path: `make data` or LR_DATA_PATH")


real_sets = pytest.mark.parametrize("name", [pytest.param(n, marks=present(n)) for n in catalogue.PAPER_DATASETS])
