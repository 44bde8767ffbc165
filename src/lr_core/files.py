"""Writing so that a file is either whole or not there, and setting aside what is found damaged."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from lr_core.errors import LatentReplayError


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename: a reader sees the old file or the new, never a part."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp allows its owner alone
        os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if not isinstance(error, OSError):  # Ctrl-C, say
            raise
        raise LatentReplayError(f"{path}: cannot be written ({error.strerror}); name a folder that can be") from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged`, so that it is out of the way but not lost."""
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return aside
