"""Verdicts on the published numbers, what other readings of the original change, and effects."""

from __future__ import annotations

from IPython.display import Markdown

from analysis import readings as other_readings
from analysis.edition import ours
from analysis.effects import effects as of_seeds
from analysis.findings import gain_over_running
from analysis.published import MEASURES
from analysis.sourced import Value, sources_of
from analysis.verdicts import RULE, Judged, decided
from lr_core.settings import EVALUATIONS
from lr_lab import plots
from lr_lab.evidence import VERDICTS
from sentences.provenance import SourcedText, in_table, number, points_alone
from sentences.titles import title
from sentences.words import NOT_RUN
from tables.html_table import cells_of, html_table, simple_table


def verdict_counts() -> Markdown:
    """How many published numbers have each verdict, and how many lie outside the prediction interval, by mode."""
    rows = []
    for mode in EVALUATIONS:
        found = decided(mode)
        outside = sum(not each.compatible for each in found)
        chance = (1 - RULE["confidence"]) * len(found)
        by_verdict = [sum(each.verdict == verdict for each in found) for verdict in VERDICTS]
        rows.append((mode, len(found), *by_verdict, f"{outside} of {len(found)}", f"{chance:.0f}"))
    columns = (
        "Statistics",
        "Judged",
        *(verdict.split()[-1].capitalize() for verdict in VERDICTS),
        "Outside",
        "By chance",
    )
    return simple_table(columns, rows, numeric=range(1, len(columns)))


def differing(evaluation: str = "batch") -> Markdown:
    """The published numbers that differ from ours under an evaluation mode, the largest differences first."""
    found: list[Judged] = [each for each in decided(evaluation) if each.verdict == "differs"]
    found.sort(key=lambda each: -abs(each.difference))
    rows = [
        (
            title(each.dataset).html, each.case,
            plots.arm_name({"arm": each.arm, "memory_share": each.share}).replace(" ", "&nbsp;"),
            MEASURES[each.measure].lower(), f"{each.published:.4f}", in_table(number(each.ours)),
            f"± {each.half_width:.4f}", f"{each.difference:+.4f}".replace("-", "−"), _explained(each),
        )
        for each in found
    ]  # fmt: skip
    columns = ("Data set", "Case", "Arm", "Accuracy", "Published", "Ours", "Interval", "Difference", "Inside it with")
    return simple_table(columns, rows or [("none", *[""] * 8)], numeric=(4, 5, 6, 7))


def _explained(judged: Judged) -> str:
    """The reading or mode that explains a number; on the page, pointing at it shows the runs."""
    found = other_readings.explains(judged)
    return in_table(SourcedText(found.words, found.sources)) if found.sources else found.words


def open_choices() -> Markdown:
    """What the original leaves open: how it is done here, what else was tried, and how far that moves accuracy by mode."""
    target, most = ours.settings.target_train_accuracy, ours.settings.max_epochs
    of_mode = [None if mode == "running" else gain_over_running(mode) for mode in EVALUATIONS]
    rows = [
        ("statistics of BatchNorm in testing", "all three of @sec-evaluation", "batch and mixed instead of running", of_mode),
        ("momentum of SGD", f"{ours.settings.momentum:g}", *_moved(other_readings.PLAIN_SGD)),
        ("momentum when the second task begins", "starts at 0", *_moved("carry-optimizer")),
        ("order of the two updates", "new images, then memory", *_moved("memory-first")),
        ("memory images in an update", "one batch, drawn anew", *_moved("whole-memory")),
        ("BatchNorm of the frozen compressor", "frozen too", *_moved("adapting")),
        ("end of a training", f"{100 * target:g} % in training, or {most} epochs", *_moved("epochs 5")),
        ("size of the test batches", f"about {ours.settings.batch_size:,}", *_moved("batch 50")),
        ("scale of the pixels", "0 to 1", "none: BatchNorm cancels it (@sec-settings)", [None] * len(EVALUATIONS)),
    ]  # fmt: skip
    lines = [
        f"| Left open | Here | Also tried | {' | '.join(EVALUATIONS)} |",
        f"|:--------|:-----|:-----|{'----:|' * len(EVALUATIONS)}",
    ]
    for choice, here, tried, moved in rows:
        cells = [
            "" if value is None else str(number(Value(100 * value, sources_of(value)), "+z.1f")) for value in moved
        ]
        lines.append(f"| {choice} | {here} | {tried} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def _moved(reading: str) -> tuple[str, list[Value | None]]:
    """A reading in words, and how far it moves accuracy on old classes after replay, by evaluation mode."""
    found = [other_readings.distance(reading, "replay", "original_test", mode) for mode in EVALUATIONS]
    return other_readings.READINGS[reading], [each and each.shift for each in found]


def readings() -> Markdown:
    """Distance from the published numbers under each other reading of the original beside that of ours, by mode."""
    bodies = []
    for name, words in other_readings.READINGS.items():
        kinds = [
            (kind, by_mode)
            for (arm, measure), kind in other_readings.KINDS.items()
            if any(by_mode := [other_readings.distance(name, arm, measure, mode) for mode in EVALUATIONS])
        ]
        for place, (kind, by_mode) in enumerate(kinds):
            first = f'<th scope="rowgroup" rowspan="{len(kinds)}">{words}</th>' if place == 0 else ""
            runs = max(found.runs for found in by_mode if found)
            cells = cells_of([kind, runs], [1]) + "".join(map(_so, by_mode))
            bodies.append([first + cells]) if place == 0 else bodies[-1].append(first + cells)
    upper = cells_of(("Reading", "Accuracy", "Runs"), (2,), "th rowspan=2")
    upper += "".join(f"<th colspan=2>{mode}</th>" for mode in EVALUATIONS)
    below = cells_of(("ours", "so") * len(EVALUATIONS), range(2 * len(EVALUATIONS)), "th")
    return html_table([upper, below], bodies or [[cells_of((NOT_RUN, *[""] * 8), ())]])


def _so(found: other_readings.Distance | None) -> str:
    """Two cells: the distance of ours, and that of the other reading, which is bold where it is nearer by a point."""
    if found is None:
        return '<td class="num muted">–</td>' * 2
    ours_away, so = (in_table(points_alone(value)) for value in (found.ours, found.other))
    if found.other <= found.ours - 0.01:
        so = f"<strong>{so}</strong>"
    return f'<td class="num">{ours_away}</td><td class="num">{so}</td>'


def effects() -> Markdown:
    """How far evaluation mode and memory move the accuracy on old classes, with the seed as the unit."""
    rows = [
        (
            name, title(dataset).html, effect.seeds,
            f"{100 * effect.mean:+.1f} ± {100 * effect.half_width:.1f}".replace("-", "−"), f"{p:.2g}",
        )
        for name, dataset, effect, p in of_seeds()
    ]  # fmt: skip
    columns = ("Effect on old classes after replay", "Data set", "Seeds", "Points", "p (Holm)")
    return simple_table(columns, rows or [("no data set has two seeds of all its cases", *[""] * 4)], numeric=(2, 3, 4))
