"""Pages of the executed notebooks, which the paper links to: one for each run, and a list of them.

    python report/notebooks.py [--output-dir report/_output] [--runs report/runs] [--profile quick]

Every run of the profiles that are results, and of the profile named, becomes `notebooks/<profile>/<run>.html` with its
notebook and its record beside it. Only what changed is converted; pages of runs that are gone are removed. The pages'
templates are in `notebook/`. The sources of the project are written too, as `source.zip`.
"""

from __future__ import annotations

import dataclasses
import filecmp
import functools
import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import click
import jinja2

import archive
from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue
from lr_lab.files import absolute, write_atomically
from lr_lab.runs import results, store
from lr_lab.runs.profiles import RESULTS
from sentences.words import hours

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "notebook"
STYLES = (HERE / "theme" / "paper.css", HERE / "render" / "page.css", TEMPLATES / "notebook.css")


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
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.record.with_suffix(".ipynb")

    @property
    def title(self) -> str:
        """Data set, case and seed in words."""
        return f"{self.dataset}, case {self.case}, seed {self.seed}"


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
    envvar="LR_RUNS",
    default=HERE / "runs",
    help="Folder of all runs.  [default: LR_RUNS, else report/runs]",
)
@click.option("--profile", envvar="LR_PROFILE", help="A profile to show beside the results.  [default: LR_PROFILE]")
def main(output_dir: Path, runs: Path, profile: str | None) -> None:
    """Write the pages of all runs to OUTPUT_DIR/notebooks."""
    try:
        output_dir, runs = absolute(output_dir), absolute(runs)
        write(find(runs, profile), output_dir / "notebooks")
        archive.write(output_dir / "source.zip")
    except LatentReplayError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    click.echo(output_dir / "notebooks" / "index.html")


def find(folder: Path, profile: str | None = None) -> list[Run]:
    """All runs of the results, and of one more profile, in the order profile, data set, case, seed.

    Runs of a data set that is not known here are left out, with a line for the set.
    """
    titles = {name: catalogue.describe(name).title for name in (*catalogue.DATASETS, *catalogue.PAIRS)}
    profiles = list(dict.fromkeys([*RESULTS, profile or RESULTS[0]]))
    found = [
        _read(path, profile)
        for profile in profiles
        for path in (folder / profile).glob("*.json")
        if path.with_suffix(".ipynb").is_file()
    ]
    for name in sorted({run.dataset for run in found} - set(titles)):
        click.echo(f"left out: the runs of {name}. {store.unknown_dataset(name)}", err=True)
    order = list(titles)
    known = [run for run in found if run.dataset in titles]
    known.sort(key=lambda run: (profiles.index(run.profile), order.index(run.dataset), run.case, run.seed))
    return [dataclasses.replace(run, dataset=titles[run.dataset]) for run in known]


def _read(path: Path, profile: str) -> Run:
    # Not `store.read`, which verifies: the paper has done that.
    try:
        record = json.loads(path.read_bytes())
        run, arms = record["run"], record["arms"]
        epochs, seconds = sum(map(results.epochs, arms)), sum(arm["seconds"] for arm in arms)
        return Run(path, profile, str(run["dataset"]), run["case"], run["seed"], epochs, seconds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LatentReplayError(
            f"{path}: is no whole record ({error}); run the grid again, which sets it aside"
        ) from error


def write(runs: Iterable[Run], folder: Path) -> None:
    """Bring `folder` in line with `runs`: pages, notebooks, records, the style sheet and the list of all runs."""
    runs = list(runs)
    write_atomically(folder / "style.css", "\n".join(path.read_text(encoding="utf-8") for path in STYLES).encode())
    kept = set()
    for run in runs:
        target = folder / run.profile / f"{run.record.stem}.html"
        copies = {source: target.with_name(source.name) for source in (run.record, run.notebook)}
        kept |= {target, *copies.values()}
        if not _current(target, copies):
            write_atomically(target, notebook_page(run).encode())
            for source, copy in copies.items():  # after the page: it is current once both are what it was made from
                write_atomically(copy, source.read_bytes())
                shutil.copystat(source, copy)
    for path in folder.glob("*/*-case*-seed*"):
        if path not in kept:
            path.unlink()
    write_atomically(folder / "index.html", list_page(runs).encode())  # last: newer than all that it lists


def _current(page: Path, copies: Mapping[Path, Path]) -> bool:
    """Whether the page was made by these templates from the very files that are there now."""
    made_by = (Path(__file__), *TEMPLATES.iterdir())
    return (
        page.is_file()
        and page.stat().st_mtime >= max(path.stat().st_mtime for path in made_by)
        and all(copy.is_file() and filecmp.cmp(source, copy) for source, copy in copies.items())
    )


def list_page(runs: Iterable[Run]) -> str:
    """The list of all runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.profile, []).append(run)
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    templates.filters["hours"] = hours
    return templates.get_template("list.html.j2").render(
        groups=groups, results=RESULTS, contents=[(profile, f"Profile {profile}") for profile in groups]
    )


def notebook_page(run: Run) -> str:
    """The page of one run."""
    import nbformat  # here, as nbconvert: both take long to import, and often no page has changed

    try:
        notebook = nbformat.read(run.notebook, as_version=4)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        word = str(error)[:160]
        raise LatentReplayError(
            f"{run.notebook}: is no whole notebook ({word}); make it with `grid --force`"
        ) from error
    contents = make_accessible(notebook, run.title)
    page, _ = _exporter().from_notebook_node(notebook, {"run": run, "contents": contents, "results": RESULTS})
    return page


@functools.cache
def _exporter():
    from nbconvert import HTMLExporter

    # No templates but these: a user may have some of the same name, and nbconvert's own may lie below another prefix.
    exporter = HTMLExporter(template_paths=[str(TEMPLATES)], exclude_anchor_links=True, filters={"hours": hours})
    exporter.environment.autoescape = True
    return exporter


def make_accessible(notebook, title: str) -> list[tuple[str, str]]:
    """Add to a notebook what a page needs: anchors, descriptions of figures, headers of tables.

    Returns the table of contents: (anchor, text) of every second-level heading.
    """
    contents: list[tuple[str, str]] = []
    numbers = itertools.count(1)  # of tables

    def heading(found: re.Match[str]) -> str:
        level, text = len(found[1]), found[2]
        if level == 1:  # the page has a first-level heading of its own
            return f'<p class="subtitle">{escape(text)}</p>'
        contents.append((anchor(text), text))
        return f'<h2 id="{anchor(text)}">{escape(text)}</h2>'

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^(##?) +(.*)$", heading, cell.source, flags=re.MULTILINE)
        for output in cell.get("outputs", ()):
            if "data" not in output:
                continue
            section = contents[-1][1] if contents else "Figure"
            output.metadata["alt"] = f"{section}: {title}. The numbers are in the record."
            if "text/html" in output.data:
                output.data["text/html"] = _dressed(output.data["text/html"], numbers)
    return contents


def _dressed(html: str, numbers: Iterator[int]) -> str:
    """Tables of pandas in the paper's looks: headers with a scope, and an anchor for each row of a page's first table."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for tag in soup(["style", "script"]):
        tag.decompose()
    for table in soup("table"):
        number = next(numbers)
        table.attrs = {}
        for cell in table("th"):
            if not cell.text:
                cell.name = "td"
                continue
            row = cell.find_parent("tbody") is not None
            cell.attrs = {key: value for key, value in cell.attrs.items() if key == "colspan"}
            cell["scope"] = "row" if row else "colgroup" if "colspan" in cell.attrs else "col"
            if row and number == 1 and not soup.find(id=anchor(cell.text)):
                cell["id"] = anchor(cell.text)
        for cell in table.select("tbody td"):
            cell["class"] = "num"
        # On a phone it scrolls in a box of its own. The box has to be reachable by keyboard.
        box = {"class": "table-scroll", "tabindex": "0", "role": "region", "aria-label": f"Table {number}"}
        table.wrap(soup.new_tag("div", attrs=box))
    return str(soup)


def anchor(text: str) -> str:
    """The name of a heading or a row in a link: `replay 5 %` is `replay-5`."""
    return "-".join(re.findall(r"[\w.]+", text.lower()))


if __name__ == "__main__":
    main(prog_name="python report/notebooks.py")
