"""The sources of the project as one zip file, which the paper links to."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from lr_lab.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "latent-replay"  # the folder in the zip file
PARTS = (
    ".ci", ".github", ".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
    "benchmarks", "codemeta.json", "conftest.py", "data", "docs", "environment.yml", "notebooks", "pyproject.toml", "report",
    "requirements.lock", "scripts", "src", "tests",
)  # fmt: skip


def write(target: Path) -> None:
    """Write the last commit to `target`; the files as they are if there is no commit."""
    content = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-c", "core.autocrlf=false", "archive", "--format=zip", f"--prefix={PREFIX}/", "HEAD"]
        made = subprocess.run(command, cwd=ROOT, capture_output=True)
        content = made.stdout if made.returncode == 0 else None
    write_atomically(target, content or _zipped())


def _zipped() -> bytes:
    """A zip file of `PARTS` without what .gitignore names."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]

    def kept(path: Path) -> bool:
        place = path.relative_to(ROOT)
        return not any(
            place.is_relative_to(name) if "/" in name else any(fnmatch(part, name) for part in place.parts)
            for name in ignored
        )

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as file:
        for part in PARTS:
            found = [ROOT / part] if (ROOT / part).is_file() else sorted((ROOT / part).rglob("*"))
            for path in found:
                if path.is_file() and kept(path):
                    file.write(path, f"{PREFIX}/{path.relative_to(ROOT).as_posix()}")
    return buffer.getvalue()
