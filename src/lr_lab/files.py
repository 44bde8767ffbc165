"""Atomic writing, locks, renaming of damaged files, absolute paths, the folders of the project and of a font."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import IO

from lr_core.errors import LatentReplayError, UsageError


def absolute(path: Path | str) -> Path:
    """The absolute path; `~` is the home folder."""
    try:
        return Path(os.path.abspath(Path(path).expanduser()))
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"{path}: is no folder that can be found ({error})") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename: a reader sees the old file or the new, never a part."""
    for again in (True, True, False):
        try:
            _write(path, content)
            return
        except OSError as error:
            # Another process may have removed the folder meanwhile: make it again.
            if not (again and isinstance(error, FileNotFoundError)):
                raise cannot_be_written(path, error) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp allows its owner alone
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C, too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def cannot_be_written(path: Path, error: OSError) -> LatentReplayError:
    """The error of a file or folder that cannot be written, with what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room and give the same command again" if full else "name a folder that can be"
    return LatentReplayError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def lock(path: Path) -> IO[bytes] | None:
    """Lock a file, which is made if there is none; None if another process holds the lock.

    Closing the file releases the lock, and so does the end of the process. A child process that inherits the file shares
    the lock. The process that holds the lock may remove the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except FileNotFoundError:  # the folder was removed between the two calls
        return None
    except OSError as error:
        raise cannot_be_written(path, error) from error
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # else the holder of the lock removed it
            return file
    file.close()
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged`, or `<name>.damaged-2` and so on; returns the new path."""
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, aside)
    return aside


def project_root() -> Path:
    """The folder that holds `data/datasets.toml`: the checkout of an editable install, else the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "data" / "datasets.toml").is_file() else Path.cwd()


def japanese_fonts() -> Path:
    """The folder of a font with hiragana, which a package that the project depends on has."""
    # Importing the package would make its font the default of every figure.
    return Path(str(distribution("matplotlib-fontja").locate_file("matplotlib_fontja/fonts")))
