"""Which runs are due and why (`plan`), and running them through papermill on a pool of processes (`run_grid`)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from lr_core import config, datasets, notebooks, records
from lr_core.errors import LatentReplayError
from lr_core.files import write_atomically
from lr_core.notebooks import first_line
from lr_core.records import RunId
from lr_core.run import read_progress

ROOT = datasets.project_root()
RUNS = ROOT / "report" / "runs"
CACHE = ROOT / ".cache" / "runs"


@dataclass(frozen=True)
class Planned:
    """One run of a grid: whether it is due, and why or why not, in words."""

    run: RunId
    due: bool
    reason: str
    seconds: float | None = None  # what it took, or what runs like it took; None where nothing is known


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `error` is one line (and `cell` where it happened), or None for success."""

    run: RunId
    seconds: float
    error: str | None = None
    cell: str | None = None


def select(
    profile: str,
    dataset_names: Sequence[str] = (),
    cases: Sequence[int] = (),
    seeds: Sequence[int] = (),
) -> list[RunId]:
    """The runs of a profile, all or those asked for; an unknown name or number is a `UsageError`."""
    chosen = config.profile(profile)
    return [
        RunId(profile, dataset, case, seed)
        for dataset in dict.fromkeys(dataset_names or chosen.datasets)
        for seed in dict.fromkeys(seeds or chosen.seeds)
        for case in dict.fromkeys(cases or chosen.cases)
    ]


# -- planning -----------------------------------------------------------------------------------------------------


def plan(selected: Iterable[RunId], runs: Path = RUNS, cache: Path = CACHE, *, force: bool = False) -> list[Planned]:
    """Say of each run whether it is due and why: no record, what differs from its record, forced, or none of these."""
    planned = []
    taken: dict[tuple[str, str], list[float]] = {}
    for run in selected:
        due, reason, seconds = _judge(run, runs, cache)
        if force and not due:
            due, reason = True, "forced"
        if seconds is not None:
            taken.setdefault((run.profile, run.dataset), []).append(seconds)
        planned.append(Planned(run, due, reason, seconds))
    # What has no record yet is expected to take what other cases of the same data set took.
    return [
        p
        if p.seconds is not None or (p.run.profile, p.run.dataset) not in taken
        else dataclasses.replace(p, seconds=statistics.mean(taken[p.run.profile, p.run.dataset]))
        for p in planned
    ]


def _judge(run: RunId, runs: Path, cache: Path) -> tuple[bool, str, float | None]:
    settings = config.profile(run.profile).settings
    path = run.record(runs)
    if not path.exists():
        kept = list((cache / records.key(run, settings)).glob("*.json")) if cache.is_dir() else []
        finished = sum(file.name != "progress.json" for file in kept)
        return True, f"no record, {finished} arms kept" if finished else "no record", None
    try:
        record = records.read(path)
    except LatentReplayError as error:
        return True, f"damaged record ({str(error).removeprefix(f'{path}: ')})", None
    seconds = sum(arm["seconds"] for arm in record["arms"])
    if record["key"] == records.key(run, settings):
        return False, "up to date", seconds
    return True, "; ".join(_differences(record, records.basis(run, settings))), seconds


def _differences(record: dict, expected: dict) -> list[str]:
    found = []
    if record["protocol_version"] != expected["protocol_version"]:
        found.append(f"protocol version {record['protocol_version']}, now {expected['protocol_version']}")
    for name in sorted({*record["settings"], *expected["settings"]}):
        old, new = record["settings"].get(name), expected["settings"].get(name)
        if old != new:
            found.append(f"settings differ: {name} was {old}, now {new}")
    if record["data"] != expected["data"]:
        found.append("data checksums differ")
    return found or ["its key is another"]


# -- running ------------------------------------------------------------------------------------------------------


def run_grid(
    due: Sequence[RunId],
    *,
    runs: Path = RUNS,
    cache: Path = CACHE,
    workers: int = 2,
    watch: Callable[[float, dict[RunId, str]], None] = lambda done, underway: None,
    finished: Callable[[Outcome], None] = lambda outcome: None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Run each through the notebook template, one process a run; a run that fails does not stop the others.

    Parameters
    ----------
    due : the runs
    workers : processes at a time, each with one thread: that is faster than one process with as many threads
    watch : called about once a second with the share done (0 to 1) and a word on each run under way
    finished : called as each run ends
    executor : anything with the interface of `concurrent.futures`; a pool of processes where none is given
    """
    for run in due:  # before hours of work: is there a place to put its results?
        _check_writable(run.record(runs).parent)
    _check_writable(cache)
    keys = {run: records.key(run, config.profile(run.profile).settings) for run in due}
    outcomes: list[Outcome] = []
    # Spawned, not forked: a forked child would inherit the threads' locks of torch and of the progress bar.
    pool = executor or ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn"))
    with contextlib.ExitStack() as stack:
        if executor is None:
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: dict[Future[Outcome], RunId] = {pool.submit(execute, run, runs, cache): run for run in due}
        while waiting:
            ready, _ = wait(waiting, timeout=1.0)
            for future in ready:
                run = waiting.pop(future)
                outcome = _outcome(future, run)
                outcomes.append(outcome)
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
    return outcomes


def _outcome(future: Future[Outcome], run: RunId) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the process itself died: killed, or out of memory
        return Outcome(run, 0.0, f"its process ended ({type(error).__name__}: {first_line(str(error))})")


def execute(run: RunId, runs: Path, cache: Path) -> Outcome:
    """One run in this process and a kernel of its own. Success is a record with the right key, nothing less."""
    started = time.perf_counter()
    parameters = {
        "dataset": run.dataset,
        "case": run.case,
        "seed": run.seed,
        "profile": run.profile,
        "runs": str(runs.resolve()),
        "cache": str(cache.resolve()),
        "threads": 1,
    }
    cell = error = None
    try:
        with notebooks.executed("case", parameters) as notebook:
            record = records.read(run.record(runs))
            if record["key"] == records.key(run, config.profile(run.profile).settings):
                write_atomically(run.notebook(runs), notebook)
            else:
                error = "the notebook ended without writing its record"
    except notebooks.NotebookError as failure:
        cell, error = failure.cell, str(failure)
    except LatentReplayError as failure:
        error = str(failure)
    return Outcome(run, time.perf_counter() - started, error, cell)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LatentReplayError(f"{folder}: cannot be written ({error.strerror}); name a folder that can be") from error
