"""Data sets of one's own, from arrays or from folders of images; `add` puts one where the grid and the report find it.

Input that does not fit is refused in one line; a warning names what is left out.

Public: `from_arrays`, `from_folder`, `add`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps

from lr_core.errors import LatentReplayError, UsageError
from lr_core.settings import CLASSES
from lr_core.tasks import Dataset
from lr_lab.data import catalogue
from lr_lab.data.idx import IDX_PARTS, SIDE, Bytes, to_idx
from lr_lab.files import absolute, write_atomically

# Pillow knows more formats. Some of them start other programs, and some are no pictures.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
PARTS = ("train", "training", "val", "valid", "validation", "test", "testing")  # folders above those of the classes
LEAST_RANGE = 32  # of 255: grey values in a smaller range have probably not been scaled
LONGEST = 60  # characters of a class name or title: longer ones leave no room for the figure
# Made by operating systems, archives and file servers, like names that begin with a dot.
_SYSTEM_FILES = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
                 "__pycache__", "thumbs.db", "desktop.ini"}  # fmt: skip
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # Pillow's modes of more than eight bits
_DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey value that cameras and scanners give


def from_arrays(
    name: str, images: npt.ArrayLike, labels: npt.ArrayLike, class_names: Sequence[str] = (), title: str = ""
) -> Dataset:
    """A data set from arrays, which are copied. Raises UsageError for what does not fit.

    Parameters
    ----------
    name : lower-case letters, digits and hyphens; not that of a built-in set
    images : (n, height, width) grey values, uint8 from 0 to 255 or floats from 0 to 1, 0 being background; other sizes
        than 28 x 28 are padded to a square and resized
    labels : (n,) whole numbers from 0; at most ten classes, each with images
    class_names : by label; the numbers themselves where not given
    title : in figures and tables; the name where not given
    """
    values, numbers = _array(name, "images", images), _array(name, "labels", labels)
    if values.ndim != 3 or values.size == 0 or numbers.shape != values.shape[:1]:
        raise UsageError(
            f"{name}: images of shape {values.shape} with labels of shape {numbers.shape}; "
            "they must be (n, height, width) and (n,)"
        )
    grey = _grey_values(name, values)
    if np.issubdtype(numbers.dtype, np.floating) and np.isnan(numbers).any():
        raise UsageError(f"{name}: label {int(np.isnan(numbers).argmax())} is NaN; labels must be whole numbers from 0")
    if not np.issubdtype(numbers.dtype, np.integer):
        raise UsageError(f"{name}: labels of {numbers.dtype}; they must be whole numbers (names go to `class_names`)")
    if isinstance(class_names, (Mapping, Set)) or not np.iterable(class_names):  # a set has no order
        raise UsageError(f"{name}: class_names is {short_repr(class_names)}; it must list one name per class, in order")
    if grey.shape[1:] != (SIDE, SIDE):
        grey = np.stack([_square(Image.fromarray(image), name) for image in grey])
    return _dataset(name, grey, numbers, tuple(class_names), title, [f"image {place}" for place in range(len(grey))])


def from_folder(name: str, folder: Path | str, title: str = "", *, invert: bool = False) -> Dataset:
    """A data set from a folder that holds a folder of image files for each class, named as the class is.

    Classes are numbered in natural order (2 before 10). Folders train and test above those of the classes are merged.
    Images are turned upright as their EXIF data say and made grey, padded to a square and resized to 28 x 28. Padding
    and transparent parts become background. Grey values of more than eight bits are scaled by the range of 8, 10, 12,
    14 or 16 bits, the smallest that holds the largest value of the set. With `invert` dark becomes bright: background
    should be dark, as in the built-in sets.

    Hidden files and those of operating systems are ignored; a warning names other files that are left out. Raises
    UsageError where the folder is laid out differently, and LatentReplayError that names a file which cannot be read.
    """
    by_class = _by_class(absolute(folder))
    names = sorted(by_class, key=_natural)
    files = [file for each in names for file in by_class[each]]
    labels = np.repeat(np.arange(len(names)), [len(by_class[each]) for each in names])
    images = np.zeros((len(files), SIDE, SIDE), np.uint8)
    background = 255 if invert else 0
    wide: dict[
        int, float
    ] = {}  # place -> largest value: all are scaled alike, so all are read before the first is scaled
    for place, file in enumerate(files):
        picture = _opened(file)
        if picture.mode in _WIDE:
            wide[place] = _largest(picture, file)
        else:
            images[place] = _square(_grey(picture, background), file, background)
    for place in wide:
        picture = _scaled(_opened(files[place]), max(wide.values()))
        images[place] = _square(picture, files[place], background)
    return _dataset(name, 255 - images if invert else images, labels, tuple(names), title, files)


def add(dataset: Dataset, *, origin: str, licence: str, root: Path | str | None = None) -> Path:
    """Put a data set into a data root, by default `data/raw`: `load`, the grid and the report then know its name.

    Writes four IDX files to `<name>/raw`, and a table as those of `data/datasets.toml` to `<name>/dataset.toml`. Returns
    the folder `<name>`; to remove the set, remove it. Another root has to be on LR_DATA_PATH. Raises UsageError unless
    there are ten classes, as the grid's cases need, and LatentReplayError if the root cannot be written to.
    """
    name, count = dataset.name, len(dataset.class_names)
    if count != CLASSES:
        raise UsageError(f"{name}: {count} classes; the grid's cases need {CLASSES}. `TaskSequence` takes fewer")
    folder = (catalogue.raw_folder() if root is None else absolute(root)) / name
    table = {
        "title": dataset.title,
        "folder": f"{name}/raw",
        "images": len(dataset.images),
        "class_names": list(dataset.class_names),
        "origin": _text(name, "origin", origin, longest=1000),
        "licence": _text(name, "licence", licence, longest=1000),
        "paper": False,
        "sources": [f"own:{name}"],
    }
    # JSON's strings, numbers, lists and truth values are TOML's too.
    lines = [f"[{name}]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())]
    lines += ["", f"[{name}.files]"]
    cut = max(1, len(dataset.images) * 6 // 7)  # training and test files are merged when loaded, so the order stays
    for files, part in zip(IDX_PARTS, (slice(cut), slice(cut, None)), strict=True):
        for file, values in zip(files, (dataset.images, dataset.labels), strict=True):
            content = to_idx(values[part].numpy().astype(np.uint8))
            write_atomically(folder / "raw" / file, content)
            sha256 = hashlib.sha256(content).hexdigest()
            lines.append(f'{file} = {{ bytes = {len(content)}, sha256 = "{sha256}" }}')
    write_atomically(folder / "dataset.toml", "\n".join([*lines, ""]).encode())
    catalogue.reread()
    return folder


# -- checks -----------------------------------------------------------------------------------------------------------


def _dataset(
    name: str,
    images: Bytes,
    labels: npt.NDArray[np.integer],
    names: tuple[object, ...],
    title: str,
    places: Sequence[object],
) -> Dataset:
    """The data set of (n, 28, 28) images, if all fits; `places` say where each image comes from."""
    built_in = catalogue.PAPER_DATASETS + ("digits",)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in built_in:
        raise UsageError(
            f"{name!r} cannot be the name of a data set: use lower-case letters, digits and hyphens, "
            f"and none of {', '.join(built_in)}"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    most = (len(names) or CLASSES) - 1
    if lowest < 0 or highest > most:
        limit = f"{most}{'' if names else ' at most'}"
        raise UsageError(f"{name}: labels from {lowest} to {highest}; they must number the classes from 0 to {limit}")
    if not 2 <= (classes := len(names) or highest + 1) <= CLASSES:
        raise UsageError(f"{name}: {classes} classes; the classifier has room for {CLASSES}, and two tasks need two")
    class_names: list[str] = []
    for each in names or range(classes):
        whole = isinstance(each, (int, np.integer)) and not isinstance(each, bool)
        class_names.append(_text(name, "a class name", str(each) if whole else each))
        if class_names[-1] in class_names[:-1]:
            raise UsageError(f"{name}: two classes are called {class_names[-1]}; each needs a name of its own")
    flat = images.min(axis=(1, 2)) == images.max(axis=(1, 2))
    for number, each in enumerate(class_names):
        of_class = labels == number
        if not of_class.any():
            raise UsageError(f"{name}: class {each} has no images; labels count from 0 without gaps")
        if flat[of_class].all():
            raise UsageError(
                f"{name}: each image of class {each} is of one grey value ({places[int(of_class.argmax())]} is the first); "
                "dark ink on a transparent ground, for example, needs `invert`"
            )
    darkest, brightest = int(images.min()), int(images.max())
    if brightest - darkest < LEAST_RANGE:
        raise UsageError(
            f"{name}: grey values from {darkest} to {brightest}, where black is 0 and white is 255 (of floats 0 and 1); "
            "scale them, as in (images - images.min()) / (images.max() - images.min())"
        )
    if flat.any():
        some = f"{flat.sum()} of {len(flat)} images are of one grey value, {places[int(flat.argmax())]} is the first"
        warnings.warn(f"{name}: {some}", stacklevel=3)
    title = _text(name, "title", title) if title else name
    # A copy: the caller may change the array later.
    tensors = torch.from_numpy(np.array(images)), torch.from_numpy(labels.astype(np.int64))
    return Dataset(name, title, *tensors, tuple(class_names), {})


def _text(name: str, what: str, text: object, longest: int = LONGEST) -> str:
    """A text that can be drawn, written to a file and printed on one line, in Unicode's composed form."""
    if not isinstance(text, str):
        raise UsageError(f"{name}: {what} is {short_repr(text)}; it must be a text")
    composed = unicodedata.normalize("NFC", str(text)).strip()
    # Control characters, surrogates, line and paragraph separators, and what changes the direction of writing.
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202a\u202b\u202d\u202e"]
    invisible = all(unicodedata.category(c) in ("Cf", "Zs") for c in composed)
    if bad or invisible or len(composed) > longest:
        fault = (
            f"holds the character {bad[0]!a}" if bad else "is empty" if invisible else f"has {len(composed)} characters"
        )
        raise UsageError(
            f"{name}: {what} {fault} ({short_repr(text):.80}); it must be one line of 1 to {longest} characters"
        )
    return composed


def _array(name: str, what: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        if isinstance(given, np.ma.MaskedArray):
            raise TypeError("it has a mask, which would be lost")
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors that need gradients or lie on a GPU
        reason = (str(error).splitlines() or [""])[0]
        raise UsageError(f"{name}: {what} are no array of one shape ({reason})") from error


def _grey_values(name: str, values: npt.NDArray[Any]) -> Bytes:
    """uint8 of an array that holds grey values, in bytes or in floats."""
    wanted = "must be uint8, or floats from 0 to 1"
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise UsageError(f"{name}: images of {values.dtype}; they {wanted}")
    if (broken := np.isnan(values).any(axis=(1, 2))).any():
        raise UsageError(f"{name}: image {int(broken.argmax())} holds NaN; images {wanted}")
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > 1:
        raise UsageError(
            f"{name}: images of {values.dtype} from {lowest!s} to {highest!s}; they {wanted}: "
            "divide by the largest possible value, or use numpy.clip(images, 0, 1)"
        )
    return np.round(255 * values).astype(np.uint8)


# -- folders ----------------------------------------------------------------------------------------------------------


def _by_class(root: Path) -> dict[str, list[Path]]:
    """Class -> its image files in natural order; training files first, where they are apart from test files."""
    folders = [path for path in _inside(root) if path.is_dir()] if root.is_dir() else []
    above = [root]
    if all(path.name.lower() in PARTS for path in folders) and not any(map(_images, folders)):
        above += sorted(folders, key=lambda path: PARTS.index(path.name.lower()))
        folders = [path for part in above[1:] for path in _inside(part) if path.is_dir()]
    if not folders:
        fault = "holds no folders" if root.is_dir() else "is no folder"
        raise UsageError(f"{root}: {fault}; put the images of each class into a folder named as the class is")
    by_class: dict[str, list[Path]] = {}
    left_out = [path for level in above for path in _images(level)]
    for folder in folders:
        images = _images(folder)
        by_class.setdefault(folder.name, []).extend(images)
        left_out += sorted(set(_inside(folder)).difference(images))
    for name, files in by_class.items():
        if not files:
            raise UsageError(f"{root}: class {name} has no images{_found_instead(root, name, left_out)}")
    if left_out:
        some = ", ".join(str(path.relative_to(root)) for path in left_out[:3])
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        warnings.warn(f"{root}: left out, as no image files of a class: {some}{more}", stacklevel=3)
    return by_class


def _found_instead(root: Path, name: str, left_out: list[Path]) -> str:
    """What the folder of a class without images holds, and what it should hold."""
    inside = [path for path in left_out if path.parent.name == name]
    for path in inside:
        if path.is_dir() and _images(path):
            place = path.relative_to(root)
            return f", its folders have ({place}); name the folder that holds the folders of the classes"
    kinds = ", ".join(sorted({path.suffix or path.name for path in inside})[:5])
    known = ", ".join(sorted(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS))
    return f"{f', only {kinds}' if kinds else ''}; known are {known}"


def _inside(folder: Path) -> list[Path]:
    """What is in a folder, in natural order, without the files of operating systems."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise LatentReplayError(f"{folder}: cannot be looked into ({error.strerror})") from error
    found = [path for path in found if path.name.lower() not in _SYSTEM_FILES]
    return sorted(found, key=lambda path: _natural(path.name))


def _images(folder: Path) -> list[Path]:
    formats = Image.registered_extensions()
    return [path for path in _inside(folder) if formats.get(path.suffix.lower()) in FORMATS and not path.is_dir()]


def _natural(name: str) -> tuple[list[str | int], str]:
    """A sort key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", name)  # texts and numbers in turns, so that like is compared with like
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


# -- images -----------------------------------------------------------------------------------------------------------


def _opened(file: Path) -> Image.Image:
    """The picture in a file, upright, in the mode that it is kept in."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                # The second picture of a camera's JPEG (MPO) is a preview or a map of depth.
                pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
                upright = ImageOps.exif_transpose(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise LatentReplayError(f"{file}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller") from error
    except Exception as error:  # Pillow's readers raise errors of many kinds for broken files
        reason = " ".join(str(error).replace(repr(str(file)), "it").split())[:100] or type(error).__name__
        raise LatentReplayError(
            f"{file}: is no image that can be read ({reason}); take it out, or replace it"
        ) from error
    for warning in caught:  # of damaged EXIF data, for example; Pillow does not name the file
        warnings.warn(f"{file}: {warning.message}", stacklevel=3)
    # A TIFF whose 0 is white; Pillow inverts it only if it has eight bits.
    if upright.mode in _WIDE and getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0:
        upright = Image.fromarray((1 if upright.mode == "F" else 65535) - np.asarray(upright))
    if pictures > 1:
        raise LatentReplayError(f"{file}: holds {pictures} pictures; save the one that is meant as a file of its own")
    return upright


def _grey(picture: Image.Image, background: int) -> Image.Image:
    """Eight bits of grey; transparent parts show the background."""
    if picture.has_transparency_data:
        ink = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", ink.size, (background,) * 3), ink)
    return picture.convert("L")


def _largest(picture: Image.Image, file: Path) -> float:
    """The largest value of a picture of more than eight bits."""
    values = np.asarray(picture)
    most = 1 if picture.mode == "F" else 2 ** _DEPTHS[-1] - 1
    lowest, highest = values.min(), values.max()
    if not 0 <= lowest <= highest <= most:
        raise LatentReplayError(f"{file}: has values from {lowest:g} to {highest:g}; they must be from 0 to {most}")
    if "transparency" in picture.info:
        raise LatentReplayError(f"{file}: has a transparent value among more than eight bits; save it with eight")
    return float(highest)


def _scaled(picture: Image.Image, largest: float) -> Image.Image:
    """Eight bits of a picture of more, by the range of as many bits as the largest value of the whole set needs."""
    full = 1 if picture.mode == "F" else next(2**bits - 1 for bits in _DEPTHS if largest < 2**bits)
    return Image.fromarray(np.round(255 * np.asarray(picture, np.float64) / full).astype(np.uint8))


def _square(image: Image.Image, where: Path | str, background: int = 0) -> Bytes:
    """(28, 28) uint8, padded with background to a square and resized in integer arithmetic."""
    if max(image.size) > SIDE * min(image.size):  # nothing of it would be left
        raise UsageError(f"{where}: is {image.width} x {image.height} pixels, too oblong for {SIDE} x {SIDE}")
    return np.asarray(ImageOps.pad(image, (SIDE, SIDE), method=Image.Resampling.BILINEAR, color=background))
