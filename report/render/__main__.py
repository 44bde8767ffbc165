"""Render a Quarto document without Quarto: run its cells, then write one HTML file and one PDF.

    python report/render [report/index.qmd] [--output-dir report/_output]

The way through: source.split -> execute.run -> pandoc with document.lua -> HTML, and typst -> PDF.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import click
import pypandoc
import typst
from source import FIXED, QUARTO_ONLY, Cell, Problem, Source, load_yaml, split

from lr_core.errors import LatentReplayError
from lr_lab.files import absolute

HERE = Path(__file__).parent
# No metadata of the paper.
ORDINARY = QUARTO_ONLY | FIXED.keys() | {"project", "format", "execute", "jupyter", "engine", "filters", "fig-format"}


@click.command()
@click.argument(
    "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=HERE.parent / "index.qmd"
)
@click.option("--output-dir", type=click.Path(file_okay=False, path_type=Path), help="Default: what _quarto.yml names.")
def main(document: Path, output_dir: Path | None) -> None:
    """Render DOCUMENT to HTML and PDF."""
    try:
        for path in render(document, output_dir and absolute(output_dir)):
            click.echo(path)
    except (Problem, LatentReplayError) as problem:
        click.echo(problem, err=True)
        raise SystemExit(1) from None


def render(document: Path, output_dir: Path | None = None) -> list[Path]:
    """Render `document`; the paths of both files. Either both are written or none."""
    project_file = document.parent / "_quarto.yml"
    project = load_yaml(project_file, project_file.read_text(encoding="utf-8")) if project_file.exists() else {}
    source = split(document)
    source.metadata = merged(project, source.metadata)
    output_dir = output_dir or document.parent / source.metadata.get("project", {}).get("output-dir", "")
    date = publication_date(source)
    epoch = int(datetime.datetime.combine(date, datetime.time(), datetime.UTC).timestamp()) if date else 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if any(isinstance(part, Cell) or part.expressions for part in source.parts):
            from execute import run  # seconds of imports that a document without code need not wait for

            run(source, folder, epoch)
        names = {kind: file_name(source, kind, suffix) for kind, suffix in (("html", ".html"), ("typst", ".pdf"))}
        page = convert(source, "html", folder, date, {"pdf": names["typst"]})
        # Line breaks of the source between cells and after <br>: each would be a node of the page, some five thousand in all.
        page = re.sub(r"\n(?=</?(?:t[dhr]|tbody|thead|colgroup|col)\b)|(?<=<br />)\n", "", page)
        (folder / "main.typ").write_text(convert(source, "typst", folder, date, {}), encoding="utf-8")
        try:  # no fonts but those that every machine has: the PDF is the same everywhere
            pdf = typst.compile(
                folder / "main.typ", root=folder, timestamp=epoch, ignore_system_fonts=True, font_paths=font_folders()
            )
        except typst.TypstError as error:
            raise Problem(document, None, f"typst cannot set the PDF: {error.message}") from None
    written = {output_dir / names["html"]: page.encode(), output_dir / names["typst"]: pdf}
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        for path, data in written.items():
            path.with_name(path.name + ".part").write_bytes(data)
        for path in written:
            os.replace(path.with_name(path.name + ".part"), path)
    except OSError as error:
        raise Problem(output_dir, None, f"cannot write here ({error.strerror}); give another --output-dir") from None
    return list(written)


def merged(project: dict, document: dict) -> dict:
    """The document's settings over the project's, level by level."""
    both = {
        key: merged(project[key], document[key])
        for key in project.keys() & document.keys()
        if isinstance(project[key], dict) and isinstance(document[key], dict)
    }
    return project | document | both


def font_folders() -> list[Path]:
    """Fonts that come with the project's packages, for signs that typst's own fonts lack (hiragana among them)."""
    found = (importlib.util.find_spec(name) for name in ("matplotlib_fontja", "matplotlib"))
    folders = [Path(spec.origin).parent for spec in found if spec]
    return [
        path
        for folder in folders
        for path in (folder / "fonts", folder / "mpl-data" / "fonts" / "ttf")
        if path.is_dir()
    ]


def publication_date(source: Source) -> datetime.date | None:
    """The date in the title block, which is also the PDF's and the figures' own: no output says when it was rendered."""
    date = source.metadata.get("date")
    try:
        return date if date is None or isinstance(date, datetime.date) else datetime.date.fromisoformat(str(date))
    except ValueError:
        raise Problem(
            source.path, source.line_of(f"date: {date}"), f"date '{date}' is no date; write YYYY-MM-DD"
        ) from None


def settings(source: Source, kind: str) -> dict:
    """What `format: <kind>` sets, if anything."""
    value = (source.metadata.get("format") or {}).get(kind)
    return value if isinstance(value, dict) else {}


def file_name(source: Source, kind: str, suffix: str) -> str:
    """What `output-file` says for this format, else the document's own name."""
    stem = str(settings(source, kind).get("output-file", source.path.stem))
    return stem if stem.endswith(suffix) else stem + suffix


def convert(source: Source, kind: str, folder: Path, date: datetime.date | None, extra: dict) -> str:
    """The document as a complete HTML page or as typst source; images for typst go to `folder`."""
    theme = HERE.parent / "theme"
    own = settings(source, kind)
    metadata = {key: value for key, value in (source.metadata | own).items() if key not in ORDINARY} | extra
    if date:
        metadata |= {"date": f"{date.day} {date:%B %Y}", "date-iso": date.isoformat()}
    if kind == "typst":
        metadata["section-numbering"] = "1.1" if metadata.get("number-sections") else ""
        template = (HERE / "preamble.typ", theme / "typst-template.typ", theme / "typst-show.typ")
        text = "\n".join(path.read_text(encoding="utf-8") for path in template) + "\n$body$\n"
        options, writer = (
            ["--wrap=none", "--syntax-highlighting=idiomatic"],
            "typst-citations",
        )  # citations are text by then
    else:
        text = (HERE / "page.html").read_text(encoding="utf-8")
        styles = [source.path.parent / name for name in [own["css"]] if isinstance(name, str)] if "css" in own else []
        options, writer = ["--mathml", "--wrap=none", "--toc", f"--toc-depth={metadata.get('toc-depth', 3)}"], "html"
        css = "\n".join(path.read_text(encoding="utf-8") for path in [*styles, HERE / "page.css"])
        text = text.replace("/*style*/", css.replace("$", "$$"))
    (folder / "template").write_text(text, encoding="utf-8")
    (folder / "metadata.json").write_text(json.dumps(metadata, default=str), encoding="utf-8")
    command = [
        pypandoc.get_pandoc_path(),
        "--from=markdown",
        f"--to={writer}",
        "--standalone",
        "--template",
        folder / "template",
        "--metadata-file",
        folder / "metadata.json",
        "--lua-filter",
        HERE / "document.lua",
        "--lua-filter",
        theme / "cells.lua",
        *options,
    ]
    body = "\n".join(part.markdown for part in source.parts)
    done = subprocess.run(
        command,
        input=body,
        text=True,
        encoding="utf-8",
        capture_output=True,
        cwd=source.path.parent,
        env=os.environ | {"RENDER_MEDIA": str(folder)},
    )
    complain(source, done.stderr)
    if done.returncode:
        raise Problem(source.path, None, " ".join(done.stderr.split()))
    return done.stdout


def complain(source: Source, messages: str) -> None:
    """Raise the first problem that document.lua reported, else the first warning of pandoc's."""
    for message in sorted(messages.splitlines(), key=lambda message: message.startswith("[WARNING]")):
        if message.startswith("problem\t"):
            _, needle, what = message.split("\t", 2)
            raise Problem(source.path, source.line_of(needle), what)
        if message.startswith("[WARNING]"):
            raise Problem(source.path, None, message.removeprefix("[WARNING] "))


if __name__ == "__main__":
    main(prog_name="python report/render")
