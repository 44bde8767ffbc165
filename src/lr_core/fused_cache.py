"""Compiled steps kept on disk: the first process compiles them in seconds, every later one loads them in one.

Public: `Kept`, in the place of numba's own cache, which does not suit these steps. It looks for changes only in the
file that holds a function, while these are put together from several. It fails at a file that is cut, and runs one
with a changed byte. Where its folder cannot be written it writes beside the sources.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult

from lr_core.datasets import project_root
from lr_core.errors import LatentReplayError
from lr_core.files import absolute, write_atomically

_CHECKSUM = hashlib.sha256().digest_size  # bytes, at the start of each file
_NO_MATTER = {"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"}  # of numba's variables, those that change no compiled step


class Kept(NullCache):
    """The compiled code of one function, a file for each signature and processor.

    A file that is missing, damaged or unreadable means that the function is compiled, one that cannot be written that
    the next process compiles too. Code is loaded as Python loads `__pycache__`: who can write there can run code.

    Parameters
    ----------
    function : not made inside of another one, whose values a name would not tell apart
    """

    def __init__(self, function: Callable[..., object]) -> None:
        assert function.__closure__ is None
        self._name = f"{function.__module__}.{function.__qualname__}"
        # Now, not at the first call: the sources may change, what was imported of them does not.
        place = os.environ.get("NUMBA_CACHE_DIR") or project_root() / ".cache" / "compiled"
        self._folder = absolute(place) / _digest()

    @property
    def cache_path(self) -> str:
        """The folder of all functions of the same sources, versions and settings."""
        return str(self._folder)

    def load_overload(self, signature: Any, context: Any) -> CompileResult | None:
        """What was compiled for a signature and this processor, or None."""
        context.refresh()  # numba's own does so too: what the code calls must be known
        try:
            content = self._path(signature, context.codegen()).read_bytes()
        except OSError:
            return None
        checksum, code = content[:_CHECKSUM], content[_CHECKSUM:]
        if hashlib.sha256(code).digest() != checksum:
            return None
        return CompileResult._rebuild(context, *serialize.loads(code))

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled, if the folder can be written."""
        assert not result.library.has_dynamic_globals  # addresses of this process
        code = serialize.dumps(result._reduce())
        with contextlib.suppress(LatentReplayError):
            write_atomically(self._path(signature, result.codegen), hashlib.sha256(code).digest() + code)

    def _path(self, signature: Any, codegen: Any) -> Path:
        # A file for each, not an index of all: processes that write at the same time cannot mix them up.
        key = repr((signature, codegen.magic_tuple()))  # the latter has the processor and what it can do
        return self._folder / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _digest() -> str:
    """Of all that compiled code depends on besides its function, signature and processor."""
    folder = Path(__file__).parent
    sources = [(file.name, file.read_bytes()) for file in sorted([*folder.glob("fused*.py"), folder / "winograd.py"])]
    versions = sys.version, numba.__version__, llvmlite.__version__, np.__version__
    settings = sorted((n, v) for n, v in os.environ.items() if n.startswith("NUMBA_") and n not in _NO_MATTER)
    return hashlib.sha256(repr((sources, versions, settings)).encode()).hexdigest()[:16]
