"""Files: absolute paths, writing a file whole or not at all, locking, setting damaged files aside."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import tempfile
from pathlib import Path
from typing import IO

from lr_core.errors import LatentReplayError, UsageError


def absolute(path: Path | str) -> Path:
    """The absolute path, with `~` as the home folder: it stays the same if the working folder changes."""
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
            # Another process may have removed the folder meanwhile: it is then made again.
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
        os.chmod(temporary, 0o644)  # mkstemp allows only the owner to read it
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C, too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def cannot_be_written(path: Path, error: OSError) -> LatentReplayError:
    """The error for a file or folder that the system refused to write; it says what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room and give the same command again" if full else "name a folder that can be"
    return LatentReplayError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def lock(path: Path) -> IO[bytes] | None:
    """Lock a file, which is created if need be; None where another process holds the lock.

    Closing the file releases the lock, and so does the end of the process. A child process that inherits the file holds
    the lock too. The holder may remove the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except FileNotFoundError:  # removed between the two calls
        return None
    except OSError as error:
        raise cannot_be_written(path, error) from error
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # otherwise its holder removed it meanwhile
            return file
    file.close()
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged`, `<name>.damaged-2` and so on; returns its new path."""
    names = itertools.chain([".damaged"], (f".damaged-{number}" for number in itertools.count(2)))
    aside = next(a for name in names if not os.path.lexists(a := path.with_name(path.name + name)))
    os.replace(path, aside)
    return aside


def project_root() -> Path:
    """The folder that holds `data/datasets.toml`: the checkout of an editable install, else the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "data" / "datasets.toml").is_file() else Path.cwd()
