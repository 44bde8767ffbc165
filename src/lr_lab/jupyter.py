"""What every kernel of the project is started with: this interpreter, and nothing that the user has set for notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from lr_lab.files import absolute

# Settings of Python, IPython, matplotlib and Jupyter that change what a notebook prints or draws, or what it can import.
# The last is one that dask sets for its workers: memory is then given back so eagerly that training takes twice as long.
LEFT_OUT = (
    "PYTHONSTARTUP",
    "PYTHONSAFEPATH",
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
    "MPLBACKEND",
    "MALLOC_TRIM_THRESHOLD_",
)
FOLDERS = ("LR_DATA_PATH", "LR_RUNS")  # one or more, with os.pathsep between them


class ThisInterpreter(KernelSpecManager):
    """The kernel is the Python that runs this: a `python3` kernel of the user's may be another one."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """One specification, whatever the name."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # Silent: else each says that its loopback traffic is not encrypted, and how it ended.
        argv += ["--HistoryManager.enabled=False", "--log-level=50"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def environment(folder: Path) -> dict[str, str]:
    """Environment variables of a kernel: those of this process, without settings of the user that change its outputs.

    Relative folders are made absolute, since a kernel works in the folder of its notebook.

    Parameters
    ----------
    folder : an empty one, for IPython, in place of the user's with startup files and settings
    """
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    for name in FOLDERS:
        entries = [entry for entry in kept.get(name, "").split(os.pathsep) if entry.strip()]
        if entries:
            kept[name] = os.pathsep.join(str(absolute(entry)) for entry in entries)
    # First in the search for kernels and templates; the user's own places follow.
    jupyter = [os.path.join(sys.prefix, "share", "jupyter"), *filter(None, [kept.get("JUPYTER_PATH")])]
    return kept | {
        "IPYTHONDIR": str(folder),
        "MATPLOTLIBRC": os.devnull,  # matplotlib's defaults
        "JUPYTER_PATH": os.pathsep.join(jupyter),
    }


if __name__ == "__main__":  # python -m lr_lab.jupyter COMMAND...: for a program that starts kernels by itself
    with tempfile.TemporaryDirectory() as name:
        own = environment(Path(name)) | {"QUARTO_PYTHON": sys.executable, "JUPYTER_NO_CONFIG": "1"}
        sys.exit(subprocess.run(sys.argv[1:], env=own).returncode)
