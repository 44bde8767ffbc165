"""The shape of the paper: a short main text with the finding first, floats near their text, an appendix on demand."""

import base64
import io
import re
from pathlib import Path
from urllib.parse import unquote

import pypdf
import pytest
from browser import PHONE, visit
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
MAIN_PAGES = 12  # without references
ABSTRACT_WORDS = 150
FULL = 0.7  # of a page
LEAST_IN_PRINT, LEAST_ON_A_PHONE = 6.0, 10.0  # points and CSS pixels of the text in figures

# What an earlier edition could be linked at. What is gone leads to where its content went.
OLD_ANCHORS = [
    "sec-introduction",
    "sec-data",
    "fig-mnist",
    "fig-mnist-pca",
    "fig-fashion",
    "fig-kmnist",
    "fig-pca",
    "fig-pca-fashion",
    "fig-pca-kmnist",
    "tbl-cases",
    "tbl-data",
    "sec-models",
    "tbl-compressor",
    "tbl-classifier",
    "sec-protocol",
    "sec-stated",
    "tbl-budgets",
    "sec-open",
    "tbl-settings",
    "sec-evaluation",
    "sec-results",
    "fig-agreement",
    "sec-mnist",
    "tbl-mnist-first",
    "tbl-mnist-replay",
    "tbl-mnist-none",
    "sec-fashion",
    "tbl-fashion-first",
    "tbl-fashion-replay",
    "tbl-fashion-none",
    "sec-kmnist",
    "tbl-kmnist-first",
    "tbl-kmnist-replay",
    "tbl-kmnist-none",
    "sec-verdicts",
    "tbl-verdicts",
    "fig-verdicts",
    "fig-strips-mnist",
    "fig-strips-fashion",
    "fig-strips-kmnist",
    "tbl-differing",
    "sec-claims",
    "tbl-claims",
    "sec-forgetting",
    "fig-forgetting-mnist",
    "fig-forgetting-fashion",
    "fig-forgetting-kmnist",
    "fig-forgotten-mnist",
    "fig-forgotten-fashion",
    "fig-forgotten-kmnist",
    "fig-budget-mnist",
    "fig-budget-fashion",
    "fig-budget-kmnist",
    "sec-trainer",
    "sec-latents",
    "fig-latents-mnist",
    "fig-latents-fashion",
    "fig-latents-kmnist",
    "sec-mismatch",
    "tbl-gaps",
    "tbl-largest",
    "tbl-gaps-replay",
    "tbl-effects",
    "fig-errors",
    "fig-averages",
    "sec-readings",
    "tbl-readings",
    "fig-readings",
    "sec-slips",
    "sec-beyond",
    "sec-bounds",
    "fig-bounds",
    "sec-training",
    "fig-training",
    "sec-bytes",
    "fig-bytes",
    "sec-unlike",
    "fig-unlike",
    "sec-longer",
    "fig-longer",
    "sec-gap",
    "fig-gap",
    "sec-cost",
    "fig-speed",
    "tbl-precision",
    "tbl-goals",
    "tbl-growth",
    "sec-conclusion",
    "sec-provenance",
    "tbl-provenance",
    "tbl-checksums",
]


@pytest.fixture(scope="module")
def soup(rendered):
    return BeautifulSoup((rendered / "index.html").read_text(), "html.parser")


@pytest.fixture(scope="module")
def leaves(rendered):
    """The text of each page of the PDF."""
    reader = pypdf.PdfReader(rendered / "latent-replay.pdf")
    return [page.extract_text().replace("\xa0", " ") for page in reader.pages]


def page_of(leaves: list[str], heading: str) -> int:
    """The page, from 1, with a line that is this heading."""
    return next(n for n, text in enumerate(leaves, start=1) if re.search(rf"(?m)^\s*{heading}\s*$", text))


def test_the_finding_comes_first(soup):
    abstract = soup.select_one(".abstract").get_text(" ")
    assert len(abstract.split()) - 1 <= ABSTRACT_WORDS  # less its heading
    assert re.search(r"Of \d+ published numbers, \d+ are reproduced", soup.select_one(".subtitle").text)
    assert soup.select("main figure")[0]["id"] == "fig-headline"


def test_the_main_text_is_short_and_its_first_figure_is_on_page_2(leaves):
    assert page_of(leaves, "References") <= MAIN_PAGES
    assert "Figure 1. " in leaves[1]


def test_every_float_is_within_a_page_of_where_it_is_first_named(leaves):
    captions, named = {}, {}
    for number, text in enumerate(leaves, start=1):
        text = re.sub(r"(?m)^(?:(?:Figure|Table) \d+ ?){2,6}$", "", text)  # where the original's figures stand here
        for found in re.finditer(r"(Figure|Table)\s+(\d+)(?!\d)(\. )?", text):
            starts_line = text[: found.start()].rstrip(" ").endswith("\n") or not text[: found.start()].strip()
            places = captions if starts_line and found[3] else named
            places.setdefault(f"{found[1]} {found[2]}", number)
    assert len(captions) > 50
    assert captions.keys() - named.keys() == set()
    assert {name: (named[name], page) for name, page in captions.items() if abs(named[name] - page) > 1} == {}


def test_pages_are_full(rendered, leaves):
    """By the lowest line on a page. The last page of the main text, of the references and of all may be short."""
    last = {page_of(leaves, "References"), page_of(leaves, r"\d+ Appendix") - 1, len(leaves)}
    reader = pypdf.PdfReader(rendered / "latent-replay.pdf")
    height = float(reader.pages[0].mediabox.height)
    top, bottom = height * (1 - 2.6 / 29.7), height * 2.4 / 29.7  # of the text
    short = {}
    for number, page in enumerate(reader.pages, start=1):
        lowest = []

        def seen(text, matrix, text_matrix, font, size, lowest=lowest):
            y = matrix[1] * text_matrix[4] + matrix[3] * text_matrix[5] + matrix[5]
            if text.strip() and y > bottom - 5:
                lowest.append(y)

        page.extract_text(visitor_text=seen)
        filled = (top - min(lowest)) / (top - bottom)
        if filled < FULL and number not in last:
            short[number] = round(filled, 2)
    assert short == {}


def test_text_in_figures_can_be_read_in_print_and_on_a_phone(chromium, rendered):
    with visit(chromium, rendered / "index.html", PHONE) as seen:
        images = seen.page.evaluate("""async () => {
            const images = [...document.querySelectorAll("figure.float img[src^='data:image/svg']")];
            for (const image of images) { image.loading = "eager"; await image.decode(); }
            return images.map(image => [image.closest("figure").id, image.src, image.getBoundingClientRect().width]);
        }""")
    found = {}
    for name, source, width in images:
        head, data = source.split(",", 1)
        drawing = base64.b64decode(data).decode() if "base64" in head else unquote(data)
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ?(?:[a-z0-9]+ )?([\d.]+)px", drawing)]
        units = float(re.search(r"viewBox=['\"]0 0 ([\d.]+)", drawing)[1])  # points
        if sizes:  # a script that a machine may have no font for is drawn as outlines
            found[name] = min(sizes), round(min(sizes) * width / units, 1)
    assert len(found) > 30
    assert {name: points for name, (points, _) in found.items() if points < LEAST_IN_PRINT} == {}
    assert {name: pixels for name, (_, pixels) in found.items() if pixels < LEAST_ON_A_PHONE} == {}


def test_an_anchor_of_an_older_edition_still_leads_somewhere(soup):
    assert [anchor for anchor in OLD_ANCHORS if soup.find(id=anchor) is None] == []


def test_tables_of_the_appendix_open_on_demand(chromium, rendered):
    page = rendered / "index.html"
    with visit(chromium, page) as seen:
        appendix = seen.page.locator("#sec-appendix ~ figure, #sec-appendix ~ * figure").first
        assert appendix.count() == 1
        closed = seen.page.locator("details.on-demand")
        assert closed.count() > 15
        assert seen.page.locator("details.on-demand[open]").count() == 0
        before = seen.page.locator("#tbl-glance table")
        assert before.is_visible()  # of the main text
    with visit(chromium, page.with_name("index.html")) as seen:
        seen.page.goto(page.as_uri() + "#tbl-mnist-replay")
        assert seen.page.locator("#tbl-mnist-replay table").is_visible()
        assert not seen.page.locator("#tbl-mnist-none table").is_visible()
        seen.page.evaluate("document.querySelector('a[href=\"#tbl-mnist-none\"]').click()")
        seen.page.wait_for_function("() => document.querySelector('#tbl-mnist-none details').open")
        assert seen.errors == []


def test_tables_of_the_appendix_are_in_the_print(chromium, rendered):
    with visit(chromium, rendered / "index.html") as seen:
        printed = "\n".join(leaf.extract_text() for leaf in pypdf.PdfReader(io.BytesIO(seen.page.pdf())).pages)
        assert "t10k-labels-idx1-ubyte" in printed
        assert seen.page.locator("details.on-demand:not([open])").count() > 15  # closed again


def test_the_contents_show_where_one_is(chromium, rendered):
    with visit(chromium, rendered / "index.html", reduced_motion="reduce") as seen:
        seen.page.evaluate("document.getElementById('sec-provenance').scrollIntoView()")
        marked = seen.page.locator("#TOC a[aria-current]")
        seen.page.wait_for_function("() => document.querySelector('#TOC a[aria-current]').hash === '#sec-provenance'")
        box, view = marked.bounding_box(), seen.page.locator("#TOC").bounding_box()
        assert view["y"] <= box["y"]
        assert box["y"] + box["height"] <= view["y"] + view["height"] + 1


def test_the_picture_of_the_readme_follows_from_the_records(module):
    """After new records: python report/headline.py docs/headline.svg."""
    assert (ROOT / "docs" / "headline.svg").read_text() == module("headline").picture()
