"""The source of a document: its YAML, its text and its Python cells, each with the line where it starts.

Reading order: Problem, Source, Cell, Prose, split.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

CELL_OPTIONS = {
    "label",
    "fig-cap",
    "fig-alt",
    "fig-subcap",
    "tbl-cap",
    "echo",
    "eval",
    "include",
    "output",
    "warning",
    "layout-ncol",
    "column",
}
COLUMNS = {"page", "body-outset"}
SHORTCODES = {"pagebreak": "\n```{=typst}\n#pagebreak(weak: true)\n```\n"}
FIXED = {  # what this renderer always writes, and Quarto only when it is told
    "date-format": "D MMMM YYYY",
    "crossref": {"title-delim": "."},
}
QUARTO_ONLY = {  # choices that Quarto's page offers; the page of this renderer has them made, so they change nothing here
    "theme",  # Bootstrap, light and dark
    "respect-user-color-scheme",  # the page follows the reader's system
    "toc-location",  # left
    "toc-expand",  # all levels are open
    "format-links",  # the title block links the PDF
}
METADATA = {  # what the two templates or pandoc make use of; anything else would be dropped without a word
    "title",
    "subtitle",
    "shorttitle",
    "author",
    "date",
    "abstract",
    "keywords",
    "lang",
    "banner",
    "other-links",
    "bibliography",
    "csl",
    "link-citations",
    "nocite",
    "number-sections",
    "toc",
    "toc-depth",
    "toc-title",
    "format",
    "execute",
    "jupyter",
    "engine",
    "project",
    "filters",
    "fig-format",
    "suppress-bibliography",
    *FIXED,
    *QUARTO_ONLY,
}
FORMATS = {
    "html": {
        *QUARTO_ONLY,
        "css",
        "toc",
        "toc-depth",
        "toc-title",
        "number-sections",
        "embed-resources",
        "html-math-method",
        "output-file",
        "other-links",
    },
    "typst": {"output-file", "citeproc", "template-partials", "number-sections"},
}
INLINE = re.compile(r"(?<!`)`\{python\}\s+([^`]+)`(?!`)")
SHORTCODE = re.compile(r"(?<!\{)\{\{<\s*(\S+)(.*?)>\}\}")
FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*(.*)$")


class Problem(Exception):
    """What an author can put right: one line that names the file, the line, what is wrong and what would be right."""

    def __init__(self, path: Path, line: int | None, what: str):
        near = os.path.relpath(path)
        path = path if near.startswith("..") else near  # as the author would type it
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")


@dataclass
class Cell:
    """A Python cell."""

    line: int  # of the opening fence
    code: str
    options: dict = field(default_factory=dict)
    option_lines: int = 0  # `#|` lines, which the kernel never sees
    markdown: str = ""  # what the cell came to, once it has run


@dataclass
class Prose:
    """The text between two cells."""

    line: int
    text: str
    expressions: list[tuple[int, str]] = field(default_factory=list)  # inline `{python}`, in order
    markdown: str = ""


@dataclass
class Source:
    """A document as it was read: `parts` are in document order, `metadata` includes what _quarto.yml says."""

    path: Path
    metadata: dict
    parts: list[Cell | Prose]

    def line_of(self, needle: str) -> int | None:
        """The first line of prose with `needle`, else of the cell whose output has it, else of any text."""
        pattern = re.compile(re.escape(needle) + r"(?![\w-])")
        for part in self.parts:
            if isinstance(part, Prose):
                for offset, line in enumerate(part.text.splitlines()):
                    if pattern.search(line):
                        return part.line + offset
        for part in self.parts:
            if pattern.search(part.markdown) or isinstance(part, Cell) and needle in str(part.options):
                return part.line
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return next((number for number, line in enumerate(lines, 1) if pattern.search(line)), None)


def load_yaml(path: Path, text: str, offset: int = 0) -> dict:
    """A YAML mapping; `offset` lines of the file stand before `text`."""
    try:
        value = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(path, mark.line + 1 + offset if mark else None, f"not valid YAML: {error.problem}") from None
    if not isinstance(value, dict):
        raise Problem(path, offset + 1, "expected 'key: value' lines")
    for key in value.keys() - METADATA:
        raise Problem(
            path,
            offset + key_line(text, key),
            f"metadata '{key}' is not supported; known: {', '.join(sorted(METADATA))}",
        )
    for key in value.keys() & FIXED.keys():
        if value[key] != FIXED[key]:
            raise Problem(path, offset + key_line(text, key), f"'{key}' can only be {json.dumps(FIXED[key])}")
    formats = value.get("format") or {}
    for name, options in formats.items() if isinstance(formats, dict) else ():
        if name not in FORMATS:
            raise Problem(
                path, offset + key_line(text, "format"), f"format '{name}' is not supported; known: html, typst"
            )
        for key in (options if isinstance(options, dict) else {}).keys() - FORMATS[name]:
            raise Problem(
                path,
                offset + key_line(text, key),
                f"option '{key}' of format '{name}' is not supported; known: {', '.join(sorted(FORMATS[name]))}",
            )
    return value


def key_line(text: str, key: str) -> int:
    """The number of the line that sets `key`, from 1."""
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.lstrip().startswith(f"{key}:")), 1)


def split(path: Path) -> Source:
    """Read a .qmd: front matter, prose and cells in document order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    body, metadata = 0, {}
    if lines and lines[0].strip() == "---":
        body = next((n for n, line in enumerate(lines) if n and line.strip() in ("---", "...")), 0) + 1
        if body == 1:
            raise Problem(path, 1, "the YAML block has no end; close it with a line '---'")
        metadata = load_yaml(path, "\n".join(lines[1 : body - 1]), 1)
        for number, line in enumerate(lines[1 : body - 1], 2):
            if INLINE.search(line):
                raise Problem(
                    path,
                    number,
                    "inline code is not evaluated in YAML; print a YAML block from a cell with 'output: asis'",
                )
    parts: list[Cell | Prose] = []
    prose: list[str] = []
    start = number = body
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if not fence:
            prose.append(lines[number])
            number += 1
            continue
        end = next(
            (n for n in range(number + 1, len(lines)) if re.fullmatch(rf"\s*{fence[1]}{fence[1][0]}*\s*", lines[n])),
            None,
        )
        if end is None:
            raise Problem(path, number + 1, f"the code block has no end; close it with '{fence[1]}'")
        language = re.match(r"\{(\w+)\b[^}]*\}", fence[2])
        if language and language[1] != "python":
            raise Problem(path, number + 1, f"a cell in '{language[1]}'; only {{python}} cells are supported")
        if language:
            parts += read_prose(path, start, prose), read_cell(path, number + 1, lines[number + 1 : end])
            prose, start = [], end + 1
        else:
            prose += (
                line.replace("`{python}", "`{\0python}").replace("{{<", "{\0{<") for line in lines[number : end + 1]
            )
        number = end + 1
    parts.append(read_prose(path, start, prose))
    return Source(path, metadata, parts)


def read_prose(path: Path, start: int, lines: list[str]) -> Prose:
    """Text between cells. Code blocks in it carry a NUL behind each brace, so that nothing in them is evaluated."""
    text = "\n".join(lines)
    for number, line in enumerate(lines, start + 1):
        for name, _ in SHORTCODE.findall(line):
            if name not in SHORTCODES:
                raise Problem(path, number, f"shortcode '{name}' is not supported; known: {', '.join(SHORTCODES)}")
    part = Prose(start + 1, text, markdown=resolve(text))
    for number, line in enumerate(lines, part.line):
        part.expressions += ((number, match[1].strip()) for match in INLINE.finditer(line))
    return part


def resolve(text: str, values: Iterable[str] = ()) -> str:
    """The text with the value of each inline expression and what each shortcode stands for."""
    replies = iter(values)
    text = INLINE.sub(lambda match: next(replies, match[0]), text)
    return SHORTCODE.sub(lambda match: SHORTCODES[match[1]], text).replace("\0", "")


def read_cell(path: Path, line: int, lines: list[str]) -> Cell:
    """The cell whose fence opens at `line`; its options are checked here, before anything runs."""
    count = next((n for n, text in enumerate(lines) if not text.startswith("#|")), len(lines))
    text = "\n".join(line[2:].removeprefix(" ") for line in lines[:count])
    try:
        options = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Problem(path, line + 1, f"cell options are not valid YAML: {error.problem}") from None
    for key in options.keys() - CELL_OPTIONS:
        raise Problem(
            path,
            line + key_line(text, key),
            f"cell option '{key}' is not supported; known: {', '.join(sorted(CELL_OPTIONS))}",
        )
    if options.get("column", "page") not in COLUMNS:
        raise Problem(
            path,
            line + key_line(text, "column"),
            f"column '{options['column']}' is not supported; known: {', '.join(sorted(COLUMNS))}",
        )
    label = options.get("label", "")
    for kind in ("fig", "tbl"):
        if f"{kind}-cap" in options and not label.startswith(f"{kind}-"):
            raise Problem(
                path, line + key_line(text, f"{kind}-cap"), f"'{kind}-cap' needs a label that starts with '{kind}-'"
            )
        if label.startswith(f"{kind}-") and f"{kind}-cap" not in options:
            raise Problem(path, line + key_line(text, "label"), f"label '{label}' needs a '{kind}-cap'")
    return Cell(line, "\n".join(lines[count:]), options, count)
