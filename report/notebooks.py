"""Pages of the executed notebooks, which the paper links to: one for each run, and a list of them.

    python report/notebooks.py [--output-dir report/_output] [--runs report/runs]

Every run of the profiles paper and literal, and of the one in LR_PROFILE, becomes `notebooks/<profile>/<run>.html` with
its notebook and its record beside it. Only what changed is converted; what is no longer among the runs is removed. The
sources are written too, as `source.zip`: the last commit, or where there is none the files as they are.
"""

from __future__ import annotations

import dataclasses
import filecmp
import functools
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from html import escape
from pathlib import Path

import click

from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue
from lr_lab.files import absolute, write_atomically
from lr_lab.runs import store
from lr_lab.runs.profiles import RESULTS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAPER = "Latent replay, re-run"
PREFIX = "latent-replay"  # the folder in source.zip
PARTS = (
    ".ci", ".gitignore", "CITATION.cff", "LICENSE", "Makefile", "README.md", "benchmarks", "conftest.py", "data", "docs",
    "environment.yml", "notebooks", "pyproject.toml", "report", "requirements.lock", "scripts", "src", "tests",
)  # fmt: skip
PROFILES = RESULTS  # all others are preliminary, and their pages say so

STYLE = """
.notebook .links { margin-bottom: 1.4rem; }
.notebook tbody th { white-space: nowrap; }
.notebook table:not(.full-width) th[scope="col"]:not(:first-child) { text-align: right; }
.notebook main .subtitle { margin: 1.8rem 0; }
.notebook main .cell { margin: 1rem 0; }
.notebook main pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 0.5rem; font-size: 0.82rem; font-family: var(--mono); }
.notebook main .output pre { background: none; padding-block: 0; }
.notebook main .output_svg img { display: block; height: auto; background: #ffffff; }
.highlight .k, .highlight .kn, .highlight .kc, .highlight .ow { color: color-mix(in srgb, var(--important) 75%, var(--ink)); }
.highlight [class^="s"] { color: color-mix(in srgb, var(--tip) 75%, var(--ink)); }
.highlight [class^="m"], .highlight .nb { color: color-mix(in srgb, var(--note) 75%, var(--ink)); }
.highlight [class^="c"] { color: var(--soft); font-style: italic; }
"""


@dataclass(frozen=True)
class Run:
    """A run that has a record and an executed notebook."""

    record: Path
    profile: str
    dataset: str  # its title; its name until that is known
    case: int
    seed: int
    epochs: int  # of all arms together
    seconds: float  # of all arms together

    @property
    def title(self) -> str:
        """Data set, case and seed in words."""
        return f"{self.dataset}, case {self.case}, seed {self.seed}"

    @property
    def facts(self) -> str:
        """Profile, epochs and training time in words."""
        return f"Profile {self.profile}, {self.epochs:,} epochs, {duration(self.seconds)} of training"

    @property
    def files(self) -> tuple[Path, Path]:
        """What is put beside the page: the record, then the notebook."""
        return self.record, self.record.with_suffix(".ipynb")


def duration(seconds: float) -> str:
    """A duration in the unit that suits it, as the paper has it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@click.command()
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=HERE / "_output",
    help="Where the paper is.  [default: report/_output]",
)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: absolute(os.environ.get("LR_RUNS") or HERE / "runs"),
    help="Folder of all runs.  [default: LR_RUNS, else report/runs]",
)
def main(output_dir: Path, runs: Path) -> None:
    """Write the pages of all runs to OUTPUT_DIR/notebooks."""
    try:
        output_dir, runs = absolute(output_dir), absolute(runs)
        write(find(runs), output_dir / "notebooks")
        archive(output_dir / "source.zip")
    except LatentReplayError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    click.echo(output_dir / "notebooks" / "index.html")


def find(folder: Path) -> list[Run]:
    """All runs of the profiles that are shown, in the order profile, data set, case, seed.

    Those of a data set that is not known here are left out, with a line for the set.
    """
    titles = {name: catalogue.describe(name).title for name in catalogue.DATASETS}
    found = [
        _read(path, profile)
        for profile in dict.fromkeys([*PROFILES, os.environ.get("LR_PROFILE", PROFILES[0])])
        for path in (folder / profile).glob("*.json")
        if path.with_suffix(".ipynb").is_file()
    ]
    for name in sorted({run.dataset for run in found} - set(titles)):
        click.echo(f"left out: the runs of {name}. {store.unknown_dataset(name)}", err=True)
    order = list(titles)
    known = [run for run in found if run.dataset in titles]
    known.sort(key=lambda run: (_rank(run.profile), order.index(run.dataset), run.case, run.seed))
    return [dataclasses.replace(run, dataset=titles[run.dataset]) for run in known]


def _rank(profile: str) -> int:
    return PROFILES.index(profile) if profile in PROFILES else len(PROFILES)


def _read(path: Path, profile: str) -> Run:
    # Not `store.read`, which verifies: the paper has done that.
    try:
        record = json.loads(path.read_bytes())
        run, arms = record["run"], record["arms"]
        epochs, seconds = (sum(arm[name] for arm in arms) for name in ("epochs", "seconds"))
        return Run(path, profile, str(run["dataset"]), run["case"], run["seed"], epochs, seconds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LatentReplayError(
            f"{path}: is no whole record ({error}); run the grid again, which sets it aside"
        ) from error


def write(runs: Iterable[Run], folder: Path) -> None:
    """Bring `folder` in line with `runs`: pages, notebooks, records, the style sheet and the list of all runs."""
    runs = list(runs)
    style = [(HERE / name).read_text(encoding="utf-8") for name in ("theme/paper.css", "render/page.css")]
    write_atomically(folder / "style.css", "\n".join([*style, STYLE]).encode())
    kept = set()
    for run in runs:
        target = folder / run.profile / f"{run.record.stem}.html"
        copies = {source: target.with_name(source.name) for source in run.files}
        kept |= {target, *copies.values()}
        if not _current(target, copies):
            write_atomically(target, notebook_page(run))
            for source, copy in copies.items():  # after the page: it is current once both are what it was made from
                write_atomically(copy, source.read_bytes())
                shutil.copystat(source, copy)
    for path in folder.glob("*/*-case*-seed*"):
        if path not in kept:
            path.unlink()
    write_atomically(folder / "index.html", list_page(runs))  # last: newer than all that it lists


def _current(page: Path, copies: Mapping[Path, Path]) -> bool:
    """Whether the page was made by this script from the very files that are there now."""
    return (
        page.is_file()
        and page.stat().st_mtime >= Path(__file__).stat().st_mtime
        and all(copy.is_file() and filecmp.cmp(source, copy) for source, copy in copies.items())
    )


def notebook_page(run: Run) -> bytes:
    """The page of one run."""
    import nbformat  # here, as nbconvert: seconds that nobody waits for when nothing has changed
    from bs4 import BeautifulSoup

    try:
        notebook = nbformat.read(run.files[1], as_version=4)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        word = str(error)[:160]
        raise LatentReplayError(
            f"{run.files[1]}: is no whole notebook ({word}); make it with `grid --force`"
        ) from error
    body, _ = _exporter().from_notebook_node(notebook)
    soup = BeautifulSoup(body, "html.parser")
    for heading in soup("h1"):  # the page has one of its own
        heading.name, heading["class"] = "p", "subtitle"
    for heading in soup("h2"):
        heading["id"] = anchor(heading.text)
    for picture in soup("img"):
        above = picture.find_previous("h2")
        picture["alt"] = f"{above.text if above else 'Figure'}: {run.title}. The numbers are in the record."
    for number, table in enumerate(soup("table"), 1):
        _dress(soup, table, f"Table {number}")
    contents = [(f"#{heading['id']}", heading.text) for heading in soup("h2")]
    elsewhere = [("../../index.html", "The paper"), ("../index.html", "All runs")]
    elsewhere += [(run.files[1].name, "Notebook"), (run.files[0].name, "Record (JSON)")]
    body = str(soup)
    for mark, code in (_code(cell.source) for cell in notebook.cells if cell.cell_type == "code"):
        body = body.replace(mark, code)
    return page(run.title, run.facts, "../", elsewhere, contents, body, run.profile)


@functools.cache
def _exporter():
    from nbconvert import HTMLExporter

    class Exporter(HTMLExporter):
        def get_prefix_root_dirs(self) -> list[str]:
            return [os.path.join(sys.prefix, "share", "jupyter")]  # a user may have templates of the same names

    return Exporter(
        template_name="basic",
        extra_template_basedirs=[],
        template_data_paths=[],
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"highlight_code": lambda source, metadata: _code(source)[0], "clean_html": lambda html: html},
    )


@functools.cache
def _code(source: str) -> tuple[str, str]:
    """A comment, and the coloured code for which it stands until the page is complete.

    Code is most of what a page would be parsed for, to no end, and the notebooks of all runs have nearly the same.
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    mark = f"<!-- code {hashlib.sha256(source.encode()).hexdigest()} -->"
    return mark, highlight(source, PythonLexer(), HtmlFormatter())


def _dress(soup, table, name: str) -> None:
    """Give a table of pandas the paper's looks, headers that say what they head, and an anchor for each row."""
    for style in table.parent("style"):
        style.decompose()
    table.attrs = {}
    for cell in table("th"):
        if not cell.text:
            cell.name = "td"
            continue
        row = cell.find_parent("tbody") is not None
        cell.attrs = {key: value for key, value in cell.attrs.items() if key == "colspan"}
        cell["scope"] = "row" if row else "colgroup" if "colspan" in cell.attrs else "col"
        if row and not soup.find(id=anchor(cell.text)):
            cell["id"] = anchor(cell.text)
    for cell in table.select("tbody td"):
        cell["class"] = "num"
    # On a phone it scrolls in a box of its own, which has to be reachable by keyboard.
    box = {"class": "table-scroll", "tabindex": "0", "role": "region", "aria-label": name}
    table.wrap(soup.new_tag("div", attrs=box))


def anchor(text: str) -> str:
    """What a heading or a row is called in a link: `replay 5 %` is `replay-5`."""
    return "-".join(re.findall(r"[\w.]+", text.lower()))


def list_page(runs: Iterable[Run]) -> bytes:
    """The list of all runs, a table for each profile."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.profile, []).append(run)
    columns = ("Data set", "Case", "Seed", "Epochs", "Time", "Files")
    head = "".join(f'<th scope="col"{_numeric(place)}>{name}</th>' for place, name in enumerate(columns))
    parts = []
    for profile, members in groups.items():
        rows = "".join(_row(run) for run in members)
        parts.append(
            f'<h2 id="{profile}">Profile {profile}</h2>\n<div class="table-scroll" tabindex="0" role="region" '
            f'aria-labelledby="{profile}">\n<table class="full-width"><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>'
            "</table>\n</div>"
        )
    contents = [(f"#{profile}", f"Profile {profile}") for profile in groups]
    preliminary = next((profile for profile in groups if profile not in PROFILES), PROFILES[0])
    intro = "Epochs and training time are those of all arms of a run together."
    body = "\n".join(parts) or "<p>There are no runs yet.</p>"
    return page("Executed notebooks", intro, "", [("../index.html", "The paper")], contents, body, preliminary)


def _numeric(place: int) -> str:
    return ' class="num"' if 1 <= place <= 4 else ""


def _row(run: Run) -> str:
    def link(suffix: str, text: str, label: str) -> str:
        return f'<a href="{run.profile}/{run.record.stem}{suffix}" aria-label="{escape(label)}">{escape(text)}</a>'

    cells = [link(".html", run.dataset, run.title), run.case, run.seed, f"{run.epochs:,}", duration(run.seconds)]
    cells.append(
        f"{link('.ipynb', 'notebook', f'notebook of {run.title}')}, {link('.json', 'record', f'record of {run.title}')}"
    )
    return f"<tr>{''.join(f'<td{_numeric(place)}>{cell}</td>' for place, cell in enumerate(cells))}</tr>\n"


def page(
    title: str,
    subtitle: str,
    up: str,
    elsewhere: Iterable[tuple[str, str]],
    contents: Iterable[tuple[str, str]],
    body: str,
    profile: str,
) -> bytes:
    """A page with the paper's looks; `up` leads to the folder with style.css, links are (href, text)."""

    def links(pairs: Iterable[tuple[str, str]]) -> str:
        items = (f'<li><a href="{href}">{escape(text)}</a></li>' for href, text in pairs)
        return f"<ul>{''.join(items)}</ul>"

    banner = f'<p class="page-banner" role="status">Profile {profile}: not the results of the paper</p>\n'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} – {PAPER}</title>
<link rel="stylesheet" href="{up}style.css">
</head>
<body class="paper notebook">
<a class="skip" href="#content">Skip to the text</a>
{"" if profile in PROFILES else banner}<header class="title-block">
<h1>{escape(title)}</h1>
<p class="date">{escape(subtitle)}</p>
<nav class="links" aria-label="Elsewhere">{links(elsewhere)}</nav>
</header>
<nav id="TOC" aria-label="Contents">{links(contents)}</nav>
<main id="content">
{body}
</main>
</body>
</html>
""".encode()


def archive(target: Path) -> None:
    """The sources as a zip file: the last commit, or where there is none the files as they are."""
    content = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-c", "core.autocrlf=false", "archive", "--format=zip", f"--prefix={PREFIX}/", "HEAD"]
        made = subprocess.run(command, cwd=ROOT, capture_output=True)
        content = made.stdout if made.returncode == 0 else None
    write_atomically(target, content or _zipped())


def _zipped() -> bytes:
    """A zip file of `PARTS` without what .gitignore names."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]

    def kept(path: Path) -> bool:
        place = path.relative_to(ROOT)
        return not any(
            place.is_relative_to(name) if "/" in name else any(fnmatch(part, name) for part in place.parts)
            for name in ignored
        )

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as file:
        for part in PARTS:
            found = [ROOT / part] if (ROOT / part).is_file() else sorted((ROOT / part).rglob("*"))
            for path in found:
                if path.is_file() and kept(path):
                    file.write(path, f"{PREFIX}/{path.relative_to(ROOT).as_posix()}")
    return buffer.getvalue()


if __name__ == "__main__":
    main(prog_name="python report/notebooks.py")
