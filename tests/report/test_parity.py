"""HTML and PDF are one paper: the same figures, tables and sections under the same numbers, the same values in tables.

Whatever engine rendered it. What only a screen can show is left out: explorer and trainer, and links to files beside the page.
"""

import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pypdf
import pytest
from browser import PHONE, leaves, visit
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("paper")]  # its fixture asks for the rendered one by name
ACCURACY = r"(?<![\w.])[+−]?\d\.\d{4}(?!\d)"
OURS = r'<td class="num diff[^>]*><a [^>]*>'  # begins a table cell with an accuracy of ours
NUMBER = r"(?<![\w.])[+−]?\d(?:[\d,]*\d)?(?:\.\d+)?(?!\w)"


def plain(text: str) -> str:
    """Without ligatures, fixed spaces and curled quotation marks."""
    return unicodedata.normalize("NFKC", text).translate(str.maketrans("‘’“”", "''\"\""))


def squeezed(text: str) -> str:
    """Without what a line break may add or take away: spaces and hyphens."""
    return re.sub(r"[\s\u00ad\u2010-]+", "", plain(text))


def spread(text: str) -> str:
    """A pattern that finds a text however its lines were broken."""
    return r"[\s\u00ad\u2010-]*".join(map(re.escape, squeezed(text)))


@dataclass(frozen=True)
class Page:
    """What the HTML shows."""

    captions: list[tuple[str, str]]  # ("Figure 1", title), and ("(a)", title) of sub-figures
    sections: list[tuple[str, str]]  # ("2.1", title); "" for one without a number
    tables: dict[str, list[str]]  # "Table 1" -> its cells
    text: str

    @classmethod
    def read(cls, html: str) -> "Page":
        soup = BeautifulSoup(html, "html.parser")
        for hidden in soup.select("#explorer, #trainer, .html-only, head, script, style, nav"):
            hidden.decompose()
        captions, tables, sections = [], {}, []
        for caption in soup("figcaption"):
            found = re.match(r"(?:(?:Figure|Table) \d+|\(\w\))", text := plain(caption.text).strip())
            assert found, f"a caption without a number: {text}"
            captions.append((found[0], text[found.end() :].lstrip(".: ")))
            table = caption.find_parent("figure").find("table")
            if table is not None:
                tables[found[0]] = [plain(cell.get_text(" ")).strip() for cell in table(["th", "td"])]
        for heading in soup.select("main :is(h2, h3, h4)"):
            number = heading.select_one(".header-section-number")
            digits = number.extract().text.strip() if number else ""
            sections.append((digits, plain(heading.text).strip()))
        return cls(captions, sections, tables, plain(soup.get_text(" ")))


@dataclass(frozen=True)
class Print:
    """What the PDF shows: its text, and the titles of its outline."""

    text: str
    outline: list[str]

    @classmethod
    def read(cls, path: Path) -> "Print":
        reader = pypdf.PdfReader(path)

        def titles(entries):
            for entry in entries:
                yield from titles(entry) if isinstance(entry, list) else [entry.title]

        return cls(plain("\n".join(leaves(path))), list(titles(reader.outline)))


def differences(page: Page, pdf: Print) -> list[str]:
    """All that is in one and not in the other, in words."""
    found = []
    for mark, title in page.captions:
        times = len(re.findall(rf"{spread(mark)}[.:]?\s*{spread(title)}", pdf.text))
        if times != 1:
            found.append(f"{mark} {title}: {times} times in the PDF")
    numbers = Counter(mark for mark, _ in page.captions if not mark.startswith("("))
    found += [f"{mark}: {times} captions in the HTML" for mark, times in numbers.items() if times > 1]
    printed = set(re.findall(r"^ *((?:Figure|Table) \d+)[.:] ", pdf.text, re.MULTILINE))
    found += [f"{mark}: a caption in the PDF alone" for mark in sorted(printed - set(numbers))]

    titles = [squeezed(re.sub(r"^[\d.]+ ", "", plain(title))) for title in pdf.outline]
    if titles != [squeezed(title) for _, title in page.sections]:
        found.append(f"sections: {page.sections} in the HTML, {pdf.outline} in the PDF")
    for number, title in page.sections:
        if not re.search(rf"^\s*{spread(number + title)}", pdf.text, re.MULTILINE):
            found.append(f"section {number} {title}: not in the PDF")

    places = {}
    for mark, title in page.captions:
        start = re.search(rf"{spread(mark)}[.:]?\s*{spread(title)}", pdf.text)
        if start and mark in page.tables:
            places[mark] = start.end()
    for mark, start in places.items():
        part = pdf.text[start : min((place for place in places.values() if place > start), default=len(pdf.text))]
        # What is extracted of a cell over several rows touches the one before.
        part = re.sub(r"(?<=not run)(?=\d)|(?<=\d)(?=[a-z]{3})", " ", part)
        cells = page.tables[mark]
        lacking = Counter(re.findall(NUMBER, " ".join(cells))) - Counter(re.findall(NUMBER, part))
        found += [f"{mark}: {value} not in the PDF" for value in lacking]
        found += [f"{mark}: '{cell}' not in the PDF" for cell in set(cells) if squeezed(cell) not in squeezed(part)]
    in_html, in_pdf = (Counter(re.findall(ACCURACY, text)) for text in (page.text, pdf.text))
    found += [f"{value}: {n} times more in the HTML" for value, n in (in_html - in_pdf).items()]
    found += [f"{value}: {n} times more in the PDF" for value, n in (in_pdf - in_html).items()]
    return found


@pytest.fixture(scope="module")
def by_quarto(tmp_path_factory):
    """The folder of the paper as Quarto renders it, from a copy of the sources."""
    if not shutil.which("quarto"):
        pytest.skip("no quarto on PATH: conda env create -f environment.yml")
    copy = tmp_path_factory.mktemp("quarto") / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "_output", "raw", "__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name not in ("LR_PROFILE", "LR_RUNS")}
    environment["QUARTO_PYTHON"] = sys.executable
    subprocess.run(["quarto", "render", "report"], cwd=copy, env=environment, check=True, timeout=600)
    return copy / "report" / "_output"


@pytest.fixture(params=["rendered", "by_quarto"])
def folder(request):
    return request.getfixturevalue(request.param)


def read(folder: Path) -> tuple[Page, Print]:
    return Page.read((folder / "index.html").read_text()), Print.read(folder / "latent-replay.pdf")


def test_html_and_pdf_show_the_same(folder):
    page, pdf = read(folder)
    assert len(page.tables) > 10
    assert len(page.captions) > len(page.tables)
    assert sum(len(cells) for cells in page.tables.values()) > 500
    assert differences(page, pdf) == []


def test_both_engines_show_the_same(rendered, by_quarto):
    ours, theirs = (Page.read((folder / "index.html").read_text()) for folder in (rendered, by_quarto))
    assert ours.captions == theirs.captions
    assert ours.sections == theirs.sections
    assert ours.tables == theirs.tables


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_engines_shade_the_same_cells_alike(chromium, rendered, by_quarto, scheme):
    def shades(folder: Path) -> list[tuple[str, str]]:
        with visit(chromium, folder / "index.html", color_scheme=scheme) as seen:
            found = seen.page.evaluate("""() => [...document.querySelectorAll("main [class*='diff-']")].map(
                cell => [cell.textContent, getComputedStyle(cell).backgroundColor])""")
        return [(squeezed(text), ground) for text, ground in found]

    ours = shades(rendered)
    assert len({ground for _, ground in ours}) > 3
    assert ours == shades(by_quarto)


def test_no_page_is_wider_than_a_phone(chromium, folder):
    with visit(chromium, folder / "index.html", PHONE) as seen:
        assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(
    ("pattern", "replacement", "what"),
    [
        (rf"({OURS}0\.\d{{3}})\d", r"\g<1>x", "not in the PDF"),
        (rf"({OURS})(0\.\d{{4}})", r"\g<1>0.1234 \2", "0.1234"),
        (rf"({OURS})0\.\d{{4}}", r"\1", "more in the PDF"),
        (r"<figcaption>.*?Table.*?</figcaption>", "", "a caption in the PDF alone"),
        (r"(<figcaption>.*?Figure\s)\d+", r"\g<1>99", "Figure 99"),
        (r'(header-section-number">)2<', r"\g<1>12<", "section 12 "),
        (r"<h2[^>]*>.*?</h2>", "", "sections: "),
    ],
    ids=["digit", "value added", "value lost", "caption lost", "figure's number", "section's number", "heading lost"],
)
def test_a_difference_is_found(rendered, pattern, replacement, what):
    html = (rendered / "index.html").read_text()
    head, body = html.split("<main", 1)
    altered = re.sub(pattern, replacement, body, count=1, flags=re.DOTALL)
    assert altered != body
    found = differences(Page.read(f"{head}<main{altered}"), Print.read(rendered / "latent-replay.pdf"))
    assert any(what in difference for difference in found), found
