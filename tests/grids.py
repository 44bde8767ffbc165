"""Real grids of the smoke profile in folders of their own: to disturb them, and to compare what they leave behind."""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import safetensors

from lr_lab import files
from lr_lab.runs import store
from lr_lab.runs.checkpoints import read_progress
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId

ROOT = Path(__file__).resolve().parents[1]
EVERY_CASE = ("--case", 1, "--case", 2, "--case", 3, "--case", 4)
ARMS = ("first-task", "replay-0.05", "replay-0.25", "no-replay")
SOON = 60  # seconds: for what a free machine does at once


def places(folder):
    return ["--runs", folder / "runs", "--cache", folder / "cache"]


def key(case):
    """Of the run of that case with seed 0."""
    return RunId("smoke", "digits", case, 0).key(find_profile("smoke").settings)


def kept_arm(path):
    with safetensors.safe_open(path, "pt") as content:
        return json.loads(content.metadata()["result"])["arm"]


def write_notebook(path, code=""):
    """A notebook for the grid that has `seed` as its parameter, then this code."""
    cells = [nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(code)]
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


class Grid:
    """A grid in a folder of its own; what it was asked for, it is asked for again after each fault."""

    def __init__(self, folder, *choice, workers=2, **environment):
        self.folder, self.runs, self.cache = Path(folder), Path(folder) / "runs", Path(folder) / "cache"
        several = ["--workers", workers] if workers else []
        self.arguments = ["grid", "--profile", "smoke", *choice, *several, *places(self.folder)]
        self.environment, self.python = environment, sys.executable
        self.arms = {}  # (key of the run, arm) -> the arm as it was first seen kept

    def start(self, **options):
        """A process group of its own, with the signals as a terminal's shell would set them."""
        return subprocess.Popen(
            [self.python, "-m", "lr_lab", *map(str, self.arguments)],
            cwd="/",
            env=os.environ | self.environment,
            text=True,
            process_group=0,
            preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )

    def finish(self, status=0, **options):
        """Run to the end; what it printed, both streams together."""
        process = self.start(**options)
        output = "".join(process.communicate(timeout=400))
        assert process.returncode == status, output
        assert "Traceback" not in output
        return output

    def look(self):
        """Every arm that is kept or in a record is the one that was first seen: none was trained twice."""
        now = []
        for path in self.kept():
            with suppress(FileNotFoundError):  # the run was finished meanwhile, and its checkpoints were removed
                now.append((path.parent.name, kept_arm(path)))
        for record in self.records().values():
            now += [(record["key"], arm) for arm in record["arms"]]
        for key, arm in now:
            name = (key, arm["arm"], arm["memory_share"])
            assert self.arms.setdefault(name, arm) == arm, f"{name} was trained again"

    def kept(self):
        # Not Path.glob: that fails where a finished run's folder is removed while it looks.
        found = glob.glob("*/*.safetensors", root_dir=self.cache)
        return [self.cache / path for path in found if "unfinished" not in path]

    def epochs(self):
        """The last finished epoch of each run in work."""
        return {folder.name: epoch for folder in self.cache.glob("*") if (epoch := read_progress(folder))}

    def records(self):
        return {path.name: store.read(path) for path in self.runs.glob("smoke/*.json")}

    def until(self, condition, process, seconds=300):
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, "".join(process.communicate())
            assert time.monotonic() < deadline
            time.sleep(0.02)


def undisturbed(folder):
    """A grid of every case with two seeds, eight runs at a time; `arms` has each arm of it as it was kept.

    The first process that asks for it makes it; others wait, and read what it left.
    """
    grid = Grid(folder, *EVERY_CASE, "--seed", 0, "--seed", 1, workers=8)
    grid.arms, status = folder / "arms", folder / "status"
    while (lock := files.lock(folder / "lock")) is None:
        time.sleep(0.5)
    with lock:
        if not status.exists():
            status.write_text(str(_made(grid)))
    grid.status, grid.output = int(status.read_text()), (folder / "output").read_text()
    return grid


def _made(grid):
    with (grid.folder / "output").open("w") as output:
        process = grid.start(stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            for path in grid.kept():
                copy = grid.arms / path.relative_to(grid.cache)
                copy.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError, FileNotFoundError):  # it has it, or the run has just ended
                    os.link(path, copy)
            time.sleep(0.1)
    return process.returncode


def keep(undisturbed, cache, *cases, without):
    """As if a grid had been ended when all arms but those were trained, so that a test trains no more than it needs."""
    for case in cases:
        (cache / key(case)).mkdir(parents=True)
        for arm in set(ARMS) - set(without):
            shutil.copy(undisturbed.arms / key(case) / f"{arm}.safetensors", cache / key(case))


def kernels(process):
    """The kernels that a grid has now."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if any("ipykernel" in word for word in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def all_gone(processes):
    return not psutil.wait_procs(processes, timeout=SOON)[1]


def checkout(folder):
    for name in ("src", "data", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "raw"))
    return str(folder / "src")


def without_timings(record):
    """What two runs of the same seed on the same machine have in common, bit for bit, but for the `threads` of provenance."""

    def untimed(values):
        return {name: value for name, value in values.items() if name not in ("seconds", "started", "sha256")}

    arms = [untimed(arm) | {"provenance": untimed(arm["provenance"])} for arm in record["arms"]]
    return untimed(record) | {"arms": arms}


def numbers(grid):
    """The records without times, and without what follows from where the checkout is, whose it is and what it has."""
    found = {name: without_timings(record) for name, record in grid.records().items()}
    for record in found.values():
        for arm in record["arms"]:
            arm["provenance"] = arm["provenance"] | {"commit": None, "uncommitted_changes": None}
    return found


def same(grid, undisturbed, what=numbers):
    found, expected = what(grid), what(undisturbed)
    return found and found == {name: expected[name] for name in found}
