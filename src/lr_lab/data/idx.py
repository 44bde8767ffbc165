"""IDX files, the format of MNIST, and whether they hold a set that the experiment can use.

A checksum shows that a file is the one described; it does not show that the description of a user's set is right.
So the files of every set are checked in full.

Public: `SIDE`, `IDX_PARTS`, `check_table`, `merge`, `parse_idx`, `to_idx`.
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
    names, table = info.class_names, f"the table {info.name}"
    for what, found in (("class_names", names), ("glyphs", info.glyphs or names)):
        if len(found) != CLASSES:
            words = "`custom.from_folder` and `custom.from_arrays` take sets of fewer classes"
            raise _error(info, f"{len(found)} {what} in {table}; a set needs {CLASSES}. {words}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise _error(info, f"two class_names in {table} are {twice[0]!r}; they must differ")
    missing = [file for pair in IDX_PARTS for file in pair if file not in info.files]
    if info.folder and missing:
        raise _error(info, f"the files of {table} lack {', '.join(missing)}")


def merge(info: Description, found: Mapping[str, tuple[bytes, Path]]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Images (n, 28, 28) uint8 and labels (n,) int64 of a set, from content and path of each of its files.

    Raises LatentReplayError if the files do not fit together or to their description, or if a class has no images.
    """
    parts = []
    for image_file, label_file in IDX_PARTS:
        images, labels = parse_idx(*found[image_file], ndim=3), parse_idx(*found[label_file], ndim=1)
        height, width = images.shape[1:]
        if (height, width) != (SIDE, SIDE):
            words = "`custom.from_arrays` takes other sizes, and `custom.add` writes them anew"
            size = f"{height} x {width}; they must be {SIDE} x {SIDE}"
            raise _error(info, f"{image_file} holds images of {size}. {words}")
        if len(images) != len(labels):
            raise _error(info, f"{image_file} holds images of shape {images.shape}, {label_file} {len(labels)} labels")
        if labels.max() >= CLASSES:
            raise _error(info, f"{label_file} holds label {labels.max()}; labels must be 0 to {CLASSES - 1}")
        parts.append((images, labels))
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(labels) != info.images:
        raise _error(info, f"its files hold {len(labels):,} images, the table {info.name} says {info.images:,}")
    counts = np.bincount(labels, minlength=CLASSES)
    if not counts.all():
        empty = f"class {counts.argmin()} ({info.class_names[counts.argmin()]}) has no images"
        raise _error(info, f"{empty}; a set needs images of all {CLASSES} classes")
    return images, labels.astype(np.int64)


def _error(info: Description, words: str) -> LatentReplayError:
    return LatentReplayError(f"{info.title}: {words}")


def parse_idx(content: bytes, path: Path | str, ndim: int) -> Bytes:
    """Array of `ndim` dimensions from the content of the IDX file at `path`; read-only, without a copy.

    The format: two zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit unsigned number, then the values in row-major order. Raises LatentReplayError for another header
    or a length that does not fit it.
    """
    start, magic = 4 + 4 * ndim, bytes([0, 0, 8, ndim])
    if len(content) < start or content[:4] != magic:
        raise LatentReplayError(
            f"{path} is no IDX file of unsigned bytes in {ndim} dimensions: expected a header of {start} bytes that "
            f"begins with {magic.hex()}, found {len(content)} bytes that begin with {content[:4].hex() or 'nothing'}"
        )
    shape = np.frombuffer(content, ">u4", ndim, offset=4).tolist()
    size = math.prod(shape)  # in Python's integers, which cannot overflow
    if size == 0 or len(content) - start != size:
        raise LatentReplayError(
            f"{path}: its header announces {' x '.join(map(str, shape))} = {size} values, "
            f"{len(content) - start} are there"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def to_idx(values: Bytes) -> bytes:
    """The IDX file of an array, which `parse_idx` reads."""
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
