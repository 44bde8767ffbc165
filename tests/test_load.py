"""Many runs, many at a time: none is lost, none fails, the process that waits for them does not grow; many records."""

import itertools
import json
import os
import resource
import subprocess
import sys
import time

import psutil
import pytest
from test_end_to_end import ROOT
from test_faults import Grid

from lr_core import config, records
from lr_core.records import RunId

pytestmark = pytest.mark.slow

RUNS, AT_A_TIME = 48, 8  # `python tests/test_load.py 240` is the same with more


def load(folder, runs):
    """Outcome of a grid; seconds; memory of the grid's own process (bytes), once a second."""
    seeds = [word for seed in range(runs // 4) for word in ("--seed", seed)]
    cases = [word for case in (1, 2, 3, 4) for word in ("--case", case)]
    grid = Grid(folder, *cases, *seeds, workers=AT_A_TIME)
    began, memory = time.monotonic(), []
    with (folder / "output").open("w") as output:
        process = grid.start(stdout=output, stderr=subprocess.STDOUT)
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            memory.append(parent.memory_info().rss)
            time.sleep(1)
    return process.returncode, (folder / "output").read_text(), grid, time.monotonic() - began, memory


@pytest.mark.long
def test_of_many_runs_eight_at_a_time_none_is_lost(tmp_path):
    status, output, grid, _, memory = load(tmp_path, RUNS)
    assert status == 0, output
    assert len(grid.records()) == RUNS
    assert output.count(": done") == RUNS
    middle = len(memory) // 2  # by then everything is imported and all threads have worked
    assert max(memory[middle:]) < 1.1 * max(memory[:middle])


@pytest.mark.long
def test_the_paper_reads_and_renders_a_thousand_records_in_a_minute(watched, tmp_path):
    settings = config.profile("smoke").settings
    for case, seed in itertools.product((1, 2, 3, 4), range(250)):
        run = RunId("smoke", "digits", case, seed)
        path = run.record(tmp_path / "runs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(records.make(run, settings, watched.result)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, ROOT / "report" / "render", "--output-dir", tmp_path / "paper"],
        env=os.environ | {"LR_PROFILE": "smoke", "LR_RUNS": str(tmp_path / "runs")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (tmp_path / "paper" / "index.html").exists()
    # Seconds of the processor, so that what else the machine does is not counted.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60


if __name__ == "__main__":
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        status, output, grid, seconds, memory = load(pathlib.Path(folder), int(sys.argv[1]))
        print(f"status {status}, {len(grid.records())} records, {output.count('failed')} failed, {seconds:.0f} s")
        print(
            "memory of the parent, MiB, by tenths of the time:", *(m // 2**20 for m in memory[:: len(memory) // 10 + 1])
        )
