"""What was run: where each run was made and how long it took, and how fast the training is."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from IPython.display import Markdown

from analysis.edition import BEYOND, Runs, cited
from lr_lab.runs.results import epochs, seconds
from sentences.cost import NOT_MEASURED, machine, measured
from sentences.provenance import page
from sentences.titles import title
from sentences.words import NOT_RUN, hours, listed
from tables.html_table import simple_table


def provenance() -> Markdown:
    """Where each run was made, with what, and how long it took; its case leads to the executed notebook."""
    rows = []
    for runs in cited:
        if runs.profile in BEYOND:
            rows += _many(runs)
            continue
        for record in runs.records + runs.added:
            run = record["run"]
            rows.append(
                (
                    runs.profile,
                    f'<a class="from" href="{page(record)}">{title(run["dataset"]).html}, case {run["case"]}, '
                    f"seed {run['seed']}</a>",
                    sum(map(epochs, record["arms"])),
                    hours(seconds(record)),
                    *_made(record["arms"]),
                )
            )
    columns = ("Profile", "Run", "Epochs", "Time", "Processor, precision", "Commit")
    return simple_table(columns, rows or [(NOT_RUN, *[""] * 5)], numeric=(2, 3))


def _made(arms: Iterable[Mapping]) -> tuple[str, str]:
    """Processors with precision, and commits."""
    made = [arm["provenance"] for arm in arms]
    return (
        escape(" / ".join(sorted({f"{m['processor']}, {m['precision']}" for m in made}))),
        escape(" ".join(sorted({(m["commit"] or "unknown")[:7] for m in made}))),
    )


def _many(runs: Runs) -> Iterator[tuple]:
    """A row for each data set of a profile with many short runs."""
    for name in dict.fromkeys(record["run"]["dataset"] for record in runs.records):
        records = [record for record in runs.records if record["run"]["dataset"] == name]
        arms = [arm for record in records for arm in record["arms"]]
        cases, seeds = (sorted({record["run"][part] for record in records}) for part in ("case", "seed"))
        words = f"cases {listed(cases)}" if len(cases) > 1 else f"case {cases[0]}"
        seed_words = f"seeds {listed(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
        yield (
            runs.profile,
            f'<a class="from" href="notebooks/index.html">{title(name).html}, {words}, {seed_words}</a>',
            sum(map(epochs, arms)),
            hours(sum(map(seconds, records))),
            *_made(arms),
        )


def goals() -> Markdown:
    """What was aimed at, and what each machine reached."""
    rows = []
    for first in {goal["goal"]: goal for result in measured for goal in result["goals"]}.values():
        sign = "at most" if first["at_most"] else "at least"
        cells = [_reached(result, first["goal"]) for result in measured]
        rows.append((first["goal"], f"{sign} {_quantity(first, 'asked')}", *cells))
    columns = ("Goal", "Asked", *(machine(result) for result in measured))
    return simple_table(columns, rows or [(NOT_MEASURED, "")])


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
    return simple_table(("What grows", "Size", "Seconds an epoch", "New images a second", "Peak MB"), rows or [(NOT_MEASURED, *4 * [""])],
                  numeric=(2, 3, 4))  # fmt: skip


def _growing() -> Iterator[tuple[str, dict]]:
    for experiment, kind in (("images", "new images"), ("memory", "memory")):
        for place, m in enumerate(
            m for m in (measured[0]["measured"] if measured else []) if m["experiment"] == experiment
        ):
            yield ("" if place else kind), m
