"""Many runs, many at a time: none is lost, none fails, the process that waits for them does not grow; many records."""

import gc
import itertools
import json
import os
import subprocess
import sys

import psutil
import pytest
from grids import ROOT, kernels, write_notebook

from lr_lab.grid import notebook as notebooks
from lr_lab.grid.local import LocalExecutor
from lr_lab.grid.notebook import run_notebook
from lr_lab.grid.schedule import run_grid
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId, make_record

pytestmark = [pytest.mark.slow, pytest.mark.long]

SETTINGS = find_profile("smoke").settings


def test_of_runs_eight_at_a_time_none_is_lost(undisturbed):
    assert undisturbed.status == 0, undisturbed.output
    assert len(undisturbed.records()) == 8
    assert undisturbed.output.count(": done") == 8
    assert "8 at a time" in undisturbed.output


def test_of_many_kernels_eight_at_a_time_none_is_lost_and_nothing_of_them_stays(watched, tmp_path, monkeypatch):
    """Of a notebook that trains nothing: eight of them start at almost the same moment, again and again."""
    write_notebook(tmp_path / "empty.ipynb")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)

    class Empty(LocalExecutor):
        def __call__(self, run, folder, lock):
            content = run_notebook("empty", {"seed": run.seed}, keep=[lock], stop_pipe=self.stop_pipe)
            return make_record(run, SETTINGS, watched.result), content

    def grid_of_16(first_seed):
        """What this process holds after 16 kernels, with none of them left: memory, files, threads."""
        due = [RunId("smoke", "digits", 1, seed) for seed in range(first_seed, first_seed + 16)]
        outcomes = []
        with Empty(8) as executor:
            run_grid(due, executor, runs=runs, cache=tmp_path / "cache", workers=8, finished=outcomes.append)
        assert [outcome.error for outcome in outcomes] == 16 * [None]
        assert not kernels(process)
        gc.collect()
        return process.memory_info().rss, process.num_fds(), process.num_threads()

    process, runs = psutil.Process(), tmp_path / "runs"
    memory, files, threads = zip(grid_of_16(0), grid_of_16(16), strict=True)
    assert len(list(runs.glob("smoke/*.json"))) == 32
    # After the first 16 all is imported and all threads have worked; of the 16 after them next to nothing stays.
    assert memory[1] < memory[0] + 16 * 2**20
    assert files[1] < files[0] + 8  # less than one for two kernels
    assert threads[1] < threads[0] + 8


def test_the_paper_reads_and_renders_a_thousand_records(watched, tmp_path):
    for case, seed in itertools.product((1, 2, 3, 4), range(250)):
        run = RunId("smoke", "digits", case, seed)
        path = run.record(tmp_path / "runs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make_record(run, SETTINGS, watched.result)))
    subprocess.run(
        [sys.executable, ROOT / "report" / "render", "--output-dir", tmp_path / "paper"],
        env=os.environ | {"LR_PROFILE": "smoke", "LR_RUNS": str(tmp_path / "runs")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert "on 250 seeds for each case" in " ".join((tmp_path / "paper" / "index.html").read_text().split())
