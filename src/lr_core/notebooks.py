"""Executing the project's notebooks through papermill: parameters are checked, failures are one line with the cell."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lr_core.datasets import project_root
from lr_core.errors import LatentReplayError, UsageError

NOTEBOOKS = project_root() / "notebooks"


class NotebookError(LatentReplayError):
    """A notebook did not run to its end: what happened, and in which cell."""

    def __init__(self, message: str, cell: str | None = None) -> None:
        super().__init__(message)
        self.cell = cell

    def __reduce__(self) -> tuple:  # errors travel between processes
        return type(self), (str(self), self.cell)


@contextmanager
def executed(name: str, parameters: Mapping[str, object]) -> Iterator[bytes]:
    """Run a notebook with these parameters in a kernel of its own; yields what it became, ready to be kept.

    That the notebook ran to its end is no proof of anything: look for what it was to leave behind. Paths among the
    parameters, clock times and other traces of the machine are taken out of what is yielded.
    """
    import papermill  # here: whoever only plans does not need it
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    template = NOTEBOOKS / f"{name}.ipynb"
    known = papermill.inspect_notebook(str(template))
    for parameter in parameters:  # papermill would only warn, and run with the default
        if parameter not in known:
            raise UsageError(f"{template.name} has no parameter {parameter!r}; it has {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="lr-notebook-") as folder:
        target = Path(folder) / template.name
        try:
            papermill.execute_notebook(
                str(template),
                str(target),
                dict(parameters),
                cwd=str(NOTEBOOKS),
                kernel_name="python3",  # in an environment of its own, that environment's interpreter
                progress_bar=False,
                log_output=False,
                extra_arguments=["--log-level=40"],  # else each kernel warns that its loopback traffic is not encrypted
            )
        except papermill.PapermillExecutionError as failure:
            raise NotebookError(
                f"{failure.ename}: {first_line(failure.evalue)}", f"cell {failure.exec_count}"
            ) from failure
        except (DeadKernelError, CellTimeoutError) as failure:
            raise NotebookError(f"its kernel died ({first_line(str(failure))})") from failure
        except (OSError, RuntimeError) as failure:
            raise NotebookError(f"{type(failure).__name__}: {first_line(str(failure))}") from failure
        hidden = [value for value in parameters.values() if isinstance(value, str) and Path(value).is_absolute()]
        yield _cleaned(target.read_bytes(), hidden)


def _cleaned(notebook: bytes, hidden: list[str]) -> bytes:
    content = json.loads(notebook)
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        for name in ("papermill", "execution"):
            cell["metadata"].pop(name, None)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    for path in hidden:
        text = text.replace(json.dumps(path, ensure_ascii=False)[1:-1], "")
    return (text + "\n").encode()


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
