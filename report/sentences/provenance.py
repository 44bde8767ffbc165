"""Numbers on the page that say where they come from, and what the page knows of the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from IPython.display import Markdown

from analysis.edition import REPORT, cited_records
from analysis.sourced import Value, run_name, sources_of
from lr_lab import plots
from lr_lab.runs import results
from sentences.titles import title
from sentences.words import NOT_RUN


def page(record: dict) -> str:
    """The executed notebook of a run, as a page beside the paper."""
    return f"notebooks/{run_name(record)}.html"


def _references(sources: Iterable[str]) -> str:
    """Arms by their places: "0-2,5:1,3" is arms 1 and 3 of the cited runs 0 to 2 and 5. Short, for a page has thousands."""
    places = {run_name(record): place for place, record in enumerate(cited_records())}
    arms: dict[int, list[int]] = {}
    for name in sources:
        run, _, arm = name.rpartition("/")
        arms.setdefault(places[run], []).append(int(arm))
    runs: dict[str, list[int]] = {}
    for run in sorted(arms):
        runs.setdefault(_ranges(sorted(arms[run])), []).append(run)
    return " ".join(f"{_ranges(found)}:{of}" for of, found in runs.items())


def _ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


@dataclass(frozen=True)
class SourcedText:
    """A formatted number. On the page, pointing at it shows the runs that it comes from."""

    text: str
    sources: frozenset[str]

    def __str__(self) -> str:
        return f'[{self.text}]{{.from tabindex="0" from="{_references(self.sources)}"}}'

    def _repr_markdown_(self) -> str:
        return str(self)

    @property
    def html(self) -> str:
        """For table cells; a number of one run is a link to that run's notebook."""
        runs = {name.rpartition("/")[0] for name in self.sources}
        tag, link = "span", ' tabindex="0"'
        if len(runs) == 1:
            tag, link = "a", f' href="notebooks/{runs.pop()}.html"'
        return f'<{tag} class="from"{link} data-from="{_references(self.sources)}">{escape(self.text)}</{tag}>'


def number(value: float | None, form: str = ".4f", unit: str = "") -> SourcedText | str:
    """A formatted value with a real minus sign, or "(not run)" for None."""
    if value is None:
        return f"({NOT_RUN})"
    text = format(value, form).replace("-", "−") + unit
    sources = sources_of(value)
    return SourcedText(text, sources) if sources else text


def percent(value: float | None, decimals: int = 1) -> SourcedText | str:
    """A share in percent."""
    return number(_scaled(value), f".{decimals}f", "\N{NO-BREAK SPACE}%")


def points(value: float | None, decimals: int = 1) -> SourcedText | str:
    """A difference of shares in percentage points."""
    return number(_scaled(value), f".{decimals}f", "\N{NO-BREAK SPACE}points")


def points_alone(value: float | None, decimals: int = 1) -> SourcedText | str:
    """The same without its unit."""
    return number(_scaled(value), f".{decimals}f")


def _scaled(value: float | None) -> float | None:
    return None if value is None else Value(100 * value, sources_of(value))


def in_table(number: SourcedText | str) -> str:
    """A formatted number as the content of a table cell."""
    return number.html if isinstance(number, SourcedText) else escape(number)


def _made(arm: Mapping) -> list[str]:
    by = arm["provenance"]
    return [f"{by['processor']}, {by['precision']}", (by["commit"] or "unknown")[:7]]


def _place(known: list, entry: object) -> int:
    """The place of an entry in a list, to which it is added where it is new."""
    if entry not in known:
        known.append(entry)
    return known.index(entry)


def page_data() -> Markdown:
    """The page's scripts, and what they read: every run that this document cites, with its arms."""
    runs: list[dict] = []
    names: list[str] = []  # of arms
    made: list[list[str]] = []  # machine and commit, which many arms share
    for record in cited_records():
        run = record["run"]
        arms = [
            (_place(names, plots.arm_name(arm)), results.epochs(arm), round(arm["seconds"]), _place(made, _made(arm)))
            for arm in record["arms"]
        ]
        name = f"{title(run['dataset'])}, case {run['case']}, seed {run['seed']}"
        runs.append({"title": name, "profile": record["profile"], "page": page(record), "arms": arms})
    data = json.dumps({"runs": runs, "names": names, "made": made}, separators=(",", ":")).replace("<", "\\u003c")
    script = "".join((REPORT / "theme" / name).read_text(encoding="utf-8") for name in ("provenance.js", "floats.js"))
    return Markdown(
        f'```{{=html}}\n<script type="application/json" id="provenance">{data}</script>\n<script>\n{script}</script>\n```'
    )
