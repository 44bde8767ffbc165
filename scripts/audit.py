"""Looks up whether the packages of requirements.lock have known vulnerabilities.

    python scripts/audit.py

Exit status: 0 where none is known, 1 where one is, 3 where they could not be looked up.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import packages

PIP_AUDIT = "pip-audit==2.10.1"
FOLDER = Path(".cache/audit")  # an environment of its own: what it needs is not what the paper needs
LOCK = Path("requirements.lock")
# --strict: a package that pip-audit skips must not pass for one without a fault.
OPTIONS = ("--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off")


def main() -> int:
    """Print what is found, and return the exit status."""
    try:
        python = packages.tool(FOLDER, PIP_AUDIT)
    except subprocess.CalledProcessError:
        print("pip-audit cannot be had; nothing was checked", file=sys.stderr)
        return 3
    found = FOLDER / "found"
    found.unlink(missing_ok=True)
    command = [str(python), "-m", "pip_audit", "--requirement", str(LOCK), *OPTIONS, "--output", str(found)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        print(f"No known vulnerability in the {LOCK.read_text().count('==')} packages of {LOCK}")
        return 0
    # Its status is 1 too where it could not look. It leaves a report only where it found something.
    report = found.read_text() if found.exists() else ""
    if not report:
        why = done.stderr.strip().rpartition("\n")[2]
        print(f"The vulnerabilities known cannot be looked up; nothing was checked: {why}", file=sys.stderr)
        return 3
    print(report, f"{LOCK} pins packages with known vulnerabilities: see above", sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
