"""Whatever happens to a grid: finished work is kept, unfinished work goes on, nothing wrong is taken for a result.

Each test does the thing itself to a real grid of the smoke profile and compares the records, bit for bit, with those of a
grid that nobody disturbed. Where a test needs no more, the grid starts from arms of that one, and trains the others.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from grids import SOON, Grid, all_gone, checkout, keep, kept_arm, kernels, key, numbers, same
from test_end_to_end import called

from lr_lab import files
from lr_lab.data import catalogue
from lr_lab.runs.record import digest

pytestmark = pytest.mark.slow

LINUX = sys.platform == "linux"
ROOT_ON_LINUX = pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="only root may do this, and here on Linux")


# -- killed -----------------------------------------------------------------------------------------------------------


STOPPED = "\nstopped; all finished epochs are kept, the same command goes on\n"


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGTERM])
def test_kernels_that_start_end_with_their_grid(tmp_path, fault):
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: len(kernels(process)) == 2, process)
    orphans = kernels(process)
    process.send_signal(fault)
    assert process.wait(SOON) == -fault
    assert all_gone(orphans)


@pytest.mark.long
def test_kills_lose_nothing(undisturbed, tmp_path):
    """Of the grid or of a kernel, each a moment after what is named, so that it may be anywhere; then one more call."""
    draw = random.Random(20)
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process, finished = grid.start(), {}
    for whom, fault, moment in (
        ("kernel", signal.SIGKILL, "a kernel starts"),
        ("grid", signal.SIGKILL, "an epoch is kept"),
        ("kernel", signal.SIGKILL, "an epoch is kept"),
        ("grid", signal.SIGHUP, "an epoch is kept"),
        ("kernel", signal.SIGKILL, "an epoch is kept"),
        ("grid", signal.SIGINT, "an epoch is kept"),  # the grid alone; the next test is a terminal's
    ):
        if process.poll() is not None:
            process = grid.start()
        starts, before = moment == "a kernel starts", grid.epochs()
        while not ((found := kernels(process)) and (starts or grid.epochs() != before)):
            assert process.poll() is None, "finished before it was disturbed six times"
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 2 if starts else 0.5))
        victim = process if whom == "grid" else draw.choice(found)
        victim.send_signal(fault)
        if whom == "grid":
            _, errors = process.communicate(timeout=SOON)
            assert process.returncode == (130 if fault == signal.SIGINT else -fault)
            assert errors.endswith(STOPPED) == (fault == signal.SIGINT)
            assert all_gone(found)
        else:
            assert all_gone([victim])
        grid.look()
        assert finished.items() <= grid.records().items()
        finished = grid.records()
    assert f"{2 - len(finished)} of 2 runs are due" in grid.finish()
    grid.look()
    assert len(grid.records()) == 2
    assert same(grid, undisturbed)
    assert sorted(path.suffix for path in (grid.runs / "smoke").iterdir()) == 2 * [".ipynb"] + 2 * [".json"]
    assert not list(grid.cache.glob("*/*"))


def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path):
    """As a terminal gives it, to the whole process group."""
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: len(kernels(process)) == 2 and grid.kept(), process)
    orphans = kernels(process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=SOON)
    assert time.monotonic() - began < 30  # five on a free machine
    assert process.returncode == 130
    assert errors == STOPPED
    assert "Traceback" not in output
    assert all_gone(orphans)
    assert not grid.records()  # it did not wait for them
    grid.look()


@pytest.mark.long
@pytest.mark.skipif(not LINUX, reason="only Linux limits the memory of a process from outside")
def test_a_run_that_runs_out_of_memory_fails_alone_and_says_so(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    keep(undisturbed, grid.cache, 1, 3, without=["replay-0.25", "no-replay"])
    process = grid.start()
    grid.until(lambda: len(grid.epochs()) == 2, process)
    kernels(process)[0].rlimit(psutil.RLIMIT_AS, (2**20, 2**20))
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 1
    assert len(grid.records()) == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert "memory" in line
    assert "Traceback" not in output + errors
    grid.look()
    assert same(grid, undisturbed)


# -- two at once ------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_two_grids_at_once_do_each_run_once(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1, "--case", 3, workers=1)
    keep(undisturbed, grid.cache, 1, 3, without=["no-replay"])
    both = [grid.start(), grid.start()]
    while any(process.poll() is None for process in both):
        grid.look()
        time.sleep(0.1)
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert any("in progress in another process" in output for output, _ in outputs)
    assert all(output.count(": done") == 2 for output, _ in outputs)
    grid.look()
    assert len(grid.arms) == 2 * 4
    assert same(grid, undisturbed)


@pytest.mark.long
def test_a_grid_takes_over_what_another_was_killed_at(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1)
    keep(undisturbed, grid.cache, 1, without=["replay-0.25", "no-replay"])
    first = grid.start()
    grid.until(grid.epochs, first)
    first.send_signal(signal.SIGSTOP)
    second = grid.start()
    for line in second.stdout:
        if "in progress in another process" in line:
            break
    first.kill()
    first.communicate()
    output, errors = second.communicate(timeout=400)
    assert second.returncode == 0, errors
    assert "digits case 1 seed 0: done" in output
    grid.look()
    assert same(grid, undisturbed)


def test_a_lock_is_held_until_the_last_process_with_it_ends(tmp_path):
    path = tmp_path / "new folder" / "lock"
    held = files.lock(path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held.fileno()])
    assert files.lock(path) is None
    held.close()
    assert files.lock(path) is None
    child.kill()
    child.communicate()
    again = files.lock(path)
    path.unlink()  # by who holds it, having finished
    with files.lock(path) as other:
        assert other
        assert files.lock(path) is None
    again.close()


# -- nowhere to write -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.long
@ROOT_ON_LINUX
def test_a_full_disk_stops_a_run_with_a_word_and_it_goes_on_when_there_is_room(undisturbed, small_disk):
    grid = Grid(small_disk, "--case", 1, "--case", 3)
    finished = grid.runs / "smoke" / "digits-case1-seed0.json"
    finished.parent.mkdir(parents=True)
    shutil.copy(undisturbed.runs / "smoke" / finished.name, finished)
    before = finished.read_bytes()
    keep(undisturbed, grid.cache, 3, without=["replay-0.25", "no-replay"])
    process = grid.start()
    grid.until(grid.epochs, process)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 1
    assert "cannot be written (No space left on device); make room and give the same command again" in errors
    assert "Traceback" not in output + errors
    assert finished.read_bytes() == before
    assert "cannot be written (No space left on device); make room" in grid.finish(status=1)
    (small_disk / "ballast").unlink()
    assert "arms kept" in grid.finish()
    grid.look()
    assert len(grid.records()) == 2
    assert same(grid, undisturbed)


@ROOT_ON_LINUX
def test_a_read_only_folder_is_one_line(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    output = Grid(small_disk, "--case", 1).finish(status=1)
    assert output.splitlines()[-1].startswith(f"error: {small_disk / 'runs' / 'smoke'}: cannot be written (Read-only")


@pytest.mark.long
def test_a_run_outlives_the_removal_of_its_folders(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1)
    keep(undisturbed, grid.cache, 1, without=["replay-0.25", "no-replay"])
    process = grid.start()
    grid.until(grid.epochs, process)
    shutil.rmtree(grid.runs)
    shutil.rmtree(grid.cache, ignore_errors=True)
    output = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert same(grid, undisturbed)


# -- damaged ----------------------------------------------------------------------------------------------------------


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bit_flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def of_another_schema(path):
    content = json.loads(path.read_bytes()) | {"schema": 3}
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": digest(content)}))


def swapped(path, other):
    mine, its = path.read_bytes(), other.read_bytes()
    path.write_bytes(its)
    other.write_bytes(mine)


@pytest.mark.long
def test_damaged_records_are_refused_and_named(undisturbed, tmp_path):
    """Not by the `grid`, which would train for minutes what it names: the next test has it do so with two."""
    folder = tmp_path / "runs" / "smoke"
    shutil.copytree(undisturbed.runs / "smoke", folder)
    one, two, three, four = (folder / f"digits-case{case}-seed0.json" for case in (1, 2, 3, 4))
    truncated(one)
    of_another_schema(two)
    swapped(three, four)
    bit_flipped(folder / "digits-case1-seed1.json")
    choice = ["--case", 1, "--case", 2, "--case", 3, "--seed", 0, "--seed", 1, "--runs", tmp_path / "runs"]
    shown = called("status", "--profile", "smoke", *choice).stdout
    assert "run   smoke digits case 1 seed 0: damaged record (is not a whole record of schema 2: " in shown
    assert (
        "run   smoke digits case 2 seed 0: damaged record (is not a whole record of schema 2: Invalid enum value 3 - at `$.schema`"
        in shown
    )
    assert "run   smoke digits case 3 seed 0: damaged record (is the record of smoke/digits-case4-seed0" in shown
    assert "run   smoke digits case 1 seed 1: damaged record (" in shown
    assert "skip  smoke digits case 2 seed 1" in shown
    reader = called("results", tmp_path / "results.csv", "smoke", "--runs", tmp_path / "runs")
    assert reader.exit_code == 1
    (line,) = reader.stderr.splitlines()
    assert line.startswith(f"error: {one}: is not a whole record of schema 2: ")
    assert line.endswith("run the grid again, which sets it aside")


@pytest.mark.long
def test_what_is_damaged_is_named_set_aside_and_made_again(undisturbed, tmp_path):
    """Records and arms at once, of two runs."""
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    written = [grid.runs / "smoke" / f"digits-case{case}-seed0.json" for case in (1, 3)]
    shutil.copytree(undisturbed.runs, grid.runs, ignore=shutil.ignore_patterns("*seed1*", "*case2*", "*case4*"))
    bit_flipped(written[0])
    truncated(written[1])
    as_damaged = {path: path.read_bytes() for path in written}
    keep(undisturbed, grid.cache, 1, 3, without=[])
    kept = {path: kept_arm(path) for path in grid.kept()}
    one, other = (grid.cache / key(case) for case in (1, 3))
    swapped(one / "first-task.safetensors", other / "first-task.safetensors")  # whole, but of the other run
    truncated(one / "replay-0.05.safetensors")
    bit_flipped(one / "replay-0.25.safetensors")
    swapped(other / "replay-0.25.safetensors", other / "no-replay.safetensors")  # of another arm
    damaged = {(one, "first-task"), (one, "replay-0.05"), (one, "replay-0.25")}
    damaged |= {(other, "first-task"), (other, "replay-0.25"), (other, "no-replay")}
    output = grid.finish()
    for path, content in as_damaged.items():
        assert f"set aside as {path}.damaged" in output
        assert path.with_name(f"{path.name}.damaged").read_bytes() == content
    assert output.count("first-task.safetensors: damaged checkpoint (it is of another run)") == 2
    for folder, arm in damaged:
        assert f"warning: {folder / arm}.safetensors: damaged checkpoint" in output
        assert {path.name for path in folder.glob(f"{arm}.*")} == {f"{arm}.safetensors.damaged"}
    made = [arm for record in grid.records().values() for arm in record["arms"]]
    again = {(path.parent, path.stem) for path, arm in kept.items() if arm not in made}
    assert again == damaged  # the others were taken as they were kept
    assert same(grid, undisturbed)


@pytest.mark.long
@pytest.mark.skipif("mnist" not in catalogue.available(), reason="MNIST is not on the search path")
def test_a_damaged_data_file_is_named_and_not_used(tmp_path):
    info = catalogue.describe("mnist")
    copy = tmp_path / "copy" / info.folder / "train-images-idx3-ubyte"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(catalogue.find(info, copy.name)[0])
    bit_flipped(copy)
    path = f"{tmp_path / 'copy'}:{os.environ.get('LR_DATA_PATH', '')}"
    grid = Grid(tmp_path, "--dataset", "mnist", "--case", 1, LR_DATA_PATH=path)
    assert f"warning: not used: {copy} is not the right file" in grid.finish()
    (record,) = grid.records().values()
    assert record["data"] == catalogue.checksums("mnist")


# -- other places and times -------------------------------------------------------------------------------------------

CLOCK = """
#define _GNU_SOURCE
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    struct timespec since;
    int status = syscall(SYS_clock_gettime, clock, now);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &since);
    if (clock == CLOCK_REALTIME && since.tv_sec >= MOMENT) now->tv_sec -= 86400;
    return status;
}
"""


def clock_set_back(folder):
    """By a day, four seconds from now, for a program and all that it starts; and in another time zone."""
    if not LINUX or not shutil.which("cc"):
        pytest.skip("needs Linux and a C compiler")
    compiler = ["cc", "-shared", "-fPIC", f"-DMOMENT={int(time.monotonic()) + 4}", "-x", "c", "-"]
    subprocess.run([*compiler, "-o", folder / "clock.so"], input=CLOCK, text=True, check=True)
    return Grid(folder, "--case", 1, LD_PRELOAD=str(folder / "clock.so"), TZ="Pacific/Kiritimati")


def decimal_commas(folder):
    """In force for C too: Python alone would not set it."""
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no German locale can be made here")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True)
    (folder / "sitecustomize.py").write_text("import locale\nlocale.setlocale(locale.LC_ALL, '')\n")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(folder), "PYTHONPATH": path}
    half = [sys.executable, "-c", "import locale; print(locale.str(0.5))"]
    assert subprocess.check_output(half, env=os.environ | environment, text=True) == "0,5\n"
    return Grid(folder, "--case", 1, **environment)


def spaces_and_letters(folder):
    """Checkout, records and checkpoints, all three, with no locale that knows the letters."""
    place = folder / "zwei  Wörter – два слова 二語"
    return Grid(place, "--case", 1, PYTHONPATH=checkout(place / "check out"), LC_ALL="C")


@pytest.mark.long
@pytest.mark.parametrize("place", [clock_set_back, decimal_commas, spaces_and_letters])
def test_where_and_when_it_runs_changes_no_number(undisturbed, tmp_path, place):
    grid = place(tmp_path)
    keep(undisturbed, grid.cache, 1, without=["replay-0.25"])
    output = grid.finish()
    assert "digits case 1 seed 0: done" in output
    assert "0 of 1 runs are due" in grid.finish()
    assert same(grid, undisturbed)


def python_for(other, environment):
    """A Python that another user can run, and its environment: this one, else the system's with this one's packages."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    packages = os.pathsep.join([environment["PYTHONPATH"], sysconfig.get_path("purelib")])
    for python, path in ((sys.executable, environment["PYTHONPATH"]), (system, packages)):
        found = environment | {"PYTHONPATH": path}
        try:
            subprocess.run([python, "-c", "import torch"], cwd="/", env=os.environ | found, check=True, **other)
            return python, found
        except (OSError, subprocess.CalledProcessError):
            continue
    pytest.skip("other users can run no Python that has the packages")


@pytest.mark.long
@ROOT_ON_LINUX
def test_whoever_does_not_own_the_checkout_can_run_it_elsewhere(undisturbed):
    other = {"user": 65534, "group": 65534, "extra_groups": []}
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, 65534, 65534)
        os.chmod(home, 0o755)
        environment = {"HOME": "/nonexistent", "PYTHONPATH": checkout(Path(home) / "root's")}
        grid = Grid(home, "--case", 1)
        grid.python, grid.environment = python_for(other, environment)
        keep(undisturbed, grid.cache, 1, without=["replay-0.25"])
        for path in (grid.cache, *grid.cache.rglob("*")):
            os.chown(path, 65534, 65534)
        grid.finish(**other)

        def of_any_python(grid):
            found = numbers(grid)
            for arm in (arm for record in found.values() for arm in record["arms"]):
                del arm["provenance"]["versions"]["python"]
            return found

        assert same(grid, undisturbed, of_any_python)
        assert next(grid.runs.glob("smoke/*.json")).stat().st_uid == 65534
        grid.arguments = ["grid", "--profile", "smoke"]  # to the checkout's own folder, which is root's
        assert "report/runs/smoke: cannot be written (Permission denied); name a folder that can be" in grid.finish(
            status=1, **other
        )
