"""`Executor`, what makes runs; `LocalExecutor` makes each in a kernel of this machine."""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from lr_core.errors import LatentReplayError
from lr_lab.grid.notebook import run_notebook
from lr_lab.runs import store
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId

FILES = 64  # that this process may have open at a time, and as many for each kernel; sockets and pipes count


class Executor(AbstractContextManager[Any], Protocol):
    """Makes the runs of a grid, several at a time. Each call makes one, and comes from a thread of its own."""

    def __call__(self, run: RunId, folder: Path, lock: int) -> tuple[dict, bytes]:
        """Make a run; returns its record and its executed notebook. Raises LatentReplayError where it fails.

        Parameters
        ----------
        folder : for checkpoints and progress; its name is the key of the run
        lock : descriptor of a locked file; the process that writes to the folder must inherit it
        """

    def stop(self) -> None:
        """End the runs that are at work and refuse new ones. Checkpoints stay."""


class LocalExecutor(Executor):
    """The `Executor` of this machine: a kernel of one thread for each run. More runs at a time beat more threads.

    The kernels end with this process, however it ends, and with the context.

    Parameters
    ----------
    workers : runs at a time; LatentReplayError where the system allows too few open files for them
    """

    def __init__(self, workers: int = 1) -> None:
        needed = FILES * (workers + 1)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Without a free file ZeroMQ ends the process, and a kernel dies without a message.
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise LatentReplayError(
                f"only {hard} files may be open at a time, and {workers} runs at a time need {needed}: "
                f"allow more (ulimit -n {needed}), or take fewer --workers"
            )
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        self.stop_pipe, writing_end = os.pipe()
        self._writing_end = open(writing_end, "wb")  # noqa: SIM115 (closed by `stop`)

    def __call__(self, run: RunId, folder: Path, lock: int) -> tuple[dict, bytes]:
        """See `Executor`. An interrupted run goes on from its checkpoints."""
        parameters = {
            "dataset": run.dataset, "case": run.case, "seed": run.seed, "profile": run.profile,
            "runs": str(folder), "cache": str(folder.parent), "threads": 1,
        }  # fmt: skip
        if find_profile(run.profile).orders:
            notebook = run_notebook("sequence", parameters, keep=[lock], stop_pipe=self.stop_pipe)
        else:
            notebook = run_notebook("case", parameters, keep=[lock], stop_pipe=self.stop_pipe)
        record = store.read(run.record(folder))
        if record["key"] != folder.name:
            raise LatentReplayError("the notebook ended without writing its record")
        return record, notebook

    def stop(self) -> None:
        """See `Executor`. A kernel that starts later ends at once."""
        self._writing_end.close()

    def __exit__(self, *error: object) -> None:
        self.stop()
        os.close(self.stop_pipe)
