"""A grid on a dask cluster: scheduler and workers as processes of their own, each worker with a checkout of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from glob import glob

import dask
import pytest
from click.testing import CliRunner
from grids import ROOT, SOON, Grid, all_gone, checkout, keep, kept_arm, kernels, same

from lr_lab.cli import cli
from lr_lab.grid import dask as cluster
from lr_lab.grid.dask import DaskExecutor
from lr_lab.runs import store

PAPER = store.read_all(ROOT / "report" / "runs", "paper")


class Cluster:
    """A scheduler on loopback and workers of one thread, which share nothing but the network."""

    def __init__(self, folder, workers=2, **settings):
        self.folder, self.processes = folder, {}
        self.file = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", self.file, **settings)
        while not self.file.exists():
            assert self.processes["scheduler"].poll() is None, self.output("scheduler")
            time.sleep(0.05)
        for number in range(workers):
            name = f"worker {number}"
            self._start(
                "worker", "--scheduler-file", self.file, "--nthreads", 1, "--no-nanny", "--name", name,
                "--local-directory", folder / "scratch" / name, name=name, PYTHONPATH=checkout(folder / name),
            )  # fmt: skip
        for name, process in self.workers.items():
            while "Registered to" not in self.output(name):
                assert process.poll() is None, self.output(name)
                time.sleep(0.05)

    def _start(self, kind, *options, name=None, **settings):
        with (self.folder / f"{name or kind}.log").open("w") as log:
            self.processes[name or kind] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *map(str, options)],
                cwd=self.folder,
                env=os.environ | settings,
                stdout=log,
                stderr=log,
            )

    def output(self, name):
        return (self.folder / f"{name}.log").read_text()

    @property
    def workers(self):
        return {name: process for name, process in self.processes.items() if name != "scheduler"}

    def grid(self, folder, *choice):
        return Grid(folder, *choice, "--executor", "dask", workers=None, DASK_SCHEDULER_ADDRESS=self.address)

    @property
    def address(self):
        return json.loads(self.file.read_text())["address"]

    def cache(self, name):
        return self.folder / name / ".cache" / "cluster"

    def at_work(self):
        """The workers that have a run in training, by name."""
        return [name for name in self.workers if glob("*/*.unfinished.safetensors", root_dir=self.cache(name))]

    def kept(self):
        """The arms that are kept, by name."""
        paths = [path for name in self.workers for path in self.cache(name).glob("*/*.safetensors")]
        return {path.stem: kept_arm(path) for path in paths if "unfinished" not in path.name}

    def end(self):
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()


@pytest.fixture
def started(tmp_path):
    """Makes clusters, and ends them."""
    clusters = []

    def start(**options):
        folder = tmp_path / f"cluster {len(clusters)}"
        folder.mkdir()
        clusters.append(Cluster(folder, **options))
        return clusters[-1]

    yield start
    for each in clusters:
        each.end()


@pytest.mark.long
def test_a_worker_killed_in_mid_run_costs_no_run_and_changes_no_number(undisturbed, started, tmp_path):
    two = started()
    for name in two.workers:
        keep(undisturbed, two.cache(name), 1, 3, without=["no-replay"])
    grid = two.grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: "worker 0" in two.at_work(), process)
    victim = two.workers["worker 0"]
    orphans = kernels(victim)
    victim.kill()
    assert orphans
    assert all_gone(orphans)
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, output + errors
    assert f"2 runs, on 2 workers of the dask scheduler at {two.address}" in output
    assert output.count(": done") == 2
    assert "Traceback" not in output + errors
    assert len(grid.records()) == 2
    assert same(grid, undisturbed)
    assert not list(grid.cache.glob("*/*"))


@pytest.mark.long
def test_a_run_whose_workers_die_is_given_up_and_the_others_go_on(undisturbed, started, tmp_path):
    two = started(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    for name in two.workers:
        keep(undisturbed, two.cache(name), 1, 3, without=["no-replay"])
    grid = two.grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: "worker 0" in two.at_work(), process)
    two.workers["worker 0"].kill()
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert "1 workers died while they made it, the last at tcp://127.0.0.1:" in line
    assert "Traceback" not in output + errors
    assert len(grid.records()) == 1
    assert same(grid, undisturbed)


@pytest.mark.long
def test_ctrl_c_ends_the_kernels_of_the_cluster_and_what_they_trained_is_kept(undisturbed, started, tmp_path):
    one = started(workers=1)
    keep(undisturbed, one.cache("worker 0"), 1, without=["replay-0.25", "no-replay"])
    grid = one.grid(tmp_path, "--case", 1)
    process = grid.start()
    grid.until(lambda: "replay-0.25" in one.kept(), process)
    orphans = kernels(one.workers["worker 0"])
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SOON)
    assert process.returncode == 130
    assert errors.endswith("stopped; all finished epochs are kept, the same command goes on\n")
    assert orphans
    assert all_gone(orphans)
    assert not grid.records()
    kept = one.kept()
    grid.finish()
    assert same(grid, undisturbed)
    (record,) = grid.records().values()
    assert kept
    assert all(arm in record["arms"] for arm in kept.values()), "an arm was trained again"
    assert not one.kept()


@pytest.mark.long
def test_a_worker_of_another_version_is_refused(started, tmp_path):
    one = started(workers=0)
    other = checkout(one.folder / "other")
    with open(f"{other}/lr_core/errors.py", "a") as source:
        source.write("# another version\n")
    one._start("worker", "--scheduler-file", one.file, "--nthreads", 1, "--no-nanny", name="other", PYTHONPATH=other)
    output = one.grid(tmp_path, "--case", 1).finish(status=1)
    assert "has another version of lr_core; bring it to the same commit" in output


@pytest.mark.long
def test_with_no_scheduler_named_it_is_a_cluster_of_this_machine(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1, "--executor", "dask", PYTHONPATH=checkout(tmp_path / "checkout"))
    keep(undisturbed, tmp_path / "checkout" / ".cache" / "cluster", 1, without=["no-replay"])
    output = grid.finish()
    assert "1 runs, on 2 workers of the dask scheduler at tcp://127.0.0.1:" in output
    assert same(grid, undisturbed)


def nobody():
    """As DASK_SCHEDULER_ADDRESS would, which dask reads when it is imported."""
    return dask.config.set({"scheduler-address": "tcp://127.0.0.1:9"})


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setattr(cluster, "SCHEDULER_TIMEOUT", 0.5)
    with nobody(), pytest.raises(cluster.LatentReplayError, match="^no dask scheduler answers at tcp://127.0.0.1:9;"):
        DaskExecutor()


def test_a_scheduler_has_workers_of_its_own():
    with nobody(), pytest.raises(cluster.UsageError, match="^the cluster at tcp://127.0.0.1:9 has workers of its own;"):
        DaskExecutor(workers=2)


def test_a_configuration_of_dask_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "dask.yaml").write_text("distributed: [scheduler\n")
    command = [sys.executable, "-m", "lr_lab", "grid", "--profile", "smoke", "--case", "1", "--executor", "dask"]
    command += ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    environment = os.environ | {"DASK_CONFIG": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --executor dask: dask does not start, look at its configuration: ")
    assert "dask.yaml" in line


def test_without_the_extra_the_message_names_it(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "lr_lab.grid.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = [
        "grid",
        "--profile",
        "smoke",
        "--executor",
        "dask",
        "--runs",
        tmp_path / "r",
        "--cache",
        tmp_path / "c",
    ]
    result = CliRunner().invoke(cli, [str(word) for word in arguments])
    assert isinstance(result.exception, cluster.UsageError)
    assert "pip install '.[cluster]'" in str(result.exception)
