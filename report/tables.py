"""The tables of `index.qmd`: published values beside ours, and what the document says of models, settings and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import claims
import readings as other_readings
import torch
from edition import BEYOND, PROFILE, Runs, bf16, cited, literal, ours
from effects import effects as of_seeds
from facts import memory_bytes, task_images
from findings import change, gain_over_running, gaps, mean_gap, paired
from IPython.display import Markdown
from provenance import in_table, number, page, points_alone
from published import MEASURES, published_value
from sourced import Value, accuracy, mean, sources_of
from titles import title
from verdicts import RULE, Judged, decided, half_width_of_mean
from words import NOT_RUN, hours, listed

from lr_core.memory import pixel_share
from lr_core.settings import CASES, EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.evidence import VERDICTS
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.results import epochs, seconds

STEPS = (0.005, 0.02, 0.05, 0.15)  # limits of the shades of a difference
# The shade of a difference once more, for those who see no colours or print without: the larger, the fuller.
FILLINGS = ("", "▁", "▃", "▅", "▇")


def html(
    head: Sequence[str], bodies: Iterable[Sequence[str]], classes: str = "", widths: Sequence[float] = ()
) -> Markdown:
    """An HTML table from rows that are already cells; both engines parse it for HTML and PDF.

    `widths` of the columns are shares of the text's width, for a table with sentences in it.
    """
    if widths:
        classes = f"{classes} full-width".strip()
    top = "".join(f"<tr>{row}</tr>" for row in head)
    rest = "".join(f"<tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody>" for body in bodies)
    attribute = f' class="{classes}"' if classes else ""
    columns = "".join(f'<col style="width: {100 * width:g}%">' for width in widths)
    group = f"<colgroup>{columns}</colgroup>" if widths else ""
    return Markdown(f"```{{=html}}\n<table{attribute}>\n{group}<thead>{top}</thead>\n{rest}\n</table>\n```")


def simple(columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Markdown:
    """A table with one header row; `numeric` columns are aligned on the right."""

    return html([_cells(columns, numeric, "th")], [[_cells(row, numeric) for row in rows]])


def _cells(values: Sequence[object], numeric: Sequence[int], tag: str = "td") -> str:
    """Cells of one row; the tag may bring attributes."""
    return "".join(
        f"<{tag}{' class=num' if place in numeric else ''}>{value}</{tag.split()[0]}>"
        for place, value in enumerate(values)
    )


def shade(difference: float) -> int:
    """Which of the shades a difference has, by its size."""
    return sum(abs(difference) >= step for step in STEPS)


def legend() -> Markdown:
    """What the shades mean."""
    limits = [
        f"under {STEPS[0]:g}",
        *(f"{a:g} to {b:g}" for a, b in zip(STEPS, STEPS[1:], strict=False)),
        f"from {STEPS[-1]:g}",
    ]
    spans = (
        f"[{text} {mark}]{{.diff-{place}}}" for place, (text, mark) in enumerate(zip(limits, FILLINGS, strict=True))
    )
    return Markdown(" ".join(spans))


def _ours(value: Value | None, half_width: float | None, theirs: float | None) -> str:
    if value is None:
        return f'<td class="num muted">{NOT_RUN}</td>'
    text, below = in_table(number(value)), ""
    if half_width is not None:
        below = f"± {half_width:.4f}"
    if theirs is None:
        return f'<td class="num">{text}<br><span class="delta">{below}</span></td>'
    size = shade(value - theirs)
    below = f"{below} {FILLINGS[size]} {value - theirs:+.4f}".replace("-", "−")
    return f'<td class="num diff-{size}">{text}<br><span class="delta">{" ".join(below.split())}</span></td>'


def _beside(dataset: str) -> dict[str, Runs]:
    """Whose results a table shows, by what they are called: ours, and `literal` beside the paper's profile if it ran."""
    if PROFILE == "paper" and literal.of(dataset):
        return {"Ours, momentum": ours, "Ours, plain SGD": literal}
    return {"Ours": ours}


def _modes(name: str) -> Sequence[str]:
    # With one task learned there is nothing to mix: `mixed` equals `batch`.
    return EVALUATIONS[:2] if name == "first-task" else EVALUATIONS


def results(dataset: str, name: str) -> Markdown:
    """One of Tables 4 to 12: published beside ours under each evaluation mode, with the difference below ours."""
    measures = {key: measure for key, measure in MEASURES.items() if name != "first-task" or key != "original_test"}
    shares = ours.settings.memory_shares if name == "replay" else (None,)
    profiles, modes = _beside(dataset), _modes(name)

    def row(case: int, share: float | None, measure: str) -> Iterator[str]:
        if measure == next(iter(measures)):
            if share == shares[0]:
                seeds = len(ours.values(dataset, case, name, measure, modes[0], share))
                note = f'<br><span class="delta">n&nbsp;=&nbsp;{seeds}</span>' if seeds else ""
                yield f'<th scope="rowgroup" rowspan="{len(shares) * len(measures)}">{case}{note}</th>'
            if share is not None:
                memory = f"{100 * pixel_share(1, 1) * share:.2f}&nbsp;%"
                yield f'<th scope="rowgroup" class="num" rowspan="{len(measures)}">{memory}</th>'
        theirs = published_value(dataset, case, name, measure, share)
        yield f'<th scope="row">{measures[measure]}</th>'
        yield f'<td class="num">{"–" if theirs is None else format(theirs, ".4f")}</td>'
        for runs in profiles.values():
            for mode in modes:
                values = runs.values(dataset, case, name, measure, mode, share)
                half_width = half_width_of_mean(dataset, name, measure, mode, share, len(values), runs)
                yield _ours(mean(values), half_width, theirs)

    columns = ["Case", *["Memory"] * (name == "replay"), "Accuracy", "Published"]
    upper = _cells(columns, [columns.index("Published")], "th rowspan=2")
    groups = "".join(f'<th colspan="{len(modes)}">{name}</th>' for name in profiles)
    below = "".join(f'<th class="num">{mode}</th>' for mode in modes) * len(profiles)
    bodies = [
        ["".join(row(case, share, measure)) for share in shares for measure in measures]
        for case in find_profile(ours.profile).cases
    ]
    return html([upper + groups, below], bodies)


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
    return simple(columns, rows, numeric=range(1, len(columns)))


def differing(evaluation: str = "batch") -> Markdown:
    """The published numbers that differ from ours under an evaluation mode, the largest differences first."""
    found: list[Judged] = [each for each in decided(evaluation) if each.verdict == "differs"]
    found.sort(key=lambda each: -abs(each.difference))
    rows = [
        (
            title(each.dataset).html, each.case,
            plots.arm_name({"arm": each.arm, "memory_share": each.share}).replace(" ", "&nbsp;"),
            MEASURES[each.measure].lower(), f"{each.published:.4f}", in_table(number(each.ours)),
            f"± {each.half_width:.4f}", f"{each.difference:+.4f}".replace("-", "−"), other_readings.explains(each),
        )
        for each in found
    ]  # fmt: skip
    columns = ("Data set", "Case", "Arm", "Accuracy", "Published", "Ours", "Interval", "Difference", "Inside it with")
    return simple(columns, rows or [("none", *[""] * 8)], numeric=(4, 5, 6, 7))


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
            cells = _cells([kind, runs], [1]) + "".join(map(_so, by_mode))
            bodies.append([first + cells]) if place == 0 else bodies[-1].append(first + cells)
    upper = _cells(("Reading", "Accuracy", "Runs"), (2,), "th rowspan=2")
    upper += "".join(f"<th colspan=2>{mode}</th>" for mode in EVALUATIONS)
    below = _cells(("ours", "so") * len(EVALUATIONS), range(2 * len(EVALUATIONS)), "th")
    return html([upper, below], bodies or [[_cells((NOT_RUN, *[""] * 8), ())]])


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
    return simple(columns, rows or [("no data set has two seeds of all its cases", *[""] * 4)], numeric=(2, 3, 4))


def ledger() -> Markdown:
    """Every claim, and whether it holds: a row for each claim and data set, a column for each mode."""
    rows = claims.by_claim()
    bodies: dict[str, list[str]] = {}
    for claim, entries in rows.items():
        size = sum(other.name == claim.name for other in rows)
        head = ""
        if claim.name not in bodies:
            head = (
                f'<th scope="rowgroup" rowspan="{size}">{escape(claim.text)}<br><span class="delta">'
                f"{escape(claim.measured)}: {_range(claim.least, claim.most)}</span></th>"
            )
        shown = ", ".join(title(dataset).html for dataset in claim.datasets) or "all"
        seeds = len(entries[0].estimate.seeds) if entries[0].estimate else 0
        cells = [_cells([shown, seeds or ("–" if claim.datasets else "")], [1])]
        cells += [_judged(entry) for entry in entries]
        if claims.is_ours(claim) and OUR_QUESTIONS not in bodies:
            bodies[OUR_QUESTIONS] = [f'<th colspan="7">{OUR_QUESTIONS}</th>']
        bodies.setdefault(claim.name, []).append(head + "".join(cells) + f"<td>{claims.overall(entries) or '–'}</td>")
    columns = ("Claim", "Data set", "Seeds", *EVALUATIONS, "Verdict")
    widths = (0.34, 0.12, 0.07, *[0.12] * len(EVALUATIONS), 0.11)
    return html([_cells(columns, (2, 3, 4, 5), "th")], bodies.values(), "ledger", widths)


OUR_QUESTIONS = "Not claimed by the original: our own questions"
SIGNS = {"holds": "✓", "fails": "✗", "undecided": "?", "toy": "~"}


def claims_at_a_glance() -> Markdown:
    """One sign for each claim, data set of the original and evaluation mode."""
    names = list(catalogue.PAPER_DATASETS)
    signs: dict[str, dict[str, str]] = {}  # text of a claim -> data set -> cells
    heads: dict[str, str] = {}
    for claim, entries in claims.by_claim().items():
        if claims.is_ours(claim):
            heads.setdefault(OUR_QUESTIONS, f"<em>{OUR_QUESTIONS}</em>")
        heads.setdefault(claim.text, escape(claim.text))
        for name in claim.datasets[-1:] or names:  # a claim that compares two sets stands under the second
            signs.setdefault(claim.text, {})[name] = _signs(entries)
    nothing = "<td></td>" * len(EVALUATIONS)
    body = [
        f'<th scope="row">{head}</th>' + "".join(signs.get(text, {}).get(name, nothing) for name in names)
        for text, head in heads.items()
    ]
    upper = "<th rowspan=2>Claim</th>"
    upper += _cells([title(name).html for name in names], (), f"th colspan={len(EVALUATIONS)}")
    below = f'<th class="sign">{"</th><th class=sign>".join(EVALUATIONS)}</th>' * len(names)
    share = 0.54 / (len(names) * len(EVALUATIONS))
    return html([upper, below], [body], widths=[0.46, *[share] * (len(names) * len(EVALUATIONS))])


def _signs(entries: Sequence[claims.Entry]) -> str:
    """A cell for each evaluation mode; one sign in the middle where the mode has no part in the number."""
    signs = [SIGNS.get(entry.verdict or "", "–") for entry in entries]
    if len({float(entry.estimate.value) for entry in entries if entry.estimate}) == 1:
        return f'<td></td><td class="sign">{signs[0]}</td><td></td>'
    return "".join(f'<td class="sign">{sign}</td>' for sign in signs)


def _range(least: float, most: float) -> str:
    low, high = (f"{100 * limit:g}".replace("-", "−") for limit in (least, most))
    if least == -most:
        return f"within {high} points"
    return f"at least {low} points" if most == float("inf") else f"at most {high} points"


def _judged(entry: claims.Entry) -> str:
    made = entry.estimate
    if made is None:
        return f'<td class="num muted">{NOT_RUN}</td>'
    text = f"{100 * float(made.value):z.1f}"
    if made.half_width is not None and entry.claim.datasets:
        text += f" ± {100 * made.half_width:.1f}"
    return f'<td class="num">{text.replace("-", "−")}<br><span class="delta">{entry.verdict or "one seed"}</span></td>'


def cases() -> Markdown:
    """Table 3."""
    rows = [
        (number, ", ".join(map(str, case.first)), ", ".join(map(str, case.second))) for number, case in CASES.items()
    ]
    return simple(("Case", "First task", "Second task"), rows)


def network(model: torch.nn.Sequential, shape: tuple[int, ...]) -> Markdown:
    """Tables 1 and 2: every layer, what comes out of it, and its parameters, read from the model itself."""
    rows = []
    values = torch.zeros(2, *shape)
    layer = 0
    for module in model:
        values = module(values)
        kind = type(module).__name__
        weights = sum(parameter.numel() for parameter in module.parameters())
        size = getattr(module, "kernel_size", "")
        if isinstance(size, tuple):
            size = " × ".join(map(str, size))
        elif size:
            size = f"{size} × {size}"
        padding = getattr(module, "padding", "")
        if isinstance(padding, tuple):
            padding = padding[0]
        starts = kind in ("Conv2d", "Linear", "MaxPool2d")
        layer += starts
        if kind == "MaxPool2d":
            padding = ""
        out = " × ".join(map(str, values.shape[1:]))
        rows.append((layer if starts else "", kind, size, padding, out, f"{weights:,}" if weights else ""))
    total = sum(parameter.numel() for parameter in model.parameters())
    rows.append(("", "<strong>all</strong>", "", "", "", f"<strong>{total:,}</strong>"))
    return simple(("Layer", "Module", "Kernel", "Padding", "Output", "Parameters"), rows, numeric=(5,))


def data_facts() -> Markdown:
    """The sets of the profile: images, smallest and largest class where a record says so, licence."""
    rows = []
    for name in ours.datasets:
        info = catalogue.describe(name)
        record = next(iter(ours.of(name)), None)
        first = f"{record['tasks']['first']['train_images']:,}" if record else NOT_RUN
        rows.append((title(name).html, f"{info.images:,}", first, escape(info.licence)))
    return simple(("Data set", "Images", "Training images, first task of case 1", "Licence"), rows, numeric=(1, 2))


def budgets() -> Markdown:
    """What each memory share amounts to, in images, pixels and bytes of a task with 7,000 images a class."""
    images = task_images()
    rows = []
    for share in ours.settings.memory_shares:
        kept = round(share * images)
        rows.append(
            (
                f"{100 * share:g} %",
                f"{kept:,}",
                f"{100 * pixel_share(kept, images):.3f} %",
                f"{memory_bytes(share):,}",
                f"{100 * 4 * pixel_share(kept, images):.2f} %",
            )
        )
    columns = ("Share of images", "Latents kept", "Share of pixels", "Bytes with labels", "Share of bytes")
    return simple(columns, rows, numeric=(0, 1, 2, 3, 4))


def largest_gaps(size: int = 10, evaluation: str = "mixed") -> Markdown:
    """The results that lie farthest from the published ones, in the given evaluation mode."""
    found = [
        (gap, record, arm, measure)
        for name in ("first-task", "replay", "no-replay")
        for measure in MEASURES
        if name != "first-task" or measure != "original_test"
        for gap, record, arm in gaps(name, measure, evaluation)
    ]
    found.sort(key=lambda item: -abs(item[0]))
    rows = []
    for gap, record, arm, measure in found[:size]:
        run = record["run"]
        theirs = published_value(run["dataset"], run["case"], arm["arm"], measure, arm["memory_share"])
        rows.append(
            (
                title(run["dataset"]).html,
                run["case"],
                plots.arm_name(arm),
                MEASURES[measure].lower(),
                f"{theirs:.4f}",
                in_table(number(Value(arm["accuracy"][evaluation][measure], gap.sources))),
                f"{gap:+.4f}".replace("-", "−"),
            )
        )
    columns = ("Data set", "Case", "Arm", "Accuracy", "Published", "Ours", "Difference")
    return simple(columns, rows or [(NOT_RUN, *[""] * 6)], numeric=(4, 5, 6))


def mean_gaps() -> Markdown:
    """Mean absolute difference from the published values, by arm, measure and evaluation mode."""
    groups = {"Momentum, all runs": ours}
    if PROFILE == "paper" and literal.records:
        if len((matched := ours.matched_with(literal)).records) < len(ours.records):
            groups["Momentum, same runs"] = matched
        groups["Plain SGD"] = literal
    rows = []
    for name in ("first-task", "replay", "no-replay"):
        for measure, measured in MEASURES.items():
            if name == "first-task" and measure == "original_test":
                continue
            cells = [
                in_table(number(mean_gap(name, measure, evaluation, runs), ".3f"))
                for runs in groups.values()
                for evaluation in EVALUATIONS
            ]
            rows.append((name.replace("-", " "), measured.lower(), *cells))
    modes = [*EVALUATIONS] * len(groups)
    numeric = range(2, 2 + len(modes))
    if len(groups) == 1:
        return simple(("Arm", "Accuracy", *modes), rows, numeric)
    upper = _cells(("Arm", "Accuracy"), (), "th rowspan=2")
    upper += _cells(list(groups), (), f"th colspan={len(EVALUATIONS)}")
    return html([upper, _cells(modes, range(len(modes)), "th")], [[_cells(row, numeric) for row in rows]])


def replay_gaps() -> Markdown:
    """The same of the replay arms alone, by data set."""
    measures = ("test", "original_test")
    rows = [
        [
            title(dataset).html,
            *(
                in_table(number(mean_gap("replay", measure, evaluation, dataset=dataset), ".3f"))
                for measure in measures
                for evaluation in EVALUATIONS
            ),
        ]
        for dataset in ours.datasets
        if dataset in catalogue.PAPER_DATASETS
    ]
    upper = "<th rowspan=2>Data set</th>"
    upper += _cells([MEASURES[measure] for measure in measures], (), f"th colspan={len(EVALUATIONS)}")
    modes = [*EVALUATIONS] * len(measures)
    body = [_cells(row, range(1, 1 + len(modes))) for row in rows or [(NOT_RUN, *[""] * len(modes))]]
    return html([upper, _cells(modes, range(len(modes)), "th")], [body])


def open_choices() -> Markdown:
    """What the original leaves open: how it is done here, what else was tried, and how far that moves accuracy by mode."""
    target, most = ours.settings.target_train_accuracy, ours.settings.max_epochs
    of_mode = [None if mode == "running" else gain_over_running(mode) for mode in EVALUATIONS]
    rows = [
        ("statistics of BatchNorm in testing", "all three of @sec-evaluation", "batch and mixed instead of running", of_mode),
        ("momentum of SGD", f"{ours.settings.momentum:g}", "none",
         [change(literal, "original_test", "replay", mode) for mode in EVALUATIONS]),
        ("momentum when the second task begins", "starts at 0", *_moved("carry-optimizer")),
        ("order of the two updates", "new images, then memory", *_moved("memory-first")),
        ("memory images in an update", "one batch, drawn anew", *_moved("whole-memory")),
        ("BatchNorm of the frozen compressor", "frozen too", *_moved("adapting")),
        ("end of a training", f"{100 * target:g} % in training, or {most} epochs", *_moved("epochs 5")),
        ("size of the test batches", f"about {ours.settings.batch_size:,}", *_moved("batch 50")),
        ("scale of the pixels", "0 to 1", "no effect: BatchNorm follows", [None] * len(EVALUATIONS)),
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


def settings() -> Markdown:
    """Every setting: whether the original states it, and its value in this profile and in `literal`."""
    stated = {"train_share", "batch_size", "learning_rate", "memory_shares"}
    skip = {"latent_sample"}
    rows = []
    for name, value in ours.settings.as_dict().items():
        if name in skip:
            continue
        other = literal.settings.as_dict()[name]
        rows.append((name.replace("_", " "), "stated" if name in stated else "open", _plain(value), _plain(other)))
    return simple(("Setting", "Original", PROFILE, "literal"), rows)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "all" if value is None else escape(str(value))


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
    return simple(columns, rows or [(NOT_RUN, *[""] * 5)], numeric=(2, 3))


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


def precision() -> Markdown:
    """The case that was made in single precision and in bfloat16: epochs and accuracies, side by side."""
    rows = []
    for single, arm, other, same in paired(bf16):
        for measure in ("test", "original_test"):
            cells = [
                in_table(number(value))
                for evaluation in EVALUATIONS
                for record, of in ((single, arm), (other, same))
                if (value := accuracy(record, of, evaluation, measure)) is not None
            ]
            if cells:
                epochs = f"{arm['epochs']} / {same['epochs']}" if measure == "test" else ""
                rows.append((plots.arm_name(arm) if epochs else "", epochs, MEASURES[measure].lower(), *cells))
    first = "".join(f"<th rowspan=2>{name}</th>" for name in ("Arm", "Epochs", "Accuracy"))
    modes = "".join(f"<th colspan=2>{mode}</th>" for mode in EVALUATIONS)
    return html(
        [first + modes, "<th class=num>fp32</th><th class=num>bf16</th>" * len(EVALUATIONS)],
        [[_cells(row, range(3, 9)) for row in rows or [(NOT_RUN, *[""] * 8)]]],
    )


def checksums() -> Markdown:
    """SHA-256 of every data file, as verified before each run."""
    rows = [
        (title(name).html, escape(file), f"<code>{sha256[:16]}…</code>")
        for name in ours.datasets
        for file, sha256 in catalogue.checksums(name).items()
    ]
    return simple(("Data set", "File", "SHA-256"), rows)
