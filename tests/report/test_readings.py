"""Other readings of the original beside ours: what is compared with what, and what is said of it."""

import copy

import pytest

MODES = ("running", "batch", "mixed")


def arm(name, share, old, new, **more):
    """An arm whose accuracies are the same under every mode, and are reached after the first of 30 epochs."""
    accuracy = {mode: {"train": 0.99, "test": new, "original_test": old} for mode in MODES}
    curve = {
        "epochs": [0, 1, 30], "new": {mode: [0.0, new - 0.1, new] for mode in MODES},
        "old": {mode: [0.99, old + 0.05, old] for mode in MODES},
    }  # fmt: skip
    return {"arm": name, "memory_share": share, "accuracy": accuracy, "curve": curve, "epochs": 30, **more}


def forget(readings):
    """What was computed of other records."""
    for cached in (readings.pairs, readings.distances, readings._by_number):
        cached.cache_clear()


@pytest.fixture
def readings(module, monkeypatch):
    """With one run of ours, MNIST case 1 seed 0, probed, and the same with momentum carried over."""
    readings, edition = module("analysis.readings"), module("analysis.edition")
    probes = {"batch": {"50": [0.91, 0.96]}, "reestimated": {"memory": [0.80, 0.95], "all": [0.70, 0.94]}}
    run = {"dataset": "mnist", "case": 1, "seed": 0}
    ours = {
        "profile": "paper", "run": run,
        "arms": [arm("replay", 0.01, 0.90, 0.97, probes=probes), arm("no-replay", None, 0.00, 0.98)],
    }  # fmt: skip
    other = copy.deepcopy(ours) | {"profile": "choices"}
    other["arms"] = [
        arm("replay", 0.01, 0.93, 0.96, choice="carry-optimizer"),
        arm("no-replay", None, 0.04, 0.97, choice="carry-optimizer"),
    ]
    monkeypatch.setitem(edition.ours.__dict__, "records", [ours])
    monkeypatch.setitem(edition.choices.__dict__, "records", [other])
    monkeypatch.setitem(edition.literal.__dict__, "records", [])
    forget(readings)
    yield readings
    forget(readings)


PUBLISHED = {("replay", "original_test"): 0.9392, ("replay", "test"): 0.9685, ("no-replay", "original_test"): 0.0423}


@pytest.mark.parametrize(
    ("reading", "mode", "kind", "ours", "other"),
    [
        ("carry-optimizer", "mixed", ("replay", "original_test"), 0.90, 0.93),
        ("carry-optimizer", "running", ("no-replay", "original_test"), 0.00, 0.04),
        ("batch 50", "batch", ("replay", "original_test"), 0.90, 0.91),
        ("batch 50", "batch", ("replay", "test"), 0.97, 0.96),
        ("reestimated memory", "running", ("replay", "original_test"), 0.90, 0.80),
        ("epochs 10", "batch", ("replay", "original_test"), 0.90, 0.95),
        ("epochs 10", "batch", ("replay", "test"), 0.97, 0.87),
    ],
)
def test_distances_from_the_published(readings, reading, mode, kind, ours, other):
    found = readings.distance(reading, *kind, mode)
    assert found.ours == pytest.approx(abs(ours - PUBLISHED[kind]))
    assert found.other == pytest.approx(abs(other - PUBLISHED[kind]))
    assert found.shift == pytest.approx(other - ours)
    assert (found.runs, found.cases) == (1, 1)


@pytest.mark.parametrize(
    ("reading", "mode"), [("batch 50", "running"), ("reestimated all", "batch"), ("adapting", "batch")]
)
def test_what_was_not_measured_is_not_compared(readings, reading, mode):
    assert readings.distance(reading, "replay", "original_test", mode) is None


def test_a_choice_is_compared_with_the_same_seed_alone(readings, module):
    module("analysis.edition").choices.records[0]["run"] = {"dataset": "mnist", "case": 1, "seed": 1}
    forget(readings)
    assert readings.distance("carry-optimizer", "replay", "original_test", "batch") is None


def test_the_nearest_reading_is_said(readings, module):
    assert readings.nearest("replay", "original_test", "batch").reading == "carry-optimizer"
    said = module("sentences.facts").nearest_readings().data
    assert "old classes, replay: *momentum carried over*, [0.9]{" in said
    assert "instead of [3.9]{" in said
    assert "new classes, replay: none comes closer by half a point" in said


def test_the_largest_shift_is_of_a_trained_choice(readings):
    assert readings.largest_shift("batch") == pytest.approx(0.03)  # at most 10 epochs shifts by 0.05
    assert readings.largest_shift("batch", "test") == pytest.approx(0.01)


def test_the_largest_published_baseline_is_found(readings, module):
    found = readings.baseline()
    assert found is None  # MNIST, case 3, is not among the runs
    module("analysis.edition").ours.records[0]["run"]["case"] = module("analysis.edition").choices.records[0]["run"][
        "case"
    ] = 3
    forget(readings)
    found = readings.baseline()
    assert (found.dataset, found.case, found.published, found.ours) == ("mnist", 3, 0.2003, 0)
    assert (found.reading, found.other) == ("epochs 5", 0.05)  # momentum carried over keeps 0.04
    assert "*at most 5 epochs* keeps most" in module("sentences.facts").largest_baseline().data


@pytest.mark.parametrize(
    ("kind", "share", "mean", "half_width", "words"),
    [
        (("replay", "original_test"), 0.01, 0.90, 0.02, "momentum carried over"),
        (("replay", "original_test"), 0.01, 0.90, 0.005, "none"),
        # The seed that was tried reads 0.93 with it, but it adds 0.03 only: the mean over seeds stays too low.
        (("replay", "original_test"), 0.01, 0.85, 0.02, "none"),
        (("replay", "original_test"), 0.05, 0.90, 0.02, "not tried"),
        (("no-replay", "original_test"), None, 0.00, 0.01, "momentum carried over"),
    ],
)
def test_which_reading_explains_a_number(readings, module, kind, share, mean, half_width, words):
    arm, measure = kind
    judged = module("analysis.verdicts").Judged(
        "mnist", arm, share, measure, 1, "batch", PUBLISHED[kind], mean, 3, half_width
    )
    assert readings.explains(judged).words == words


def test_a_number_that_lies_inside_under_another_mode_names_it_and_its_runs(readings, module):
    module("analysis.edition").ours.records[0]["arms"][0]["accuracy"]["batch"]["original_test"] = 0.94
    judged = module("analysis.verdicts").Judged(
        "mnist", "replay", 0.01, "original_test", 1, "running", 0.9392, 0.90, 3, 0.001
    )
    assert readings.explains(judged) == readings.Explanation(
        "batch statistics", frozenset({"paper/mnist-case1-seed0/0"})
    )


def test_plain_sgd_is_a_reading_and_the_epoch_nearest_to_the_baseline_is_found_in_it(readings, module, monkeypatch):
    edition = module("analysis.edition")
    slower = copy.deepcopy(edition.ours.records[0]) | {"profile": "literal"}
    slower["arms"] = [arm("replay", 0.01, 0.92, 0.97), arm("no-replay", None, 0.15, 0.97)]
    monkeypatch.setitem(edition.literal.__dict__, "records", [slower])
    for record in (edition.ours.records[0], slower):
        record["run"] = {"dataset": "mnist", "case": 3, "seed": 0}
    forget(readings)
    assert readings.distance("plain-sgd", "replay", "original_test", "mixed").shift == pytest.approx(0.02)
    found = readings.nearest_epoch()  # published: 0.2003 and 0.9824; after epoch 1, plain SGD has 0.20 and 0.87
    assert (found.reading, found.epoch, found.old, found.new) == ("plain-sgd", 30, 0.15, 0.97)


def test_averages_are_over_the_runs_that_were_probed(readings):
    found = [readings.averages("original_test", kind, 0.01) for kind in readings.AVERAGES]
    assert found == pytest.approx([0.90, 0.80, 0.70, 0.90])
    assert readings.averages("test", "memory", 0.01) == pytest.approx(0.95)
    assert readings.averages("test", "memory", 0.05) is None
    assert readings.probed_runs() == 1


def test_a_table_marks_what_is_nearer_by_a_point(readings, module):
    table = module("tables").readings().data
    rows = dict(zip(("old", "new", "none"), table.split("<tr>")[3:6], strict=True))
    assert rows["old"].count("<strong>") == 3
    assert rows["new"].count("<strong>") == 0
    assert rows["none"].count("<strong>") == 3
    assert "test batches of 50" in table
