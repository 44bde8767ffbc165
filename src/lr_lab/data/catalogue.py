"""What is known of each data set, where its files are looked for, and loading it.

A file is used only if its SHA-256 is the one in `data/datasets.toml`. Importing this module reads no file.

Public: `Description`, `raw_folder`, `search_path`, `reread`, `DATASETS`, `PAPER_DATASETS`, `PAIRS`, `describe`, `order`,
`checksums`, `load`, `available`; for `fetch`: `find`, `read`, `verify`, `Damaged`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tomllib
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from typing import IO, TYPE_CHECKING

from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.data import pairs
from lr_lab.files import absolute, project_root

if TYPE_CHECKING:
    from lr_core.tasks import Dataset


class Damaged(Exception):
    """A file does not have the expected content; the message names it, what was expected and what was found."""


class FileFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """Length in bytes and SHA-256 of an unpacked file."""

    bytes: int
    sha256: str


class Description(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


# -- the tables -------------------------------------------------------------------------------------------------------


def raw_folder() -> Path:
    """Where fetched data is put, and where data is looked for last: `data/raw` of the project."""
    return project_root() / "data" / "raw"


def search_path() -> list[Path]:
    """The data roots in the order of search: those of LR_DATA_PATH, then `data/raw`.

    Relative folders in the variable are made absolute, for later calls and for child processes in other folders.
    """
    roots = [absolute(entry) for entry in os.environ.get("LR_DATA_PATH", "").split(os.pathsep) if entry.strip()]
    if roots:
        os.environ["LR_DATA_PATH"] = os.pathsep.join(map(str, roots))
    return [*roots, raw_folder()]


@cache
def _descriptions() -> Mapping[str, Description]:
    """The built-in sets, then those that users have put into a data root (`custom.add`).

    A user's set with the title of another set gets its name added to the title.
    """
    built_in = _tables(project_root() / "data" / "datasets.toml")
    known = dict(built_in)
    for root in search_path():
        with suppress(OSError):  # a root that cannot be read
            for path in filter(Path.is_file, sorted(root.glob("*/dataset.toml"))):
                try:
                    known |= {**_tables(path), **known}  # of two sets of one name, the first one found
                except LatentReplayError as error:  # the file of another project
                    warnings.warn(f"ignored: {error}", stacklevel=3)
    while True:  # again after a change: a new title may be that of a third set
        titles = Counter(info.title for info in known.values())
        same = [info for name, info in known.items() if name not in built_in and titles[info.title] > 1]
        if not same:
            return known
        known |= {info.name: replace(info, title=f"{info.title} ({info.name})") for info in same}


def reread() -> None:
    """Read the tables again, after a set was added or the search path was changed."""
    _descriptions.cache_clear()


def _tables(path: Path) -> Mapping[str, Description]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: convert({**table, "name": name}, Description) for name, table in tables.items()}
    except OSError as error:
        raise LatentReplayError(
            f"{path} cannot be read ({error.strerror}): run `make setup`, or work from the project's own folder"
        ) from error
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise LatentReplayError(f"{path} is not a table of data sets ({type(error).__name__}: {error})") from error


DATASETS: tuple[str, ...]  # read at first use, not at import
PAPER_DATASETS: tuple[str, ...]
PAIRS: tuple[str, ...]  # of two of the paper's sets

if not TYPE_CHECKING:  # mypy would otherwise accept every name of this module

    def __getattr__(name: str) -> tuple[str, ...]:
        if name == "DATASETS":
            return tuple(_descriptions())
        if name == "PAPER_DATASETS":
            return tuple(name for name, info in _descriptions().items() if info.paper)
        if name == "PAIRS":
            papers = __getattr__("PAPER_DATASETS")
            return tuple(f"{first}+{second}" for first in papers for second in papers if first != second)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def describe(name: str) -> Description:
    """What is known of a data set or of a pair (`pairs`). Raises UsageError for an unknown name."""
    known = _descriptions()
    if isinstance(name, str) and "+" in name and len(parts := pairs.parts(name)) == 2:
        return pairs.describe(*map(describe, parts))
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"unknown data set {short_repr(name)}: choose one of {', '.join(known)}")
    return known[name]


def order(name: str) -> tuple[int, ...]:
    """Sorts data sets as in `DATASETS`, pairs by their first set and behind it."""
    return tuple(map(list(_descriptions()).index, pairs.parts(name)))


def checksums(name: str) -> dict[str, str]:
    """File name -> SHA-256 that `load` verifies against; reads no data. Raises UsageError for an unknown name."""
    return {file: facts.sha256 for file, facts in describe(name).files.items()}


# -- loading ----------------------------------------------------------------------------------------------------------


def load(name: str) -> Dataset:
    """Load a data set from the search path; never downloads.

    Of each file the first intact copy is used; a warning names each damaged one. Raises UsageError for an unknown name,
    and LatentReplayError if a file has no intact copy or the files do not hold what the experiment needs.
    """
    import torch  # here: planning runs needs neither torch nor numpy

    from lr_core.tasks import Dataset
    from lr_lab.data import idx

    info = describe(name)
    if len(names := pairs.parts(name)) == 2:
        return pairs.combine(load(names[0]), load(names[1]), info)
    idx.check_table(info)
    if info.folder:
        images, labels = idx.merge(info, {file: find(info, file) for file in info.files})
    else:
        from lr_lab.data import digits  # here: it imports scikit-learn, which takes a second

        images, labels = digits.load(checksums(name))
    tensors = torch.from_numpy(images), torch.from_numpy(labels)
    return Dataset(name, info.title, *tensors, info.class_names, checksums(name), info.glyphs)


def available() -> tuple[str, ...]:
    """Names of the sets, and pairs, whose files are all on the search path, with the right length where they are not packed."""

    def has(path: Path, facts: FileFacts) -> bool:
        return os.path.getsize(path) == facts.bytes if os.path.isfile(path) else os.path.isfile(f"{path}.gz")

    roots = search_path()
    here = [
        info.name
        for info in _descriptions().values()
        if not info.folder
        or all(any(has(root / info.folder / file, facts) for root in roots) for file, facts in info.files.items())
    ]
    return (*here, *(f"{first}+{second}" for first in here for second in here if first != second))


def find(info: Description, file: str) -> tuple[bytes, Path]:
    """Content and path of the first intact copy of a file on the search path; warns of each damaged one.

    Raises LatentReplayError if there is none; the message says where it was looked for.
    """
    faults, folders = [], [root / info.folder for root in search_path()]
    for folder in folders:
        try:
            if (content := read(folder / file, info.files[file])) is not None:
                return content, folder / file
        except Damaged as fault:
            warnings.warn(f"not used: {fault}", stacklevel=3)
            faults.append(str(fault))
    missing = (
        f"no intact {file}: {'; '.join(faults)}" if faults else f"{file} is in none of {', '.join(map(str, folders))}"
    )
    remedy = f"Run `make data`, or set LR_DATA_PATH to a folder that holds {info.folder}/{file}."
    raise LatentReplayError(f"{info.title}: {missing}. {remedy}")


def read(path: Path, facts: FileFacts) -> bytes | None:
    """Content of a file or, if there is none, of `<path>.gz`; None if there is neither. Raises Damaged as `verify` does."""
    packed = not os.path.lexists(path)
    path = path.with_name(f"{path.name}.gz") if packed else path
    try:
        if packed and not path.is_file():
            return None
        if not path.is_file():
            raise Damaged(f"{path} is not a file")
        with path.open("rb") as file:
            return verify(file, path, facts, packed=packed)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error


def verify(stream: IO[bytes], name: Path | str, facts: FileFacts, *, packed: bool) -> bytes:
    """Content of a stream, unpacked if it is `packed` by gzip. Raises Damaged if length or SHA-256 are others."""
    try:
        # At most one byte too many is read: a huge file or a zip bomb cannot fill the memory.
        content = (gzip.GzipFile(fileobj=stream) if packed else stream).read(facts.bytes + 1)
    except Exception as error:  # the readers of damaged archives raise errors of many kinds
        raise Damaged(f"{name} cannot be {'unpacked' if packed else 'read'} ({error})") from error
    if (length := len(content)) != facts.bytes:
        kind = "is empty" if length == 0 else "is truncated" if length < facts.bytes else "is too long"
        found = "more" if length > facts.bytes else length
        raise Damaged(f"{name} {kind}: expected {facts.bytes} bytes, found {found}")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != facts.sha256:  # if two files were swapped, name the other one
        known = ((info.title, *each) for info in _descriptions().values() for each in info.files.items())
        owner = next((f" (it is {title}'s {file})" for title, file, of in known if of.sha256 == sha256), "")
        raise Damaged(f"{name} is not the right file{owner}: expected SHA-256 {facts.sha256}, found {sha256}")
    return content


def summary(dataset: Dataset) -> str:
    """Title, number of images, and of each class its number, name and images: one line."""
    counts = dataset.labels.bincount(minlength=len(dataset.class_names)).tolist()
    names = enumerate(zip(dataset.class_names, counts, strict=True))
    classes = ", ".join(f"{number} {name} ({count:,})" for number, (name, count) in names)
    return f"{dataset.title}: {len(dataset.images):,} images, classes {classes}"
