"""The paper looks the same on Bootstrap, which Quarto builds its pages on, as on the page of report/render.

Quarto itself is not needed: the rendered page gets Bootstrap's style, the rules of Quarto's own that touch the content, and
the classes that Quarto gives to tables, figures and captions.
"""

import re
import shutil
import subprocess
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, REPORT, visit

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("paper")]
BOOTSTRAP = "5.3.1"  # Quarto 1.9 and 1.10 build on 5.3
QUARTO = """
:root { font-size: 18px; }
main { max-width: 43rem; margin: auto; }  /* about the width of its text */
h2 { padding-bottom: 0.5rem; border-bottom: 1px solid; font-weight: 600; }
h3, h4 { opacity: 0.9; }
code { white-space: pre; }
.row, .row > * { display: revert; width: auto; margin: 0; padding: 0; }  /* Bootstrap's grid, which it leaves out */
figure.figure { display: block; }
:is(p, li, td) code:not(.sourceCode) { padding: 0.2em; background: #f8f9fa; }
.figure-caption, figcaption.quarto-float-caption { color: #666666; font-size: 0.9rem; }
figure .quarto-layout-row figure figcaption { text-align: center; font-style: italic; }
figure.quarto-float-tbl figcaption.quarto-float-caption-top { margin: 0.5rem 0 0.25rem; text-align: center; }
.table a { word-break: break-word; }
.table > thead { border-block: 1px solid; }
.cell-output-display { overflow-x: auto; }
input, button, select { background-color: #ffffff; }
"""
DRESS = """scheme => {
    document.body.className = `quarto-${scheme}`;
    const all = selector => document.querySelectorAll(`main ${selector}`);
    for (const table of all("table")) {
        if (!table.closest(".interactive")) table.classList.add("caption-top", "table", "table-sm", "table-striped", "small");
    }
    for (const box of all(".table-scroll")) box.className = "cell-output cell-output-display";
    for (const figure of all("figure.float")) {
        const [kind, place] = figure.classList.contains("tbl") ? ["tbl", "top"] : ["fig", "bottom"];
        const sub = figure.classList.contains("sub") ? "sub" : "";
        figure.className = `quarto-float quarto-${sub}float-${kind}`;
        const caption = figure.querySelector(":scope > figcaption");
        caption.className = `quarto-float-caption-${place} quarto-${sub}float-caption quarto-${sub}float-${kind}`;
    }
    for (const layout of all(".layout")) layout.classList.add("quarto-layout-row");
    for (const figure of all("figure")) figure.classList.add("figure");
    for (const caption of all("figcaption")) caption.classList.add("figure-caption");
    for (const image of all("figure img")) image.classList.add("img-fluid", "figure-img");
}"""
BOX = ("padding-left", "padding-top", "border-top-width", "border-bottom-width", "background-color")
TEXT = ("color", "font-family", "font-size", "font-weight", "font-style", "text-align", "white-space")
LOOKS = {
    "main :is(p, li, a):not(.callout *)": TEXT,  # Quarto has its own callouts
    "main code": (*TEXT, *BOX),
    "main :is(h2, h3, h4)": (*TEXT, *BOX, "opacity"),
    "main figcaption": TEXT,
    "main figure img": ("filter",),
    "main table": (*TEXT, "border-top-width", "border-top-color", "border-bottom-color"),
    "main :is(th, td)": (*TEXT, *BOX, "border-bottom-color", "box-shadow", "vertical-align"),
    ".interactive :is(legend, label, dt, dd, li, select, button)": (*TEXT, *BOX, "display", "float"),
}


@dataclass
class Pages:
    """The page as report/render wrote it, and on Bootstrap."""

    ours: Path
    bootstrap: Path

    @contextmanager
    def on_bootstrap(self, chromium, scheme="light", width=DESKTOP):
        with visit(chromium, self.bootstrap, width, color_scheme=scheme) as seen:
            drawn(seen.page)
            seen.page.evaluate(DRESS, scheme)
            yield seen.page


def drawn(page) -> None:
    """Wait for the explorer and the trainer."""
    page.wait_for_function("() => !document.querySelector('.interactive > [data-part=body][hidden]')")


@pytest.fixture(scope="module")
def pages(rendered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bootstrap")
    page, style = folder / "index.html", bootstrap(folder)
    # Without render/page.css, which Quarto does not have.
    styles = "".join(f"<style>{css}</style>" for css in (style, QUARTO, (REPORT / "theme/paper.css").read_text()))
    html = (rendered / "index.html").read_text()
    page.write_text(re.sub(r"<style>.*?</style>", lambda _: styles, html, count=1, flags=re.DOTALL))
    return Pages(rendered / "index.html", page)


def bootstrap(folder: Path) -> str:
    """Bootstrap's style, from its npm package."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("no npm, from which Bootstrap comes: apt-get install npm")
    options = "--ignore-scripts --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000"
    command = [npm, "pack", f"bootstrap@{BOOTSTRAP}", *options.split(), f"--cache={folder / 'npm-cache'}"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = str(error.stderr or error).splitlines()[0]
        pytest.skip(f"npm cannot get bootstrap@{BOOTSTRAP}: {reason}")
    with tarfile.open(folder / f"bootstrap-{BOOTSTRAP}.tgz") as archive:
        return archive.extractfile("package/dist/css/bootstrap.min.css").read().decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shaded_cells_have_their_grounds(chromium, pages, scheme):
    with pages.on_bootstrap(chromium, scheme) as page:
        seen = page.evaluate("""() => {
            const ground = element => getComputedStyle(element).backgroundColor;
            return [0, 1, 2, 3, 4].map(n => {
                const probe = document.body.appendChild(document.createElement("i"));
                probe.style.background = `var(--diff-${n})`;
                const cells = [...document.querySelectorAll(`main td.diff-${n}`)];
                return [ground(probe), [...new Set(cells.map(ground))]];
            });
        }""")
    assert len({ground for ground, _ in seen}) == 5
    assert [found for _, found in seen if found] == [[ground] for ground, found in seen if found]
    assert seen[4][1]


def test_no_row_is_striped(chromium, pages):
    with pages.on_bootstrap(chromium) as page:
        grounds = page.evaluate("""() => [...document.querySelectorAll("main table.table :is(th, td):not([class*='diff-'])")]
            .map(cell => getComputedStyle(cell)).map(style => [style.backgroundColor, style.boxShadow].join())""")
    assert len(grounds) > 100
    assert set(grounds) == {"rgba(0, 0, 0, 0),none"}


def test_no_table_is_wider_than_its_content(chromium, pages):
    with pages.on_bootstrap(chromium) as page:
        widths = page.evaluate("""() => [...document.querySelectorAll("main table.table:not(.full-width)")].map(table => {
            for (let around = table; (around = around.closest("details:not([open])"));) around.open = true;
            const width = table.offsetWidth;
            table.style.width = "max-content";
            return [width, table.offsetWidth];
        })""")
    assert len(widths) > 10
    assert [(width, content) for width, content in widths if width > content + 1] == []


def test_the_page_is_not_wider_than_a_phone(chromium, pages):
    with pages.on_bootstrap(chromium, width=PHONE) as page:
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_content_looks_as_on_our_page(chromium, pages, scheme):
    look = """looks => Object.entries(looks).map(([selector, properties]) => [...document.querySelectorAll(selector)].map(
        element => {
            const style = getComputedStyle(element);
            return [selector, element.textContent.trim().slice(0, 40), ...properties.map(name => `${name}: ${style[name]}`)];
        }
    ))"""
    with visit(chromium, pages.ours, color_scheme=scheme) as seen:
        drawn(seen.page)
        ours = seen.page.evaluate(look, LOOKS)
    with pages.on_bootstrap(chromium, scheme) as page:
        theirs = page.evaluate(look, LOOKS)
    assert [len(elements) for elements in ours] == [len(elements) for elements in theirs]
    assert all(len(elements) > 5 for elements in ours)
    pairs = [pair for both in zip(ours, theirs, strict=True) for pair in zip(*both, strict=True)]
    different = [(a[:2], sorted({*a} - {*b}), sorted({*b} - {*a})) for a, b in pairs if a != b]
    assert different[:5] == []
