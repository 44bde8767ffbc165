"""The numbers of the report: the right published value beside the right one of ours, and words where there is none."""

import importlib.util
from pathlib import Path

import pytest

from lr_core import datasets, records

REPORT = Path(__file__).resolve().parents[1] / "report"


@pytest.fixture(scope="module")
def paper():
    spec = importlib.util.spec_from_file_location("paper", REPORT / "paper.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("dataset", "case", "arm", "measure", "share", "value"),
    [
        ("mnist", 1, "first-task", "train", None, 0.9904),  # Table 4
        ("mnist", 1, "first-task", "original_test", None, None),
        ("mnist", 4, "replay", "original_test", 0.01, 0.8732),  # Table 5
        ("mnist", 4, "replay", "original_test", 0.25, 0.9779),
        ("mnist", 3, "no-replay", "original_test", None, 0.2003),  # Table 6
        ("fashion-mnist", 2, "replay", "test", 0.05, 0.8912),  # Table 8
        ("kmnist", 1, "replay", "original_test", 0.05, 0.9108),  # Table 11
        ("kmnist", 4, "no-replay", "train", None, 0.9868),  # Table 12
        ("kmnist", 1, "replay", "test", 0.5, None),
        ("digits", 1, "first-task", "test", None, None),
    ],
)
def test_published_values_are_found(paper, dataset, case, arm, measure, share, value):
    assert paper.published_value(dataset, case, arm, measure, share) == value


def test_every_published_row_is_complete(paper):
    assert len(paper.published) == 60
    assert paper.published.groupby("table").size().to_dict() == {
        4 + 3 * s + t: n for s in range(3) for t, n in enumerate((4, 12, 4))
    }


@pytest.mark.parametrize(
    ("difference", "css"),
    [(0, "diff-0"), (-0.0049, "diff-0"), (0.005, "diff-1"), (-0.03, "diff-2"), (0.149, "diff-3"), (-0.9, "diff-4")],
)
def test_a_difference_is_shaded_by_its_size(paper, difference, css):
    assert paper.shade(difference) == css


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (lambda p: p.number(None), "(not run)"),
        (lambda p: p.number(-0.5), "−0.5000"),
        (lambda p: p.percent(0.1234), "12.3 %"),
        (lambda p: p.points(None), "(not run)"),
        (lambda p: p.count(0), "no"),
        (lambda p: p.count(12), "twelve"),
        (lambda p: p.count(1300), "1,300"),
        (lambda p: p.hours(59), "59 s"),
        (lambda p: p.hours(3000), "50 min"),
        (lambda p: p.hours(9000), "2.5 h"),
        (lambda p: p.comparison(None, 1, "above", "below"), "(not run)"),
        (lambda p: p.comparison(2, 1, "above", "below"), "above"),
        (lambda p: p.byte_shares(), "0.18, 0.92 and 4.59 %"),
        (lambda p: p.task_images(), 31_500),
    ],
)
def test_numbers_in_sentences(paper, words, expected):
    assert words(paper) == expected


@pytest.fixture
def written(record, run_id, tmp_path):
    records.write(record, run_id.record(tmp_path))
    return tmp_path


def test_a_record_of_other_settings_is_left_out_and_named(paper, written):
    runs = paper.Runs("smoke", written)  # the record's settings are the tests' own, not those of the profile
    with pytest.warns(UserWarning, match="smoke digits case 1 seed 0: its record is out of date"):
        assert runs.records == []


def test_values_come_from_the_right_arm(paper, record, monkeypatch):
    runs = paper.Runs("smoke", REPORT)
    monkeypatch.setitem(runs.__dict__, "records", [record])
    for arm in record["arms"]:
        for evaluation, accuracies in arm["accuracy"].items():
            for measure, value in accuracies.items():
                found = runs.value("digits", 1, arm["arm"], measure, evaluation, arm["memory_share"])
                assert found == value
    assert runs.value("digits", 2, "first-task", "test", "running") is None
    assert runs.value("mnist", 1, "first-task", "test", "running") is None


def test_what_has_not_been_run_is_said_data_set_by_data_set(paper, record, monkeypatch):
    runs = paper.Runs("smoke", REPORT)
    monkeypatch.setitem(runs.__dict__, "records", [record])
    assert paper.run_state(runs) == "Digits: case 1 (3 not run)"
    monkeypatch.setitem(runs.__dict__, "records", [])
    assert paper.run_state(runs) == f"{datasets.describe('digits').title}: not run"
