"""The environment of `make bench` for Avalanche, one of the programs that it compares.

    python scripts/avalanche.py

It sees the packages of the Python that runs this: torch is installed once. Without Avalanche, `make bench` compares the
others.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import packages

AVALANCHE = "avalanche-lib==0.6.0"
FOLDER = Path(".venv-avalanche")

if __name__ == "__main__":
    try:
        packages.tool(FOLDER, AVALANCHE, sees=(Path(sysconfig.get_path("purelib")), Path("src").resolve()))
    except subprocess.CalledProcessError:
        print("Avalanche cannot be had; it is left out", file=sys.stderr)
        shutil.rmtree(FOLDER, ignore_errors=True)
