"""The paper in a browser, as a reader has it: accessible, self-contained, quick, and never wider than the screen."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import pypdf
import pytest
from browser import DESKTOP, PHONE, TABLET, dead_links, findings, visit
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
FRAME = "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"


@pytest.fixture(scope="module")
def paper(rendered):
    return rendered / "index.html"


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", DESKTOP),
        ("dark", PHONE),
    ],
)
def test_axe_finds_nothing(chromium, paper, scheme, width):
    with visit(chromium, paper, width, color_scheme=scheme) as seen:
        assert findings(seen.page) == []


def test_no_request_leaves_the_page(chromium, paper):
    with visit(chromium, paper) as seen:
        seen.page.evaluate(f"""async () => {{
            for (const details of document.querySelectorAll("details")) details.open = true;
            for (let y = 0; y < document.body.scrollHeight; y += innerHeight) {{ scrollTo(0, y); {FRAME} }}
        }}""")
        requested = [url for url in seen.requests if not url.startswith(("data:", "blob:")) and url != paper.as_uri()]
        assert requested == []
        assert seen.errors == []


def test_the_page_is_soon_ready_and_a_click_costs_next_to_nothing(chromium, paper):
    """By what the browser has to do, not by the clock: a machine may be slow."""
    with visit(chromium, paper, reduced_motion="reduce") as seen:
        session = seen.page.context.new_cdp_session(seen.page)
        session.send("Performance.enable")

        def done():
            return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}

        loaded = done()
        assert loaded["LayoutCount"] < 40
        assert loaded["Nodes"] < 20_000
        link = seen.page.locator("#TOC a[href^='#']").nth(5)
        link.evaluate("link => link.click()")
        seen.page.wait_for_function("link => link.hasAttribute('aria-current')", arg=link.element_handle())
        assert done()["LayoutCount"] - loaded["LayoutCount"] < 10


@pytest.mark.parametrize("width", [PHONE, TABLET, DESKTOP])
def test_the_page_is_not_wider_than_the_screen(chromium, paper, width):
    with visit(chromium, paper, width) as seen:
        assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


def test_the_contents_mark_the_section_in_view(chromium, paper):
    """The section scrolled to is marked, or a later one whose heading is in the upper half of the screen too."""
    with visit(chromium, paper, reduced_motion="reduce") as seen:
        marked = seen.page.evaluate(f"""async () => {{
            const marked = [];
            for (const link of document.querySelectorAll("#TOC a[href^='#']")) {{
                const heading = document.getElementById(decodeURIComponent(link.hash.slice(1)));
                heading.scrollIntoView();
                {FRAME}
                if (heading.getBoundingClientRect().top > innerHeight * 0.2) continue;  // the page ends before
                const current = [...document.querySelectorAll("#TOC a[aria-current]")];
                const other = document.getElementById(decodeURIComponent(current[0]?.hash.slice(1)));
                const later = other && other.getBoundingClientRect().top >= heading.getBoundingClientRect().top
                    && other.getBoundingClientRect().top < innerHeight / 2;
                marked.push([link.hash, current.length === 1 && later]);
            }}
            return marked;
        }}""")
        assert [section for section, right in marked if not right] == []
        assert len(marked) > 10


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
def test_a_number_says_where_it_comes_from_and_leads_there(chromium, paper, way):
    with visit(chromium, paper, reduced_motion="reduce") as seen:
        seen.page.goto(paper.as_uri() + "#tbl-precision")  # opens it
        number = seen.page.locator("#tbl-precision td a.from").first  # of one run, however many seeds there are
        tip = seen.page.locator("#from-tip")
        assert not tip.is_visible()
        if way == "pointer":
            number.hover()
        else:
            number.focus()
        record = json.loads((ROOT / "report/runs/paper/mnist-case1-seed0.json").read_text())
        arm = record["arms"][0]
        title, profile, took, where, page = tip.locator("strong, span").all_inner_texts()
        assert title == "MNIST, case 1, seed 0: first task"
        assert profile == "profile paper"
        assert took.startswith(f"{arm['epochs']} epochs in ")
        assert arm["provenance"]["commit"][:7] in where
        assert page == number.get_attribute("href") == "notebooks/paper/mnist-case1-seed0.html"
        seen.page.keyboard.press("Escape")
        assert not tip.is_visible()
        number.click()
        assert seen.page.url == (paper.parent / page).as_uri()


def test_the_data_of_a_figure_can_be_downloaded(chromium, paper):
    with visit(chromium, paper) as seen:
        links = seen.page.locator("figcaption a[download]")
        assert links.count() > 10
        with seen.page.expect_download() as download:
            links.first.click()
        assert download.value.suggested_filename == "headline.csv"
        assert download.value.path().read_text().startswith("dataset,measure,stage,evaluation,published,ours,")


def test_every_link_leads_somewhere(paper):
    assert dead_links(paper) == []
    linked = set(re.findall(r"notebooks/[\w./-]+\.html", paper.read_text()))  # by scripts too
    assert [link for link in linked if not (paper.parent / link).is_file()] == []
    assert linked


def test_the_page_is_under_4_megabytes(paper):
    """And under 3.3 without what the reader trains with."""
    page = paper.read_text()
    assert paper.stat().st_size < 4_000_000
    assert paper.stat().st_size - len(re.search(r'id="trainer-data">([^<]*)<', page)[1]) < 3_300_000


def test_no_id_is_used_twice(paper):
    ids = Counter(element["id"] for element in BeautifulSoup(paper.read_text(), "html.parser").select("[id]"))
    assert [name for name, times in ids.items() if times > 1] == []


def test_the_print_is_whole_and_dark_on_white(chromium, paper):
    with visit(chromium, paper, color_scheme="dark") as seen:
        seen.page.emulate_media(media="print")
        ink = seen.page.evaluate("getComputedStyle(document.querySelector('main p')).color")
        assert max(map(int, re.findall(r"\d+", ink))) < 100
        leaves = pypdf.PdfReader(io.BytesIO(seen.page.pdf(prefer_css_page_size=True))).pages
        text = "\n".join(leaf.extract_text() for leaf in leaves)
        headings = seen.page.locator("main h2:visible").all_inner_texts()
        assert [heading for heading in headings if "".join(heading.split()) not in "".join(text.split())] == []
        assert seen.errors == []


def test_nothing_moves_for_who_asks_for_less_motion(chromium, paper):
    with visit(chromium, paper, reduced_motion="reduce") as seen:
        assert seen.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        assert seen.page.evaluate("document.getAnimations().length") == 0
        assert seen.errors == []
