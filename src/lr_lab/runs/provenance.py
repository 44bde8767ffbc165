"""Where numbers come from: the code, the versions and the machine that made them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

import torch

import lr_core
from lr_core.device import Compute

LIBRARY = Path(lr_core.__file__).resolve().parent


def stamp(compute: Compute) -> dict[str, object]:
    """What a record says of how an arm was made, taken at its start; the time in UTC, ISO 8601."""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"started": started, **describe(compute), **_sources(), "versions": _versions()}


def describe(compute: Compute) -> dict[str, object]:
    """Device, processor, precision and threads, by their names."""
    on_cuda = compute.device.type == "cuda"
    return {
        "device": compute.device.type,
        "processor": torch.cuda.get_device_name(compute.device) if on_cuda else _processor(),
        "precision": compute.precision,
        "threads": compute.threads,
    }


def _processor() -> str:
    """The processor's name, or its architecture where the system gives no name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def _versions() -> dict[str, str]:
    packages = ("lr_core", "torch", "numba", "numpy", "scikit-learn")
    found = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
    return found | {"torch": str(torch.__version__)}  # names the build, "+cu130" say, which the metadata may leave out


@cache
def library() -> str:
    """SHA-256 of the sources of `lr_core`, its folders too, as they were when this process first asked."""
    content = hashlib.sha256()
    for file in sorted(LIBRARY.rglob("*.py")):
        content.update(file.relative_to(LIBRARY).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()


@cache
def _sources() -> dict[str, object]:
    """Git commit, whether the library differed from it, and a digest of the library as it was imported."""
    commit = changes = None
    if (LIBRARY.parents[1] / ".git").exists():  # else an unpacked archive, perhaps inside another repository
        # Git sets these for its hooks, and they may name another repository.
        environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
        command = ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            shown = subprocess.run(
                command, cwd=LIBRARY.parent, capture_output=True, text=True, check=True, timeout=10, env=environment
            ).stdout
            commit, changes = re.findall(r"^# branch.oid (\w+)$", shown, re.M), re.findall("^[^#]", shown, re.M)
    return {
        "commit": commit[0] if commit else None,
        "uncommitted_changes": None if changes is None else bool(changes),
        "sources_sha256": library(),
    }
