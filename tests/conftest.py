"""What the tests share: one thread, the digits, a run of the protocol, a grid, the rendered paper and a browser."""

import copy
import importlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import browser
import grids
import hypothesis
import pytest
import torch
from _pytest.nodeid import coerce_node_id

from lr_core import experiment, models
from lr_core.device import Compute
from lr_core.experiment import freeze
from lr_core.settings import CASES, Settings
from lr_core.tasks import Dataset, Task, split
from lr_core.training import Trainer
from lr_lab.data import catalogue
from lr_lab.runs import checkpoints, execute
from lr_lab.runs.record import RunId, make_record

# Sums are split among threads, so the last bits depend on their number; with one they are the same everywhere.
torch.set_num_threads(1)

TINY = Settings(
    batch_size=20,  # less than the memory at 25 %, so that replay batches are really drawn
    learning_rate=0.03,
    max_epochs=2,
    memory_shares=(0.05, 0.25),
    precision="fp64",  # the golden numbers then hold on every processor
    images_per_class=20,  # 90 training and 10 test images a task
    latent_sample=6,
)
CANARY = "canary-9f3a77"  # a secret in the environment in which the paper is rendered: it must not end up there
TINY_ARMS = ("first-task", "replay-0.05", "replay-0.25", "no-replay")


hypothesis.settings.register_profile("thorough", max_examples=1000)  # ten times as many as by default


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite tests/lr_lab/runs/golden.json (after raising PROTOCOL_VERSION)",
    )


@pytest.hookimpl(wrapper=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items):
    """What shares something slow to make goes to one worker of pytest-xdist: the rendered paper, a browser, a file.

    The undisturbed grid is shared by all workers, so that each test that needs it may go to any of them. The longest
    groups come first; the order within a group stays. What needs the paper or a browser, and every notebook, is slow.
    """
    first = ["paper", "browser"]
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        group = "paper" if "rendered" in needs else "browser" if "chromium" in needs else item.path.name
        if "undisturbed" in needs:
            group = item.nodeid
        if group in first or item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    groups = [item.get_closest_marker("xdist_group").args[0] for item in items]
    places = {id(item): (first + groups).index(group) for item, group in zip(items, groups, strict=True)}
    items.sort(key=lambda item: places[id(item)])
    result = yield
    for item in items:
        if item.nodeid != getattr(item, "_nodeid", item.nodeid):
            item._id = coerce_node_id(item._nodeid)  # pytest-xdist 3.8 sets the latter, pytest 9.2 reads the former
    return result


@dataclass
class Watched:
    """A run of TINY on the digits, case 1, seed 0, and what was seen of it while it ran."""

    dataset: Dataset
    tasks: list[Task]
    compute: Compute
    result: dict
    checkpoints: checkpoints.Checkpoints  # of all arms, finished
    trained: list = field(default_factory=list)  # (network, inputs, settings, memory) for each call of `train`
    frozen: list = field(default_factory=list)  # (module, its state when it was frozen)
    compressed: Counter = field(default_factory=Counter)  # id of a frozen compressor -> images that it was given
    progress: list = field(default_factory=list)

    def weights(self, arm):
        kept = self.checkpoints.read(arm)[0]
        return {name.removeprefix("network."): value for name, value in kept.items() if name.startswith("network.")}


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture(scope="session")
def tiny_arms():
    return TINY_ARMS


@pytest.fixture(scope="session")
def digits():
    return catalogue.load("digits")


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """A data root on the search path; the sets that are added to it are forgotten again."""
    monkeypatch.setenv("LR_DATA_PATH", str(tmp_path / "data"))
    yield tmp_path / "data"
    monkeypatch.undo()
    catalogue.reread()


@pytest.fixture(scope="session")
def cpu():
    """Single precision on the CPU, whatever else the machine has."""
    return Compute(torch.device("cpu"), "fp32", 1)


@pytest.fixture(scope="session")
def double():
    return Compute(torch.device("cpu"), "fp64", 1)


@pytest.fixture(scope="session")
def watched(digits, tmp_path_factory):
    kept = checkpoints.Checkpoints(tmp_path_factory.mktemp("arms"))
    case, compute = CASES[1], Compute(torch.device("cpu"), "fp64", 1)
    tasks = [split(digits, classes, TINY, 0) for classes in (case.first, case.second)]
    seen = Watched(digits, tasks, compute, {}, kept)
    forward = models.Compressor.forward

    class WatchedTrainer(Trainer):
        def __init__(self, network, inputs, labels, **options):
            seen.trained.append((network, inputs, options["settings"], options.get("memory")))
            super().__init__(network, inputs, labels, **options)

    def watching_freeze(module):
        freeze(module)
        seen.frozen.append((module, copy.deepcopy(module.state_dict())))

    def watching_forward(module, images):
        if any(module is frozen for frozen, _ in seen.frozen):
            seen.compressed[id(module)] += len(images)
        return forward(module, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "Trainer", WatchedTrainer)
        patch.setattr(experiment, "freeze", watching_freeze)
        patch.setattr(models.Compressor, "forward", watching_forward)
        seen.result = execute.train(
            digits, case, 0, TINY, compute=compute, checkpoints=kept, report=seen.progress.append
        )
    return seen


@pytest.fixture(scope="session")
def run_id():
    return RunId("smoke", "digits", 1, 0)


@pytest.fixture(scope="session")
def record(watched, run_id):
    """The record of the watched run. Shared: a test that alters it takes a deep copy."""
    return make_record(run_id, TINY, watched.result)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """One grid for all processes of pytest-xdist, each of which has a folder of its own in the one that they share."""
    base = tmp_path_factory.getbasetemp()
    return grids.undisturbed((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """A folder with the paper of the committed records and all that `make report` puts beside it."""
    folder = tmp_path_factory.mktemp("rendered")
    environment = {name: value for name, value in os.environ.items() if name not in ("LR_PROFILE", "LR_RUNS")}
    environment |= {"USER": CANARY, "LOGNAME": CANARY, "SOME_TOKEN": CANARY}
    for command in (
        ["report/render", "--output-dir", folder],
        ["report/notebooks.py", "--output-dir", folder],
        ["-m", "lr_lab", "results", folder / "results.csv"],
        ["report/ledger.py", folder / "results.json"],
    ):
        subprocess.run(
            [sys.executable, *command],
            cwd=Path(__file__).parents[1],
            env=environment,
            check=True,
            timeout=300,
            stdout=subprocess.DEVNULL,
        )
    return folder


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium, headless; the tests of pages are skipped where there is none."""
    path = browser.executable()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield launched
        launched.close()


# -- the modules of the paper, as its cells import them ---------------------------------------------------------------


@pytest.fixture(scope="module")
def module():
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
    yield importlib.import_module
    sys.path.remove(str(Path(__file__).resolve().parents[1] / "report"))


@pytest.fixture(scope="module")
def paper(module):
    """The modules that numbers of the paper come from."""
    names = {
        "analysis": ("edition", "findings", "published", "sourced", "verdicts"),
        "sentences": ("facts", "provenance", "titles", "words"),
    }
    return SimpleNamespace(**{name: module(f"{folder}.{name}") for folder in names for name in names[folder]})


@pytest.fixture(scope="module")
def tables(module):
    return module("tables")


@pytest.fixture(scope="module")
def drawings(module):
    return module("drawings.figures")
