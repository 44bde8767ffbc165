"""`make test-processors`: a stored output that differs by a digit is found, and an imitation without effect too."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "processors.py"))
OLD, AVX2 = SCRIPT["IMITATED"]
HERE = {"chosen": {"PyTorch": "AVX512", "OpenBLAS": "SkylakeX", "NumPy": "X86_V3 X86_V4"}, "digests": {"sum": "1"}}


def test_a_digit_that_drifts_fails(tmp_path):
    text = (ROOT / "notebooks" / "datasets.ipynb").read_text()
    altered = text.replace("174 to 183 a class", "174 to 184 a class").replace('x=\\"34.96', 'x=\\"34.97', 1)
    assert sum(a != b for a, b in zip(text, altered, strict=True)) == 2
    notebook = tmp_path / "datasets.ipynb"
    notebook.write_text(altered)
    passed, failed = SCRIPT["compare"]([notebook], SCRIPT["environment"](None, 1), 1)
    assert failed == ["datasets.ipynb::Cell 1", "datasets.ipynb::Cell 2"]
    assert passed == 3


@pytest.mark.parametrize("name", ["case", "explore", "latent-replay-from-scratch", "your-own-data"])
def test_a_notebook_that_trains_takes_its_threads_from_its_parameters(name):
    text = (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    assert text.count(SCRIPT["PARAMETER"]) == 1
    assert "threads=threads" in text


@pytest.mark.parametrize(
    ("chosen", "digests", "wrong"),
    [
        ({"PyTorch": "DEFAULT", "OpenBLAS": "Katmai", "NumPy": ""}, {"sum": "2"}, []),
        ({"PyTorch": "AVX512", "OpenBLAS": "Katmai", "NumPy": ""}, {"sum": "2"}, ["PyTorch chose AVX512, not DEFAULT"]),
        (
            {"PyTorch": "DEFAULT", "OpenBLAS": "Katmai", "NumPy": "X86_V3"},
            {"sum": "2"},
            ["NumPy chose X86_V3, not no more than it has to"],
        ),
        (
            {"PyTorch": "DEFAULT", "OpenBLAS": "Katmai", "NumPy": ""},
            {"sum": "1"},
            ["not one bit of any computation changed"],
        ),
    ],
)
def test_an_imitation_without_effect_is_an_error(chosen, digests, wrong):
    assert SCRIPT["no_effect"](OLD, HERE, {"chosen": chosen, "digests": digests}) == wrong


def test_what_this_processor_is_need_not_show():
    here = {**HERE, "chosen": AVX2.chosen}
    assert SCRIPT["no_effect"](AVX2, here, here) == []


def test_variables_leave_no_processor_half_imitated(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert "MKL_CBWR" not in SCRIPT["environment"](None, 2)
    variables = SCRIPT["environment"](AVX2, 2, "X86_V3 X86_V4 AVX512_ICL")
    assert variables["NPY_DISABLE_CPU_FEATURES"] == "X86_V4 AVX512_ICL"
    assert (variables["OMP_NUM_THREADS"], variables["OPENBLAS_CORETYPE"]) == ("2", "Haswell")
