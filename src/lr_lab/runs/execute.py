"""One run from its name to its record: what the notebook template calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lr_core.settings import find_case
from lr_lab.data import catalogue
from lr_lab.files import absolute, write_atomically
from lr_lab.runs import store
from lr_lab.runs.checkpoints import Checkpoints, Progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId, make_record


def run(
    run_id: RunId,
    *,
    runs: Path | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict:
    """Train all arms of a run and return its record.

    Parameters
    ----------
    runs : folder of all runs; with it the record is written to `run_id.record(runs)`
    cache : folder for what is trained so far and for the progress of the run; whoever keeps the record clears it
    threads : that share the work of a step; None for as many as PyTorch has. Results do not depend on it
    report : called after every epoch

    Raises
    ------
    LatentReplayError
        The data are not there or damaged, or a folder cannot be written.
    """
    from lr_core.device import resolve
    from lr_lab.runs import protocol  # here: whoever only asks for progress needs no PyTorch

    runs, cache = (folder if folder is None else absolute(folder) for folder in (runs, cache))
    settings = find_profile(run_id.profile).settings
    compute = resolve(settings.precision, threads)
    key = run_id.key(settings)
    folder = cache / key if cache is not None else None

    def tell(progress: Progress) -> None:
        if folder is not None:
            write_progress(folder, progress)
        report(progress)

    result = protocol.Run(
        catalogue.load(run_id.dataset), find_case(run_id.case), run_id.seed, settings,
        compute=compute, checkpoints=Checkpoints(folder, key), report=tell,
    ).result()  # fmt: skip
    record = make_record(run_id, settings, result)
    if runs is not None:
        store.write(record, run_id.record(runs))
    return record


def write_progress(folder: Path, progress: Progress) -> None:
    """Leave word of how far a run is, for whoever waits for it in another process."""
    write_atomically(folder / "progress.json", json.dumps(vars(progress)).encode())


def read_progress(folder: Path) -> Progress | None:
    """The last word of a run, or None where there is none yet."""
    try:
        return Progress(**json.loads((folder / "progress.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
