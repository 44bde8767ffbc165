"""`DaskExecutor` makes runs on a dask cluster (the extra `cluster`; see docs/cluster.md).

A worker needs a checkout of the same version, and nothing of this machine. It gets the name of a run and sends back
record and notebook. It finds or fetches the data itself, and verifies them by checksum.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from pathlib import Path

import dask.config
import distributed
from distributed.scheduler import KilledWorker

from lr_core.errors import LatentReplayError, UsageError
from lr_lab import files
from lr_lab.data import fetch
from lr_lab.files import project_root
from lr_lab.grid.local import Executor, LocalExecutor
from lr_lab.runs import provenance
from lr_lab.runs.checkpoints import Checkpoints, Progress, read_progress, write_progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId

TOPIC = "lr_core progress"
SCHEDULER_TIMEOUT = 10  # seconds for a scheduler to answer


class DaskExecutor(Executor):
    """The `Executor` of a dask cluster: that of DASK_SCHEDULER_ADDRESS, or one of this machine's processes.

    A run that fails is not tried again. When a worker dies, dask reschedules its run; after more deaths than the
    scheduler's setting `allowed-failures`, the run fails.

    Parameters
    ----------
    workers : processes of a cluster on this machine; None for one a core. Not for a scheduler, which has workers already

    Raises
    ------
    UsageError
        `workers` was given and there is a scheduler.
    LatentReplayError
        The scheduler does not answer.
    """

    def __init__(self, workers: int | None = None) -> None:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the runs report what went wrong
        address = dask.config.get("scheduler-address", None)
        if address and workers is not None:
            raise UsageError(
                f"the cluster at {address} has workers of its own; leave out how many, or DASK_SCHEDULER_ADDRESS"
            )
        # Key of a run -> its folder here, and its result.
        self._at_work: dict[str, tuple[Path, distributed.Future]] = {}
        self._stopped = False
        self._cluster = None if address else distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )  # fmt: skip
        try:
            self.client = distributed.Client(address or self._cluster, timeout=SCHEDULER_TIMEOUT)
        except (OSError, ValueError) as error:
            raise LatentReplayError(
                f"no dask scheduler answers at {address}; start one there, or unset DASK_SCHEDULER_ADDRESS for one on "
                "this machine"
            ) from error
        self.client.subscribe_topic(TOPIC, self._note)

    def __call__(self, run: RunId, folder: Path, lock: int) -> tuple[dict, bytes]:
        """See `Executor`. Checkpoints of the run are on its worker; its progress is written to the folder here."""
        future = self.client.submit(_make, run, folder.name, provenance.library(), pure=False)
        self._at_work[folder.name] = folder, future
        try:
            if self._stopped:
                future.cancel()
            return future.result()
        except KilledWorker as error:
            raise LatentReplayError(
                f"{error.allowed_failures + 1} workers died while they made it, the last at {error.last_worker.address}; "
                "look in their logs whether memory ran out"
            ) from error
        except (CancelledError, distributed.comm.CommClosedError) as error:
            raise LatentReplayError(
                "stopped" if self._stopped else "the dask scheduler is gone; start it again"
            ) from error
        finally:
            del self._at_work[folder.name]

    def stop(self) -> None:
        """See `Executor`. Workers of another process stay."""
        self._stopped = True
        self.client.cancel([future for _, future in list(self._at_work.values())])

    def __exit__(self, *error: object) -> None:
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()

    def describe(self) -> str:
        """Workers and scheduler, for the user."""
        scheduler = self.client.scheduler_info(n_workers=-1)
        return f"{len(scheduler['workers'])} workers of the dask scheduler at {scheduler['address']}"

    def _note(self, event: tuple[float, dict]) -> None:
        message = event[1]
        if (at_work := self._at_work.get(message["key"])) is not None:
            write_progress(at_work[0], Progress(**message["progress"]))


# -- on a worker ------------------------------------------------------------------------------------------------------


def _make(run: RunId, key: str, library: str) -> tuple[dict, bytes]:
    """Record and notebook of a run; refused where this worker has another version of the library."""
    worker = distributed.get_worker()
    if library != provenance.library() or key != run.key(find_profile(run.profile).settings):
        raise LatentReplayError(
            f"the worker at {worker.address} has another version of lr_core; bring it to the same commit"
        )
    fetch.fetch(run.dataset)
    # If this worker dies, another one with the same checkout finds its checkpoints here.
    folder = project_root() / ".cache" / "cluster" / key
    task = worker.get_current_task()

    def wanted() -> bool:
        return task in worker.state.tasks and worker.state.tasks[task].state == "executing"

    while (lock := files.lock(folder / "lock")) is None:  # the kernel of a dead worker may still be ending
        if not wanted():
            raise LatentReplayError("stopped")
        time.sleep(0.2)
    with lock, LocalExecutor() as kernels, ThreadPoolExecutor(1) as thread:
        made = thread.submit(kernels, run, folder, lock.fileno())
        sent = None
        try:
            while wait([made], timeout=1).not_done:
                if not wanted():
                    kernels.stop()
                progress = read_progress(folder)
                if progress is not None and progress != sent:
                    worker.log_event(TOPIC, {"key": key, "progress": vars(progress)})
                    sent = progress
        finally:
            kernels.stop()
        result = made.result()
        Checkpoints(folder).clear()
    return result
