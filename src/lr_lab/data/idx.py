"""IDX files, the format of MNIST, and whether they hold a set that the experiment can use.

A checksum says that a file is the one described, not that the description makes sense: users describe sets of their own.
So the files of every set are checked in full, in one way. The checks take microseconds.

Public, in reading order: `SIDE`, `IDX_PARTS`, `check_table`, `merge`, `parse_idx`, `to_idx`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lr_core.errors import LatentReplayError
from lr_core.settings import CLASSES

if TYPE_CHECKING:
    from lr_lab.data.catalogue import Description

Bytes = npt.NDArray[np.uint8]

SIDE = 28  # pixels; every image of every set is SIDE x SIDE

# In the order of merging: training files first, then test files.
IDX_PARTS = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def check_table(info: Description) -> None:
    """Refuse a set without the four files or without ten different class names: networks and cases need ten classes."""
    for what, found in (("class_names", info.class_names), ("glyphs", info.glyphs)):
        if len(found) != CLASSES and (found or what == "class_names"):
            raise LatentReplayError(
                f"{info.title}: {len(found)} {what} in the table {info.name}; a set needs {CLASSES}. "
                "`custom.from_folder` and `custom.from_arrays` take sets of fewer classes"
            )
    twice = [name for name in info.class_names if info.class_names.count(name) > 1]
    if twice:
        raise LatentReplayError(
            f"{info.title}: two class_names in the table {info.name} are {twice[0]!r}; they must differ"
        )
    missing = [file for pair in IDX_PARTS for file in pair if file not in info.files]
    if info.folder and missing:
        raise LatentReplayError(f"{info.title}: the files of the table {info.name} lack {', '.join(missing)}")


def merge(info: Description, found: Mapping[str, tuple[bytes, Path]]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Images (n, 28, 28) uint8 and labels (n,) int64 of a set, from content and path of each of its files.

    Raises LatentReplayError if the files do not fit together, or not their description, or lack a class.
    """
    parts = []
    for image_file, label_file in IDX_PARTS:
        images, labels = parse_idx(*found[image_file], ndim=3), parse_idx(*found[label_file], ndim=1)
        if images.shape[1:] != (SIDE, SIDE):
            raise LatentReplayError(
                f"{info.title}: {image_file} holds images of {images.shape[1]} x {images.shape[2]}; they must be "
                f"{SIDE} x {SIDE}. `custom.from_arrays` takes other sizes, and `custom.add` writes them anew"
            )
        if len(images) != len(labels):
            raise LatentReplayError(
                f"{info.title}: {image_file} holds images of shape {images.shape}, {label_file} {len(labels)} labels"
            )
        if labels.max() >= CLASSES:
            raise LatentReplayError(
                f"{info.title}: {label_file} holds label {labels.max()}; labels must be 0 to {CLASSES - 1}"
            )
        parts.append((images, labels))
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(labels) != info.images:
        raise LatentReplayError(
            f"{info.title}: its files hold {len(labels):,} images, the table {info.name} says {info.images:,}"
        )
    counts = np.bincount(labels, minlength=CLASSES)
    if not counts.all():
        raise LatentReplayError(
            f"{info.title}: class {counts.argmin()} ({info.class_names[counts.argmin()]}) has no images; "
            f"a set needs images of all {CLASSES} classes"
        )
    return images, labels.astype(np.int64)


def parse_idx(content: bytes, path: Path | str, ndim: int) -> Bytes:
    """Array of `ndim` dimensions, read-only, that shares memory with `content`, that of the IDX file at `path`.

    The format: two zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit unsigned number, then the values in row-major order. Raises LatentReplayError if the header is
    another one, or the file is shorter or longer than its header says.
    """
    start, magic = 4 + 4 * ndim, bytes([0, 0, 8, ndim])
    if len(content) < start or content[:4] != magic:
        raise LatentReplayError(
            f"{path} is no IDX file of unsigned bytes in {ndim} dimensions: expected a header of {start} bytes that "
            f"begins with {magic.hex()}, found {len(content)} bytes that begin with {content[:4].hex() or 'nothing'}"
        )
    shape = np.frombuffer(content, ">u4", ndim, offset=4).tolist()
    size = math.prod(shape)  # in Python's integers, which a header of huge extents cannot overflow
    if size == 0 or len(content) - start != size:
        raise LatentReplayError(
            f"{path}: its header announces {' x '.join(map(str, shape))} = {size} values, "
            f"{len(content) - start} are there"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def to_idx(values: Bytes) -> bytes:
    """The IDX file of an array, which `parse_idx` reads."""
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
