"""Where and how precisely a run computes: device, precision, memory format, threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from reprlib import repr as short_repr

import torch
from torch import nn

from lr_core.errors import UsageError
from lr_core.settings import is_whole

AUTO = {"cpu": "fp32", "cuda": "bf16", "mps": "fp32"}
"""What "auto" is on each type of device, never by a measurement: a key then means one precision on all CPUs."""


@dataclass(frozen=True)
class Compute:
    """What a run computes on; `resolve` finds it for the machine at hand."""

    device: torch.device
    precision: str  # "bf16" (autocast over fp32 weights), "fp32" or "fp64"
    threads: int  # that share the blocks of the compiled steps (`fast`); results do not depend on it

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and latents."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    def place(self, network: nn.Module) -> nn.Module:
        """The same network on the device, in the precision of its weights, channels last."""
        return network.to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Inside, compiled steps share their blocks among `threads`, and PyTorch itself computes on one.

        Sums that PyTorch splits among threads depend on their number in the last bits. And its threads spin when they
        have nothing to do, which takes a core from a process beside this one.
        """
        before = torch.get_num_threads()
        token = _threads.set(self.threads)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            _threads.reset(token)

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast to bf16 in that precision; nothing in the others."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def resolve(precision: str = "auto", threads: int | None = None) -> Compute:
    """CUDA, else MPS, else the CPU; what "auto" is follows from that type of device (`AUTO`).

    Double precision always runs on the CPU: it serves results that agree on every machine, not speed.
    As many threads as PyTorch has where `threads` is None; else 1 to 1024, or it is a `UsageError`. Makes CUDA
    deterministic for this process.
    """
    if threads is None:
        threads = torch.get_num_threads()
    elif not is_whole(threads, least=1) or threads > 1024:
        raise UsageError(f"threads is {short_repr(threads)}; it must be a whole number from 1 to 1024")
    found = torch.accelerator.current_accelerator(check_available=True)
    device = found if found and found.type in AUTO and precision != "fp64" else torch.device("cpu")
    if device.type == "cuda":
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return Compute(device, AUTO[device.type] if precision == "auto" else precision, threads)


_threads: ContextVar[int | None] = ContextVar("threads", default=None)


def threads() -> int:
    """How many threads share the blocks of a compiled step: of `Compute.sharing`, outside of it as many as PyTorch has."""
    return _threads.get() or torch.get_num_threads()
