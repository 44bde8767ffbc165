"""pip with the user's ways to packages (index, certificates, proxy), and without the user's other settings.

    python scripts/packages.py install ...

is `python -m pip install ...` for a user who has set PIP_USER, `target`, `constraint` and the like, as variables or in
files of pip. It runs before anything is installed: it needs Python and pip alone.

The other scripts import `tool`: an environment for a program that the project calls and does not import.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# Where packages come from, and how patiently they are fetched. All other settings say which packages are installed,
# where to, or how they are built.
WAYS = (
    "index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "cert", "client-cert", "proxy",
    "keyring-provider", "timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir", "use-feature",
    "use-deprecated",
)  # fmt: skip
SECTIONS = ("global", "install")  # of pip's files; the later one wins, and variables win over both


def environment() -> dict[str, str]:
    """Environment variables with which `python -m pip install` uses the user's ways and no other setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    # Each of these three would list the settings of one file alone.
    asked = kept | dict.fromkeys(("PIP_USER", "PIP_GLOBAL", "PIP_SITE"), "0")
    if "PIP_CONFIG_FILE" in os.environ:
        asked["PIP_CONFIG_FILE"] = os.environ["PIP_CONFIG_FILE"]
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, env=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    in_files = dict(line.partition("=")[::2] for line in listed.splitlines())
    for name in WAYS:
        variable = f"PIP_{name.upper().replace('-', '_')}"
        found = [ast.literal_eval(in_files[key]) for section in SECTIONS if (key := f"{section}.{name}") in in_files]
        found += [os.environ[variable]] if variable in os.environ else []
        if found:
            kept[variable] = found[-1]
    return kept | {"PIP_CONFIG_FILE": os.devnull}  # for pip, this name means: no files


def tool(folder: Path, requirement: str, sees: tuple[Path, ...] = ()) -> Path:
    """Make an environment with one tool, if there is none yet, and return its Python.

    Parameters
    ----------
    folder : where the environment is; it is made anew when it was made for something else
    requirement : the tool and its version, as pip takes it
    sees : folders from which the environment imports too

    Raises
    ------
    subprocess.CalledProcessError
        The tool could not be installed. pip has said why.
    """
    python, stamp = folder / "bin" / "python", folder / ".ready"
    wanted = "\n".join([requirement, *map(str, sees)])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Installing {requirement} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    (packages / "project.pth").write_text("\n".join(map(str, sees)))
    options = ["--quiet", "--no-input", "--disable-pip-version-check"]
    subprocess.run([python, __file__, "install", *options, requirement], check=True)
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    try:
        own = environment()
    except subprocess.CalledProcessError as failure:  # pip has said why
        sys.exit(failure.returncode)
    # pip takes the place of this process: whoever ends this one ends pip.
    os.execve(sys.executable, [sys.executable, "-m", "pip", *sys.argv[1:]], own)
