"""Published accuracies beside ours: Tables 4 to 12, and mean and largest differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from IPython.display import Markdown

from analysis.edition import PROFILE, Runs, bf16, literal, ours
from analysis.findings import gaps, mean_gap, paired
from analysis.published import MEASURES, published_value
from analysis.sourced import Value, accuracy, mean
from analysis.verdicts import half_width_of_mean
from lr_core.memory import pixel_share
from lr_core.settings import EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.runs.profiles import find_profile
from sentences.provenance import in_table, number
from sentences.titles import title
from sentences.words import NOT_RUN
from tables.html_table import cells_of, html_table, simple_table

STEPS = (0.005, 0.02, 0.05, 0.15)  # limits of the shades of a difference


# The shade of a difference once more, for those who see no colours or print without: the larger, the fuller.
FILLINGS = ("", "▁", "▃", "▅", "▇")


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
    upper = cells_of(columns, [columns.index("Published")], "th rowspan=2")
    groups = "".join(f'<th colspan="{len(modes)}">{name}</th>' for name in profiles)
    below = "".join(f'<th class="num">{mode}</th>' for mode in modes) * len(profiles)
    bodies = [
        ["".join(row(case, share, measure)) for share in shares for measure in measures]
        for case in find_profile(ours.profile).cases
    ]
    return html_table([upper + groups, below], bodies)


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
        seeds = len({record["run"]["seed"] for record in literal.of(dataset)})
        return {"Ours, momentum": ours, f"Ours, plain SGD (n&nbsp;=&nbsp;{seeds})": literal}
    return {"Ours": ours}


def _modes(name: str) -> Sequence[str]:
    # With one task learned there is nothing to mix: `mixed` equals `batch`.
    return EVALUATIONS[:2] if name == "first-task" else EVALUATIONS


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
        return simple_table(("Arm", "Accuracy", *modes), rows, numeric)
    upper = cells_of(("Arm", "Accuracy"), (), "th rowspan=2")
    upper += cells_of(list(groups), (), f"th colspan={len(EVALUATIONS)}")
    return html_table([upper, cells_of(modes, range(len(modes)), "th")], [[cells_of(row, numeric) for row in rows]])


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
    upper += cells_of([MEASURES[measure] for measure in measures], (), f"th colspan={len(EVALUATIONS)}")
    modes = [*EVALUATIONS] * len(measures)
    body = [cells_of(row, range(1, 1 + len(modes))) for row in rows or [(NOT_RUN, *[""] * len(modes))]]
    return html_table([upper, cells_of(modes, range(len(modes)), "th")], [body])


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
    return simple_table(columns, rows or [(NOT_RUN, *[""] * 6)], numeric=(4, 5, 6))


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
    return html_table(
        [first + modes, "<th class=num>fp32</th><th class=num>bf16</th>" * len(EVALUATIONS)],
        [[cells_of(row, range(3, 9)) for row in rows or [(NOT_RUN, *[""] * 8)]]],
    )
