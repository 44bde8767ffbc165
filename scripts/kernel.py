"""Compile the kernel that the page trains with, `report/trainer/kernel.c`, to the binary beside it.

    python scripts/kernel.py [FILE]

Writes to FILE where one is given. The compiler is clang, as the package ziglang brings it, in an environment of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import packages

COMPILER = "ziglang==0.17.1"  # another version may make other bytes: then compile anew, and `make trainer`
FOLDER = Path(__file__).resolve().parents[1] / ".venv-kernel"
SOURCE = FOLDER.parent / "report" / "trainer" / "kernel.c"
OPTIONS = (
    "-target", "wasm32-freestanding", "-msimd128", "-nostdlib", "-Wall", "-Wl,--no-entry", "-Wl,--strip-all",
    "-O2", "-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize",  # loops are written as they should run
)  # fmt: skip


def main() -> int:
    """Compile; 3 where the compiler cannot be had."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE.with_suffix(".wasm")
    try:
        python = packages.tool(FOLDER, COMPILER)
    except subprocess.CalledProcessError:
        print(f"{COMPILER} cannot be had, so the kernel is not compiled; the committed one stays", file=sys.stderr)
        shutil.rmtree(FOLDER, ignore_errors=True)
        return 3
    command = [str(python), "-m", "ziglang", "cc", *OPTIONS, "-o", str(target.absolute()), SOURCE.name]
    if status := subprocess.run(command, cwd=SOURCE.parent).returncode:
        return status
    target.chmod(0o644)
    print(f"Compiled {target.name}: {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
