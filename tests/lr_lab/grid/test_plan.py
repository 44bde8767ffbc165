"""Which runs there are, which are due, and how long they will take."""

import shutil

import pytest

from lr_core.errors import UsageError
from lr_lab.grid.plan import RUNS, plan, select
from lr_lab.runs import store
from lr_lab.runs.record import RunId, digest


def test_a_data_set_of_case_1_alone_is_left_out_of_the_other_cases():
    assert {run.dataset for run in select("training", cases=[2])} == {"mnist", "kmnist"}
    assert {run.case for run in select("training", ["fashion-mnist"])} == {1}
    with pytest.raises(
        UsageError, match="^profile training has case 1 of fashion-mnist alone; leave out --case, or name"
    ):
        select("training", ["fashion-mnist"], [1, 2])


@pytest.mark.parametrize(("dataset", "like"), [("mnist", ["mnist"]), ("fashion-mnist", ["mnist", "kmnist"])])
def test_a_run_is_expected_to_take_what_runs_of_its_data_set_took_else_those_of_its_profile(tmp_path, dataset, like):
    (tmp_path / "bounds").mkdir()
    for name in ("mnist", "kmnist"):
        shutil.copy(RUNS / "bounds" / f"{name}-case1-seed0.json", tmp_path / "bounds")
    took = {
        p.run.dataset: p.seconds for p in plan(select("bounds", cases=[1], seeds=[0]), tmp_path, tmp_path) if not p.due
    }
    (planned,) = plan(select("bounds", [dataset], [2], [0]), tmp_path, tmp_path)
    assert planned.due
    assert planned.seconds == pytest.approx(sum(took[name] for name in like) / len(like))


def test_a_data_set_that_the_profile_does_not_name_is_expected_to_take_what_its_own_cases_took(tmp_path):
    record = store.read(RUNS / "training" / "mnist-case1-seed0.json")
    for dataset, seconds in (("mnist", 1.0), ("digits", 9.0)):
        run = RunId("training", dataset, 1, 0)
        arms = [arm | {"seconds": seconds} for arm in record["arms"]]
        content = record | {"run": {"dataset": dataset, "case": 1, "seed": 0}, "arms": arms}
        content["sha256"] = digest({name: value for name, value in content.items() if name != "sha256"})
        store.write(content, run.record(tmp_path))
    *_, planned = plan(select("training", ["digits"], [1, 2], [0]), tmp_path, tmp_path)
    assert (planned.run.case, planned.seconds) == (2, 9.0 * len(record["arms"]))
