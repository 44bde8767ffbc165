"""Executes the project's notebooks by papermill. Parameters are checked; a failure is one line that names the cell."""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.files import project_root

NOTEBOOKS = project_root() / "notebooks"

logging.getLogger("papermill").addHandler(logging.NullHandler())  # the errors raised here say what went wrong


def run_notebook(
    name: str, parameters: Mapping[str, object], *, keep: Sequence[int] = (), stop_pipe: int = subprocess.PIPE
) -> bytes:
    """Run a notebook with these parameters in a kernel of its own; returns the executed notebook, to be stored.

    A notebook that ran to its end proves nothing: look for the file that it should have written. Absolute paths among
    the parameters, clock times, warnings and other traces of the machine are left out of what is returned; the warnings
    are given again here. The kernel is killed after the last cell, and when this process ends. Several threads may call
    this at the same time.

    Parameters
    ----------
    keep : descriptors of files that the kernel inherits, so that their locks last as long as it does
    stop_pipe : reading end of a pipe; the kernel ends when the writing end is closed

    Raises
    ------
    UsageError
        The notebook has no such parameter.
    LatentReplayError
        A cell failed, the kernel died, or it did not start.
    """
    import nbformat
    import papermill  # here: planning does not need it
    import zmq
    from jupyter_client import AsyncKernelManager
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from traitlets import default

    from lr_lab.jupyter import ThisInterpreter, environment

    class Kernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _this_interpreter(self) -> ThisInterpreter:
            return ThisInterpreter(parent=self)

        async def start_kernel(self, **options: object) -> None:  # type: ignore[override]
            # `cwd` is given here because papermill's option changes the folder of all threads.
            await super().start_kernel(
                cwd=str(NOTEBOOKS), stdin=stop_pipe, pass_fds=keep, env=environment(Path(ipython)), **options
            )

    template = NOTEBOOKS / f"{name}.ipynb"
    known = papermill.inspect_notebook(str(template))
    for parameter in parameters:  # papermill would only warn, and use the default
        if parameter not in known:
            raise UsageError(f"{template.name} has no parameter {parameter!r}; it has {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="lr-notebook-") as ipython:
        try:
            notebook = papermill.execute_notebook(
                str(template),
                None,
                dict(parameters),
                kernel_name="python3",
                kernel_manager_class=Kernel,
                progress_bar=False,
                log_output=False,
                iopub_timeout=60,  # seconds for a cell's last output: the 4 of nbclient are few where eight kernels share two cores
                # After its last cell a kernel has nothing left to do. Asked to end, it may print a traceback: its threads
                # use sockets that another one has closed.
                shutdown_kernel="immediate",
                extra_arguments=["--IPKernelApp.exec_lines=import lr_lab.grid.parent_watchdog"],
            )
        except papermill.PapermillExecutionError as error:
            message = f"{error.ename}: {first_line(error.evalue)}"
            if error.ename == "MemoryError" or "allocate memory" in message:
                message = f"out of memory, try fewer at a time ({message})"
            raise LatentReplayError(f"cell {error.exec_count}: {message}") from error
        except (DeadKernelError, CellTimeoutError) as error:
            raise LatentReplayError(
                f"its kernel died ({first_line(str(error))}): it was killed, or the memory ran out"
            ) from error
        except (OSError, RuntimeError, zmq.ZMQError) as error:
            raise LatentReplayError(f"{type(error).__name__}: {first_line(str(error))}") from error
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            for line in output.text.splitlines() if output.get("name") == "stderr" else ():
                if " UserWarning: " in line:
                    warnings.warn(line.partition(" UserWarning: ")[2], stacklevel=2)
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    text = nbformat.writes(notebook)
    for value in parameters.values():
        if isinstance(value, str) and Path(value).is_absolute():
            text = text.replace(json.dumps(value, ensure_ascii=False)[1:-1], "")
    return (text + "\n").encode()


def first_line(text: str) -> str:
    """The first line that is not empty; if there is none, where to look."""
    lines = (line.strip() for line in text.splitlines() if line.strip())
    return next(lines, "it says no more; is memory, disk space or the number of open files at its limit?")
