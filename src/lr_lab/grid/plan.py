"""Which runs there are (`select`), and which of them are due and why (`plan`)."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.files import project_root
from lr_lab.runs import results, store
from lr_lab.runs.checkpoints import Checkpoints
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


def select(
    profile: str, dataset_names: Sequence[str] = (), cases: Sequence[int] = (), seeds: Sequence[int] = ()
) -> list[RunId]:
    """The runs of a profile, all or those asked for.

    Raises
    ------
    UsageError
        A name or number is unknown, or a data set is asked for in a case that the profile does not have of it.
    """
    chosen = find_profile(profile)
    found = []
    for dataset in dict.fromkeys(dataset_names or (name for name, *_ in chosen.runs_of())):
        wanted = dict.fromkeys(cases or chosen.cases_of(dataset))
        if dataset in chosen.in_case_1 and {*wanted} != {1}:
            if dataset_names:
                raise UsageError(f"profile {profile} has case 1 of {dataset} alone; leave out --case, or name case 1")
            wanted = dict.fromkeys(case for case in wanted if case == 1)
        found += [
            RunId(profile, dataset, case, seed) for seed in dict.fromkeys(seeds or chosen.seeds) for case in wanted
        ]
    return found


def plan(selected: Iterable[RunId], runs: Path = RUNS, cache: Path = CACHE, *, force: bool = False) -> list[Planned]:
    """Say of each run whether it is due and why: no record, what differs from its record, forced, or none of these."""
    planned = [_plan_run(run, runs, cache, force) for run in selected]

    @functools.cache
    def known(profile: str) -> list[tuple[str, float]]:
        """Data set and seconds of all runs of a profile that have a record: of those selected, and of the others."""
        here = {p.run: p.seconds for p in planned if p.run.profile == profile}
        others = (existing_record(run, runs) for run in select(profile) if run not in here)
        took = [(run.dataset, seconds) for run, seconds in here.items() if seconds is not None]
        return took + [(r["run"]["dataset"], results.seconds(r)) for r in others if isinstance(r, dict)]

    def expected(run: RunId) -> float | None:
        """What other runs of the same data set took, on average; of any data set, where it has none yet."""
        like = [s for dataset, s in known(run.profile) if dataset == run.dataset] or [s for _, s in known(run.profile)]
        return statistics.mean(like) if like else None

    return [p if p.seconds is not None else dataclasses.replace(p, seconds=expected(p.run)) for p in planned]


def _plan_run(run: RunId, runs: Path, cache: Path, force: bool) -> Planned:
    settings = find_profile(run.profile).settings
    record = existing_record(run, runs)
    if record is None:
        finished = Checkpoints(cache / run.key(settings)).finished()
        return Planned(run, True, f"no record, {finished} arms kept" if finished else "no record")
    if isinstance(record, LatentReplayError):
        return Planned(run, True, f"damaged record ({str(record).removeprefix(f'{run.record(runs)}: ')})")
    seconds = results.seconds(record)
    if record["key"] == run.key(settings):
        return Planned(run, force, "forced" if force else "up to date", seconds)
    return Planned(run, True, "; ".join(_differences(record, run.basis(settings))), seconds)


def existing_record(run: RunId, runs: Path) -> dict | LatentReplayError | None:
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
