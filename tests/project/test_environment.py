"""What surrounds the paper: pinned packages, the Makefile, the citation and what runs on every change."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("cluster", "lab", "report", "test")
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "nbconvert-core": "nbconvert"}
PACKAGES = runpy.run_path(str(ROOT / "scripts" / "packages.py"))
CONDA_ALONE = {
    "python",
    "pip",
    "quarto",
}  # on the side of pip, the interpreter brings the first two and nobody the third

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def declared() -> list[Requirement]:
    """What pyproject.toml asks for: to build, to run, and for each extra."""
    project = PROJECT["project"]
    lines = PROJECT["build-system"]["requires"] + project["dependencies"]
    lines += [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def lock_lines() -> list[str]:
    return [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]


def locked() -> dict[str, str]:
    return dict(line.split("==") for line in lock_lines())


# ----------------------------------------------------------------------------------------------------------- versions


def test_lock_is_one_exact_public_version_per_package_in_order():
    lines = lock_lines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    assert list(locked()) == sorted({line.partition("==")[0] for line in lines})


def test_lock_satisfies_pyproject():
    pins = locked()
    assert set(PROJECT["project"]["optional-dependencies"]) == set(EXTRAS)
    wrong = [str(r) for r in declared() if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))]
    assert wrong == []


def test_lock_is_what_the_declared_packages_need_and_no_more():
    pins, needed, wrong = locked(), set(), []
    # As on the system that the lock is made for; a CUDA build of torch pins the packages of CUDA itself.
    system = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
    system |= {"python_version": "3.11", "python_full_version": "3.11.2", "implementation_name": "cpython"}
    system |= {"platform_python_implementation": "CPython"}
    waiting = [(r, "pyproject.toml") for r in declared()]
    seen = set()
    while waiting:
        requirement, asked_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if asked_by == "torch" and re.match("nvidia-|cuda-|triton$", name):
            continue
        if name not in pins or not requirement.specifier.contains(pins[name], prereleases=True):
            wrong.append(f"{asked_by} needs {requirement}; requirements.lock has {pins.get(name, 'none')}")
            continue
        needed.add(name)
        extras = frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in importlib.metadata.requires(name) or []:
            further = Requirement(line)
            if not further.marker or any(further.marker.evaluate(system | {"extra": e}) for e in {""} | extras):
                waiting.append((further, name))
    assert wrong == []
    assert set(pins) - needed == set(), "pinned, but nothing needs them"


def test_lock_suits_the_oldest_python_that_is_allowed():
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    ranges = {name: importlib.metadata.metadata(name).get("Requires-Python") or "" for name in locked()}
    assert {name: asks for name, asks in ranges.items() if not SpecifierSet(asks).contains(oldest)} == {}


def test_installed_is_what_is_locked():
    if os.path.realpath(os.environ.get("CONDA_PREFIX", "")) == os.path.realpath(sys.prefix):
        pytest.skip("conda solves for itself what environment.yml leaves open")
    found = {name: importlib.metadata.version(name).partition("+")[0] for name in locked()}
    assert found == locked()


def test_conda_environment_is_the_declared_packages_as_locked():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, last = environment["dependencies"]
    assert "python=3.11" in conda
    assert "quarto>=1.9" in conda
    assert last["pip"][-1] == "--editable=."
    pairs = [re.split("==?|>=", line) for line in conda + last["pip"][:-1]]
    versions = {canonicalize_name(CONDA_NAMES.get(name, name)): v for name, *v in pairs if name not in CONDA_ALONE}
    assert versions == {name: [locked()[name]] for name in {canonicalize_name(r.name) for r in declared()}}


def test_no_index_is_named():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"https?://|index-url|find-links|--hash", (ROOT / name).read_text()), name
    for path in (ROOT / "scripts").glob("*.*"):
        assert not re.search(r"https?://|--hash", path.read_text()), path


@pytest.fixture
def locking(tmp_path: Path) -> Path:
    """A folder where `make lock` finds a uv that only pretends: it resolves to `resolved`, and fails where there is none."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "requirements.lock").write_text("# why\nnumpy==1.0\n")
    script(
        tmp_path / ".cache/uv/bin/python",
        'echo "$*" > log; while [ "$1" != --output-file ]; do shift; done; cat "$2" > before; cp resolved "$2"',
    )
    (tmp_path / ".cache/uv/.ready").write_text(re.findall('"(uv==.*)"', (ROOT / "scripts/lock.py").read_text())[0])
    return tmp_path


def test_lock_leaves_out_cuda_and_builds_and_keeps_comments(locking: Path):
    (locking / "resolved").write_text("cuda-bindings==1\nnumpy==2.0\nnvidia-nvtx==13\ntorch==2.13.0+cpu\ntriton==3\n")
    assert make(locking, "lock", "VENV=", f"PYTHON={sys.executable}").returncode == 0
    assert (locking / "requirements.lock").read_text() == "# why\nnumpy==2.0\ntorch==2.13.0\n"
    assert (locking / "before").read_text() == "# why\nnumpy==1.0\n", "from which uv keeps what suits"
    assert "--upgrade" not in log(locking)[0]
    assert make(locking, "lock", "VENV=", "UPGRADE=1", f"PYTHON={sys.executable}").returncode == 0
    assert "--upgrade" in log(locking)[0]


def test_lock_stays_when_nothing_is_resolved(locking: Path):
    assert make(locking, "lock", "VENV=", f"PYTHON={sys.executable}").returncode != 0
    assert (locking / "requirements.lock").read_text() == "# why\nnumpy==1.0\n"


# ----------------------------------------------------------------------------------------------------------- Makefile

ASKED_FOR = ["setup", "data", "report", "quick", "reproduce", "check", "test", "lab", "bench", "clean"]


def clean_environment(**more: str) -> dict[str, str]:
    """Without what a make that runs these tests hands down to a make inside them."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    return inherited | more


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        text=True,
        capture_output=True,
        timeout=60,
    )


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_make_alone_is_help():
    alone, asked = make(ROOT), make(ROOT, "help")
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == asked.stdout
    described = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", alone.stdout, re.MULTILINE))
    assert set(ASKED_FOR) <= set(described)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that make goes by, in a folder with spaces in its name, with a Python that only pretends.

    It logs what it is asked to install to `log`; it has no ensurepip while `no-ensurepip` exists, no pip while `no-pip`
    exists and cannot install while `no-network` exists.
    """
    folder = tmp_path / "a check out"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("report/index.qmd", "report/analysis/a.py", "report/runs/paper/a.json", "src/lr_core/models.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    script(
        folder / "bin/python3",
        """case "$*" in
        *ensurepip*) [ ! -e no-ensurepip ];;
        "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >> log;;
        "-m pip --version") [ ! -e no-pip ];;
        "scripts/packages.py "*) [ ! -e no-network ] && echo pip >> log;;
        "report/render "*) mkdir -p "$4" && touch "$4/index.html" "$4/latent-replay.pdf" && echo "render $LR_PROFILE" >> log;;
        "report/notebooks.py "*) mkdir -p "$3/notebooks" && touch "$3/notebooks/index.html" && echo "pages $LR_PROFILE" >> log;;
        "report/ledger.py "*) echo "$*" >> log;;
        "-m lr_lab "*) echo "$*" >> log;;
        --version|-c*) echo "Python 3.11.2";;
        *) echo "unexpected: $*" >&2; exit 9;;
        esac""",
    )
    return folder


def with_fakes(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}


def log(folder: Path) -> list[str]:
    """What happened since the last look."""
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_setup_happens_once_and_again_when_the_lock_changes(checkout: Path):
    fakes = with_fakes(checkout)
    assert make(checkout, "setup", **fakes).returncode == 0
    assert log(checkout) == ["venv", "pip", "pip"]
    make(checkout, "setup", **fakes)
    assert log(checkout) == []
    later = (checkout / ".venv/.ready").stat().st_mtime + 1
    os.utime(checkout / "requirements.lock", (later, later))
    make(checkout, "setup", **fakes)
    assert log(checkout) == ["pip", "pip"]


def test_interrupted_setup_is_not_ready_and_is_built_anew(checkout: Path):
    fakes = with_fakes(checkout)
    (checkout / "no-network").touch()
    assert make(checkout, "setup", **fakes).returncode != 0
    assert not (checkout / ".venv/.ready").exists()
    (checkout / ".venv/half").touch()
    (checkout / "no-network").unlink()
    assert make(checkout, "setup", **fakes).returncode == 0
    assert (checkout / ".venv/.ready").exists()
    assert not (checkout / ".venv/half").exists()


def test_environment_that_lost_its_python_or_was_moved_is_built_anew(checkout: Path):
    fakes = with_fakes(checkout)
    make(checkout, "setup", **fakes)
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to(checkout / "gone")
    log(checkout)
    assert make(checkout, "setup", **fakes).returncode == 0
    assert log(checkout) == ["venv", "pip", "pip"]
    moved = checkout.rename(checkout.with_name("moved"))
    assert make(moved, "setup", **with_fakes(moved)).returncode == 0
    assert log(moved) == ["venv", "pip", "pip"]


def test_environment_that_somebody_made_by_hand_is_kept(checkout: Path):
    script(checkout / ".venv/bin/python", (checkout / "bin/python3").read_text().partition("\n")[2])
    (checkout / ".venv/mine").touch()
    assert make(checkout, "setup", **with_fakes(checkout)).returncode == 0
    assert log(checkout) == ["pip", "pip"]
    assert (checkout / ".venv/mine").exists()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            "no-pip",
            ".venv was not made by make, and its Python does not run or has no pip; move it away, or give it pip",
        ),
        ("no-network", ""),
        ("no-python", ".venv was not made by make"),
    ],
)
def test_environment_that_make_has_not_made_is_never_removed(checkout: Path, fault: str, says: str):
    python = script(checkout / ".venv/bin/python", (checkout / "bin/python3").read_text().partition("\n")[2])
    (checkout / ".venv/mine").touch()
    (checkout / fault).touch()
    if fault == "no-python":
        python.write_text("exit 1")
    for _ in range(2):
        made = make(checkout, "setup", **with_fakes(checkout))
        assert made.returncode != 0
        assert says in made.stderr
        assert (checkout / ".venv/mine").exists()
    assert make(checkout, "clean-all", **with_fakes(checkout)).returncode == 0
    assert (checkout / ".venv/mine").exists()


@pytest.mark.parametrize(
    ("user", "apt", "status", "says"),
    [
        ("0", "rm no-ensurepip", 0, "Installing python3-venv"),
        ("0", '[ "$1" = update ] && touch updated; [ -e updated ] && rm -f no-ensurepip', 0, "Installing python3-venv"),
        ("0", "exit 100", 2, "apt-get install python3-venv"),
        ("1000", "exit 99", 2, "apt-get install python3-venv"),
    ],
    ids=["root", "root, package lists missing", "root, no network", "somebody else"],
)
def test_python_without_ensurepip(checkout: Path, user: str, apt: str, status: int, says: str):
    script(checkout / "bin/id", f"echo {user}")
    script(checkout / "bin/apt-get", apt)
    (checkout / "no-ensurepip").touch()
    made = make(checkout, "setup", **with_fakes(checkout))
    assert made.returncode == status
    assert says in made.stdout + made.stderr
    assert (checkout / ".venv/.ready").exists() == (status == 0)


@pytest.mark.parametrize(
    ("python", "says"),
    [
        (None, "no-python does not run; install Python 3.11 or newer"),
        ('case "$2" in *version_info*) exit 1;; esac', "no-python is older than Python 3.11"),
    ],
    ids=["none", "too old"],
)
def test_python_that_does_not_serve_is_one_clear_line(checkout: Path, python: str | None, says: str):
    if python is not None:
        script(checkout / "bin/no-python", python)
    made = make(checkout, "setup", "PYTHON=no-python", **with_fakes(checkout))
    first, *rest = made.stderr.splitlines()
    assert says in first
    assert len(rest) == 1, "make's own line"
    assert not (checkout / ".venv").exists()


def test_activated_environment_is_used_as_it_is(checkout: Path):
    script(checkout / "bin/python3", '[ "$1" = -c ] || echo "$*" >> log')
    assert make(checkout, "data", "VENV=", **with_fakes(checkout)).returncode == 0
    assert log(checkout) == ["-m lr_lab data"]
    script(checkout / "bin/python3", "exit 1")
    made = make(checkout, "data", "VENV=", **with_fakes(checkout))
    assert made.returncode != 0
    assert "environment.yml" in made.stderr


# ------------------------------------------------------------------------------------------------------------- report


@pytest.mark.parametrize(
    ("quarto", "target", "calls"),
    [
        (True, "report", "python -m lr_lab.jupyter quarto render report\n"),
        (True, "quick", "quarto render report --output-dir _output/quick;"),
        (False, "report", "python report/render report/index.qmd --output-dir report/_output >"),
        (False, "quick", "python report/render report/index.qmd --output-dir report/_output/quick >"),
    ],
)
def test_engine_of_the_report(checkout: Path, quarto: bool, target: str, calls: str):
    if quarto:
        script(checkout / "bin/quarto", "exit 9")
    plan = make(checkout, "-n", target, **with_fakes(checkout)).stdout
    assert calls in plan
    assert ("quarto render" in plan, "report/render report" in plan) == (quarto, not quarto)


def test_report_is_rendered_once_for_both_files_and_again_when_a_source_changes(checkout: Path):
    fakes = with_fakes(checkout) | {"LR_PROFILE": "smoke"}
    files = ["report/_output/index.html", "report/_output/latent-replay.pdf"]
    sources = ["report/index.qmd", "report/analysis/a.py", "src/lr_core/models.py", "report/runs/paper/a.json"]
    sources += ["report/runs/paper"]  # as changed when a record was removed

    def rendered() -> int:
        made = make(checkout, "report", **fakes)
        assert made.returncode == 0, made.stderr
        assert [line.strip() for line in made.stdout.splitlines()[-2:]] == files, "named in any case"
        return log(checkout).count("render ")  # LR_PROFILE is not handed on: this is the paper

    assert rendered() == 1
    assert rendered() == 0
    for source in sources:
        now = (checkout / source).stat().st_mtime
        os.utime(checkout / source, (now + 1000, now + 1000))
        assert rendered() == 1, source
        os.utime(checkout / source, (now, now))
    cached = checkout / "src/lr_core/__pycache__/compiled.nbi"
    cached.parent.mkdir()
    cached.touch()
    os.utime(cached, (now + 1000, now + 1000))
    assert rendered() == 0, "rendering itself compiles"
    (checkout / files[1]).unlink()
    assert rendered() == 1
    assert rendered() == 0


def test_pages_of_notebooks_are_made_after_the_paper_and_again_when_a_notebook_or_the_commit_changes(checkout: Path):
    fakes = with_fakes(checkout)
    notebook, commits = checkout / "report/runs/paper/a.ipynb", checkout / ".git/logs/HEAD"
    for path in (notebook, commits):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    script(checkout / "bin/git", "echo .git/logs/HEAD")

    def made() -> list[str]:
        assert make(checkout, "report", **fakes).returncode == 0
        return [line for line in log(checkout) if line in ("render ", "pages ")]

    assert made() == ["render ", "pages "]
    assert made() == []
    for path in (notebook, commits):
        now = path.stat().st_mtime
        os.utime(path, (now + 1000, now + 1000))
        assert made() == ["pages "], path
        os.utime(path, (now, now))
    commits.unlink()  # no commits yet, or no repository
    assert made() == []


@pytest.mark.parametrize(("grid", "status", "renders"), [(0, 0, True), (1, 2, True), (2, 2, False), (130, 2, False)])
def test_quick_renders_what_did_run(checkout: Path, grid: int, status: int, renders: bool):
    fakes = with_fakes(checkout)
    make(checkout, "setup", **fakes)
    python = checkout / ".venv/bin/python"
    python.write_text(python.read_text().replace('"-m lr_lab "*) ', f'"-m lr_lab "*) exit {grid};'))
    log(checkout)
    made = make(checkout, "quick", **fakes)
    assert made.returncode == status
    assert (log(checkout) == ["render quick", "pages quick"]) == renders
    assert ("  report/_output/quick/latent-replay.pdf" in made.stdout) == renders


def test_reproduce_trains_then_renders(checkout: Path):
    make(checkout, "setup", **with_fakes(checkout))
    log(checkout)
    assert make(checkout, "reproduce", **with_fakes(checkout)).returncode == 0
    assert log(checkout) == [
        "-m lr_lab grid --profile paper",
        "render ",
        "-m lr_lab results report/_output/results.csv",
        "report/ledger.py report/_output/results.json",
        "pages ",
    ]


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("clean", {".venv/.ready", ".cache/runs/arm", "data/raw/images", "report/runs/paper/a.json"}),
        ("clean-all", {"data/raw/images", "report/runs/paper/a.json"}),
    ],
)
def test_what_cleaning_leaves(checkout: Path, target: str, left: set[str]):
    assert make(checkout, "setup", **with_fakes(checkout)).returncode == 0
    gone = {"report/_output/index.html", ".cache/other", ".pytest_cache/x", "src/lr_core/__pycache__/x"}
    present = gone | {".venv/.ready", ".cache/runs/arm", "data/raw/images", "report/runs/paper/a.json"}
    for name in present:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    assert make(checkout, target, **with_fakes(checkout)).returncode == 0
    assert {name for name in present if (checkout / name).exists()} == left


# ---------------------------------------------------------------------------------------- what the user's machine holds


def test_pip_goes_by_the_ways_of_the_user_and_by_no_other_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = file:///a\nextra-index-url = file:///b\n  file:///c\nproxy = p\n"
        "constraint = c.txt\ntarget = t\nuser = true\n[install]\nproxy = q\nuser = true\n[download]\nproxy = r\n"
    )
    given = {"CONFIG_FILE": str(settings), "FIND_LINKS": "/wheels", "CERT": "/cert", "INDEX_URL": "file:///d"}
    for name in (
        "USER",
        "TARGET",
        "PREFIX",
        "ROOT",
        "CONSTRAINT",
        "REQUIREMENT",
        "NO_DEPS",
        "REQUIRE_HASHES",
        "NO_BINARY",
    ):
        given[name] = "1"
    for name, value in given.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    found = {name: value for name, value in PACKAGES["environment"]().items() if name.startswith("PIP_")}
    urls = found.pop("PIP_EXTRA_INDEX_URL").split()
    assert urls == ["file:///b", "file:///c"]
    assert found == {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "file:///d",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_CERT": "/cert",
        "PIP_PROXY": "q",
    }


@pytest.fixture
def tiny_thing(tmp_path: Path) -> dict[str, str]:
    """Variables with which pip finds one package, tiny-thing 1.0, and no other."""
    with zipfile.ZipFile(tmp_path / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_thing.py", "")
        wheel.writestr("tiny_thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        wheel.writestr(
            "tiny_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_thing-1.0.dist-info/RECORD", "")
    return {"PIP_FIND_LINKS": str(tmp_path), "PIP_NO_INDEX": "1"}


def test_pip_installs_here_whatever_the_user_has_set(tmp_path: Path, tiny_thing: dict[str, str]):
    (tmp_path / "constraints").write_text("tiny-thing==2.0\n")
    wrong = {"PIP_USER": "1", "PIP_CONSTRAINT": str(tmp_path / "constraints"), "PIP_REQUIRE_HASHES": "1"}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/packages.py", "install", "--dry-run", "tiny-thing"],
        env=os.environ | wrong | tiny_thing,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Would install tiny-thing-1.0" in done.stdout, done.stderr


def test_tool_is_installed_once_and_again_when_another_one_is_asked_for(
    tmp_path: Path, tiny_thing: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in tiny_thing.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    folder, seen = Path("a tool"), tmp_path / "seen"
    seen.mkdir()
    (seen / "beside.py").write_text("")
    python = PACKAGES["tool"](folder, "tiny-thing==1.0", (seen,))
    subprocess.run([python, "-c", "import tiny_thing, beside"], check=True)
    (folder / "kept").touch()
    assert PACKAGES["tool"](folder, "tiny-thing==1.0", (seen,)) == python
    assert (folder / "kept").exists()
    for _ in range(2):  # what failed once is not taken for ready
        with pytest.raises(subprocess.CalledProcessError):
            PACKAGES["tool"](folder, "tiny-thing==2.0")
    assert not (folder / "kept").exists()


def test_bench_goes_on_without_avalanche(tmp_path: Path, tiny_thing: dict[str, str]):
    command = [sys.executable, ROOT / "scripts/avalanche.py"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | tiny_thing, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "Avalanche cannot be had; it is left out"
    assert not (tmp_path / ".venv-avalanche").exists()


@pytest.fixture(scope="module")
def of_a_user(tmp_path_factory) -> dict[str, str]:
    """Variables that lead to settings, a kernel and data of a user, each of which would change or end a notebook."""
    home = tmp_path_factory.mktemp("home")
    startup = home / "ipython" / "profile_default" / "startup" / "mine.py"
    kernel = home / "jupyter" / "kernels" / "python3" / "kernel.json"
    foreign = home / "data" / "sensors" / "dataset.toml"
    for path in (startup, kernel, foreign):
        path.parent.mkdir(parents=True)
    startup.write_text("import pandas\npandas.set_option('display.max_rows', 2)\nprint('startup of the user')\n")
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "mine", "language": "python"}))
    foreign.write_text("name = 'sensors'")
    (home / "matplotlibrc").write_text("text.usetex: True\nsavefig.facecolor: black\nno.such.key: 1\n")
    (home / "first.py").write_text("print('first of the user')")
    return {
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PATH": str(home / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "MATPLOTLIBRC": str(home / "matplotlibrc"),
        "MPLBACKEND": "none-such",
        "PYTHONSTARTUP": str(home / "first.py"),
        "PYTHONSAFEPATH": "1",
        "LR_DATA_PATH": str(home / "data"),
    }


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("temporary-directory: [1]", "Cluster failed to start: expected str, bytes or os.PathLike object, not list"),
        ("distributed: {comm: {timeouts: {connect: soon}}}", "'Invalid time unit: soon. "),
    ],
)
def test_a_wrong_value_in_the_configuration_of_dask_is_one_line(tmp_path: Path, setting: str, says: str):
    (tmp_path / "dask.yaml").write_text(setting)
    choice = ("--profile", "smoke", "--dataset", "digits", "--case", "1", "--executor", "dask", "--workers", "1")
    folders = ("--runs", tmp_path / "runs", "--cache", tmp_path / "cache")
    done = run("-m", "lr_lab", "grid", *choice, *folders, folder=tmp_path, DASK_CONFIG=str(tmp_path))
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: Port ")]  # of its dashboard
    assert line.startswith(f"error: --executor dask: dask does not start, look at its configuration: {says}")


FACTS = """import beside, pandas
import matplotlib.pyplot as plt
from lr_lab.data import catalogue

print(pandas.get_option("display.max_rows"), plt.rcParams["text.usetex"], "digits" in catalogue.available())
plt.close(plt.figure())"""


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """A notebook that prints what the user's settings would change, with the outputs that it has without them."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "beside.py").write_text("")
    output = {"output_type": "stream", "name": "stdout", "text": ["60 False True\n"]}
    cell = {"cell_type": "code", "id": "facts", "metadata": {}, "execution_count": 1}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell | {"source": FACTS, "outputs": [output]}], "metadata": metadata}
    (folder / "facts.ipynb").write_text(json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 5}))
    return folder / "facts.ipynb"


def test_stored_outputs_are_compared_without_settings_of_the_user(of_a_user: dict[str, str], facts: Path):
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    options += ["-p", "conftest"]  # that beside it, which says how nbval starts a kernel
    done = run("-m", "pytest", *options, facts, folder=facts.parent, **of_a_user | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout


def test_notebooks_of_the_grid_run_without_settings_of_the_user(of_a_user: dict[str, str], facts: Path, tmp_path: Path):
    source = f"""from lr_lab.grid import notebook
notebook.NOTEBOOKS = notebook.Path({str(facts.parent)!r})
print(notebook.run_notebook("facts", {{}}).decode())"""
    done = run("-c", source, folder=tmp_path, **of_a_user)
    outputs, stored = (
        [cell["outputs"] for cell in json.loads(text)["cells"]] for text in (done.stdout, facts.read_text())
    )
    assert outputs == stored


def test_the_paper_is_rendered_without_settings_of_the_user(of_a_user: dict[str, str], tmp_path: Path):
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "beside.py").write_text("FOUND = 'a module beside the document'")
    (tmp_path / "paper" / "matplotlibrc").write_text("text.usetex: True")
    (tmp_path / "paper" / "index.qmd").write_text(
        """---
title: Facts
---

```{python}
import os, sys
import beside, matplotlib, pandas
print(beside.FOUND)
print(matplotlib.rcParams["text.usetex"], pandas.get_option("display.max_rows"))
print(os.environ["LR_RUNS"] == os.path.join(os.path.dirname(os.getcwd()), "my runs"), sys.executable)
```
"""
    )
    done = run(ROOT / "report/render", "paper/index.qmd", folder=tmp_path, **of_a_user | {"LR_RUNS": "my runs"})
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "paper" / "index.html").read_text()
    for fact in ("a module beside the document", "False 60", f"True {sys.executable}"):
        assert fact in page
    assert "of the user" not in page


# ----------------------------------------------------------------------------------------------- citation, licence, CI


def test_citation_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"] == "MIT"
    assert all(author.get("name") for author in citation["authors"])
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) 2026 ")


@pytest.fixture
def ci(tmp_path: Path):
    """Runs .ci/run beside a folder of data, with the programs that it needs and the fakes that are given."""
    (tmp_path / "shared/data").mkdir(parents=True)
    run = tmp_path / "checkout/.ci/run"
    run.parent.mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", run)

    def runs(**fakes: str) -> subprocess.CompletedProcess[str]:
        for name, text in fakes.items():
            script(tmp_path / "bin" / name.replace("_", "-"), text)
        for name in ("bash", "dirname", "getconf", "touch"):
            (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
        environment = clean_environment(PATH=str(tmp_path / "bin"), LOG=str(tmp_path / "log"))
        return subprocess.run([run], env=environment, capture_output=True, text=True, timeout=60)

    assert run.stat().st_mode & stat.S_IXUSR
    return runs


CI = ("test", "report", "test-processors", "test-long")


@pytest.mark.parametrize(("failing", "status"), [("none", 0), *((target, 1) for target in CI)])
def test_ci_runs_all_commands_and_fails_if_one_does(ci, tmp_path: Path, failing: str, status: int):
    ran = ci(make=f'echo "$* $LR_DATA_PATH" >> "$LOG"; [ "$1" != {failing} ]', chromium="")
    assert log(tmp_path) == [f"{target} {tmp_path}/shared/data" for target in CI]
    assert ran.returncode == status
    assert (f"make {failing}: FAILED" in ran.stdout) == (status != 0)
    assert "Chromium" not in ran.stdout


@pytest.mark.parametrize(
    ("user", "apt", "calls", "says"),
    [
        ("0", "", 1, ["installing Chromium"]),
        ("0", '[ "$1" = update ] && touch "$LOG.updated"; [ -e "$LOG.updated" ]', 3, ["installing Chromium"]),
        ("0", "exit 100", 2, ["installing Chromium", "Chromium cannot be had"]),
        ("1000", "", 0, []),
    ],
    ids=["root", "root, package lists missing", "root, no network", "somebody else"],
)
def test_ci_installs_chromium_where_it_can_and_goes_on_where_it_cannot(ci, tmp_path, user, apt, calls, says):
    ran = ci(make="", id=f"echo {user}", apt_get=f'echo "$*" >> "$LOG"\n{apt}')
    assert ran.returncode == 0
    assert len(log(tmp_path)) == calls
    told = [line for line in ran.stdout.splitlines() if "Chromium" in line]
    assert [re.split(" for|:", line)[0] for line in told] == says
