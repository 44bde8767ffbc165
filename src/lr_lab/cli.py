"""The command line: `python -m lr_lab data | grid | status | figures | results`.

Exit status 0 for success, 1 for a failure, 2 for a request that was wrong.
"""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from lr_core.errors import LatentReplayError, UsageError
from lr_lab import files
from lr_lab.data import catalogue, fetch
from lr_lab.grid import plan
from lr_lab.runs import store
from lr_lab.runs.profiles import PROFILES, RESULTS, find_profile
from lr_lab.runs.record import RunId

if TYPE_CHECKING:
    from lr_lab.grid.local import Executor
    from lr_lab.grid.schedule import Outcome

# Modules that take seconds to import (torch, pandas, papermill, matplotlib) are imported by the commands that need them.


class _Folder(click.Path):
    """A folder, made absolute: kernels work in another one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(files.absolute(value), param, ctx)


def _folder(name: str, default: Callable[[], Path], about: str, variable: str | None = None) -> click.Option:
    kind = _Folder(file_okay=False, path_type=Path)
    return click.Option([name], type=kind, default=default, show_default=False, envvar=variable, help=about)


_RUNS = _folder("--runs", lambda: plan.RUNS, "Folder of all runs.  [default: LR_RUNS, else report/runs]", "LR_RUNS")
_FIGURES = _folder(
    "--folder", lambda: files.project_root() / "report" / "figures", "Where to.  [default: report/figures]"
)
_SELECTION = [
    click.Option(["--profile"], default="paper", show_default=True, help=f"One of {', '.join(PROFILES)}."),
    click.Option(["--dataset", "datasets"], multiple=True, help="Only this data set; may be repeated."),
    click.Option(["--case", "cases"], type=int, multiple=True, help="Only this case; may be repeated."),
    click.Option(["--seed", "seeds"], type=int, multiple=True, help="Only this seed; may be repeated."),
    _RUNS,
    _folder("--cache", lambda: plan.CACHE, "Folder for what unfinished runs have trained."),
    click.Option(["--force"], is_flag=True, help="Count every run as due."),
]


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
def cli() -> None:
    """Re-run the paper on latent replay."""


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def data(names: tuple[str, ...]) -> None:
    """Find, fetch and verify the data sets: all of them, or those named."""
    reports = fetch.fetch_all(names or catalogue.DATASETS, say=lambda line: click.echo(line, err=True))
    for report in reports:
        click.echo(report.line, err=not report.ok)
    if not all(report.ok for report in reports):
        sys.exit(1)


@cli.command(params=[*_SELECTION])
def status(**choice: Any) -> None:
    """Show which runs are due and why, without running any."""
    _plan(**choice)


@cli.command(name="grid", params=[*_SELECTION])
@click.option("--workers", type=click.IntRange(1), help="Runs at a time.  [default: the number of cores]")
@click.option(
    "--executor",
    type=click.Choice(["pool", "dask"]),
    default="pool",
    show_default=True,
    help="This machine, or a dask cluster (DASK_SCHEDULER_ADDRESS, else one of this machine's processes).",
)
@click.option("--skip-missing", is_flag=True, help="Succeed also where a data set cannot be had.")
def grid_command(workers: int | None, executor: str, skip_missing: bool, **choice: Any) -> None:
    """Run what is due, through papermill, one process a run. Stop it at any time: the same command goes on."""
    due = _plan(**choice)
    possible = _with_data(due) if executor == "pool" else due  # the workers of a cluster have data of their own
    failures = _run(possible, executor, workers, choice["runs"], choice["cache"], choice["force"]) if possible else []
    for outcome in failures:
        click.echo(f"failed: {outcome.run}: {outcome.error}", err=True)
    if failures or (len(possible) < len(due) and not skip_missing):
        sys.exit(1)


@cli.command(params=[_FIGURES])
@click.argument("names", nargs=-1, metavar="[NAME]...")
def figures(names: tuple[str, ...], folder: Path) -> None:
    """Draw the figures of the data sets (1 to 4 of the paper): of all its sets, or of those named.

    How long each set took is written to seconds.csv beside them.
    """
    import pandas as pd

    from lr_lab.grid.notebook import run_notebook

    names = names or catalogue.PAPER_DATASETS
    table = folder / "seconds.csv"
    try:
        took = pd.read_csv(table, index_col="dataset")["seconds"].to_dict() if table.exists() else {}
    except (ValueError, KeyError) as error:
        raise LatentReplayError(f"{table}: is no table of seconds ({error}); move it away") from error
    for name in names:
        fetch.fetch(name)
    for name in names:
        began = time.perf_counter()
        run_notebook("datasets", {"names": [name], "folder": str(folder)})
        took[name] = round(time.perf_counter() - began)
        seconds = pd.Series(took, name="seconds").sort_index()
        files.write_atomically(table, seconds.to_csv(index_label="dataset").encode())
        click.echo(f"figures of {name}: {folder} ({took[name]} s)")


@cli.command(params=[_RUNS])
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
def results(target: Path, profiles: tuple[str, ...], runs: Path) -> None:
    """Write all results as one tidy CSV file: of all profiles but preliminary ones, or of those named."""
    from lr_lab.runs import results

    for name in profiles:
        find_profile(name)
    found = [record for name in profiles or RESULTS for record in store.read_all(runs, name)]
    files.write_atomically(files.absolute(target), results.table(found).to_csv(index=False).encode())
    click.echo(f"{target}: {len(found)} runs")


def _plan(
    profile: str, datasets: tuple, cases: tuple, seeds: tuple, runs: Path, cache: Path, force: bool
) -> list[RunId]:
    """Show each chosen run and whether it is due; returns those that are."""
    planned = plan.plan(plan.select(profile, datasets, cases, seeds), runs, cache, force=force)
    for p in planned:
        took = "" if p.seconds is None else f" ({'about ' if p.due else 'took '}{_duration(p.seconds)})"
        click.echo(f"{'run ' if p.due else 'skip'}  {p.run}: {p.reason}{took}")
    due = [p for p in planned if p.due]
    known = [p.seconds for p in due if p.seconds is not None]
    unknown = f"; {len(due) - len(known)} of unknown length" if len(known) < len(due) else ""
    took = f", about {_duration(sum(known))} of one core{unknown}" if known else ""
    click.echo(f"{len(due)} of {len(planned)} runs are due{took}")
    return [p.run for p in due]


def _with_data(due: list[RunId]) -> list[RunId]:
    """The runs whose data are here or can be fetched; names each set that cannot."""
    missing = set()
    for name in dict.fromkeys(run.dataset for run in due):
        try:
            if name not in catalogue.available():
                fetch.fetch(name)
        except LatentReplayError as error:
            missing.add(name)
            click.echo(f"left out: {name}: {error}", err=True)
    return [run for run in due if run.dataset not in missing]


def _executor(name: str, workers: int | None, due: int) -> tuple[Executor, int, str]:
    """The executor, how many runs it is given at a time, and where they are made, in words."""
    if name == "pool":
        from lr_lab.grid.local import LocalExecutor

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(due, workers or cores)
        return LocalExecutor(workers), workers, f"{workers} at a time"
    try:
        from lr_lab.grid.dask import DaskExecutor

        cluster = DaskExecutor(workers)
    except ImportError as error:
        raise UsageError(f"--executor dask needs the extra cluster: pip install '.[cluster]' ({error})") from error
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:  # when imported, or when started
        word = str(error)[:300]
        raise UsageError(f"--executor dask: dask does not start, look at its configuration: {word}") from error
    return cluster, due, f"on {cluster.describe()}"  # the scheduler has the queue


def _run(
    due: list[RunId], executor_name: str, workers: int | None, runs: Path, cache: Path, force: bool
) -> list[Outcome]:
    """Make the runs and show how far they are; returns the outcomes of those that failed."""
    from lr_lab.grid import schedule

    executor, workers, place = _executor(executor_name, workers, len(due))
    click.echo(f"{len(due)} runs, {place}")
    layout = "{percentage:3.0f}% |{bar:30}| elapsed {elapsed}, about {remaining} left{postfix}"
    terminal = sys.stderr.isatty()
    started = reported = time.monotonic()
    with executor, tqdm(total=1.0, bar_format=layout, disable=not terminal) as bar:

        def watch(done: float, underway: dict) -> None:
            nonlocal reported
            words = "; ".join(f"{run.stem}: {progress}" for run, progress in underway.items())
            if terminal:
                bar.n = done
                bar.set_postfix_str(words)
            elif time.monotonic() - reported > 60:  # a log file gets a line a minute
                reported = time.monotonic()
                elapsed = reported - started
                left = f", about {_duration(elapsed * (1 - done) / done)} left" if done else ""
                click.echo(f"{done:4.0%}, elapsed {_duration(elapsed)}{left}; {words}")

        def finished(outcome: Outcome) -> None:
            word = f"failed: {outcome.error}" if outcome.error else "done"
            word = "in progress in another process" if outcome.locked else f"{word} ({_duration(outcome.seconds)})"
            with bar.external_write_mode(file=sys.stdout):
                click.echo(f"{outcome.run}: {word}")

        outcomes = schedule.run_grid(
            due, executor, runs=runs, cache=cache, workers=workers, force=force, watch=watch, finished=finished
        )
    return [outcome for outcome in outcomes if outcome.error]


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what a user can cause is one line on stderr, never a traceback."""
    warnings.showwarning = lambda message, *rest: click.echo(f"warning: {LatentReplayError(str(message))}", err=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold bytes that are no text
    try:
        cli(arguments, standalone_mode=False)
        return
    except click.exceptions.Abort:
        click.echo("stopped; all finished epochs are kept, the same command goes on", err=True)
        sys.exit(130)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "python -m lr_lab"
        failure: Exception = UsageError(f"{error.format_message()} ({command} --help says more)")
    except LatentReplayError as error:
        failure = error
    except OSError as error:  # a path that the system does not take, a disk that fails
        failure = LatentReplayError(str(error))
    click.echo(f"error: {failure}", err=True)
    sys.exit(2 if isinstance(failure, UsageError) else 1)
