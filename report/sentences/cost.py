"""What is said of speed: the measurements of `make bench`, machine by machine, and the time of the runs."""

from __future__ import annotations

import json
import statistics

from analysis.edition import REPORT, ours
from lr_core.settings import CASES
from lr_lab.runs import results
from sentences.titles import title
from sentences.words import NOT_RUN, count, hours, listed

RESULTS = REPORT.parent / "benchmarks" / "results"
NOT_MEASURED = "not measured"

# The latest first: a measurement holds for the trainer of its day.
measured = sorted(
    (json.loads(file.read_text()) for file in RESULTS.glob("*.json")), key=lambda r: r["time"], reverse=True
)


def machine(result: dict) -> str:
    """The device of a measurement, in words."""
    host = result["host"]
    return f"{host['processor']}, {host['cores']} cores, {host['precision']}"


def machines() -> str:
    """All of them."""
    return "; ".join(machine(result) for result in measured) or NOT_MEASURED


def rounds() -> str:
    """How often each rival was measured."""
    return " and ".join(sorted({count(result["rounds"]) for result in measured})) or NOT_MEASURED


def _records() -> dict[str, list[dict]]:
    """The runs of all cases and seeds, by data set; data sets without runs are left out."""
    every = ours.records + ours.added
    return {name: runs for name in ours.datasets if (runs := [r for r in every if r["run"]["dataset"] == name])}


def _seconds() -> dict[str, list[float]]:
    """Training time of each of these runs."""
    return {name: list(map(results.seconds, runs)) for name, runs in _records().items()}


def timed_sets() -> str:
    """The data sets that have runs."""
    return listed(map(title, _seconds())) if _seconds() else f"({NOT_RUN})"


def runs_of(seeds: int) -> int:
    """How many runs all cases of the paper are with so many seeds, in the data sets that have runs."""
    return len(CASES) * seeds * len(_seconds())


def core_hours(seeds: int) -> str:
    """What these runs take, if each takes the mean time of the runs of its data set."""
    total = sum(len(CASES) * seeds * statistics.mean(taken) for taken in _seconds().values())
    return f"{total / 3600:,.0f}" if total else f"({NOT_RUN})"


def memory() -> str:
    """The most memory that one process of the trainer took in the benchmarks, in gigabytes."""
    peaks = [m["peak_bytes"] for result in measured for m in result["measured"] if m["program"].startswith("lr_core")]
    return f"{max(peaks) / 1e9:.1f} GB" if peaks else f"({NOT_MEASURED})"


def case_times() -> str:
    """Training time of a case, by data set: the median of all runs, and the least and the most."""
    return ", ".join(f"{title(name)} {_spread(_seconds().get(name, []))}" for name in ours.datasets)


def _spread(taken: list[float]) -> str:
    if len(taken) < 2:
        return f"{hours(taken[0])} (one run)" if taken else NOT_RUN
    ends = " to ".join(dict.fromkeys(map(hours, (min(taken), max(taken)))))
    return f"{hours(statistics.median(taken))} ({ends}, {count(len(taken))} runs)"


def run_machines() -> str:
    """The processors that trained these runs."""
    records = [record for runs in _records().values() for record in runs]
    made = {arm["provenance"]["processor"] for record in records for arm in record["arms"]}
    return listed(sorted(made)) if made else f"({NOT_RUN})"
