"""Runs a grid: several runs at a time, by an executor (`run_grid`)."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from lr_core.errors import LatentReplayError
from lr_lab import files
from lr_lab.grid.local import Executor
from lr_lab.grid.notebook import NotebookError, first_line
from lr_lab.grid.plan import CACHE, RUNS, standing_record
from lr_lab.runs import store
from lr_lab.runs.checkpoints import Checkpoints
from lr_lab.runs.execute import read_progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `error` is one line (and `cell` where it happened), or None for success.

    `locked`: it has not ended; another process is making it.
    """

    run: RunId
    seconds: float
    error: str | None = None
    cell: str | None = None
    locked: bool = False


def run_grid(
    due: Sequence[RunId],
    executor: Executor,
    *,
    runs: Path = RUNS,
    cache: Path = CACHE,
    workers: int = 2,
    force: bool = False,
    watch: Callable[[float, dict[RunId, str]], None] = lambda done, underway: None,
    finished: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run each through the notebook template, in a kernel of its own; a run that fails does not stop the others.

    A run that another process is making is waited for.

    Parameters
    ----------
    due : the runs
    executor : makes them; it is stopped when this ends early, by Ctrl-C for example
    workers : runs at a time
    force : make runs again that have a record
    watch : called about once a second with the share done (0 to 1) and the progress of each run, in words
    finished : called as each run ends, and once when another process is found to make it
    """
    for run in due:  # before hours of work: can its results be written?
        _check_writable(run.record(runs).parent)
    _check_writable(cache)
    keys = {run: run.key(find_profile(run.profile).settings) for run in due}
    standing = {run: standing_record(run, runs) for run in due} if force else {}
    replaced = {run: record["sha256"] for run, record in standing.items() if isinstance(record, dict)}
    outcomes: list[Outcome] = []
    locked: set[RunId] = set()
    pool = ThreadPoolExecutor(max(1, workers))

    def submit(run: RunId) -> Future[Outcome]:
        return pool.submit(execute, run, executor, runs, cache, replaced.get(run))

    try:
        waiting = {submit(run): run for run in due}
        while waiting:
            ready, _ = wait(waiting, timeout=1.0)
            for future in ready:
                run = waiting.pop(future)
                outcome = _outcome(future, run)
                if not outcome.locked:
                    outcomes.append(outcome)
                else:  # tried again after all others
                    waiting[submit(run)] = run
                    if run in locked:
                        continue
                    locked.add(run)
                finished(outcome)
            underway = {}
            done = float(len(outcomes))
            for run in waiting.values():
                progress = read_progress(cache / keys[run])
                if progress is not None:
                    done += progress.done
                    underway[run] = (
                        f"{progress.arm} epoch {progress.epoch}, training accuracy {progress.train_accuracy:.3f}"
                    )
            watch(done / len(due), underway)
    finally:
        executor.stop()
        pool.shutdown(wait=True, cancel_futures=True)
    return outcomes


def _outcome(future: Future[Outcome], run: RunId) -> Outcome:
    try:
        return future.result()
    except Exception as error:
        return Outcome(run, 0.0, f"{type(error).__name__}: {first_line(str(error))}")


def execute(run: RunId, executor: Executor, runs: Path, cache: Path, replaced: str | None = None) -> Outcome:
    """One run, by an executor. Success is a record with the right key, nothing less.

    Parameters
    ----------
    replaced : checksum of a record that is to be replaced; a record with another one is newer, and stays
    """
    started = time.perf_counter()
    key = run.key(find_profile(run.profile).settings)
    folder, path = cache.resolve() / key, run.record(runs)
    cell = error = None
    try:
        lock = files.lock(folder / "lock")
        if lock is None:
            time.sleep(1)  # the other process needs longer than that
            return Outcome(run, 0.0, locked=True)
        with lock:
            record = standing_record(run, runs)
            if isinstance(record, LatentReplayError):
                aside = files.set_aside(path)
                warnings.warn(f"damaged record: set aside as {aside}, the run is made again", stacklevel=2)
            if not isinstance(record, dict) or record["key"] != key or record["sha256"] == replaced:
                for part in path.parent.glob(f".{run.stem}.*.part"):  # of a process that was killed while it wrote
                    part.unlink()
                record, notebook = executor(run, folder, lock.fileno())
                files.write_atomically(run.notebook(runs), notebook)
                store.write(record, path)  # last: where it is, all else is too
            Checkpoints(folder).clear()
    except NotebookError as failure:
        cell, error = failure.cell, str(failure)
    except LatentReplayError as failure:
        error = str(failure)
    return Outcome(run, time.perf_counter() - started, error, cell)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
    except OSError as error:
        raise files.cannot_be_written(folder, error) from error
