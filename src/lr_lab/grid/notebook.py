"""Executes the project's notebooks by papermill. Parameters are checked; a failure is one line that names the cell."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.files import project_root

NOTEBOOKS = project_root() / "notebooks"

logging.getLogger("papermill").addHandler(logging.NullHandler())  # NotebookError says what went wrong


class NotebookError(LatentReplayError):
    """A notebook did not run to its end: what happened, and in which cell."""

    def __init__(self, message: str, cell: str | None = None) -> None:
        super().__init__(message)
        self.cell = cell

    def __reduce__(self) -> tuple:  # errors travel between processes
        return type(self), (str(self), self.cell)


@contextmanager
def executed(
    name: str, parameters: Mapping[str, object], *, keep: Sequence[int] = (), lifeline: int | None = None
) -> Iterator[bytes]:
    """Run a notebook with these parameters in a kernel of its own; yields the executed notebook, ready to be kept.

    A notebook that ran to its end proves nothing: look for the file that it should have written. Paths among the
    parameters, clock times, warnings and other traces of the machine are taken out of what is yielded; the warnings
    are given again here. The kernel ends with this process, however that ends. Several threads may do this at a time.

    Parameters
    ----------
    keep : descriptors of files that the kernel inherits, so that their locks last as long as it does
    lifeline : reading end of a pipe; the kernel ends when the other end is closed. One of its own where none is given
    """
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
            # Not through papermill's cwd, which is that of all threads.
            await super().start_kernel(
                cwd=str(NOTEBOOKS), stdin=lifeline, pass_fds=keep, env=environment(target.parent / "ipython"), **options
            )

    template = NOTEBOOKS / f"{name}.ipynb"
    known = papermill.inspect_notebook(str(template))
    for parameter in parameters:  # papermill would only warn, and use the default
        if parameter not in known:
            raise UsageError(f"{template.name} has no parameter {parameter!r}; it has {', '.join(known)}")
    with ExitStack() as stack:
        if lifeline is None:
            lifeline, end = os.pipe()
            stack.callback(os.close, lifeline)
            stack.callback(os.close, end)
        target = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lr-notebook-"))) / template.name
        try:
            result = papermill.execute_notebook(
                str(template),
                str(target),
                dict(parameters),
                kernel_name="python3",
                kernel_manager_class=Kernel,
                progress_bar=False,
                log_output=False,
                extra_arguments=["--IPKernelApp.exec_lines=import lr_lab.grid.parent_watchdog"],
            )
        except papermill.PapermillExecutionError as failure:
            word = f"{failure.ename}: {first_line(failure.evalue)}"
            if failure.ename == "MemoryError" or "allocate memory" in word:
                word = f"out of memory, try fewer at a time ({word})"
            raise NotebookError(word, f"cell {failure.exec_count}") from failure
        except (DeadKernelError, CellTimeoutError) as failure:
            word = f"its kernel died ({first_line(str(failure))}): it was killed, or the memory ran out"
            raise NotebookError(word) from failure
        except (OSError, RuntimeError, zmq.ZMQError) as failure:
            raise NotebookError(f"{type(failure).__name__}: {first_line(str(failure))}") from failure
        for warning in _warnings(result):
            warnings.warn(warning, stacklevel=3)
        hidden = [value for value in parameters.values() if isinstance(value, str) and Path(value).is_absolute()]
        yield _cleaned(target.read_bytes(), hidden)


def _warnings(notebook: Mapping) -> list[str]:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    lines = [line for output in outputs if output.get("name") == "stderr" for line in output["text"].splitlines()]
    return [line.partition(" UserWarning: ")[2] for line in lines if " UserWarning: " in line]


def _cleaned(notebook: bytes, hidden: list[str]) -> bytes:
    content = json.loads(notebook)
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        for name in ("papermill", "execution"):
            cell["metadata"].pop(name, None)
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    for path in hidden:
        text = text.replace(json.dumps(path, ensure_ascii=False)[1:-1], "")
    return (text + "\n").encode()


def first_line(text: str) -> str:
    """The first line that is not empty; if there is none, where to look."""
    said = (line.strip() for line in text.splitlines() if line.strip())
    return next(said, "it says no more; is memory, disk space or the number of open files at its limit?")
