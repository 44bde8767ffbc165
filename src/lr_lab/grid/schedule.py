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
from lr_lab.grid.notebook import first_line
from lr_lab.grid.plan import CACHE, RUNS, existing_record
from lr_lab.runs import store
from lr_lab.runs.checkpoints import Checkpoints, Progress, read_progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `error` is one line, or None for success. `locked`: it has not ended, another process makes it."""

    run: RunId
    seconds: float
    error: str | None = None
    locked: bool = False


def run_grid(
    due: Sequence[RunId],
    executor: Executor,
    *,
    runs: Path = RUNS,
    cache: Path = CACHE,
    workers: int = 2,
    force: bool = False,
    watch: Callable[[float, dict[RunId, Progress]], None] = lambda done, underway: None,
    finished: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Make several runs at a time. A run that fails does not stop the others. A run that another process makes is awaited.

    Parameters
    ----------
    due : the runs
    executor : makes them; it is stopped when this ends early, by Ctrl-C for example
    workers : runs at a time
    force : make runs again that have a record
    watch : called about once a second with the share done (0 to 1) and the progress of each run
    finished : called as each run ends, and once when another process is found to make it
    """
    for folder in dict.fromkeys([*(run.record(runs).parent for run in due), cache]):  # before hours of training
        _check_writable(folder)
    keys = {run: run.key(find_profile(run.profile).settings) for run in due}
    existing = {run: existing_record(run, runs) for run in due} if force else {}
    replaced = {run: record["sha256"] for run, record in existing.items() if isinstance(record, dict)}
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
                run, outcome = waiting.pop(future), future.result()
                if not outcome.locked:
                    outcomes.append(outcome)
                else:  # tried again after all others
                    waiting[submit(run)] = run
                    if run in locked:
                        continue
                    locked.add(run)
                finished(outcome)
            underway = {run: progress for run in waiting.values() if (progress := read_progress(cache / keys[run]))}
            watch((len(outcomes) + sum(progress.done for progress in underway.values())) / len(due), underway)
    finally:
        executor.stop()
        pool.shutdown(wait=True, cancel_futures=True)
    return outcomes


def execute(run: RunId, executor: Executor, runs: Path, cache: Path, replaced: str | None = None) -> Outcome:
    """One run, by an executor. Success is a record with the right key, nothing less.

    Parameters
    ----------
    replaced : checksum of a record that is to be replaced; a record with another one is newer, and stays
    """
    started = time.perf_counter()
    key = run.key(find_profile(run.profile).settings)
    folder, path = cache.resolve() / key, run.record(runs)
    error = None
    try:
        lock = files.lock(folder / "lock")
        if lock is None:
            time.sleep(1)  # the other process needs longer than that
            return Outcome(run, 0.0, locked=True)
        with lock:
            record = existing_record(run, runs)
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
    except LatentReplayError as failure:
        error = str(failure)
    except Exception as failure:  # whatever ends a run, the others go on
        error = f"{type(failure).__name__}: {first_line(str(failure))}"
    return Outcome(run, time.perf_counter() - started, error)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
    except OSError as error:
        raise files.cannot_be_written(folder, error) from error
