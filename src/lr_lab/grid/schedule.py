"""Which runs are due and why (`plan`), and having them made, several at a time, by an executor (`run_grid`)."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from lr_core.errors import LatentReplayError
from lr_lab import files
from lr_lab.files import project_root
from lr_lab.grid.local import Executor
from lr_lab.grid.notebook import NotebookError, first_line
from lr_lab.runs import results, store
from lr_lab.runs.checkpoints import Checkpoints
from lr_lab.runs.execute import read_progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId

ROOT = project_root()
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
    """How a run ended: `error` is one line (and `cell` where it happened), or None for success.

    `elsewhere`: it has not ended, for another process has it in work.
    """

    run: RunId
    seconds: float
    error: str | None = None
    cell: str | None = None
    elsewhere: bool = False


def select(
    profile: str,
    dataset_names: Sequence[str] = (),
    cases: Sequence[int] = (),
    seeds: Sequence[int] = (),
) -> list[RunId]:
    """The runs of a profile, all or those asked for; an unknown name or number is a `UsageError`."""
    chosen = find_profile(profile)
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
    settings = find_profile(run.profile).settings
    record = _standing(run, runs)
    if record is None:
        finished = Checkpoints(cache / run.key(settings)).finished()
        return True, f"no record, {finished} arms kept" if finished else "no record", None
    if isinstance(record, LatentReplayError):
        return True, f"damaged record ({str(record).removeprefix(f'{run.record(runs)}: ')})", None
    seconds = results.seconds(record)
    if record["key"] == run.key(settings):
        return False, "up to date", seconds
    return True, "; ".join(_differences(record, run.basis(settings))), seconds


def _standing(run: RunId, runs: Path) -> dict | LatentReplayError | None:
    """The record that a run has, or what is wrong with it, or None."""
    path = run.record(runs)
    try:
        return store.read(path) if path.exists() else None
    except LatentReplayError as error:
        return error


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

    A run that another process has in work is waited for: then it is done, or it is due again.

    Parameters
    ----------
    due : the runs
    executor : where they are made; stopped when this ends before all are, by Ctrl-C for example
    workers : runs at a time
    force : replace records that count as well; without it, one that was made since the plan stays
    watch : called about once a second with the share done (0 to 1) and a word on each run under way
    finished : called as each run ends, and once when it is found to be in work elsewhere
    """
    for run in due:  # before hours of work: is there a place to put its results?
        _check_writable(run.record(runs).parent)
    _check_writable(cache)
    keys = {run: run.key(find_profile(run.profile).settings) for run in due}
    standing = {run: _standing(run, runs) for run in due} if force else {}
    replaced = {run: record["sha256"] for run, record in standing.items() if isinstance(record, dict)}
    outcomes: list[Outcome] = []
    elsewhere: set[RunId] = set()
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
                if not outcome.elsewhere:
                    outcomes.append(outcome)
                else:  # it is asked again when all others have been
                    waiting[submit(run)] = run
                    if run in elsewhere:
                        continue
                    elsewhere.add(run)
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
    replaced : checksum of a record that counts and yet is to be replaced; any other was made meanwhile, and stays
    """
    started = time.perf_counter()
    key = run.key(find_profile(run.profile).settings)
    folder, path = cache.resolve() / key, run.record(runs)
    cell = error = None
    try:
        lock = files.lock(folder / "lock")
        if lock is None:
            time.sleep(1)  # whoever has it in work needs longer than that
            return Outcome(run, 0.0, elsewhere=True)
        with lock:
            record = _standing(run, runs)
            if isinstance(record, LatentReplayError):
                aside = files.set_aside(path)
                warnings.warn(f"damaged record: set aside as {aside}, the run is made again", stacklevel=2)
            if not isinstance(record, dict) or record["key"] != key or record["sha256"] == replaced:
                for part in path.parent.glob(f".{run.stem}.*.part"):  # of one that was killed while it wrote
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
