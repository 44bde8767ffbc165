"""Whatever happens to a grid: finished work is kept, unfinished work goes on, nothing wrong is taken for a result.

Each test does the thing itself to a real grid of the smoke profile, lets one more call finish what is due, and compares
the records, bit for bit, with those of a grid that nobody disturbed.
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
from test_end_to_end import ROOT, command, kept_arm, places

from lr_core import datasets, files, records
from lr_core.records import RunId
from lr_core.run import run

pytestmark = pytest.mark.slow

LINUX = sys.platform == "linux"
PROMPT = 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # seconds: five, where the machine is free
ROOT_ON_LINUX = pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="only root may do this, and here on Linux")


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
            [self.python, "-m", "lr_core", *map(str, self.arguments)],
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
        now = [(path.parent.name, kept_arm(path)) for path in self.kept()]
        for record in self.records().values():
            now += [(record["key"], arm) for arm in record["arms"]]
        for key, arm in now:
            name = (key, arm["arm"], arm["memory_share"])
            assert self.arms.setdefault(name, arm) == arm, f"{name} was trained again"

    def kept(self):
        return [path for path in self.cache.glob("*/*.safetensors") if "unfinished" not in path.name]

    def records(self):
        return {path.name: records.read(path) for path in self.runs.glob("smoke/*.json")}

    def until(self, condition, process, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, "".join(process.communicate())
            assert time.monotonic() < deadline
            time.sleep(0.02)


def kernels(process):
    """The kernels that a grid has now."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if any("ipykernel" in word for word in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def all_gone(processes, seconds):
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def untimed(grid):
    return {name: records.without_timings(record) for name, record in grid.records().items()}


def numbers(grid):
    """Without what follows from where the checkout is and whose it is, too."""
    found = untimed(grid)
    for record in found.values():
        for arm in record["arms"]:
            arm["provenance"] = arm["provenance"] | {"commit": None, "uncommitted_changes": None}
    return found


EVERY_CASE = ("--case", 1, "--case", 2, "--case", 3, "--case", 4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    grid = Grid(tmp_path_factory.mktemp("undisturbed"), *EVERY_CASE)
    began = time.monotonic()
    grid.finish()
    grid.seconds = time.monotonic() - began
    assert len(grid.records()) == 4
    return grid


def same(grid, undisturbed, what=untimed):
    found, expected = what(grid), what(undisturbed)
    return found and found == {name: expected[name] for name in found}


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "moment"),
    [
        (signal.SIGKILL, "a kernel starts"),
        (signal.SIGTERM, "a kernel starts"),
        pytest.param(signal.SIGKILL, "an arm is kept", marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, "an arm is kept", marks=pytest.mark.long),
    ],
)
def test_kernels_end_with_their_grid(tmp_path, fault, moment):
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: len(kernels(process)) == 2 and (moment == "a kernel starts" or grid.kept()), process)
    orphans = kernels(process)
    process.send_signal(fault)
    assert process.wait(5) == -fault
    assert all_gone(orphans, 5)


@pytest.mark.long
def test_twenty_kills_lose_nothing(undisturbed, tmp_path):
    """Of the grid or of a kernel, at any moment of theirs; then one more call."""
    draw = random.Random(20)
    grid = Grid(tmp_path, *EVERY_CASE)
    faults, finished = {"grid": 0, "kernel": 0}, {}
    while sum(faults.values()) < 20:
        process = grid.start()
        while sum(faults.values()) < 20 and process.poll() is None:
            time.sleep(draw.uniform(0, undisturbed.seconds / 5))
            found = kernels(process)
            # Whose turn it is; kernels are there for a part of the time only.
            victim = draw.choice(found) if found and faults["kernel"] <= faults["grid"] else process
            victim.kill()
            faults["grid" if victim is process else "kernel"] += 1
            if victim is process:
                process.communicate()
                assert all_gone(found, 5)
            grid.look()
            assert finished.items() <= grid.records().items()
            finished = grid.records()
        assert process.poll() != 0, "finished before it was disturbed twenty times"
    process.kill()
    process.communicate()
    assert f"{4 - len(grid.records())} of 4 runs are due" in grid.finish()
    grid.look()
    assert untimed(grid) == untimed(undisturbed)
    assert min(faults.values()) >= 5
    assert sorted(path.suffix for path in (grid.runs / "smoke").iterdir()) == 4 * [".ipynb"] + 4 * [".json"]
    assert not list(grid.cache.glob("*/*"))


@pytest.mark.parametrize(
    "whom", ["the process group, as a terminal does", pytest.param("the grid alone", marks=pytest.mark.long)]
)
def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path, whom):
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: len(kernels(process)) == 2 and grid.kept(), process)
    orphans = kernels(process)
    began = time.monotonic()
    (os.killpg if "group" in whom else os.kill)(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < PROMPT
    assert process.returncode == 130
    assert errors == "\nstopped; all finished epochs are kept, the same command goes on\n"
    assert "Traceback" not in output
    assert all_gone(orphans, 1)
    grid.look()


@pytest.mark.long
@pytest.mark.skipif(not LINUX, reason="only Linux limits the memory of a process from outside")
def test_a_run_that_runs_out_of_memory_fails_alone_and_says_so(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(lambda: len(list(grid.cache.glob("*/progress.json"))) == 2, process)
    kernels(process)[0].rlimit(psutil.RLIMIT_AS, (2**20, 2**20))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(grid.records()) == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert "memory" in line
    assert "Traceback" not in output + errors
    grid.look()
    grid.finish()
    grid.look()
    assert same(grid, undisturbed)


# -- two at once ------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_two_grids_at_once_do_each_run_once(undisturbed, tmp_path):
    grid = Grid(tmp_path, *EVERY_CASE)
    both = [grid.start(), grid.start()]
    while any(process.poll() is None for process in both):
        grid.look()
        time.sleep(0.1)
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert any("in progress elsewhere" in output for output, _ in outputs)
    assert all(output.count(": done") == 4 for output, _ in outputs)
    grid.look()
    assert len(grid.arms) == 4 * 4
    assert same(grid, undisturbed)


@pytest.mark.long
def test_a_grid_takes_over_what_another_was_killed_at(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1)
    first = grid.start()
    grid.until(grid.kept, first)
    first.send_signal(signal.SIGSTOP)
    second = grid.start()
    for line in second.stdout:
        if "in progress elsewhere" in line:
            break
    first.kill()
    first.communicate()
    output, errors = second.communicate(timeout=60)
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
    Grid(small_disk, "--case", 1).finish()
    before = (small_disk / "runs" / "smoke" / "digits-case1-seed0.json").read_bytes()
    grid = Grid(small_disk, "--case", 1, "--case", 3)
    process = grid.start()
    grid.until(grid.kept, process)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written (No space left on device); make room and give the same command again" in errors
    assert "Traceback" not in output + errors
    assert (small_disk / "runs" / "smoke" / "digits-case1-seed0.json").read_bytes() == before
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
    process = grid.start()
    grid.until(grid.kept, process)
    shutil.rmtree(grid.runs)
    shutil.rmtree(grid.cache, ignore_errors=True)
    output = process.communicate(timeout=60)
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
    path.write_text(json.dumps(content | {"sha256": records.digest(content)}))


def swapped(path):
    other = path.with_name("digits-case4-seed0.json" if path.suffix == ".json" else "no-replay.safetensors")
    mine, its = path.read_bytes(), other.read_bytes()
    path.write_bytes(its)
    other.write_bytes(mine)


@pytest.mark.long
def test_damaged_records_are_refused_named_set_aside_and_made_again(undisturbed, tmp_path):
    grid = Grid(tmp_path, *EVERY_CASE)
    shutil.copytree(undisturbed.runs, grid.runs)
    for case, damage in ((1, truncated), (2, of_another_schema), (3, swapped)):  # the last with case 4
        damage(grid.runs / "smoke" / f"digits-case{case}-seed0.json")
    reader = command("results", tmp_path / "results.csv", "smoke", "--runs", grid.runs, folder=tmp_path)
    assert reader.returncode == 1
    (line,) = reader.errors.splitlines()
    assert line.startswith(f"error: {grid.runs / 'smoke' / 'digits-case1-seed0.json'}: is not a whole JSON file")
    assert line.endswith("run the grid again, which sets it aside")
    damaged = {path.name: path.read_bytes() for path in grid.runs.glob("smoke/*.json")}
    output = grid.finish()
    assert "run   smoke digits case 1 seed 0: damaged record (is not a whole JSON file" in output
    assert "run   smoke digits case 2 seed 0: damaged record (schema version 3, expected 2" in output
    assert "run   smoke digits case 3 seed 0: damaged record (is the record of smoke/digits-case4-seed0" in output
    for name, content in damaged.items():
        assert f"set aside as {grid.runs / 'smoke' / name}.damaged" in output
        assert (grid.runs / "smoke" / f"{name}.damaged").read_bytes() == content
    assert same(grid, undisturbed)


@pytest.mark.long
def test_a_record_with_a_flipped_bit_is_made_again(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 2)
    path = grid.runs / "smoke" / "digits-case2-seed0.json"
    shutil.copytree(undisturbed.runs, grid.runs)
    bit_flipped(path)
    assert f"set aside as {path}.damaged" in grid.finish()
    assert same(grid, undisturbed)


@pytest.mark.long
def test_damaged_checkpoints_are_named_set_aside_and_trained_again(undisturbed, tmp_path):
    grid = Grid(tmp_path, "--case", 1, "--case", 3, workers=1)
    keys = [run(RunId("smoke", "digits", case, 0), cache=grid.cache)["key"] for case in (1, 3)]
    kept = {path.relative_to(grid.cache): kept_arm(path) for path in grid.kept()}
    one, other = (grid.cache / key for key in keys)
    mine = (one / "first-task.safetensors").read_bytes()  # whole, and each with its checksum, but of the other run
    (other / "first-task.safetensors").rename(one / "first-task.safetensors")
    (other / "first-task.safetensors").write_bytes(mine)
    truncated(one / "replay-0.05.safetensors")
    bit_flipped(one / "replay-0.25.safetensors")
    swapped(other / "replay-0.25.safetensors")  # with that of another arm
    damaged = {(one, "first-task"), (one, "replay-0.05"), (one, "replay-0.25")}
    damaged |= {(other, "first-task"), (other, "replay-0.25"), (other, "no-replay")}
    output = grid.finish()
    assert output.count("first-task.safetensors: damaged checkpoint (it is of another run)") == 2
    for folder, arm in damaged:
        assert f"warning: {folder / arm}.safetensors: damaged checkpoint" in output
        assert {path.name for path in folder.glob(f"{arm}.*")} == {f"{arm}.safetensors.damaged"}
    made = [arm for record in grid.records().values() for arm in record["arms"]]
    again = {(grid.cache / path.parent, path.stem) for path, arm in kept.items() if arm not in made}
    assert again == damaged  # the others were taken as they were kept
    assert same(grid, undisturbed)


@pytest.mark.long
@pytest.mark.skipif("mnist" not in datasets.available(), reason="MNIST is not on the search path")
def test_a_damaged_data_file_is_named_and_not_used(tmp_path):
    info = datasets.describe("mnist")
    copy = tmp_path / "copy" / info.folder / "train-images-idx3-ubyte"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(datasets.find(datasets.search_path(), info, copy.name)[0])
    bit_flipped(copy)
    whole = os.environ.get("LR_DATA_PATH", "")
    sound, grid = (
        Grid(tmp_path / name, "--dataset", "mnist", "--case", 1, LR_DATA_PATH=path)
        for name, path in (("sound", whole), ("grid", f"{tmp_path / 'copy'}:{whole}"))
    )
    sound.finish()
    assert f"warning: not used: {copy} is not the right file" in grid.finish()
    assert same(grid, sound)


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


def checkout(folder):
    for name in ("src", "data", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "raw"))
    return str(folder / "src")


def spaces_and_letters(folder):
    """Checkout, records and checkpoints, all three, with no locale that knows the letters."""
    place = folder / "zwei  Wörter – два слова 二語"
    return Grid(place, "--case", 1, PYTHONPATH=checkout(place / "check out"), LC_ALL="C")


@pytest.mark.long
@pytest.mark.parametrize("place", [clock_set_back, decimal_commas, spaces_and_letters])
def test_where_and_when_it_runs_changes_no_number(undisturbed, tmp_path, place):
    grid = place(tmp_path)
    output = grid.finish()
    assert "digits case 1 seed 0: done" in output
    assert "0 of 1 runs are due" in grid.finish()
    assert same(grid, undisturbed, numbers)


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
