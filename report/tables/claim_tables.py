"""The ledger of claims, in full and at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from IPython.display import Markdown

from analysis import claims
from lr_core.settings import EVALUATIONS
from lr_lab.data import catalogue
from sentences.titles import title
from sentences.words import NOT_RUN
from tables.html_table import cells_of, html_table

OUR_QUESTIONS = "Not claimed by the original: our own questions"


SIGNS = {"holds": "✓", "fails": "✗", "undecided": "?", "toy": "~"}


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
        cells = [cells_of([shown, seeds or ("–" if claim.datasets else "")], [1])]
        cells += [_judged(entry) for entry in entries]
        if claims.is_ours(claim) and OUR_QUESTIONS not in bodies:
            bodies[OUR_QUESTIONS] = [f'<th colspan="7">{OUR_QUESTIONS}</th>']
        bodies.setdefault(claim.name, []).append(head + "".join(cells) + f"<td>{claims.overall(entries) or '–'}</td>")
    columns = ("Claim", "Data set", "Seeds", *EVALUATIONS, "Verdict")
    widths = (0.34, 0.12, 0.07, *[0.12] * len(EVALUATIONS), 0.11)
    return html_table([cells_of(columns, (2, 3, 4, 5), "th")], bodies.values(), "ledger", widths)


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
    return (
        f'<td class="num">{text.replace("-", "−")}<br><span class="delta">{entry.verdict or "no interval"}</span></td>'
    )


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
    upper += cells_of([title(name).html for name in names], (), f"th colspan={len(EVALUATIONS)}")
    below = f'<th class="sign">{"</th><th class=sign>".join(EVALUATIONS)}</th>' * len(names)
    share = 0.54 / (len(names) * len(EVALUATIONS))
    return html_table([upper, below], [body], widths=[0.46, *[share] * (len(names) * len(EVALUATIONS))])


def _signs(entries: Sequence[claims.Entry]) -> str:
    """A cell for each evaluation mode; one sign in the middle where the mode has no part in the number."""
    signs = [SIGNS.get(entry.verdict or "", "–") for entry in entries]
    if len({float(entry.estimate.value) for entry in entries if entry.estimate}) == 1:
        return f'<td></td><td class="sign">{signs[0]}</td><td></td>'
    return "".join(f'<td class="sign">{sign}</td>' for sign in signs)
