"""Classifiers on the frozen latents beside replay: from the same runs, each case weighing the same."""

import pytest

MODES = ("running", "batch", "mixed")


def run(dataset, case, seed, old, bounds=True):
    """A record with one replay arm; every classifier has `old` on old classes with 1 %, 0.1 more with all."""
    accuracy = {mode: {"test": 0.9, "original_test": old} for mode in MODES}
    arms = [
        {"arm": "first-task", "memory_share": None, "seconds": 1},
        {"arm": "replay", "memory_share": 0.01, "seconds": 1, "accuracy": accuracy},
    ]
    record = {"profile": "paper", "run": {"dataset": dataset, "case": case, "seed": seed}, "arms": arms}
    found = {name: {"0.01": [old, 0.7], "1.0": [old + 0.1, 0.6]} for name in ("nearest-mean", "linear", "quadratic")}
    return record | ({"bounds": found} if bounds else {})


@pytest.fixture
def bounds(module, monkeypatch):
    records = [
        run("mnist", 1, 0, 0.2), run("mnist", 1, 1, 0.4), run("mnist", 2, 0, 0.7), run("kmnist", 1, 0, 0.5),
        run("kmnist", 2, 0, 0.0, bounds=False),
    ]  # fmt: skip
    monkeypatch.setitem(module("edition").ours.__dict__, "records", records)
    return module("bounds")


@pytest.mark.parametrize(
    ("method", "share", "task", "dataset", "value"),
    [
        ("quadratic", 0.01, "old", "mnist", (0.3 + 0.7) / 2),
        ("linear", 1.0, "old", "mnist", (0.4 + 0.8) / 2),
        ("nearest-mean", 1.0, "new", None, 0.6),
        ("running", 0.01, "old", "kmnist", 0.5),  # the run without bounds does not count
        ("batch", 0.01, "new", None, 0.9),
    ],
)
def test_values(bounds, method, share, task, dataset, value):
    assert bounds.value(method, share, task, dataset) == pytest.approx(value)


def test_what_no_run_has_is_none(bounds):
    assert bounds.value("quadratic", 0.25, "old") is None
    assert bounds.both("running", 0.25) is None
    assert bounds.both("running", 0.01) == pytest.approx(((0.3 + 0.7 + 0.5) / 3 + 0.9) / 2)


def test_the_runs_are_counted(bounds):
    assert bounds.runs() == "four runs of MNIST and KMNIST"


def test_bytes(bounds, module):
    assert bounds.gaussian_bytes() == 5 * 4 * (36 + 666)
    assert module("facts").memory_bytes(0.01) == 45_675


def test_the_figure_has_a_row_for_each_method_and_share(bounds, module):
    data = bounds.frame()
    assert len(data) == 2 * (3 * 2 + 3)
    assert (
        "MNIST, quadratic discriminant with 100% of the old latents: 60.0 and 60.0 %"
        in module("drawings").bounds().data
    )


def test_without_runs_it_says_so(module, monkeypatch):
    monkeypatch.setitem(module("edition").ours.__dict__, "records", [run("mnist", 1, 0, 0.2, bounds=False)])
    assert module("drawings").bounds().data == "*Classifiers on the latents: not run.*"
    assert module("bounds").runs() == "no runs"
