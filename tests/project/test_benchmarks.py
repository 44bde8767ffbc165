"""The benchmark's rivals do the same work, and its goals are computed from what was measured."""

import io
import json
import runpy
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lr_core import models
from lr_core.settings import Settings

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def bench():
    return runpy.run_path(str(BENCHMARKS / "__main__.py"), run_name="bench")


def test_the_textbook_has_the_same_networks():
    import textbook

    for plain, ours in zip((textbook.compressor(), textbook.classifier()), models.build(0), strict=True):
        plain.load_state_dict(ours.state_dict())
        shape = (4, 1, 28, 28) if isinstance(ours, models.Compressor) else (4, 1, 6, 6)
        inputs = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        torch.testing.assert_close(plain.double().eval()(inputs), ours.double().eval()(inputs))


def test_a_program_warms_up_then_answers_every_line(monkeypatch, capsys):
    import workload

    calls = []
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    workload.serve(lambda: calls.append(1) or 7)
    ready, *answers = capsys.readouterr().out.splitlines()
    assert ready == "ready"
    assert len(calls) == 3
    for answer in map(json.loads, answers):
        assert answer["images"] == 7
        assert 0 <= answer["seconds"] < 1
        assert answer["peak_bytes"] > 10e6


# An image of a first 3x3 layer and five further ones at 6 x 6, and the dense part, by two operations a product: once
# forward, once for the gradients of the weights, once for those of what goes in.
PRODUCTS = 36 * 9 * (50 + 5 * 50 * 50) + 1800 * 16 + 16 * 10


def test_operations_are_counted_on_direct_convolutions(bench):
    assert bench["operations_an_image"]() == pytest.approx(2 * (3 * PRODUCTS - 36 * 9 * 50), rel=1e-3)


def measured(bench, experiment, program, rate, seconds=1.0, peak=1e9):
    return bench["Measured"](experiment, program, 1, 1, [rate * 0.9, rate, rate * 1.2], [seconds] * 3, int(peak))


@pytest.fixture(scope="module")
def everything(bench):
    operations = bench["operations_an_image"]()
    found = [measured(bench, "matrix product", "peak, 1 thread", 1000 * operations)]
    for experiment, ours, textbook in (
        (bench["SECOND"], 300, 100), (bench["FIRST"], 190, 100), (bench["CASE"], 250, 100),
    ):  # fmt: skip
        found += [
            measured(bench, experiment, "lr_core, 2 processes of 1 thread", ours),
            measured(bench, experiment, "lr_core, 1 thread", ours / 2),
            measured(bench, experiment, "lr_core, 2 threads", 0.9 * ours),
            measured(bench, experiment, "lr_core, 4 threads", 0.8 * ours),
            measured(bench, experiment, "lr_core, 2 threads, one core busy", 0.6 * ours),
            measured(bench, experiment, "lr_core, 1 thread, one core busy", 0.5 * ours),
            measured(bench, experiment, "textbook, 2 threads", textbook),
        ]
    found += [
        measured(bench, bench["PAGE"], f"{name}, 1 thread", n) for name, n in (("PyTorch", 1600), ("Chromium", 1200))
    ]
    found += [measured(bench, "images", f"{n:,} images, 1 thread", 1, s) for n, s in ((1000, 1.0), (2000, 2.4))]
    return found


def test_goals(bench, everything):
    facts = [
        (g["measured"], g["met"])
        for g in bench["goals"](
            everything, [2.0, 4.0, 3.0], {"pool": [10.0], "dask": [13.0]}, 60.0, {"a": 0.06, "b": 0.08}
        )
    ]
    expected = [
        (3.0, True),  # second task, 300 : 100
        (None, None),  # no Avalanche
        (1.9, False),
        (2.5, True),
        (0.75, True),  # of the page
        (12.0, True),
        (2 * 150 / 1000, False),  # two updates for each new image
        (0.2 / 2.2, True),  # 1.0 and 1.2 ms an image
        (2.0, True),
        *2 * [(1.8, True), (8 / 9, False), (1.2, True)],  # threads
        (0.07, True),
        (1e9, True),
        (3.0 / 60, False),
        (1.0 / 60, True),  # a second a run
    ]
    assert [met for _, met in facts] == [met for _, met in expected]
    assert [value for value, _ in facts] == [value and pytest.approx(value) for value, _ in expected]


def test_what_is_not_measured_yet_meets_no_goal(bench, everything):
    some = [m for m in everything if m.experiment == bench["SECOND"] and "busy" not in m.program]
    met = {g["goal"]: g["met"] for g in bench["goals"](some, [], {}, None, {})}
    assert met.pop("second task with replay, against the textbook")
    assert met.pop("2 workers, against one")
    assert met.pop("second task with replay: 2 threads, against one")
    assert met.pop("second task with replay: 4 threads on 2 cores, against 2") is False
    assert met.pop("peak memory of a worker")
    assert set(met.values()) == {None}


def test_a_benchmark_that_is_interrupted_keeps_what_it_measured(bench, everything, monkeypatch, capsys, tmp_path):
    def in_turn(experiment, rivals, rounds):
        if experiment == bench["FIRST"]:
            raise KeyboardInterrupt
        return [m for m in everything if m.experiment == experiment]

    parts = bench["main"].__globals__
    monkeypatch.setitem(parts, "in_turn", in_turn)
    monkeypatch.setattr("lr_lab.data.catalogue.load", lambda name: None)
    monkeypatch.setattr("sys.argv", ["make bench", "--output", str(tmp_path / "here.json")])
    assert bench["main"]() == 1
    [kept] = tmp_path.iterdir()
    assert kept.name == "here.unfinished"  # which the paper does not read
    assert {m["experiment"] for m in json.loads(kept.read_text())["measured"]} == {bench["SECOND"]}
    told = capsys.readouterr()
    assert "textbook, 2 threads" in told.out
    assert told.err.splitlines()[-2:] == ["error: interrupted", f"What was measured is kept in {kept}"]


def test_share_of_evaluation(bench):
    arms = [{"epoch": 10.0, "evaluation": 1.0, "final": 2.0}, {"epoch": 20.0, "evaluation": 2.0, "final": 3.0}]
    shares = bench["evaluation_shares"](arms, {"short": [1, 2], "long": [17, 100]})
    # Epochs 0 and 1, and 0 to 2; epochs 0 to 10, 15 and 17, and 0 to 10 with 18 more up to 100.
    assert shares["short"] == pytest.approx((2 * 1 + 2 + 3 * 2 + 3) / (2 * 1 + 2 + 3 * 2 + 3 + 10 + 40))
    assert shares["long"] == pytest.approx((13 + 2 + 29 * 2 + 3) / (13 + 2 + 29 * 2 + 3 + 170 + 2000))


def test_every_goal_has_its_line_and_its_verdict(bench, everything):
    goals = bench["goals"](everything, [2.0], {"pool": [1.0], "dask": [1.0]}, None, {})
    lines = bench["table"](everything, goals).splitlines()
    for goal, verdict in zip(goals, ["met", "not measured", "missed", "met"], strict=False):
        (line,) = [line for line in lines if goal["goal"] in line]
        assert line.endswith(verdict)


@pytest.mark.parametrize("rival", ["textbook", "lr_core"])
def test_rivals_do_the_same_updates(monkeypatch, capsys, double, rival):
    """In this process, on batches of 25 digits; in double precision, for which nothing is compiled."""
    import rival_lr_core
    import rival_textbook
    import textbook
    import workload

    monkeypatch.setattr(workload, "DATASET", "digits")
    for module in (rival_lr_core, textbook):
        monkeypatch.setattr(module, "BATCH", 25)
    monkeypatch.setattr(rival_lr_core, "resolve", lambda *_: double)
    monkeypatch.setattr(rival_lr_core, "Settings", partial(Settings, batch_size=25))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    monkeypatch.setattr("sys.argv", ["rival_lr_core.py", "second", "1"])
    step, steps = torch.optim.SGD.step, []
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *arguments: steps.append(1) or step(*arguments))
    if rival == "textbook":
        rival_textbook.main("second", threads=1)
    else:
        rival_lr_core.main()
    ready, answer = capsys.readouterr().out.splitlines()
    assert (ready, json.loads(answer)["images"]) == ("ready", 4 * 25)
    assert len(steps) == 2 * 2 * 4  # warm-up and round, new images and memory


PROGRAM = """import sys
if sys.argv[1] == "second":
    import workload
    workload.serve(lambda: 7)
"""


def test_a_program_is_started_asked_and_ended_and_one_that_ends_early_is_an_error(bench, monkeypatch, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS))
    monkeypatch.setitem(bench["round_of"].__globals__, "HERE", tmp_path)
    program, result = bench["Program"]("?", "program.py", ("second",), threads=1), bench["Measured"]("", "", 1, 1)
    with bench["started"](program) as processes:
        bench["round_of"](processes, program, result)
    assert result.rate * result.seconds[0] == pytest.approx(7)
    assert [process.wait() for process in processes] == [-9]
    early = replace(program, arguments=("no-such-phase",))
    with pytest.raises(Exception, match=r"program\.py ended before its time"), bench["started"](early):
        pass
