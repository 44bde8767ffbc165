"""Compiled steps on disk: the first process compiles them, in some ten seconds; each later one loads them, in one.

`Cache` takes the place of numba's own, which looks for changes only in the file of a function (a step is put together
from several), fails at a truncated file, runs one with a changed byte, and writes beside the sources where its folder
cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult

_FOLDER = Path(__file__).resolve().parent
_CHECKOUT = _FOLDER.parents[2]
_PLACE = _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.home()
_CHECKSUM = hashlib.sha256().digest_size  # bytes, at the start of each file
_IRRELEVANT = {"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"}  # of numba's variables, those that change no compiled step


class Cache(NullCache):
    """The compiled code of one function, a file for each signature and processor.

    A function is compiled where its file is missing, damaged or unreadable. Where no file can be written, the next
    process compiles too. Code is loaded as Python loads `__pycache__`: who can write there can run code.

    Parameters
    ----------
    function : one of a module, not a closure: its name stands for it
    """

    def __init__(self, function: Callable[..., object]) -> None:
        assert function.__closure__ is None
        self._name = f"{function.__module__}.{function.__qualname__}"
        place = os.environ.get("NUMBA_CACHE_DIR") or _PLACE / ".cache" / "compiled"
        # The digest is taken now, not at the first call: sources may change after they were imported.
        self._folder = Path(place).absolute() / _digest()

    @property
    def cache_path(self) -> str:
        """The folder of all functions of the same sources, versions and settings."""
        return str(self._folder)

    def load_overload(self, signature: Any, context: Any) -> CompileResult | None:
        """The code for a signature on this processor, or None."""
        context.refresh()  # as numba's own cache does
        try:
            content = self._path(signature, context.codegen()).read_bytes()
        except OSError:
            return None
        checksum, code = content[:_CHECKSUM], content[_CHECKSUM:]
        if hashlib.sha256(code).digest() != checksum:
            return None
        return CompileResult._rebuild(context, *serialize.loads(code))

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write compiled code, if the folder can be written."""
        assert not result.library.has_dynamic_globals  # addresses of this process
        code = serialize.dumps(result._reduce())
        path = self._path(signature, result.codegen)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)

    def _path(self, signature: Any, codegen: Any) -> Path:
        # A file for each and no index: processes that write at the same time cannot mix them up.
        key = repr((signature, codegen.magic_tuple()))  # the latter names the processor and its features
        return self._folder / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _digest() -> str:
    """Of all that compiled code depends on besides its function, signature and processor."""
    sources = [(file.name, file.read_bytes()) for file in sorted(_FOLDER.glob("*.py"))]
    versions = sys.version, numba.__version__, llvmlite.__version__, np.__version__
    settings = sorted((n, v) for n, v in os.environ.items() if n.startswith("NUMBA_") and n not in _IRRELEVANT)
    return hashlib.sha256(repr((sources, versions, settings)).encode()).hexdigest()[:16]
