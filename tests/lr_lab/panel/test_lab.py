"""The notebooks in JupyterLab: the live panel, driven by a browser as a reader drives it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120_000  # milliseconds; on an idle machine each step takes a few seconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """What `make lab` starts, on a free port of this machine, at a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Settings and run-time files too go to the folder: nothing of the user's has a say, and nothing is left.
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    # For the kernels there are no real data, wherever they lie on this machine, and nothing to compile.
    startup = folder / "ipython" / "profile_default" / "startup" / "absent.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(
        "import dataclasses, pathlib\nfrom lr_lab.data import catalogue\nfrom lr_lab.runs import profiles\n"
        "catalogue.raw_folder = lambda: pathlib.Path('none')\n"
        "profiles.INTERACTIVE = dataclasses.replace(profiles.INTERACTIVE, precision='fp64')\n"
    )
    own |= {"IPYTHONDIR": str(folder / "ipython"), "LR_DATA_PATH": ""}
    (folder / "CONFIG").mkdir()
    (folder / "CONFIG" / "jupyter_server_config.py").write_text(
        f"c.ServerApp.ip, c.ServerApp.port, c.ServerApp.root_dir = '127.0.0.1', {port}, {str(folder)!r}\n"
        "c.ServerApp.open_browser, c.IdentityProvider.token = False, ''\n"
    )
    server = subprocess.Popen(
        ["make", "lab", "VENV=", f"PYTHON={sys.executable}"], cwd=ROOT, env=os.environ | own, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
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
        os.killpg(server.pid, signal.SIGTERM)  # make's own child is the server, which ends its kernels
        server.wait(30)


@pytest.fixture(scope="module")
def page(lab, chromium):
    context = chromium.new_context(viewport={"width": 1300, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    # On a busy machine JupyterLab asks for a kernel when its list of them comes too late; the one of the notebook is chosen.
    question = page.locator("dialog.jp-Dialog", has_text="Select Kernel")
    page.add_locator_handler(question, lambda dialog: dialog.locator("button.jp-mod-accept").click())
    yield page
    context.close()


def open_notebook(page, lab, name):
    page.goto(f"{lab}/lab/tree/notebooks/{name}?reset")  # without the tabs of the tests before
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")


@pytest.fixture(scope="module")
def panel(lab, page):
    """`explore.ipynb` open in JupyterLab with the cell of the panel run."""
    from playwright.sync_api import TimeoutError

    open_notebook(page, lab, "explore.ipynb")
    for _ in range(4):  # a key that is pressed before the kernel is connected may be lost
        page.locator(".jp-CodeCell").first.locator(".cm-content").click()
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        page.keyboard.press("Shift+Enter")
        with suppress(TimeoutError):
            button(page, "Run").wait_for(timeout=PATIENCE / 4)
            break
    return page


def button(page, label):
    """A button of the panel. Not by its role: the character of its icon is part of its name."""
    return page.locator(".lr-panel button").filter(has_text=re.compile(rf"^\W*{label}$"))


def field(page, label):
    """The box of one field of the panel: its name, its control and its line of complaint."""
    return page.locator(".lr-panel .widget-vbox").filter(has=page.get_by_text(label, exact=True)).last


def test_a_notebook_opens_with_its_figures_and_without_a_question(lab, page):
    open_notebook(page, lab, "latent-replay-from-scratch.ipynb")
    page.locator(".jp-RenderedSVG").first.wait_for()  # a notebook that is not trusted has words in their place
    page.wait_for_timeout(3000)  # the question about news comes a second or two after all else
    assert page.get_by_text("Jupyter news").count() == 0
    assert page.get_by_text("IPython.core.display.SVG object").count() == 0


def test_data_that_cannot_be_had_are_refused_where_they_are_chosen(panel):
    """What a fetch says that fails, test_panel.py tells: here it might succeed."""
    from playwright.sync_api import expect

    choice = field(panel, "Data set").locator("select")
    before = choice.input_value()
    absent = choice.locator("option", has_text="not on this machine")
    assert absent.count() == 3 + 6  # the paper's sets, and pairs of them
    choice.select_option(label=absent.first.inner_text())
    field(panel, "Data set").get_by_text("is not on this machine: press “Fetch the data”, or choose another").wait_for()
    run = button(panel, "Run")
    expect(run).to_be_disabled(timeout=PATIENCE)  # the line comes first, the button then
    expect(button(panel, "Fetch the data")).to_be_enabled(timeout=PATIENCE)
    choice.select_option(before)
    expect(run).to_be_enabled(timeout=PATIENCE)


def test_the_panel_is_run_stopped_and_refuses_bad_input(panel, tmp_path):
    from playwright.sync_api import expect

    run = button(panel, "Run")
    for label, bad, good, complaint in (
        ("Memory, % of a task's images", "0", "5", "choose more than 0 and at most 100 %"),
        ("Memory, % of a task's images", "101", "5", "choose more than 0 and at most 100 %"),
        ("Classes, a bar between tasks", "", "01 | 23456789", "no class is chosen"),
        ("Classes, a bar between tasks", "01 |", "01 | 23456789", "task 2 is left without a class"),
    ):
        entry = field(panel, label).locator("input")
        entry.fill(bad)
        entry.press("Enter")
        field(panel, label).get_by_text(complaint).wait_for()
        expect(run).to_be_disabled(timeout=PATIENCE)
        entry.fill(good)
        entry.press("Enter")
        field(panel, label).get_by_text(complaint).wait_for(state="detached")

    run.click()
    curve = panel.get_by_alt_text("Accuracy on each task", exact=False)
    curve.wait_for()
    button(panel, "Stop").click()
    panel.get_by_text("Stopped after").wait_for()
    assert "1: replay 5 %, stopped" in panel.locator(".lr-panel table").inner_text()
    assert curve.evaluate("image => image.naturalWidth") > 100  # drawn, not only named
    expect(run).to_be_enabled(timeout=PATIENCE)
    panel.screenshot(path=tmp_path / "panel.png")
