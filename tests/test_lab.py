"""The notebooks in JupyterLab: the live bench, driven by a browser as a reader drives it."""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120_000  # milliseconds; on an idle machine each step takes a few seconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on a free port of this machine, at a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "explore.ipynb").write_bytes((ROOT / "notebooks" / "explore.ipynb").read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Settings and run-time files too go to the folder: nothing of the user's has a say, and nothing is left.
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
         "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"],
        cwd=folder, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urlopen(f"{address}/api", timeout=5).close()
                break
            except URLError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def bench(lab, chromium):
    """`explore.ipynb` open in JupyterLab with the cell of the bench run."""
    from playwright.sync_api import TimeoutError

    context = chromium.new_context(viewport={"width": 1300, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{lab}/lab/tree/explore.ipynb")
    for _ in range(4):  # a key that is pressed before the kernel is connected may be lost
        page.locator(".jp-CodeCell").first.locator(".cm-content").click()
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        page.keyboard.press("Shift+Enter")
        with suppress(TimeoutError):
            button(page, "Run").wait_for(timeout=PATIENCE / 4)
            break
    yield page
    context.close()


def button(page, label):
    """A button of the bench. Not by its role: the character of its icon is part of its name."""
    return page.locator(".lr-bench button").filter(has_text=re.compile(rf"^\W*{label}$"))


def field(page, label):
    """The box of one field of the bench: its name, its control and its line of complaint."""
    return page.locator(".lr-bench .widget-vbox").filter(has=page.get_by_text(label, exact=True)).last


def test_the_bench_is_run_stopped_and_refuses_bad_input(bench, tmp_path):
    run = button(bench, "Run")
    for label, bad, good, complaint in (
        ("Memory, % of a task's images", "0", "5", "choose more than 0 and at most 100 %"),
        ("Memory, % of a task's images", "101", "5", "choose more than 0 and at most 100 %"),
        ("Classes, a bar between tasks", "", "01 | 23456789", "no class is chosen"),
        ("Classes, a bar between tasks", "01 |", "01 | 23456789", "task 2 is left without a class"),
    ):
        entry = field(bench, label).locator("input")
        entry.fill(bad)
        entry.press("Enter")
        field(bench, label).get_by_text(complaint).wait_for()
        assert run.is_disabled()
        entry.fill(good)
        entry.press("Enter")
        field(bench, label).get_by_text(complaint).wait_for(state="detached")

    run.click()
    curve = bench.get_by_alt_text("Accuracy on each task", exact=False)
    curve.wait_for()
    button(bench, "Stop").click()
    bench.get_by_text("Stopped after").wait_for()
    assert "1: replay 5 %, stopped" in bench.locator(".lr-bench table").inner_text()
    assert curve.evaluate("image => image.naturalWidth") > 100  # drawn, not only named
    assert run.is_enabled()
    bench.screenshot(path=tmp_path / "bench.png")
