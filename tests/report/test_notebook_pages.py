"""The pages of executed notebooks: one for each run, made anew only when it changed, fit to be read by anybody."""

import json
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, dead_links, findings, visit
from bs4 import BeautifulSoup
from click.testing import CliRunner
from msgspec.structs import replace

from lr_lab.data import catalogue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def notebooks(module):
    return module("notebooks")


@pytest.fixture(scope="module")
def archive(module):
    return module("archive")


def source(text, **metadata):
    return {"cell_type": "markdown", "id": f"c{len(text)}", "metadata": metadata, "source": text}


def add_run(folder, profile="paper", dataset="mnist", case=1, text="# A case\n\n## Accuracy"):
    """A record with what the pages show of it, and a notebook with one figure and one table of pandas."""
    record = {"run": {"dataset": dataset, "case": case, "seed": 0}, "arms": [{"epochs": 7, "seconds": 240}] * 5}
    figure = {"image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg" id="drawn"/>'}
    row = "<tr><th>replay 5 %</th><td>98.50</td><td></td></tr>"
    head = "<thead><tr><th></th><th>train</th><th></th></tr></thead>"
    table = {"text/html": f'<style scoped>a {{}}</style><table border="1">{head}<tbody>{row}</tbody></table>'}
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in (figure, table)]
    code = {"cell_type": "code", "id": "code", "metadata": {}, "source": "1 < 2", "outputs": outputs}
    cells = [source(text), code | {"execution_count": 1}]
    path = folder / profile / f"{dataset}-case{case}-seed0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.with_suffix(".ipynb").write_text(json.dumps(notebook))
    return path


@pytest.fixture
def runs(tmp_path):
    add_run(tmp_path / "runs")
    add_run(tmp_path / "runs", dataset="kmnist", case=3)
    add_run(tmp_path / "runs", profile="literal", case=2)
    return tmp_path / "runs"


@pytest.fixture
def make(notebooks, runs, tmp_path, monkeypatch):
    """Writes the pages; returns those that were converted, as `profile/run`."""
    monkeypatch.delenv("LR_PROFILE", raising=False)
    converted = []
    original = notebooks.notebook_page
    monkeypatch.setattr(notebooks, "notebook_page", lambda run: converted.append(run) or original(run))

    def make():
        converted.clear()
        result = CliRunner().invoke(notebooks.main, ["--output-dir", tmp_path / "out", "--runs", runs])
        assert result.exit_code == 0, result.output
        return [f"{run.profile}/{run.record.stem}" for run in converted]

    return make


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", '" onload="x', "<b>x</b> &amp;"])
def test_a_title_means_nothing_but_itself(notebooks, make, tmp_path, monkeypatch, title):
    info = catalogue.describe("mnist")
    monkeypatch.setattr(catalogue, "describe", lambda name: replace(info, title=title if name == "mnist" else name))
    make()
    for page, count in (("index.html", 2), ("paper/mnist-case1-seed0.html", 2)):
        soup = BeautifulSoup((tmp_path / "out" / "notebooks" / page).read_text(), "html.parser")
        assert not soup.select("script, b, [onload]")
        assert soup.text.count(title) == count
    assert title in soup.find("img")["alt"]


@pytest.mark.parametrize("place", [{"LR_RUNS": "~/runs"}, {}])
def test_a_tilde_is_the_user_s_own_folder(notebooks, runs, tmp_path, monkeypatch, place):
    for name, value in {"HOME": str(tmp_path), **place}.items():
        monkeypatch.setenv(name, value)
    arguments = [] if place else ["--runs", "~/runs"]
    result = CliRunner().invoke(notebooks.main, ["--output-dir", "~/out", *arguments])
    assert (result.exit_code, len(list((tmp_path / "out" / "notebooks").glob("*/*.html")))) == (0, 3)


def pages(tmp_path):
    return sorted(str(path.relative_to(tmp_path / "out/notebooks")) for path in (tmp_path / "out").rglob("*.html"))


def test_every_run_with_a_record_and_a_notebook_has_a_page(make, runs, tmp_path):
    (runs / "paper" / "mnist-case4-seed0.ipynb").write_text("a notebook without a record: its run did not end")
    shutil.copy(runs / "paper" / "mnist-case1-seed0.json", runs / "paper" / "mnist-case3-seed0.json")
    add_run(runs, profile="quick")
    assert make() == ["paper/mnist-case1-seed0", "paper/kmnist-case3-seed0", "literal/mnist-case2-seed0"]
    assert pages(tmp_path) == [
        "index.html",
        "literal/mnist-case2-seed0.html",
        "paper/kmnist-case3-seed0.html",
        "paper/mnist-case1-seed0.html",
    ]
    for suffix in (".ipynb", ".json"):
        name = f"paper/mnist-case1-seed0{suffix}"
        assert (tmp_path / "out/notebooks" / name).read_bytes() == (runs / name).read_bytes()


def test_runs_of_a_data_set_that_is_not_known_here_are_left_out_with_a_line(notebooks, runs, tmp_path, monkeypatch):
    monkeypatch.delenv("LR_PROFILE", raising=False)
    for case in (1, 2):
        add_run(runs, dataset="letters", case=case)
    result = CliRunner().invoke(notebooks.main, ["--output-dir", tmp_path / "out", "--runs", runs])
    assert result.exit_code == 0
    assert result.stderr == (
        "left out: the runs of letters. "
        "To have the data set letters, set LR_DATA_PATH to the folder that holds letters/dataset.toml\n"
    )
    assert "paper/mnist-case1-seed0.html" in pages(tmp_path)
    assert not [page for page in pages(tmp_path) if "letters" in page]
    assert len(list(runs.glob("paper/letters-*"))) == 4


def test_a_preliminary_profile_is_shown_where_it_is_asked_for_and_says_what_it_is(make, runs, tmp_path, monkeypatch):
    add_run(runs, profile="quick")
    make()
    (unmarked,) = (tmp_path / "out").rglob("paper/mnist*.html")
    monkeypatch.setenv("LR_PROFILE", "quick")
    assert make() == ["quick/mnist-case1-seed0"]
    (marked,) = (tmp_path / "out").rglob("quick/*.html")
    for page, banner in ((unmarked, False), (marked, True), (tmp_path / "out/notebooks/index.html", True)):
        assert ("Profile quick: not the results of the paper" in page.read_text()) == banner


def test_the_list_names_each_run_with_its_facts_and_files(make, tmp_path):
    make()
    rows = BeautifulSoup((tmp_path / "out/notebooks/index.html").read_text(), "html.parser").select("tbody tr")
    assert [[cell.text for cell in row("td")] for row in rows] == [
        ["MNIST", "1", "0", "35", "20 min", "notebook, record"],
        ["KMNIST", "3", "0", "35", "20 min", "notebook, record"],
        ["MNIST", "2", "0", "35", "20 min", "notebook, record"],
    ]
    files = [f"literal/mnist-case2-seed0{suffix}" for suffix in (".html", ".ipynb", ".json")]
    assert [link["href"] for link in rows[2]("a")] == files


def test_a_page_has_anchors_headers_and_described_figures(make, tmp_path):
    make()
    soup = BeautifulSoup((tmp_path / "out/notebooks/paper/mnist-case1-seed0.html").read_text(), "html.parser")
    assert [heading.text for heading in soup("h1")] == ["MNIST, case 1, seed 0"]
    assert soup.find(id="accuracy").name == "h2"
    assert (soup.find(id="replay-5").text, soup.find(id="replay-5")["scope"]) == ("replay 5 %", "row")
    assert soup.img["alt"] == "Accuracy: MNIST, case 1, seed 0. The numbers are in the record."
    assert soup.img["src"].startswith("data:image/svg+xml")
    assert all(cell.text for cell in soup("th"))
    assert not soup(["style", "script", "iframe"])


def test_only_what_changed_is_converted(make, runs, tmp_path):
    make()
    assert make() == []
    add_run(runs, dataset="kmnist", case=3, text="# Another\n\n## Accuracy")
    assert make() == ["paper/kmnist-case3-seed0"]
    record = runs / "paper" / "mnist-case1-seed0.json"
    record.write_text(record.read_text().replace('"epochs": 7', '"epochs": 9'))
    assert make() == ["paper/mnist-case1-seed0"]
    (tmp_path / "out/notebooks/literal/mnist-case2-seed0.html").unlink()
    assert make() == ["literal/mnist-case2-seed0"]
    assert make() == []


def test_a_page_older_than_the_script_is_made_anew(make, notebooks, tmp_path):
    make()
    page = tmp_path / "out/notebooks/paper/mnist-case1-seed0.html"
    before = Path(notebooks.__file__).stat().st_mtime - 1
    os.utime(page, (before, before))
    assert make() == ["paper/mnist-case1-seed0"]


def test_pages_older_than_a_template_are_made_anew(make, notebooks, tmp_path, monkeypatch):
    templates = shutil.copytree(notebooks.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(notebooks, "TEMPLATES", templates)
    make()
    assert make() == []
    later = time.time() + 60
    os.utime(templates / "page.html.j2", (later, later))
    assert len(make()) == 3


def test_what_is_no_longer_among_the_runs_is_removed(make, runs, tmp_path):
    make()
    for path in runs.glob("paper/kmnist*"):
        path.unlink()
    mine = tmp_path / "out/notebooks/paper/mine.txt"
    mine.touch()
    make()
    assert not list((tmp_path / "out").rglob("kmnist*"))
    assert mine.exists()


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("json", "{"),
        ("json", "{}"),
        ("json", '{"run": {"dataset": "imagenet"}, "arms": []}'),
        ("ipynb", ""),
        ("ipynb", '{"cells": [{"cell_type": "co'),
        ("ipynb", "[]"),
        ("ipynb", "{}"),
        ("ipynb", '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}'),
    ],
)
def test_a_damaged_file_is_one_line(notebooks, runs, tmp_path, suffix, text):
    (runs / "paper" / f"mnist-case1-seed0.{suffix}").write_text(text)
    result = CliRunner().invoke(notebooks.main, ["--output-dir", tmp_path / "out", "--runs", runs])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert f"mnist-case1-seed0.{suffix}: is no whole {'record' if suffix == 'json' else 'notebook'}" in line


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, env=environment)


def files_in(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("/")}


@pytest.fixture
def checkout(archive, tmp_path, monkeypatch):
    """The files of a checkout without git, and what has come to lie beside them."""
    folder = tmp_path / "checkout"
    for name in (
        "README.md",
        "src/a.py",
        "src/__pycache__/a.pyc",
        "data/raw/big",
        ".venv/b",
        "report/_output/c",
        "mine.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    shutil.copy(ROOT / ".gitignore", folder)
    monkeypatch.setattr(archive, "ROOT", folder)
    return folder


def test_source_without_git_is_the_files_of_the_checkout_and_nothing_beside_them(archive, checkout, tmp_path):
    archive.write(tmp_path / "source.zip")
    assert set(files_in(tmp_path / "source.zip")) == {
        "latent-replay/README.md",
        "latent-replay/src/a.py",
        "latent-replay/.gitignore",
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_source_is_the_last_commit_where_there_is_one(archive, checkout, tmp_path):
    git(checkout, "init")
    archive.write(tmp_path / "source.zip")
    assert "latent-replay/README.md" in files_in(tmp_path / "source.zip"), "no commit yet"
    git(checkout, "config", "core.autocrlf", "true")
    (checkout / "a.txt").write_text("committed\n")
    git(checkout, "add", "a.txt")
    git(checkout, "commit", "-m", "a")
    (checkout / "a.txt").write_text("changed since")
    archive.write(tmp_path / "source.zip")
    assert files_in(tmp_path / "source.zip") == {"latent-replay/a.txt": b"committed\n"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_source_without_git_has_all_that_is_tracked(archive):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert {name.partition("/")[0] for name in tracked if name} == set(archive.PARTS)


@pytest.fixture
def page(make, notebooks, tmp_path):
    """Makes the page of one run from nothing, with an exporter of its own."""

    def page():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        notebooks._exporter.cache_clear()
        make()
        return (tmp_path / "out/notebooks/paper/mnist-case1-seed0.html").read_bytes()

    yield page
    notebooks._exporter.cache_clear()


def test_templates_of_the_user_are_not_used(page, tmp_path, monkeypatch):
    expected = page()
    for folder in ("jupyter/nbconvert/templates/notebook", "jupyter/nbconvert/templates/lab", "here", "here/notebook"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("index.html.j2", "page.html.j2"):
            (tmp_path / folder / name).write_text("of the user")
        (tmp_path / folder / "conf.json").write_text("{}")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.chdir(tmp_path / "here")
    assert page() == expected


def test_templates_of_nbconvert_are_not_needed(page, tmp_path, monkeypatch):
    """In an environment that sees the packages of another, they lie in a folder that is not searched."""
    expected = page()
    monkeypatch.setattr("nbconvert.exporters.templateexporter.jupyter_path", lambda *names: [str(tmp_path)])
    assert page() == expected


# -- the pages of the committed runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(rendered):
    """The list, and the page of one run."""
    folder = rendered / "notebooks"
    return {"list": folder / "index.html", "run": next(folder.glob("paper/*.html"))}


def test_every_link_leads_somewhere(rendered):
    every = sorted((rendered / "notebooks").rglob("*.html"))
    assert len(every) > 1
    assert {page.name: dead_links(page) for page in every} == {page.name: [] for page in every}


@pytest.mark.parametrize(
    ("which", "scheme", "width"),
    [("list", "light", PHONE), ("list", "dark", DESKTOP), ("run", "dark", PHONE), ("run", "light", DESKTOP)],
)
def test_axe_finds_nothing_and_nothing_overflows(chromium, real, which, scheme, width):
    with visit(chromium, real[which], width, color_scheme=scheme) as seen:
        assert findings(seen.page) == []
        assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


def test_a_page_asks_for_nothing_but_its_style(chromium, real):
    with visit(chromium, real["run"]) as seen:
        requests = {url for url in seen.requests if not url.startswith("data:")}
        assert requests == {real["run"].as_uri(), (real["list"].parent / "style.css").as_uri()}
