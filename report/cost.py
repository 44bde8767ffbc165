"""What `index.qmd` shows of speed: the measurements of `make bench`, machine by machine, and the time of the runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import charts
import pandas as pd
from drawings import drawn
from edition import ours
from IPython.display import Markdown
from tables import simple
from titles import title
from words import NOT_RUN, count, hours, listed

from lr_core.settings import CASES
from lr_lab.runs import results

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
NOT_MEASURED = "not measured"
RIVALS = ("second task with replay", "first task", "whole case")

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


def rates() -> Markdown:
    """New images a second of every rival, on the machine measured last."""
    if not measured:
        return Markdown(f"*{NOT_MEASURED}*")
    result = measured[0]
    rows = [
        (m["experiment"], m["program"], place, round(rate, 1))
        for m in result["measured"]
        if m["experiment"] in RIVALS
        for place, rate in enumerate(m["rates"], 1)
    ]
    data = pd.DataFrame(rows, columns=["experiment", "program", "round", "images_per_second"])
    medians = data.groupby(["experiment", "program"], sort=False).images_per_second.median()
    alt = f"New images a second on {machine(result)}. " + "; ".join(
        f"{experiment}, {program}: {rate:,.0f}" for (experiment, program), rate in medians.items()
    )
    drawing = charts.rates(result["measured"], RIVALS)
    return drawn("speed", drawing, alt, data, f"`make bench` ({hours(result['seconds'])}) and `make report`")


def goals() -> Markdown:
    """What was aimed at, and what each machine reached."""
    rows = []
    for first in {goal["goal"]: goal for result in measured for goal in result["goals"]}.values():
        sign = "at most" if first["at_most"] else "at least"
        cells = [_reached(result, first["goal"]) for result in measured]
        rows.append((first["goal"], f"{sign} {_quantity(first, 'asked')}", *cells))
    columns = ("Goal", "Asked", *(machine(result) for result in measured))
    return simple(columns, rows or [(NOT_MEASURED, "")])


def _reached(result: dict, name: str) -> str:
    """What a machine reached of a goal, which may be younger than its measurement."""
    goal = next((goal for goal in result["goals"] if goal["goal"] == name), None)
    if goal is None or goal["met"] is None:
        return NOT_MEASURED
    return f"{_quantity(goal, 'measured')}, {'met' if goal['met'] else '<strong>missed</strong>'}"


def _quantity(goal: dict, name: str) -> str:
    value = goal[name]
    if value is None:
        return NOT_MEASURED
    return {
        "x": f"{value:.2f} times",
        "share": f"{100 * value:.1f} %",
        "bytes": f"{value / 1e9:.2f} GB",
        "rate": f"{value:.1f} a second",
    }[goal["unit"]]


def growth() -> Markdown:
    """Time and memory of the second task against the number of images and the size of the memory."""
    rows = [
        (kind, m["program"].removesuffix(", 1 thread"), f"{statistics.median(m['seconds']):.2f}",
         f"{statistics.median(m['rates']):,.0f}", f"{m['peak_bytes'] / 1e6:,.0f}")
        for kind, m in _growing()
    ]  # fmt: skip
    return simple(("What grows", "Size", "Seconds an epoch", "New images a second", "Peak MB"), rows or [(NOT_MEASURED, *4 * [""])],
                  numeric=(2, 3, 4))  # fmt: skip


def _growing() -> Iterator[tuple[str, dict]]:
    for experiment, kind in (("images", "new images"), ("memory", "memory")):
        for place, m in enumerate(
            m for m in (measured[0]["measured"] if measured else []) if m["experiment"] == experiment
        ):
            yield ("" if place else kind), m


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
