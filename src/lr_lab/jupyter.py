"""How kernels are started: with this Python, and without the user's settings for notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from lr_lab.files import absolute, japanese_fonts

# They change what a notebook prints, draws or can import. dask sets the last one for its workers; it makes training take
# twice as long, because memory is returned to the system too often.
REMOVED = {
    "PYTHONSTARTUP",
    "PYTHONSAFEPATH",
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
    "MPLBACKEND",
    "MALLOC_TRIM_THRESHOLD_",
}
FOLDERS = ("LR_DATA_PATH", "LR_RUNS")  # hold paths, with os.pathsep between them


class ThisInterpreter(KernelSpecManager):
    """Starts this Python; the user's `python3` kernel may be another one."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The same specification for every name."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # Without log messages: each kernel would warn that its local traffic is not encrypted.
        argv += ["--HistoryManager.enabled=False", "--log-level=50"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def environment(folder: Path) -> dict[str, str]:
    """Environment variables of a kernel: those of this process, without the user's settings that change outputs.

    `folder` is an empty one that replaces IPython's own, with the user's startup files. Relative folders in variables are
    made absolute, since a kernel works in the folder of its notebook.
    """
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    for name in FOLDERS:
        entries = [entry for entry in kept.get(name, "").split(os.pathsep) if entry.strip()]
        if entries:
            kept[name] = os.pathsep.join(str(absolute(entry)) for entry in entries)
    # Kernels and templates are searched here first, then in the user's folders.
    jupyter = [os.path.join(sys.prefix, "share", "jupyter"), *filter(None, [kept.get("JUPYTER_PATH")])]
    return kept | {
        "IPYTHONDIR": str(folder),
        "MATPLOTLIBRC": os.devnull,  # matplotlib's defaults
        "JUPYTER_PATH": os.pathsep.join(jupyter),
    }


if __name__ == "__main__":  # python -m lr_lab.jupyter COMMAND...: runs a program that starts kernels itself
    with tempfile.TemporaryDirectory() as name:
        own = environment(Path(name)) | {"QUARTO_PYTHON": sys.executable, "JUPYTER_NO_CONFIG": "1"}
        # Quarto's typst looks for fonts there, and has none with hiragana.
        own["TYPST_FONT_PATHS"] = str(japanese_fonts())
        sys.exit(subprocess.run(sys.argv[1:], env=own).returncode)
