"""What a data set is; finding, verifying and loading it: every image of a set as one uint8 tensor.

What is known of each set (files, checksums, class names, licence, sources) is in `data/datasets.toml`; nothing is
loaded whose SHA-256 is not the one written there. `fetching` gets what is not there yet. Importing this module reads
no file; the tuples of names `DATASETS` and `PAPER_DATASETS` are read when they are asked for.

Public, in reading order: `Dataset`, `Description`, `project_root`, `search_path`, `reread`, `DATASETS`,
`PAPER_DATASETS`, `describe`, `checksums`, `load`, `available`.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tomllib
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lr_core.errors import LatentReplayError, UsageError
from lr_core.settings import CLASSES
from lr_lab.files import absolute, project_root

if TYPE_CHECKING:
    from lr_core.tasks import Dataset

    pass

Bytes = npt.NDArray[np.uint8]

SIDE = 28  # pixels; every image of every set is SIDE x SIDE

# The order is the order of merging: training files first, then test files.
IDX_PARTS = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


# ---------------------------------------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class FileFacts:
    """What a file must be: its length in bytes and the SHA-256 of its content, both of the unpacked file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Description:
    """One table of `data/datasets.toml`."""

    name: str
    title: str
    images: int
    class_names: tuple[str, ...]  # by label, 0 to 9
    origin: str
    licence: str
    paper: bool  # whether the paper reports results on it
    sources: tuple[str, ...]  # "kind:name", in the order in which they are tried
    files: Mapping[str, FileFacts]
    folder: str = ""  # below a data root, as torchvision lays it out; "" for a set that needs no files
    glyphs: tuple[str, ...] = ()  # by label; the characters themselves where class_names only romanise them


def raw_folder() -> Path:
    """Where fetched data is put, and where data is looked for last: `data/raw` of the project."""
    return project_root() / "data" / "raw"


def search_path() -> list[Path]:
    """The data roots in the order in which they are searched: those of LR_DATA_PATH, then `data/raw`.

    The variable is made absolute where it is not: it then means the same folders later, and in every child process.
    """
    listed = os.environ.get("LR_DATA_PATH", "").split(os.pathsep)
    roots = [absolute(entry) for entry in listed if entry.strip()]
    if roots:
        os.environ["LR_DATA_PATH"] = os.pathsep.join(map(str, roots))
    return [*roots, raw_folder()]


@cache
def _descriptions() -> Mapping[str, Description]:
    """The project's own, then those that users have put into a data root (`own.add`).

    A user's set whose title another has goes by its name as well.
    """
    shipped = _tables(project_root() / "data" / "datasets.toml")
    known = dict(shipped)
    for path in [path for root in search_path() for path in _candidates(root)]:
        try:
            for name, info in _tables(path).items():
                known.setdefault(name, info)
        except LatentReplayError as error:  # a data root may hold what is not ours
            warnings.warn(f"passed over: {error}", stacklevel=3)
    while True:  # what is told apart may have the title of a third
        titles = [info.title for info in known.values()]
        twice = [name for name, info in known.items() if name not in shipped and titles.count(info.title) > 1]
        if not twice:
            return known
        known |= {name: replace(known[name], title=f"{known[name].title} ({name})") for name in twice}


def _candidates(root: Path) -> list[Path]:
    """The files `dataset.toml` one level below a data root; none where the root cannot be looked into."""
    try:
        return sorted(path for path in root.glob("*/dataset.toml") if path.is_file())
    except OSError:
        return []


def reread() -> None:
    """Read the descriptions anew: of sets added, or of a search path changed, since they were read."""
    _descriptions.cache_clear()


def _tables(path: Path) -> Mapping[str, Description]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _description(name, table) for name, table in tables.items()}
    except OSError as error:
        raise LatentReplayError(
            f"{path} cannot be read ({error.strerror}): run `make setup`, or work from the project's own folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LatentReplayError(f"{path} is not a table of data sets ({type(error).__name__}: {error})") from error


def _description(name: str, table: dict[str, Any]) -> Description:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    values["files"] = {file: FileFacts(**facts) for file, facts in table["files"].items()}
    info = Description(name=name, **values)
    texts = [info.title, info.folder, info.origin, info.licence, *info.class_names, *info.glyphs, *info.sources]
    texts += [facts.sha256 for facts in info.files.values()]
    numbers = [info.images, *(facts.bytes for facts in info.files.values())]
    for kind, found in ((str, texts), (int, numbers), (bool, [info.paper])):
        for value in found:
            if not isinstance(value, kind):
                raise TypeError(f"{short_repr(value)} in {name} is no {kind.__name__}")
    return info


if TYPE_CHECKING:
    from lr_core.tasks import Dataset

    DATASETS: tuple[str, ...]
    PAPER_DATASETS: tuple[str, ...]
else:

    def __getattr__(name: str) -> tuple[str, ...]:
        if name == "DATASETS":
            return tuple(_descriptions())
        if name == "PAPER_DATASETS":
            return tuple(name for name, info in _descriptions().items() if info.paper)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def describe(name: str) -> Description:
    """What `data/datasets.toml` says of a data set. Raises UsageError for an unknown name."""
    known = _descriptions()
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"unknown data set {short_repr(name)}: choose one of {', '.join(known)}")
    return known[name]


def checksums(name: str) -> dict[str, str]:
    """File name -> SHA-256 that `load` verifies against; reads no data. Raises UsageError for an unknown name."""
    return {file: facts.sha256 for file, facts in describe(name).files.items()}


# ------------------------------------------------------------------------------------------------- finding, loading


def load(name: str) -> Dataset:
    """Load a data set from the search path; never downloads.

    Each file is the first intact one on the search path (`search_path`). One that is not, whatever the reason, is
    never used: a warning names it, with what was expected and what was found, and the next folder is tried. As files
    are identified by content, two files of a set may come from two folders.

    Raises UsageError for an unknown name, and LatentReplayError if a file is nowhere on the search path, or nowhere
    intact; the message says where was looked.
    """
    import torch  # here: whoever only plans does not need it

    from lr_core.tasks import Dataset

    info = describe(name)
    _check_names(info)
    if info.folder:
        parts = [_load_part(info, *files) for files in IDX_PARTS]
        images = np.concatenate([part[0] for part in parts])
        labels = np.concatenate([part[1] for part in parts]).astype(np.int64)
    else:
        images, labels = _digits(info)
    _check_labels(info, labels)
    tensors = torch.from_numpy(images), torch.from_numpy(labels)
    return Dataset(name, info.title, *tensors, info.class_names, checksums(name), info.glyphs)


def _check_names(info: Description) -> None:
    """Refuse a description that the experiment cannot use: ten classes are what networks and cases have room for."""
    for what, found in (("class_names", info.class_names), ("glyphs", info.glyphs)):
        if len(found) != CLASSES and (found or what == "class_names"):
            raise LatentReplayError(
                f"{info.title}: {len(found)} {what} in the table {info.name}; a set needs {CLASSES}. "
                "`own.from_folder` and `own.from_arrays` take sets of fewer classes"
            )
    twice = [name for name in info.class_names if info.class_names.count(name) > 1]
    if twice:
        raise LatentReplayError(
            f"{info.title}: two class_names in the table {info.name} are {twice[0]!r}; each class needs a name of its own"
        )


def _check_labels(info: Description, labels: npt.NDArray[np.int64]) -> None:
    """Refuse a set whose files hold another number of images than its description says, or none of a class."""
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


def available() -> tuple[str, ...]:
    """Names of the sets whose files are all on the search path with the right length; contents are not read.

    A file that is there only packed (`.gz`) counts: its length is known when it is loaded.
    """

    def has(info: Description, file: str) -> bool:
        paths = [root / info.folder / file for root in search_path()]
        return any(
            _length(path) == info.files[file].bytes or (_packed(path) and _length(path) is None) for path in paths
        )

    infos = _descriptions().values()
    return tuple(info.name for info in infos if not info.folder or all(has(info, file) for file in info.files))


def _length(path: Path) -> int | None:
    """Bytes in a file; None where there is none, or none that can be looked at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _load_part(info: Description, image_file: str, label_file: str) -> tuple[Bytes, Bytes]:
    """Images (n, 28, 28) and labels (n,) of one pair of files."""
    images = parse_idx(*_read_intact(info, image_file), ndim=3)
    labels = parse_idx(*_read_intact(info, label_file), ndim=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise LatentReplayError(
            f"{info.title}: {image_file} holds images of {images.shape[1]} x {images.shape[2]}; they must be "
            f"{SIDE} x {SIDE}. `own.from_arrays` takes other sizes, and `own.add` writes them anew"
        )
    if len(images) != len(labels):
        raise LatentReplayError(
            f"{info.title}: {image_file} holds images of shape {images.shape}, {label_file} {len(labels)} labels"
        )
    if labels.max() >= len(info.class_names):
        raise LatentReplayError(
            f"{info.title}: {label_file} holds label {labels.max()}; with {len(info.class_names)} classes the labels "
            f"are 0 to {len(info.class_names) - 1}"
        )
    return images, labels


def _read_intact(info: Description, file: str) -> tuple[bytes, Path]:
    """Content and place of the first intact copy of a file on the search path."""
    content, path, faults = find(search_path(), info, file)
    for fault in faults:
        warnings.warn(f"not used: {fault}", stacklevel=4)
    if content is not None:
        return content, path
    raise LatentReplayError(f"{info.title}: {absence(info, file, faults)}")


def find(roots: Sequence[Path], info: Description, file: str) -> tuple[bytes | None, Path, list[str]]:
    """First intact copy of a file below some data roots: its content (None: there is none), path, and faults met."""
    faults: list[str] = []
    for root in roots:
        path = root / info.folder / file
        content, fault = read_verified(path, info.files[file])
        if content is not None:
            return content, path, faults
        if fault:
            faults.append(fault)
    return None, Path(), faults


def absence(info: Description, file: str, faults: Sequence[str]) -> str:
    """Why a file cannot be had from the search path, and what to do."""
    if faults:
        return f"no intact {file}: {'; '.join(faults)}. Run `make data` for a fresh copy, or put an intact one there."
    looked = ", ".join(str(root / info.folder) for root in search_path())
    return (
        f"{file} is in none of {looked}. Run `make data`, "
        f"or set LR_DATA_PATH to a folder that holds {info.folder}/{file}."
    )


def read_verified(path: Path, facts: FileFacts) -> tuple[bytes | None, str]:
    """(content, "") of a file that is what it must be, (None, "") if there is none, else (None, what is wrong).

    Where there is none but a packed one beside it (`.gz`), the content is that of the packed one.
    """
    try:
        if not os.path.lexists(path) and (packed := _packed(path)):
            return _unpacked(packed, facts)
        if not path.is_file():
            return None, f"{path} is not a file" if os.path.lexists(path) else ""
        length = path.stat().st_size
        # The length first: a file that cannot be right is not read into memory, however large it is.
        if length != facts.bytes:
            kind = "is empty" if length == 0 else "is truncated" if length < facts.bytes else "is too long"
            return None, f"{path} {kind}: expected {facts.bytes} bytes, found {length}"
        # Read once and hash what was read: what is verified is what is used, even if the file changes meanwhile.
        content = path.read_bytes()
    except OSError as error:
        return None, f"{path} cannot be read ({error.strerror})"
    return _verified(content, path, facts)


def _verified(content: bytes, path: Path, facts: FileFacts) -> tuple[bytes | None, str]:
    found = hashlib.sha256(content).hexdigest()
    if found != facts.sha256:
        return None, f"{path} is not the right file{known_as(found)}: expected SHA-256 {facts.sha256}, found {found}"
    return content, ""


def _packed(path: Path) -> Path | None:
    """The packed file beside the place of another, as mirrors hand them out."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if _length(packed) is not None else None


def _unpacked(packed: Path, facts: FileFacts) -> tuple[bytes | None, str]:
    """As `read_verified`, of a gzip file."""
    try:
        with gzip.open(packed) as file:
            content = file.read(facts.bytes + 1)  # no more, whatever it unpacks to
    except (OSError, EOFError, zlib.error) as error:
        return None, f"{packed} cannot be unpacked ({error})"
    if len(content) != facts.bytes:
        found = f"at least {len(content)}" if len(content) > facts.bytes else f"{len(content)}"
        return None, f"{packed} unpacks to another length: expected {facts.bytes} bytes, found {found}"
    return _verified(content, packed, facts)


def known_as(sha256: str) -> str:
    """' (it is MNIST's train-labels...)' where the checksum is that of another known file: two were swapped."""
    for info in _descriptions().values():
        for file, facts in info.files.items():
            if facts.sha256 == sha256:
                return f" (it is {info.title}'s {file})"
    return ""


def parse_idx(content: bytes, path: Path | str, ndim: int) -> Bytes:
    """Array of `ndim` dimensions, read-only, that shares memory with `content`, that of the IDX file at `path`.

    The format: two zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit unsigned number, then the values in row-major order. Raises LatentReplayError if the header is
    another one, or the file is shorter or longer than its header says.
    """
    start = 4 + 4 * ndim  # bytes
    if len(content) < start:
        raise LatentReplayError(f"{path} is no IDX file: {len(content)} bytes, its header alone needs {start}")
    magic, expected = content[:4], bytes([0, 0, 8, ndim])
    if magic != expected:
        raise LatentReplayError(
            f"{path} is no IDX file of unsigned bytes in {ndim} dimensions: "
            f"expected it to begin with {expected.hex()}, found {magic.hex()}"
        )
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    size = math.prod(shape)  # in Python's integers, which a header of huge extents cannot overflow
    if size == 0 or len(content) - start != size:
        raise LatentReplayError(
            f"{path}: its header announces {' x '.join(map(str, shape))} = {size} values, "
            f"{len(content) - start} are there"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


# ------------------------------------------------------------------------------------- scikit-learn's bundled digits


def _digits(info: Description) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Images (1797, 28, 28) uint8 and labels (1797,) int64 of the digits that scikit-learn carries."""
    from sklearn.datasets import load_digits  # here: importing it takes a second, and only this set needs it

    bunch = load_digits()
    images = enlarge(bunch.images.astype(np.int64))
    labels = bunch.target.astype("<i8")
    for file, array in (("images", images), ("labels", labels)):
        found, expected = hashlib.sha256(array.tobytes()).hexdigest(), info.files[file].sha256
        if found != expected:
            raise LatentReplayError(
                f"Digits: this scikit-learn's {file} differ: expected SHA-256 {expected}, found {found}. "
                f"Install the version in requirements.lock."
            )
    return images, labels.astype(np.int64)


def enlarge(values: npt.NDArray[np.int64]) -> Bytes:
    """(n, 8, 8) values 0 to 16 -> (n, 28, 28) uint8 0 to 255, bilinearly, pixel centres aligned as in image viewers.

    All in integers, so that the result is the same to the bit on every processor: output pixel i lies at
    (4 i - 5) / 14 of the small image, so both weights are multiples of 1/14, and are kept as such.
    """
    small, parts = 8, 14
    weights = np.zeros((SIDE, small), dtype=np.int64)
    for i in range(SIDE):
        below, fraction = divmod(4 * i - 5, parts)
        weights[i, max(below, 0)] += parts - fraction  # the border pixel is repeated outwards
        weights[i, min(below + 1, small - 1)] += fraction
    scaled = weights @ values @ weights.T  # (n, 28, 28), in units of 1 / (14 * 14)
    unit = 16 * parts * parts
    return ((2 * 255 * scaled + unit) // (2 * unit)).astype(np.uint8)  # rounded half up
