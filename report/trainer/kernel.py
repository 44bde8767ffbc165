"""`Kernel`: the kernel that the page trains with, run by wasmtime. Tests, `make.py` and `make bench` use it.

The page runs the same `kernel.wasm` itself. The arrays are the kernel's own memory: what is written to them it computes with.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import wasmtime
from safetensors import safe_open

from trainer.layout import ARRAYS, OTHERS, WEIGHTS

BINARY = Path(__file__).parent / "kernel.wasm"


class Kernel:
    """An instance of the kernel. Functions and arrays are those of `kernel.c`."""

    state: np.ndarray
    gradient: np.ndarray
    rows: np.ndarray
    label: np.ndarray
    image: np.ndarray
    compressor: np.ndarray
    chosen: np.ndarray
    scores: np.ndarray
    guess: np.ndarray

    def __init__(self, binary: Path = BINARY) -> None:
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        self._exports = wasmtime.Instance(self._store, wasmtime.Module.from_file(engine, str(binary)), []).exports(
            self._store
        )
        begin = ctypes.addressof(self._exports["memory"].data_ptr(self._store).contents)
        for number, (name, (dtype, shape)) in enumerate(ARRAYS.items()):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            memory = (ctypes.c_uint8 * size).from_address(begin + self.memory_of(number))
            setattr(self, name, np.frombuffer(memory, dtype).reshape(shape))

    def __getattr__(self, name: str) -> Callable:
        function = self._exports[name]
        return lambda *arguments: function(self._store, *arguments)

    def load(self, file: Path) -> dict[str, str]:
        """Rows, classes and networks of a data file, as the page takes them; returns the file's metadata."""
        with safe_open(file, "numpy") as content:
            kept = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no dict)
            metadata = content.metadata()
        least, step = kept["least"].astype(np.float64), kept["step"].astype(np.float64)
        count = len(kept["label"])
        self.rows[:count] = least + step * kept["latents"]
        self.label[:count] = kept["label"]
        self.compressor[:] = kept["compressor"]
        weights, others = np.split(kept["weights"], np.cumsum(WEIGHTS)), np.split(kept["others"], np.cumsum(OTHERS))
        scaled = [scale * values for scale, values in zip(kept["scales"], weights, strict=False)]
        self.state[:] = np.concatenate([part for pair in zip(scaled, others, strict=False) for part in pair])
        return metadata

    @property
    def hash(self) -> str:
        """Of the state, 16 hexadecimal digits."""
        return f"{self._exports['hash'](self._store) % 2**64:016x}"
