"""Writes requirements.lock: the versions of all packages that pyproject.toml asks for, found by uv.

    python scripts/lock.py [--upgrade]

Versions that are pinned and still suit stay. With --upgrade, the newest ones that suit are taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import packages

UV = "uv==0.13.9"
FOLDER = Path(".cache/uv")  # an environment of its own: the paper does not need uv
LOCK = Path("requirements.lock")
# For the oldest Python that pyproject.toml allows: uv takes 3.11 for 3.11.0, and some packages ask for a later one.
# For Linux, wherever this runs. --no-config: settings of the user have no say.
OPTIONS = (
    "--all-extras", "--python-version", "3.11", "--python-platform", "linux", "--no-build", "--no-config",
    "--no-annotate", "--no-header", "--quiet",
)  # fmt: skip
WAYS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE", "PIP_PROXY": "ALL_PROXY"}
CUDA = r"nvidia-|cuda-|triton="  # packages of the CUDA build of torch, which it pins itself


def main() -> int:
    """Write the file whole, or not at all, and return the exit status."""
    try:
        python = packages.tool(FOLDER, UV)
    except subprocess.CalledProcessError:
        print("uv cannot be had; nothing was locked", file=sys.stderr)
        return 3
    # uv does not read pip's settings. It gets from them where packages come from.
    ways = packages.environment()
    variables = os.environ | {of_uv: ways[of_pip] for of_pip, of_uv in WAYS.items() if of_pip in ways}
    print("Resolving pyproject.toml")
    resolved = FOLDER / LOCK
    shutil.copy(LOCK, resolved)  # uv keeps the versions that it finds in the file that it writes
    command = [str(python), "-m", "uv", "pip", "compile", "pyproject.toml", "--output-file", str(resolved)]
    done = subprocess.run([*command, "--python", str(python), *OPTIONS, *sys.argv[1:]], env=variables)
    if done.returncode:
        return done.returncode
    comments = [line for line in LOCK.read_text().splitlines() if line.startswith("#")]
    # Without the tag of a build of torch, "+cpu".
    pins = [line.partition("+")[0] for line in resolved.read_text().splitlines() if not re.match(CUDA, line)]
    resolved.write_text("\n".join([*comments, *pins, ""]))
    resolved.replace(LOCK)
    print(f"Wrote {LOCK} with {len(pins)} packages; bring environment.yml in line with it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
