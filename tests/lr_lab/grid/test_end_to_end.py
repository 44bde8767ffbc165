"""The whole way in a temporary folder: a real grid with real kernels, then the paper rendered from its records.

One grid serves all tests of this file: a run of the smoke profile that succeeds, beside one whose data are damaged.
"""

import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from html.parser import HTMLParser

import click
import numpy as np
import pytest
from browser import leaves
from click.testing import CliRunner
from grids import ROOT, kept_arm, kernels, places, write_notebook

from lr_lab.cli import main
from lr_lab.data import catalogue, custom
from lr_lab.grid import notebook
from lr_lab.runs import store
from lr_lab.runs.profiles import PROFILES, find_profile
from lr_lab.runs.record import digest

pytestmark = pytest.mark.slow


def command(*arguments, folder, wait=True, **environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "lr_lab", *map(str, arguments)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    process.output, process.errors = process.communicate(timeout=400)
    return process


def called(*arguments, **environment):
    """The same command in this process: `exit_code`, `stdout`, `stderr`."""

    @click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def line(words):
        main(words)

    return CliRunner(env=environment).invoke(line, ["--", *map(str, arguments)])


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A grid of two runs on two workers: digits, and a set of the user's own with a damaged file.

    The kernel of the digits was killed after its first arm, and the same command given again. Few files may be open,
    unless the grid raises the limit itself.
    """
    folder = tmp_path_factory.mktemp("grid")
    labels = np.arange(200) % 10
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LR_DATA_PATH", str(folder / "data"))
        custom.add(
            custom.from_arrays("noise", noise, labels), origin="drawn here", licence="none", root=folder / "data"
        )
    catalogue.reread()
    damaged = max(folder.glob("data/noise/raw/*"), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    line = ["sh", "-c", 'ulimit -S -n 32; exec "$@"', "sh", sys.executable, "-m", "lr_lab", "grid"]
    line += ["--profile", "smoke", "--dataset", "noise", "--dataset", "digits", "--case", "1", "--workers", "2"]

    def start():
        return subprocess.Popen(
            [*line, *map(str, places(folder))],
            cwd=folder,
            env=os.environ | {"LR_DATA_PATH": str(folder / "data")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    killed = start()
    while not list(folder.glob("cache/*/first-task.safetensors")) or len(kernels(killed)) != 1:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    kernels(killed)[0].kill()
    killed.output, killed.errors = killed.communicate(timeout=60)
    killed.left = [path.name for path in folder.glob("runs/**/*.*")]
    killed.arm = kept_arm(next(folder.glob("cache/*/first-task.safetensors")))
    process = start()
    process.output, process.errors = process.communicate(timeout=400)
    process.folder, process.killed = folder, killed
    process.record = folder / "runs" / "smoke" / "digits-case1-seed0.json"
    return process


def test_a_killed_kernel_loses_no_finished_arm(grid):
    """The run fails with one line, leaves no record and no notebook, and goes on where it was."""
    assert grid.killed.returncode == 1
    assert "failed: smoke digits case 1 seed 0: its kernel died" in grid.killed.errors
    assert "Traceback" not in grid.killed.output + grid.killed.errors
    assert grid.killed.left == []
    assert "no record, 1 arms kept" in grid.output
    assert store.read(grid.record)["arms"][0] == grid.killed.arm
    assert not list(grid.folder.glob("cache/*/*first-task*"))


def test_one_failed_run_does_not_stop_the_others(grid):
    assert store.read(grid.record)["run"] == {"dataset": "digits", "case": 1, "seed": 0}
    assert not (grid.folder / "runs" / "smoke" / "noise-case1-seed0.json").exists()


def test_a_failed_run_is_reported_at_the_end_with_its_cell_and_error(grid):
    assert grid.returncode == 1
    last = grid.errors.strip().splitlines()[-1]
    assert re.match(r"failed: smoke noise case 1 seed 0: cell \d+: LatentReplayError: .*SHA-256", last)
    assert "Traceback" not in grid.output + grid.errors


def test_the_grid_says_why_each_run_runs(grid):
    assert "run   smoke noise case 1 seed 0: no record" in grid.output
    assert "smoke digits case 1 seed 0: done" in grid.output


def test_the_executed_notebook_is_kept_without_traces_of_the_machine(grid):
    text = grid.record.with_suffix(".ipynb").read_text()
    assert str(grid.folder) not in text
    notebook = json.loads(text)
    assert "papermill" not in notebook["metadata"]
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) == 2
    assert sorted(p.name for p in grid.record.parent.iterdir()) == [
        "digits-case1-seed0.ipynb",
        "digits-case1-seed0.json",
    ]


def test_a_finished_run_is_skipped(grid):
    again = called("grid", "--profile", "smoke", "--case", 1, *places(grid.folder))
    assert again.exit_code == 0
    assert "skip  smoke digits case 1 seed 0: up to date (took" in again.stdout
    assert "0 of 1 runs are due" in again.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r | {"protocol_version": 0, "key": "0" * 64}, "protocol version 0, now"),
        (
            lambda r: r | {"settings": r["settings"] | {"momentum": 0.5}, "key": "0" * 64},
            "settings differ: momentum was 0.5, now 0.9",
        ),
        (lambda r: r | {"data": {"images": "0" * 64}, "key": "0" * 64}, "data checksums differ"),
        (lambda r: r | {"schema": 0}, "damaged record (is not a whole record of schema 2: Invalid enum value 0"),
    ],
)
def test_status_says_what_differs(grid, tmp_path, change, reason):
    content = change(store.read(grid.record))
    content["sha256"] = digest({name: value for name, value in content.items() if name != "sha256"})
    path = tmp_path / "runs" / "smoke" / grid.record.name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    status = called("status", "--profile", "smoke", "--case", 1, *places(tmp_path))
    assert status.exit_code == 0
    assert f"run   smoke digits case 1 seed 0: {reason}" in status.stdout


@pytest.mark.parametrize(
    ("variable", "option", "reason"),
    [("runs", None, "up to date"), ("elsewhere", None, "no record"), ("elsewhere", "runs", "up to date")],
)
def test_lr_runs_names_the_folder_unless_the_command_does(grid, variable, option, reason):
    arguments = ["--profile", "smoke", "--case", "1", *(["--runs", str(grid.folder / option)] if option else [])]
    shown = called("status", *arguments, LR_RUNS=str(grid.folder / variable))
    assert f"digits case 1 seed 0: {reason}" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["grid", "--dataset", "imagenet"], 2, "unknown data set 'imagenet': choose one of mnist"),
        (["grid", "--case", "7"], 2, "unknown case 7; known are 1, 2, 3, 4"),
        (["status", "--profile", "full"], 2, "unknown profile 'full'; known are paper, literal"),
        (["grid", "--seed", "-1"], 2, "seed is -1; it must be a whole number of at least 0"),
        (["grid", "--speed", "9"], 2, "No such option"),
        (["grid", "--workers", "0"], 2, "0 is not in the range x>=1"),
        (["data", "imagenet"], 2, "unknown data set 'imagenet'"),
        (["results", "out.csv", "full"], 2, "unknown profile 'full'"),
        (["grid", "--profile", "smoke", "--runs", "/proc/nowhere"], 1, "/proc/nowhere/smoke: cannot be written"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    refused = called(*arguments)
    assert refused.exit_code == status
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_too_few_open_files_are_one_line(tmp_path):
    line = [sys.executable, "-m", "lr_lab", "grid", "--profile", "smoke", "--case", "1", *map(str, places(tmp_path))]
    shell = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *line]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=400)
    assert done.returncode == 1
    words = "error: only 100 files may be open at a time, and 1 runs at a time need 128: allow more (ulimit"
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


def test_a_request_in_a_process_of_its_own_ends_with_its_status_and_a_line(tmp_path):
    process = command("grid", "--case", "7", folder=tmp_path)
    assert (process.returncode, process.output) == (2, "")
    assert process.errors == "error: unknown case 7; known are 1, 2, 3, 4\n"


def test_a_kernel_says_nothing_after_its_last_cell(tmp_path, monkeypatch, capfd):
    code = "import atexit, os; atexit.register(os.write, 2, b'ended by itself'); os.write(2, b'last cell')"
    write_notebook(tmp_path / "talks.ipynb", code)
    monkeypatch.setattr(notebook, "NOTEBOOKS", tmp_path)
    notebook.run_notebook("talks", {})
    assert capfd.readouterr().err == "last cell"


# -- the paper --------------------------------------------------------------------------------------------------------


class Tables(HTMLParser):
    """The text of every table cell of a page."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data.replace("\N{NO-BREAK SPACE}", " ")


def rendering(profile, runs, target):
    """The page and the leaves of the PDF of a profile, from the records in a folder."""
    subprocess.run(
        [sys.executable, ROOT / "report" / "render", "--output-dir", target],
        env=os.environ | {"LR_PROFILE": profile, "LR_RUNS": str(runs)},
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )
    return (target / "index.html").read_text(), leaves(target / "latent-replay.pdf")


@pytest.fixture(scope="module")
def smoke_paper(grid, tmp_path_factory):
    """As somebody has it who ran the profile in a clone: its record lies beside the committed ones."""
    runs = tmp_path_factory.mktemp("runs")
    shutil.copytree(ROOT / "report" / "runs", runs, dirs_exist_ok=True)
    shutil.copytree(grid.folder / "runs", runs, dirs_exist_ok=True)
    return rendering("smoke", runs, tmp_path_factory.mktemp("smoke-paper"))


@pytest.fixture(scope="module")
def paper(rendered):
    return (rendered / "index.html").read_text(), leaves(rendered / "latent-replay.pdf")


def test_a_preliminary_paper_says_so_on_every_page(smoke_paper):
    page, pdf = smoke_paper
    assert "Profile smoke: not the results of the paper" in page
    assert all("Profile smoke: not the results of the paper" in leaf for leaf in pdf)


@pytest.mark.long
@pytest.mark.parametrize("profile", [n for n, p in PROFILES.items() if p.document and n not in ("paper", "smoke")])
def test_every_other_profile_is_rendered_from_what_a_clone_has(tmp_path, profile):
    page, pdf = rendering(profile, ROOT / "report" / "runs", tmp_path)
    for text in (page, "\n".join(pdf)):
        assert ("not the results of the paper" in text) == find_profile(profile).preliminary
    assert len(pdf) > 10


def test_the_paper_itself_has_no_banner(paper):
    page, pdf = paper
    assert "not the results of the paper" not in page
    assert not any("not the results of the paper" in leaf for leaf in pdf)


def test_every_number_of_a_record_is_in_the_paper_made_from_it(grid, smoke_paper):
    page, pdf = smoke_paper
    cells = Tables(page).cells
    for arm in store.read(grid.record)["arms"]:
        for evaluation, accuracies in arm["accuracy"].items():
            if arm["arm"] == "first-task" and evaluation == "mixed":
                continue  # the same as batch, with one task learned
            for value in accuracies.values():
                if value is not None:
                    assert f"{value:.4f}" in cells
                    assert any(f"{value:.4f}" in leaf for leaf in pdf)


def test_every_published_value_is_in_the_paper(paper):
    page, pdf = paper
    cells, text = Tables(page).cells, "\n".join(pdf)
    with (ROOT / "data" / "published.csv").open() as file:
        for row in csv.DictReader(file):
            for name in ("train_accuracy", "test_accuracy", "original_test_accuracy"):
                if row[name]:
                    assert row[name] in cells
                    assert row[name] in text


def test_every_committed_record_is_in_the_paper_and_what_is_missing_says_so(paper):
    page, _ = paper
    cells = Tables(page).cells
    found: dict[tuple, list[dict]] = {}
    for record in store.read_all(ROOT / "report" / "runs", "paper"):
        found.setdefault((record["run"]["dataset"], record["run"]["case"]), []).append(record)
    for seeds in found.values():
        for arms in zip(*(record["arms"] for record in seeds), strict=True):
            for mode in ("running", "batch"):
                value = statistics.fmean(arm["accuracy"][mode]["test"] for arm in arms)
                assert any(cell.startswith(f"{value:.4f}") for cell in cells)
    literal = store.read_all(ROOT / "report" / "runs", "literal")
    beside = {record["run"]["dataset"] for record in literal}  # whose tables have plain SGD's columns too
    missing = 12 - len(found) + 4 * len(beside) - len(literal)
    accuracies = 2 * 2 + 3 * 3 * 3 + 3 * 3  # first task, replay, no replay: measures by evaluation modes (by shares)
    ledger = json.loads((ROOT / "report" / "claims.json").read_text())["claims"]
    assert cells.count("not run") == accuracies * missing + sum(claim["mean"] is None for claim in ledger)


def test_nothing_unfinished_shows(paper):
    page, pdf = paper
    for text in (re.sub(r"<(script|style|svg).*?</\1>|data:[^\"]*", "", page, flags=re.DOTALL), "\n".join(pdf)):
        assert not re.findall(r"\bnan\b|\bNone\b|\bNaN\b|\?\?|Traceback", text)


def test_results_are_tidy(grid, tmp_path):
    called("results", tmp_path / "r.csv", "smoke", "--runs", grid.folder / "runs")
    with (tmp_path / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "profile", "dataset", "case", "seed", "arm", "choice", "evaluation", "memory_images_percent", "train_accuracy",
        "test_accuracy", "original_test_accuracy", "epochs", "seconds", "memory_bytes",
    ]  # fmt: skip
    assert len(rows) == 4 * 3  # arms of the smoke profile, evaluation modes
    keys = [(r["arm"], r["evaluation"], r["memory_images_percent"]) for r in rows]
    assert len(set(keys)) == len(keys)
