"""report/render: every supported construct in one fixture, the same facts in HTML and PDF, one line for each mistake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import canonicalize

import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = Path(__file__).with_name("render") / "paper.qmd"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def render(document: Path, output: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "report" / "render", document, "--output-dir", output]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


class Page(HTMLParser):
    """Elements as (tag, attributes, text), in the order in which they close."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[tuple[str, dict, list[str]]] = []
        self.elements: list[tuple[str, dict, str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            self.elements.append((tag, dict(attributes), ""))
        else:
            self.open.append((tag, dict(attributes), []))

    def handle_data(self, data):
        for _, _, text in self.open:
            text.append(data)

    def handle_endtag(self, tag):
        while self.open and tag not in VOID:
            name, attributes, text = self.open.pop()
            self.elements.append((name, attributes, squeeze("".join(text))))
            if name == tag:
                return

    def all(self, tag: str, cls: str = "") -> list[str]:
        return [
            text for name, attributes, text in self.elements if name == tag and cls in (attributes.get("class") or "")
        ]


def squeeze(text: str) -> str:
    return " ".join(text.replace("\xa0", " ").split())


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    done = render(FIXTURE, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.split() == [str(folder / "paper.html"), str(folder / "fixture.pdf")]
    return folder


@pytest.fixture(scope="module")
def page(output) -> Page:
    return Page((output / "paper.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pdf(output) -> PdfReader:
    return PdfReader(output / "fixture.pdf")


@pytest.fixture(scope="module")
def texts(page, pdf) -> tuple[str, str]:
    """All words of the HTML and of the PDF."""
    (html,) = page.all("body")
    return html, squeeze(" ".join(sheet.extract_text() for sheet in pdf.pages))


# The same facts in both formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact",
    [
        "The abstract is printed by a cell, so that its numbers are computed: 0.9746 is the best of 3.",
        "Networks forget (Ratcliff 1990), and Pellegrini et al. (2020) keep activations instead of images.",
        "Section 2 says how, Table 1 what came of it, and Figure 1 shows it; Figure 3 (a) is the first of two panels, 3 both numbers alone.",
        "The best value is 0.9746, plain text *not emphasised* and strong.",
        "A footnote with a value: 3 numbers.",
        "Thirty-six numbers an image; see Section 1.1.",
        "A heading as title",
        "Important",
        "Folded, with the default title.",
        "Figure 1. A curve from a labelled cell.",
        "Figure 2. A caption with a computed value, 0.0020, and a reference to Table 1.",
        "(a) Left",
        "(b) Right",
        "Figure 3. Two panels side by side.",
        "(a) First of the cell",
        "(b) Second of the cell",
        "Figure 4. A cell with two figures.",
        "Table 1. Table from a cell, with 2 cases, an HTML table with two header rows.",
        "Shaded by size of the difference: under 0.01",
        "Table 2. A pipe table.",
        "Table 3. A table from a labelled cell.",
        "1 Introduction",
        "1.1 A finer point",
        "2 Method",
        "3 Results",
        "References",
        "Ada Example",
        "Ben Sample",
        "Institute of Fixtures, Testing Department",
        "14 March 2026",
        "continual learning, latent replay, reproducibility",
        "Psychological Review 97 (2): 285–308.",
        "`{python} undefined`",
    ],
)
def test_says_the_same_in_both_formats(texts, fact):
    for text in texts:
        assert fact in text


def test_captions_are_numbered_alike(page, texts):
    captions = [caption for caption in page.all("figcaption") if caption.startswith(("Figure", "Table"))]
    assert [caption.split(".")[0] for caption in captions] == [
        "Figure 1",
        "Figure 2",
        "Figure 3",
        "Figure 4",
        "Table 1",
        "Table 2",
        "Table 3",
    ]
    places = [texts[1].index(caption) for caption in captions]
    assert places == sorted(places)


def test_every_table_value_is_in_both_formats(page, texts):
    cells = page.all("td") + page.all("th")
    assert len(cells) == (4 + 5) + 2 * (4 * 6 + 1) + 3 * 3 + 2 * 2  # of the three tables
    missing = [cell for cell in cells if cell not in texts[1]]
    assert missing == []
    assert [texts[1].count(value) for value in ("+0.0040", "−0.0140", "+0.0240", "−0.0340")] == [2, 2, 2, 2]


def test_conditional_content(texts):
    assert ["Only the page says this." in text for text in texts] == [True, False]
    assert ["Only the print says this." in text for text in texts] == [False, True]


# HTML --------------------------------------------------------------------------------------------------------------------


def test_html_requests_nothing(page, output):
    sources = [
        attributes.get(key, "") for _, attributes, _ in page.elements for key in ("src", "srcset", "poster", "data")
    ]
    assert [source for source in sources if source and not source.startswith("data:")] == []
    assert [attributes for name, attributes, _ in page.elements if name in ("link", "iframe", "object")] == []
    css = page.all("style")[0]
    assert not re.search(r"@import|url\((?!['\"]?data:)", css)


def test_html_table_keeps_spans_scopes_and_classes(page):
    headers = [(attributes, text) for name, attributes, text in page.elements if name == "th"]
    assert {(a["colspan"], text) for a, text in headers if "colspan" in a} == {("2", "Published"), ("3", "Ours")}
    assert {(a["rowspan"], text) for a, text in headers if "rowspan" in a} >= {("2", "Case"), ("4", "1"), ("4", "2")}
    assert all("scope" in a for a, _ in headers)
    shaded = [a["class"] for name, a, _ in page.elements if name == "td" and "diff-" in a.get("class", "")]
    assert shaded == ["num diff-1", "num diff-2", "num diff-3", "num diff-4"] * 2


def test_every_image_has_words(page):
    words = [attributes.get("alt") for name, attributes, _ in page.elements if name == "img"]
    assert words[:4] == ["A line that falls from 0.97 to 0.00.", "Three bars.", "A dot.", "Right"]
    assert all(words)


@pytest.mark.parametrize("text", ["5 % of #3 &lt; 1 &amp; more", "a 'word' of 5 %41"], ids=["reserved", "quoted"])
def test_a_drawing_arrives_as_it_was(tmp_path, text):
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="6pt">\n<text fill="#123456">{text}</text>\n</svg>'
    )
    (tmp_path / "a.svg").write_text(drawing)
    (tmp_path / "index.qmd").write_text("![A](a.svg){fig-alt='One \"a\" < b & c'}\n")
    assert render(tmp_path / "index.qmd", tmp_path / "out").returncode == 0
    ((_, image, _),) = (e for e in Page((tmp_path / "out" / "index.html").read_text()).elements if e[0] == "img")
    assert (image["alt"], image["width"], image["height"]) == ('One "a" < b & c', "12", "8")
    kind, _, content = image["src"].partition(",")
    assert kind == "data:image/svg+xml"
    assert canonicalize(unquote(content), strip_text=True) == canonicalize(drawing, strip_text=True)


def test_every_reference_leads_somewhere(page):
    targets = {attributes["id"] for _, attributes, _ in page.elements if "id" in attributes}
    links = [
        attributes["href"][1:]
        for name, attributes, _ in page.elements
        if name == "a" and attributes.get("href", "").startswith("#")
    ]
    assert len(links) > 10
    assert [link for link in links if link not in targets] == []


def test_title_block_links(page):
    links = {text: attributes["href"] for name, attributes, text in page.elements if name == "a"}
    assert links["PDF"] == "fixture.pdf"
    assert links["Records"] == "https://example.org/records"
    assert links["ORCID"] == "https://orcid.org/0000-0002-1825-0097"


# PDF ---------------------------------------------------------------------------------------------------------------------


def test_banner_is_on_the_page_and_on_every_sheet(page, pdf):
    banner = "Smoke profile: not the results of the paper"
    assert page.all("p", "page-banner") == [banner]
    assert len(pdf.pages) > 1
    assert [banner in squeeze(sheet.extract_text()) for sheet in pdf.pages] == [True] * len(pdf.pages)


def test_pdf_has_every_glyph(pdf):
    fonts = {font["/BaseFont"] for sheet in pdf.pages for font in sheet["/Resources"].get("/Font", {}).values()}
    assert any("LibertinusSerif" in font for font in fonts)
    assert not any("LastResort" in font for font in fonts)


def test_pdf_images_have_the_same_words(page, pdf):
    def words(node):
        node = node.get_object()
        if isinstance(node, list):
            return [word for child in node for word in words(child)]
        if not isinstance(node, dict):
            return []
        return ([node["/Alt"]] if "/Alt" in node else []) + (words(node["/K"]) if "/K" in node else [])

    figures = [attributes["alt"] for name, attributes, _ in page.elements if name == "img"]
    assert words(pdf.trailer["/Root"]["/StructTreeRoot"]) == figures


def test_pdf_metadata_and_outline(pdf):
    assert pdf.metadata.author == "Ada Example, Ben Sample"
    assert pdf.metadata.title == "Remembering with little: every construct in one document"
    assert pdf.metadata.creation_date.date().isoformat() == "2026-03-14"
    assert [entry["/Title"] for entry in pdf.outline if not isinstance(entry, list)] == [
        "1 Introduction",
        "2 Method",
        "3 Results",
        "References",
    ]


def test_two_renders_are_equal_byte_by_byte(output, tmp_path):
    assert render(FIXTURE, tmp_path).returncode == 0
    for name in ("paper.html", "fixture.pdf"):
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


# Mistakes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("See @fig-nowhere.", 3, "'@fig-nowhere' refers to nothing; label something {#fig-nowhere}"),
        ("As [@nobody1999] wrote.", 3, "citation '@nobody1999' is in no bibliography"),
        ("{{< video a.mp4 >}}", 3, "shortcode 'video' is not supported"),
        (
            "::: {.callout-danger}\nText\n:::",
            3,
            "callout 'danger' is not known; known: note, tip, important, warning, caution",
        ),
        ("::: {.panel-tabset}\nText\n:::", 3, "layout '.panel-tabset' is not supported"),
        (
            "::: {#fig-x layout-nrow=2}\n![](dot.svg)\n\nCaption\n:::",
            3,
            "'layout-nrow' is not supported; use layout-ncol",
        ),
        ("::: {#tbl-x}\n| a |\n|---|\n| 1 |\n:::", 3, "'tbl-x' has no caption"),
        ("![A](no.svg){#fig-x}", 3, "image 'no.svg' cannot be read"),
        ("# A {#sec-a}\n\n# B {#sec-a}", 3, "'sec-a' is used twice"),
        ("```{r}\n1\n```", 3, "a cell in 'r'; only {python} cells are supported"),
        ("```{python}\n#| fig-width: 3\n1\n```", 4, "cell option 'fig-width' is not supported"),
        ("```{python}\n1", 3, "the code block has no end"),
        ("---\nmystery: 1\n---\n", 2, "metadata 'mystery' is not supported"),
        ("---\ntitle: [\n---\n", 2, "not valid YAML"),
        ("---\nformat:\n  html:\n    mystery: 1\n---\n", 4, "option 'mystery' of format 'html' is not supported"),
        ("---\ntitle: A\ndate-format: long\n---\n", 3, "'date-format' can only be \"D MMMM YYYY\""),
        ("---\ncrossref:\n  fig-title: Abb.\n---\n", 2, '\'crossref\' can only be {"title-delim": "."}'),
        ("---\ndate: someday\n---\n", 2, "date 'someday' is no date; write YYYY-MM-DD"),
        ("```{python}\n#| echo: false\nx = 1\nx / 0\n```", 6, "the cell raised ZeroDivisionError: division by zero"),
        (
            "Text.\n\nA value `{python} undefined`.",
            5,
            "`{python} undefined` raised NameError: name 'undefined' is not defined",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, text, line, says):
    document, folder = tmp_path / "index.qmd", tmp_path / "out"
    document.write_text(text if text.startswith("---") else f"Text.\n\n{text}\n")
    folder.mkdir()
    (folder / "index.html").write_text("the last good one")
    done = render(document, folder)
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"{document}:{line}: {says}")
    assert done.returncode == 1
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert (folder / "index.html").read_text() == "the last good one"


@pytest.mark.parametrize(
    "keys",
    [
        "date-format: D MMMM YYYY",
        'crossref:\n  title-delim: "."',
        "theme: {light: default, dark: [default, dark.scss]}",
        "respect-user-color-scheme: true",
        "toc-location: left",
        "toc-expand: 3",
        "format-links: [html, {format: typst, text: PDF}]",
        "format:\n  html:\n    toc-location: left\n    toc-expand: 3\n    format-links: [html]\n    theme: default",
    ],
)
def test_what_only_quarto_has_to_be_told_changes_nothing(tmp_path, keys):
    pages = []
    for further in ("", f"{keys}\n"):
        (tmp_path / "index.qmd").write_text(
            f"---\ntitle: A\ndate: 2026-03-04\n{further}---\n\n![A dot.](dot.svg){{#fig-a}}\n\n## B\n"
        )
        (tmp_path / "dot.svg").write_bytes((FIXTURE.parent / "dot.svg").read_bytes())
        done = render(tmp_path / "index.qmd", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        pages.append((tmp_path / "index.html").read_bytes() + (tmp_path / "index.pdf").read_bytes())
    assert pages[0] == pages[1]
    assert all(text in pages[0].decode(errors="replace") for text in ("4 March 2026", "Figure\xa01."))


def test_a_warning_is_for_whoever_renders_and_stops_nothing(tmp_path):
    document = tmp_path / "paper.qmd"
    document.write_text(
        "---\ntitle: T\n---\n\n```{python}\nimport warnings\n\ndef said(word):\n    warnings.warn(f'mind {word}')\n"
        "    return 'a&amp;b <b>'\n```\n\nHere `{python} said('this')`.\n"
    )
    result = render(document, tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "warning: mind this\n")
    assert "Here a&amp;amp;b &lt;b&gt;." in (tmp_path / "out" / "paper.html").read_text()


def test_usage(tmp_path):
    done = render(tmp_path / "missing.qmd", tmp_path)
    assert done.returncode == 2
    assert "missing.qmd" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "status", "says"), [("~/out", 0, ""), ("~no-such-user/out", 1, "~no-such-user/out: is no folder")]
)
def test_output_may_begin_with_a_tilde(tmp_path, given, status, says):
    (tmp_path / "index.qmd").write_text("Text.\n")
    done = subprocess.run(
        [sys.executable, ROOT / "report" / "render", "index.qmd", "--output-dir", given],
        cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path / "home")}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr[: len(says)]) == (status, says)
    assert (tmp_path / "home" / "out" / "index.html").exists() == (status == 0)
    assert len(done.stderr.splitlines()) == status
    assert not (tmp_path / "~").exists()


def test_unwritable_output(tmp_path):
    (tmp_path / "index.qmd").write_text("Text.\n")
    (tmp_path / "file").write_text("")
    done = render(tmp_path / "index.qmd", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'file' / 'out'}: cannot write here")


def test_every_shade_has_its_colour_in_both_formats():
    theme = ROOT / "report" / "theme"
    names = [set(re.findall(r"diff-\d", (theme / name).read_text())) for name in ("cells.lua", "paper.css")]
    assert names[0] == names[1] == {f"diff-{n}" for n in range(5)}


def test_the_dark_theme_for_quarto_has_the_palette_of_the_page():
    theme = ROOT / "report" / "theme"
    dark = dict(re.findall(r"--([\w-]+): light-dark\([^,]+, (#\w+)\)", (theme / "paper.css").read_text()))
    given = dict(re.findall(r"^\$([\w-]+): (.+);$", (theme / "dark.scss").read_text(), re.MULTILINE))
    names = {"body-bg": "paper", "body-color": "ink", "link-color": "link", "code-bg": "panel"}
    names |= dict.fromkeys(("border-color", "table-border-color", "toc-inactive-border"), "rule")
    assert given == {variable: dark[name] for variable, name in names.items()}
