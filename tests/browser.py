"""Looking at pages: opening one in Chromium, what axe-core finds in it, links that lead nowhere, and what a PDF says."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pypdf
from bs4 import BeautifulSoup

PHONE, TABLET, DESKTOP = 390, 820, 1440  # widths in CSS pixels
REPORT = Path(__file__).resolve().parents[1] / "report"
POLICY = re.search(r'Content-Security-Policy" content="([^"]*)"', (REPORT / "render" / "page.html").read_text())[1]
"""What the page of the paper may do."""


def page_of(path: Path, *blocks: str) -> Path:
    """Write a page of its own for raw blocks of HTML, with the styles and the policy of the paper's page."""
    styles = "".join((REPORT / place).read_text() for place in ("theme/paper.css", "render/page.css"))
    content = "".join(block.removeprefix("```{=html}\n").removesuffix("```") for block in blocks)
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>Test</title><style>{styles}</style>'
        f'<body class="paper"><main id="content"><h1>Test</h1><h2 id="other">Before</h2>{content}</main>'
    )
    return path


def executable() -> str | None:
    """The system's Chromium, if there is one that runs (Ubuntu's chromium-browser may only say how to get one)."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


@dataclass
class Visit:
    """A page that is open, the addresses that it asked for, and what went wrong in it."""

    page: "playwright.sync_api.Page"  # noqa: F821
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def visit(chromium, path: Path, width: int = DESKTOP, **context) -> Iterator[Visit]:
    """Open a file in a fresh context; `context` as in `Browser.new_context` (color_scheme, reduced_motion, media)."""
    opened = chromium.new_context(viewport={"width": width, "height": 900}, **context)
    seen = Visit(opened.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    try:
        seen.page.goto(path.resolve().as_uri())
        yield seen
    finally:
        opened.close()


FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


def in_firefox(address: str, expression: str, profile: Path, timeout: float) -> str:
    """The text that a promise gives in the page at an address, in Firefox, driven by WebDriver BiDi."""
    import websocket

    command = [
        FIREFOX,
        "--headless",
        "--no-remote",
        "--profile",
        profile,
        "--remote-debugging-port",
        "0",
        "about:blank",
    ]
    firefox = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        socket = next(found[0] for line in firefox.stderr if (found := re.search(r"ws://[\w.:]+", line)))
        connection = websocket.create_connection(f"{socket}/session", timeout=timeout, suppress_origin=True)

        def ask(method: str, **params) -> dict:
            connection.send(json.dumps({"id": 1, "method": method, "params": params}))
            while (answer := json.loads(connection.recv())).get("id") != 1:
                pass  # events
            return answer["result"]

        ask("session.new", capabilities={})
        context = ask("browsingContext.getTree")["contexts"][0]["context"]
        ask("browsingContext.navigate", context=context, url=address, wait="complete")
        done = ask("script.evaluate", expression=expression, target={"context": context}, awaitPromise=True)
        return done["result"]["value"]
    finally:
        firefox.terminate()
        firefox.wait()


def findings(page) -> list[str]:
    """What axe-core finds in an open page: rule, impact and the first places."""
    from axe_playwright_python.sync_playwright import Axe

    # Of what passes, axe would otherwise describe every element, which takes longer than to find what does not.
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {len(rule['nodes'])} x, {[node['target'] for node in rule['nodes'][:3]]}"
        for rule in violations
    ]


def dead_links(path: Path) -> list[str]:
    """Links of a page to a file or an id that is not there; addresses elsewhere are not looked at."""

    def soup(file: Path) -> BeautifulSoup:
        if file not in read:
            read[file] = BeautifulSoup(file.read_text(), "html.parser")
        return read[file]

    read: dict[Path, BeautifulSoup] = {}
    dead = []
    for element in soup(path).select("[href], [src]"):
        target = element.get("href") or element.get("src") or ""
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = path.parent / unquote(parts.path) if parts.path else path
        found = file.is_file() and (not parts.fragment or soup(file).find(id=unquote(parts.fragment)) is not None)
        if not found:
            dead.append(target)
    return dead


@cache  # it takes seconds
def leaves(path: Path) -> list[str]:
    """The text of every leaf of a PDF."""
    return [leaf.extract_text() for leaf in pypdf.PdfReader(path).pages]
