"""Compiled steps are kept on disk: the same bits, never old, damaged or another processor's code, and no matter where."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lr_core.fast import cache, classifier, steps
from lr_lab.files import project_root

pytestmark = pytest.mark.xdist_group("compiled")  # with test_steps.py

SOURCES = Path(steps.__file__).parents[2]

# Both networks there and back, or the classifier there, which compiles faster.
RUN = """
import hashlib, json, sys, torch
from lr_core import models
from lr_core.fast import accelerate
import lr_core.fast.classifier as fast_classifier, lr_core.fast.compressor as fast_compressor
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
compressor, classifier = map(accelerate, models.build(0))
if sys.argv[1] == "both":
    result = classifier(compressor(torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8, generator=draw)))
    (result**2).sum().backward()
    classifier(torch.randn(200, 1, 6, 6, generator=draw).requires_grad_())[:, 0].sum().backward()
else:
    result = classifier(torch.randn(200, 1, 6, 6, generator=draw))
values = [result, *(p.grad for network in (compressor, classifier) for p in network.parameters() if p.grad is not None)]
steps = [each for module in (fast_classifier, fast_compressor) for each in vars(module).values()]
statistics = [step.stats for step in steps if hasattr(step, "stats")]
print(json.dumps({
    "bits": hashlib.sha256(b"".join(v.detach().numpy().tobytes() for v in values)).hexdigest(),
    "compiled": sum(sum(each.cache_misses.values()) for each in statistics),
    "loaded": sum(sum(each.cache_hits.values()) for each in statistics),
}))
"""


def start(folder, what="classifier", **variables):
    """A process that computes with compiled steps which are kept in a folder."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN, what],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process):
    """What it found; it has nothing to say besides."""
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    return json.loads(output)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder that the classifier's steps are kept in, and what the process found that compiled them."""
    folder = tmp_path_factory.mktemp("compiled")
    return folder, end(start(folder))


@pytest.mark.slow
def test_a_later_process_loads_every_step_and_computes_the_same_bits(tmp_path):
    first, second = (end(start(tmp_path, "both")) for _ in range(2))
    assert first["loaded"] == second["compiled"] == 0
    assert first["compiled"] == second["loaded"] == len(list(tmp_path.glob("*/*"))) == 14  # all that there are
    assert first["bits"] == second["bits"]


@pytest.mark.slow
def test_where_nothing_can_be_kept_steps_are_compiled_without_a_word(tmp_path, kept):
    (tmp_path / "file").touch()
    before = set(SOURCES.rglob("*.nb?"))
    found = end(start(tmp_path / "file" / "in the way"))
    assert (found["loaded"], found["bits"]) == (0, kept[1]["bits"])
    assert set(SOURCES.rglob("*.nb?")) == before  # numba's own cache would turn to the folder of the sources


@pytest.mark.long
def test_two_processes_that_compile_at_once_are_in_nobodys_way(tmp_path, kept):
    both = [start(tmp_path) for _ in range(2)]
    later = [*map(end, both), end(start(tmp_path))]
    assert {found["bits"] for found in later} == {kept[1]["bits"]}
    assert later[-1]["compiled"] == 0
    assert not list(tmp_path.glob("*/.*"))  # nothing half written


@pytest.mark.long
def test_code_for_one_processor_is_not_run_on_another(kept):
    folder, native = kept
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    first, second, again = (end(start(folder, **variables)) for variables in (generic, generic, {}))
    assert first["loaded"] == second["compiled"] == again["compiled"] == 0
    assert first["bits"] == second["bits"]
    assert again["bits"] == native["bits"]


@pytest.mark.slow
def test_a_changed_source_is_compiled_anew_wherever_the_function_is_used(tmp_path, kept):
    folder, before = kept
    copy = shutil.copytree(SOURCES / "lr_core", tmp_path / "lr_core") / "fast" / "steps.py"
    text = copy.read_text()
    copy.write_text(text.replace("np.float32(-30), 7,", "np.float32(-30), 6,"))  # of ELU, which another file compiles
    assert copy.read_text() != text
    after = end(start(folder, PYTHONPATH=str(tmp_path)))
    assert after["loaded"] == 0
    assert after["bits"] != before["bits"]
    assert end(start(folder))["compiled"] == 0  # what was kept of the other sources is still there


# -- within this process -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def elu():
    """How often the smallest step was loaded and compiled when it was called for the first time."""
    step = steps.compiled(classifier._make_elu.py_func)
    maps, norm = np.full((1, 36, 4), 2, np.float32), np.array([[2], [1], [0]], np.float32)
    step(result := np.empty_like(maps), maps, norm)
    assert (result == 5).all()
    return sum(step.stats.cache_hits.values()), sum(step.stats.cache_misses.values())


LOADED, COMPILED = (1, 0), (0, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda code: b"",
        lambda code: code[:10],
        lambda code: code[:-1],
        lambda code: b"garbage" * 1000,
        lambda code: code[:3000] + bytes([code[3000] ^ 1]) + code[3001:],
    ],
    ids=["empty", "ends in the checksum", "lacks a byte", "garbage", "one bit"],
)
def test_a_damaged_file_is_compiled_anew_and_replaced(folder, damage):
    assert elu() == COMPILED
    (path,) = folder.glob("*/*")
    path.write_bytes(damage(path.read_bytes()))
    assert [elu(), elu()] == [COMPILED, LOADED]


def test_a_folder_that_is_removed_is_made_again(folder):
    assert elu() == COMPILED
    shutil.rmtree(next(folder.iterdir()))
    assert [elu(), elu()] == [COMPILED, LOADED]


@pytest.mark.parametrize(
    ("name", "value", "matters"),
    [
        ("NUMBA_OPT", "1", True),
        ("NUMBA_CPU_NAME", "generic", True),
        ("NUMBA_CPU_FEATURES", "", True),
        ("NUMBA_NUM_THREADS", "3", False),
    ],
)
def test_settings_of_numba_are_told_apart_if_they_change_code(monkeypatch, name, value, matters):
    monkeypatch.delenv(name, raising=False)
    before = cache._digest()
    monkeypatch.setenv(name, value)
    assert (cache._digest() != before) == matters


def test_processors_and_what_they_can_do_are_told_apart(folder):
    class Codegen:
        def __init__(self, *processor):
            self.magic_tuple = lambda: processor

    step = cache.Cache(classifier._make_elu.py_func)
    processors = [("x86_64", "haswell", "+avx"), ("x86_64", "haswell", "-avx"), ("x86_64", "generic", "+avx")]
    assert len({step._path((), Codegen(*processor)) for processor in processors}) == 3


def test_code_is_kept_in_the_project_unless_numba_was_told_where(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    step = cache.Cache(classifier._make_elu.py_func)
    assert Path(step.cache_path).parent == project_root() / ".cache" / "compiled"
