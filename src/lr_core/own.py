"""A data set of one's own: from arrays or from a folder of images, and into a data root, where grid and report find it.

Public, in reading order: `from_arrays`, `from_folder`, `add`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from lr_core import datasets
from lr_core.config import CLASSES
from lr_core.datasets import IDX_PARTS, SIDE, Bytes, Dataset
from lr_core.errors import LatentReplayError, UsageError
from lr_core.files import write_atomically

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def from_arrays(
    name: str,
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str] = (),
    title: str = "",
) -> Dataset:
    """A data set from arrays.

    Parameters
    ----------
    name : lower-case letters, digits and hyphens; not that of a built-in set
    images : (n, height, width) grey values, uint8 from 0 to 255 or floats from 0 to 1, 0 being background; other sizes
        than 28 x 28 are padded to a square and resized
    labels : (n,) whole numbers from 0; at most ten classes, each with images
    class_names : by label; the numbers themselves where not given
    title : in figures and tables; the name where not given

    Raises
    ------
    UsageError
        Something does not fit; the message says what would.
    """
    values, numbers = np.asarray(images), np.asarray(labels)
    if values.ndim != 3 or len(values) == 0 or numbers.shape != values.shape[:1]:
        raise UsageError(
            f"{name}: images of shape {values.shape} with labels of shape {numbers.shape}; "
            "they must be (n, height, width) and (n,)"
        )
    if np.issubdtype(values.dtype, np.floating) and 0 <= values.min() <= values.max() <= 1:
        values = np.round(255 * values).astype(np.uint8)
    if values.dtype != np.uint8:
        raise UsageError(f"{name}: images of {values.dtype}; they must be uint8, or floats from 0 to 1")
    if not np.issubdtype(numbers.dtype, np.integer):
        raise UsageError(f"{name}: labels of {numbers.dtype}; they must be whole numbers from 0")
    if values.shape[1:] != (SIDE, SIDE):
        values = np.stack([_square(Image.fromarray(image)) for image in values])
    return _dataset(name, values, numbers.astype(np.int64), tuple(class_names), title)


def from_folder(name: str, folder: Path | str, title: str = "", *, invert: bool = False) -> Dataset:
    """A data set from a folder that holds a folder of image files for each class, named as the class is.

    Images are made grey, padded to a square and resized to 28 x 28. With `invert` dark becomes bright: background
    should be dark, as in the built-in sets. Raises UsageError where the folder is laid out differently, and
    LatentReplayError that names a file which cannot be read.
    """
    root = Path(folder)
    classes = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not classes:
        raise UsageError(f"{root}: holds no folders; put the images of each class into a folder named as the class is")
    images, labels = [], []
    for number, path in enumerate(classes):
        for file in sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES):
            try:
                with Image.open(file) as image:
                    images.append(_square(image.convert("L")))
            except (UnidentifiedImageError, OSError) as error:
                raise LatentReplayError(f"{file}: is no image that can be read; take it out, or replace it") from error
            labels.append(number)
    if not images:
        raise UsageError(f"{root}: its folders hold no images; known are {', '.join(SUFFIXES)}")
    values = np.stack(images)
    names = tuple(path.name for path in classes)
    return _dataset(name, 255 - values if invert else values, np.array(labels), names, title)


def add(dataset: Dataset, *, origin: str, licence: str, root: Path | None = None) -> Path:
    """Put a data set into a data root, by default `data/raw`: `load`, the grid and the report then know it by its name.

    Written are `<name>/raw` with four IDX files, as those of MNIST, and `<name>/dataset.toml` with what
    `data/datasets.toml` says of a built-in set. To be rid of it again, remove the folder `<name>`. A root of one's own
    has to be on LR_DATA_PATH. Raises UsageError unless there are ten classes, which the cases of the grid ask for, and
    LatentReplayError if the root cannot be written to. Returns the folder `<name>`.
    """
    if len(dataset.class_names) != CLASSES:
        raise UsageError(
            f"{dataset.name}: {len(dataset.class_names)} classes; the grid's cases need {CLASSES}. "
            "`live.TaskSequence` learns it as it is"
        )
    folder = (root or datasets.raw_folder()) / dataset.name
    images, labels = dataset.images.numpy(), dataset.labels.numpy().astype(np.uint8)
    cut = max(1, len(images) * 6 // 7)  # merged again when loaded, so that the order stays as it is
    lines = []
    for (image_file, label_file), part in zip(IDX_PARTS, (slice(cut), slice(cut, None)), strict=True):
        for file, values in ((image_file, images[part]), (label_file, labels[part])):
            content = _idx(values)
            write_atomically(folder / "raw" / file, content)
            lines.append(f'{file} = {{ bytes = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}" }}')
    facts = {
        "title": dataset.title,
        "folder": f"{dataset.name}/raw",
        "images": len(images),
        "class_names": list(dataset.class_names),
        "origin": origin,
        "licence": licence,
        "paper": False,
        "sources": [f"own:{dataset.name}"],
    }
    # JSON's strings, numbers, lists and truth values are TOML's too.
    table = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()]
    text = "\n".join([f"[{dataset.name}]", *table, "", f"[{dataset.name}.files]", *lines, ""])
    write_atomically(folder / "dataset.toml", text.encode())
    datasets.reread()
    return folder


def _dataset(name: str, images: Bytes, labels: npt.NDArray[np.int64], names: tuple[str, ...], title: str) -> Dataset:
    built_in = datasets.PAPER_DATASETS + ("digits",)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in built_in:
        raise UsageError(
            f"{name!r} cannot be the name of a data set: use lower-case letters, digits and hyphens, "
            f"and none of {', '.join(built_in)}"
        )
    classes = int(labels.max()) + 1 if not names else len(names)
    absent = sorted(set(range(classes)) - set(labels.tolist()))
    strange = sorted(set(labels.tolist()) - set(range(classes)))
    if strange:
        raise UsageError(f"{name}: there is no class {strange[0]}; labels count from 0 to {classes - 1}")
    if absent:
        raise UsageError(
            f"{name}: class {(names or range(classes))[absent[0]]} has no images; labels count from 0 without gaps"
        )
    if not 2 <= classes <= CLASSES:
        raise UsageError(f"{name}: {classes} classes; the classifier has room for {CLASSES}, and two tasks need two")
    return Dataset(
        name,
        title or name,
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(labels),
        names or tuple(map(str, range(classes))),
        {},
    )


def _square(image: Image.Image) -> Bytes:
    """(28, 28) uint8, whatever the size: padded with background to a square, then resized, in integer arithmetic."""
    return np.asarray(ImageOps.pad(image, (SIDE, SIDE), method=Image.Resampling.BILINEAR, color=0))


def _idx(values: Bytes) -> bytes:
    """The IDX file of an array of unsigned bytes; `datasets.parse_idx` describes the format and reads it."""
    extents = b"".join(extent.to_bytes(4, "big") for extent in values.shape)
    return bytes([0, 0, 8, values.ndim]) + extents + np.ascontiguousarray(values).tobytes()
