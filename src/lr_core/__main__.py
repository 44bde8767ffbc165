"""The command line: `python -m lr_core data | run | grid | status`.

Exit status 0 for success, 1 for a failure, 2 for a request that was wrong.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from lr_core import config
from lr_core.errors import LatentReplayError, UsageError

_MANY = {"multiple": True}


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose runs, the same for `grid` and `status`."""
    for option in (
        click.option("--force", is_flag=True, help="Count every run as due."),
        click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder of all runs."),
        click.option("--seed", "seeds", type=int, multiple=True, help="Only this seed; may be repeated."),
        click.option("--case", "cases", type=int, multiple=True, help="Only this case; may be repeated."),
        click.option("--dataset", "datasets", multiple=True, help="Only this data set; may be repeated."),
        click.option("--profile", default="paper", show_default=True, help=f"One of {', '.join(config.PROFILES)}."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Re-run the paper on latent replay."""


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def data(names: tuple[str, ...]) -> None:
    """Find, fetch and verify the data sets: all of them, or those named."""
    from lr_core import datasets

    failed = False
    for name in names:
        datasets.describe(name)
    for name in names or datasets.DATASETS:
        try:
            found = datasets.fetch(name)
            click.echo(f"{datasets.describe(name).title}: {found}")
        except LatentReplayError as error:
            failed = True
            click.echo(f"{datasets.describe(name).title}: {error}", err=True)
    if failed:
        sys.exit(1)


@cli.command()
@_selection
def status(profile: str, datasets: tuple, cases: tuple, seeds: tuple, runs: Path | None, force: bool) -> None:
    """Show which runs are due and why, without running any."""
    from lr_core import grid

    _show_plan(grid.plan(grid.select(profile, datasets, cases, seeds), runs or grid.RUNS, force=force))


@cli.command(name="grid")
@_selection
@click.option("--workers", type=click.IntRange(1), help="Processes at a time.  [default: the number of cores]")
def grid_command(
    profile: str, datasets: tuple, cases: tuple, seeds: tuple, runs: Path | None, force: bool, workers: int | None
) -> None:
    """Run what is due, through papermill, one process a run."""
    from lr_core import grid

    planned = grid.plan(grid.select(profile, datasets, cases, seeds), runs or grid.RUNS, force=force)
    _show_plan(planned)
    due = _with_data([p.run for p in planned if p.due])
    failures = _run(due, runs or grid.RUNS, workers) if due else []
    for outcome in failures:
        click.echo(f"failed: {outcome.run}: {outcome.cell + ': ' if outcome.cell else ''}{outcome.error}", err=True)
    lacking = sum(p.due for p in planned) - len(due)
    if failures or (lacking and profile != "quick"):
        sys.exit(1)


def _with_data(due: list) -> list:
    """The runs whose data can be had; each missing set is fetched once, or named once."""
    from lr_core import datasets

    had: dict[str, bool] = {}
    for name in dict.fromkeys(run.dataset for run in due):
        try:
            if name not in datasets.available():
                datasets.fetch(name)
            had[name] = True
        except LatentReplayError as error:
            had[name] = False
            click.echo(f"left out: {name}: {error}", err=True)
    return [run for run in due if had[run.dataset]]


def _run(due: list, runs: Path, workers: int | None) -> list:
    from tqdm import tqdm

    from lr_core import grid

    workers = min(len(due), workers or _cores())
    click.echo(f"{len(due)} runs, {workers} at a time")
    layout = "{percentage:3.0f}% |{bar:30}| elapsed {elapsed}, about {remaining} left{postfix}"
    with tqdm(total=1.0, bar_format=layout, mininterval=0.5, disable=None if sys.stderr.isatty() else False) as bar:

        def watch(done: float, underway: dict) -> None:
            bar.n = done
            bar.set_postfix_str("; ".join(f"{run.stem}: {word}" for run, word in underway.items()), refresh=False)
            if sys.stderr.isatty() or time.monotonic() - watch.shown > 60:  # type: ignore[attr-defined]
                watch.shown = time.monotonic()  # type: ignore[attr-defined]
                bar.refresh()

        def finished(outcome: grid.Outcome) -> None:
            word = f"failed: {outcome.error}" if outcome.error else "done"
            bar.write(f"{outcome.run}: {word} ({_duration(outcome.seconds)})", file=sys.stdout)

        watch.shown = time.monotonic()  # type: ignore[attr-defined]
        outcomes = grid.run_grid(due, runs=runs, workers=workers, watch=watch, finished=finished)
    return [outcome for outcome in outcomes if outcome.error]


def _show_plan(planned: list) -> None:
    for p in planned:
        took = "" if p.seconds is None else f" ({'about ' if p.due else 'took '}{_duration(p.seconds)})"
        click.echo(f"{'run ' if p.due else 'skip'}  {p.run}: {p.reason}{took}")
    due = [p for p in planned if p.due]
    click.echo(f"{len(due)} of {len(planned)} runs are due")


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s"


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Run a command; what a user can cause is one line on stderr, never a traceback."""
    warnings.showwarning = lambda message, *rest: click.echo(f"warning: {message}", err=True)  # type: ignore[assignment]
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; finished runs and arms are kept, the same command goes on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LatentReplayError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
