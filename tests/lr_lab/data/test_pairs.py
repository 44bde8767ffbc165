"""Pairs of data sets: five classes of one, five of the other."""

import pytest
import torch

from lr_core.errors import LatentReplayError, UsageError
from lr_core.tasks import Dataset
from lr_lab.data import catalogue, fetch, pairs
from lr_lab.runs.profiles import PROFILES
from lr_lab.runs.record import RunId


def dataset(name, shade):
    labels = torch.arange(20) % 10
    images = torch.full((20, 28, 28), shade, dtype=torch.uint8)
    return Dataset(name, name, images, labels, tuple(f"{name} {n}" for n in range(10)), {})


def test_a_pair_has_the_first_classes_of_one_set_and_the_last_of_the_other():
    info = catalogue.describe("mnist+kmnist")
    both = pairs.combine(dataset("a", 1), dataset("b", 2), info)
    assert both.labels.bincount().tolist() == [2] * 10
    assert set(both.images[both.labels < 5].flatten().tolist()) == {1}
    assert set(both.images[both.labels >= 5].flatten().tolist()) == {2}


def test_what_is_known_of_a_pair():
    info, first, second = map(catalogue.describe, ("kmnist+mnist", "kmnist", "mnist"))
    assert info.title == f"{first.title}, then {second.title}"
    assert info.class_names == first.class_names[:5] + second.class_names[5:]
    assert catalogue.checksums("kmnist+mnist") == {
        f"{part.name}/{file}": facts.sha256 for part in (first, second) for file, facts in part.files.items()
    }
    assert not info.paper


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist+mnist", "a pair is of two different sets"),
        ("mnist+kmnist+mnist", "a pair is of two different sets"),
        ("mnist+letters", "unknown data set 'letters'"),
        ("mnist+", "unknown data set ''"),
    ],
)
def test_other_pairs_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        catalogue.describe(name)


def test_a_pair_has_case_1_alone():
    with pytest.raises(UsageError, match="unknown case 3; known are 1"):
        RunId("unlike", "mnist+kmnist", 3, 0)


def test_the_six_pairs_of_the_paper_s_sets():
    assert len(catalogue.PAIRS) == 6
    assert {*PROFILES["unlike"].datasets} == {*catalogue.PAIRS}
    assert sorted(["mnist+kmnist", "mnist", "kmnist", "fashion-mnist"], key=catalogue.order)[:2] == [
        "mnist",
        "mnist+kmnist",
    ]


@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_a_pair_is_there_when_both_sets_are(name):
    here = catalogue.available()
    assert (f"digits+{name}" in here) == (name in here)


@pytest.mark.skipif("mnist+kmnist" not in catalogue.available(), reason="the sets are not on the search path")
def test_real_images():
    both, mnist, kmnist = map(catalogue.load, ("mnist+kmnist", "mnist", "kmnist"))
    assert torch.equal(both.images[both.labels == 7], kmnist.images[kmnist.labels == 7])
    assert torch.equal(both.images[both.labels == 3], mnist.images[mnist.labels == 3])
    assert both.checksums == catalogue.checksums("mnist+kmnist")
    assert fetch.fetch("mnist+kmnist").state == "present"


def test_a_missing_half_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LR_DATA_PATH", str(tmp_path))
    monkeypatch.setattr(catalogue, "raw_folder", lambda: tmp_path / "raw")
    with pytest.raises(LatentReplayError, match="MNIST: train-images"):
        catalogue.load("digits+mnist")
