"""What goes beyond the original: numbers are of the same seeds and cases, have the interval over seeds, and are drawn."""

import copy
import math

import matplotlib as mpl
import pytest
from drawn import OF_A_USER, other_processor

from lr_lab import plots

MODES = ("running", "batch", "mixed")
T = 4.302653  # 97.5 % quantile of the t distribution with two degrees of freedom


def arm(name, share, old, new, choice="", leak=0.1, **more):
    """Under batch statistics `old` is `leak` more, under mixed ones 0.05."""
    shift = {"running": 0.0, "batch": leak, "mixed": 0.05}
    accuracy = {mode: {"train": 0.99, "test": new, "original_test": old and old + shift[mode]} for mode in MODES}
    held = {"memory_share": share, "memory_bytes": share and round(share * 1000), "seconds": 60.0, "epochs": 10}
    confusion = dict.fromkeys(MODES, [[7 if p == t else 1 if p == 9 else 0 for p in range(10)] for t in range(10)])
    return {
        "arm": name,
        "accuracy": accuracy,
        "confusion": confusion,
        **held,
        **({"choice": choice} if choice else {}),
        **more,
    }


def record(profile, dataset, case, seed, arms, **more):
    tasks = {"first": {"classes": [0, 1, 2, 3, 4]}, "second": {"classes": [5, 6, 7, 8, 9]}}
    return {
        "profile": profile, "run": {"dataset": dataset, "case": case, "seed": seed}, "tasks": tasks, "arms": arms, **more,
    }  # fmt: skip


SHARES = (0.014, 0.07, 0.35)


def slight(seed):
    """Differences must differ between seeds, or they have no interval."""
    return 0.001 * (seed - 1)


def bounds_record(dataset, case, seed, old=0.5, new=0.9):
    arms = [arm("first-task", None, None, 0.95)]
    arms += [arm("replay", share, old + 0.1 * n, new) for n, share in enumerate((*SHARES, 1.0))]
    arms += [arm("no-replay", None, 0.0, 0.97), arm("no-replay", None, 0.01, 0.9, "frozen")]
    closed = {name: {"1.0": [old + 0.2 + slight(seed), new]} for name in ("nearest-mean", "linear", "quadratic")}
    joint = {mode: [0.98, 0.97] for mode in MODES}
    return record("bounds", dataset, case, seed, arms, bounds={**closed, "joint": joint})


@pytest.fixture
def beyond(module, monkeypatch):
    """Three seeds of case 1 of MNIST with every profile; of case 2, seed 0 alone. Seeds differ by 0.02."""
    edition, made = module("analysis.edition"), {name: [] for name in module("analysis.edition").BEYOND}
    for seed in range(3):
        old = 0.5 + 0.02 * seed
        made["bounds"].append(bounds_record("mnist", 1, seed, old))
        ways = [(c, n, s) for c in ("", "mixed-batches", "group-norm") for n, s in enumerate(SHARES[:2])]
        arms = [
            arm("replay", s, old + 0.1 * n + (0.01 + slight(seed)) * bool(c), 0.9, c, 0.1 + slight(seed))
            for c, n, s in ways
        ]
        made["training"].append(record("training", "mnist", 1, seed, arms))
        contents = [(c, n, s) for c in ("bits-8", "bits-4", "raw-frozen", "raw") for n, s in enumerate(SHARES)]
        arms = [
            arm("replay", s, old + 0.1 * n + (0.03 + slight(seed)) * (c == "bits-4"), 0.9, c) for c, n, s in contents
        ]
        made["bytes"].append(record("bytes", "mnist", 1, seed, arms))
        for other in ("kmnist", "fashion-mnist"):
            arms = [arm("replay", s, old, 0.85 + 0.01 * n) for n, s in enumerate(SHARES)]
            arms.append(arm("no-replay", None, 0.0, 0.97 + slight(seed)))
            made["unlike"].append(record("unlike", f"mnist+{other}", 1, seed, arms))
        updates = {"old": {mode: [0.9, 0.3 + 0.01 * seed] + [0.5] * 63 for mode in MODES}}
        arms = [arm(*key[:1], None, 0.5, 0.9, key[1], updates=updates) for key in module("analysis.beyond").GAPS]
        made["gap"].append(record("gap", "mnist", 1, seed, arms))
        matrix = [[0.99], [0.9, 0.95], [0.8, 0.8, 0.9], [0.7, 0.7, 0.7, 0.9], [0.6, 0.6, 0.6, 0.6, 0.6 + 0.05 * seed]]
        arms = [
            {
                "arm": a,
                "choice": c,
                "seconds": 60.0,
                "epochs": [3] * 5,
                "matrix": dict.fromkeys(MODES, [*matrix[:4], [m + slight(seed) * bool(c) for m in matrix[4]]]),
            }
            for a, c in module("analysis.beyond").MEMORIES
        ]
        made["longer"].append(record("longer", "mnist", 1, seed, arms))
    made["bounds"].append(bounds_record("mnist", 2, 0, 0.9))
    for name, records in made.items():
        monkeypatch.setitem(edition.beyond[name].__dict__, "records", records)
    return module("analysis.beyond")


def test_the_seed_is_the_unit(beyond):
    found = beyond.REPLAYED.accuracy("mnist", "old", "running")
    assert found.value == pytest.approx((0.6 + 0.62 + 0.64) / 3)
    assert found.half_width == pytest.approx(T * 0.02 / math.sqrt(3), rel=1e-5)
    assert (found.seeds, found.cases) == ((0, 1, 2), (1,))  # case 2 has one seed
    assert len(found.value.sources) == 3


@pytest.mark.parametrize(
    ("more", "without", "seeds", "cases"),  # seeds of case 2 beside its seed 0; of case 1 that are left out
    [
        ([1], [], (0, 1, 2), (1,)),  # three seeds of one case before two of two
        ([1, 2], [], (0, 1, 2), (1, 2)),
        ([1], [2], (0, 1), (1, 2)),
        ([], [2], (0, 1), (1,)),
    ],
)
def test_three_seeds_come_before_more_cases_and_two_after(beyond, module, more, without, seeds, cases):
    records = module("analysis.edition").beyond["bounds"].records
    records += [bounds_record("mnist", 2, seed, 0.7) for seed in more]
    records[:] = [r for r in records if r["run"]["case"] == 2 or r["run"]["seed"] not in without]
    found = beyond.REPLAYED.accuracy("mnist", "old", "running")
    assert (found.seeds, found.cases) == (seeds, cases)
    of_case_2 = {0: 1.0, **dict.fromkeys(more, 0.8)}
    by_seed = [(0.6 + 0.02 * seed + (of_case_2[seed] if 2 in cases else 0)) / len(cases) for seed in seeds]
    assert found.value == pytest.approx(sum(by_seed) / len(by_seed))


def test_one_seed_has_no_interval(beyond, module):
    records = module("analysis.edition").beyond["bounds"].records
    records[:] = [records[0]]
    found = beyond.REPLAYED.accuracy("mnist", "old", "running")
    assert (found.half_width, found.sign) == (None, 0)


@pytest.mark.parametrize(
    ("value", "half_width", "sign"), [(0.2, 0.1, 1), (-0.2, 0.1, -1), (0.2, 0.3, 0), (0.1, 0.1, 0), (0.2, None, 0)]
)
def test_sign(beyond, value, half_width, sign):
    assert beyond.Estimate(beyond.Value(value), half_width, (0, 1), (1,)).sign == sign


def test_differences_are_paired(beyond):
    found = beyond.difference(beyond.encoding("bits-4"), beyond.encoding(""), "mnist", "old", "running")
    assert found.value == pytest.approx(0.03)
    # The seeds differ by 0.02, their differences by 0.001.
    assert found.half_width == pytest.approx(T * 0.001 / math.sqrt(3))
    assert found.cases == (1,)  # `bytes` has no other, though `bounds` has
    both = beyond.difference(beyond.GAUSSIANS, beyond.REPLAYED, "mnist", "both", "running")
    assert both.value == pytest.approx((0.2 - 0.1) / 2)


def test_gap_between_modes(beyond):
    assert beyond.training("mixed-batches").gap("mnist").value == pytest.approx(0.1)


def test_wrong_task(beyond):
    assert beyond.training("").wrong_task("mnist", "mixed").value == pytest.approx(1 / 8)


def test_what_was_not_run_is_none(beyond):
    assert beyond.REPLAYED.accuracy("kmnist", "old", "running") is None
    assert beyond.price_abroad("kmnist", "mixed") is None
    assert beyond.datasets("bounds") == ["mnist"]


def test_what_another_set_costs_is_more_than_its_own_does(beyond, module):
    own, other = 0.97 - 0.9, 0.97 - 0.87
    found = beyond.price_abroad("mnist", "running")
    assert (found.value, found.cases, found.seeds) == (pytest.approx(other - own), (1,), (0, 1, 2))
    beyond.beyond["unlike"].records[1]["arms"][2]["accuracy"]["mixed"]["test"] -= 0.03  # mnist+fashion-mnist, seed 0
    pair, dearest = beyond.dearest_pair("mixed")
    assert (pair, dearest.value) == ("mnist+fashion-mnist", pytest.approx(other - own + 0.03 / 3))
    sentence = module("sentences.beyond_words").dearest
    assert sentence("mixed").data == ""  # one seed of three: it cannot be told
    for record in beyond.beyond["unlike"].records:
        if record["run"]["dataset"] == pair and record["run"]["seed"]:
            record["arms"][2]["accuracy"]["mixed"]["test"] -= 0.03
    assert "MNIST, then Fashion" in sentence("mixed").data


def test_a_dip_is_accuracy_after_an_epoch_less_the_lowest_of_the_first_updates(beyond):
    assert beyond.epoch_updates() == 45  # 4,500 images in batches of 100
    found = beyond.dip("mnist", "", "running")
    assert found.value == pytest.approx((0.2 + 0.19 + 0.18) / 3)
    assert beyond.dip("mnist", "", "running", less="batch").value == pytest.approx(0)
    for record in beyond.beyond["gap"].records:  # a fall after the first updates is none
        record["arms"][0]["updates"]["old"]["running"] = [0.9] * 45 + [0.6] * 20
    assert beyond.dip("mnist", "", "running").value == pytest.approx(-0.3)


def test_a_sequence_of_five_tasks(beyond):
    found = beyond.longer("mnist", "replay", "", "mixed", "accuracy")
    assert found.value == pytest.approx((0.6 * 4 + 0.65) / 5)
    assert beyond.longer("mnist", "no-replay", "", "mixed", "forgetting").value == pytest.approx(
        (0.39 + 0.35 + 0.3 + 0.3) / 4
    )


def test_bytes(beyond):
    assert beyond.gaussian_bytes() == 5 * 4 * (36 + 666)


@pytest.mark.parametrize("name", ["bounds", "training", "memory_bytes", "unlike", "longer", "gap"])
def test_every_figure_has_its_data_and_a_description(beyond, module, name):
    drawn = getattr(module("drawings.beyond_figures"), name)().data
    assert "MNIST: from " in drawn
    profile = "bytes" if name == "memory_bytes" else name
    origin = module("drawings.figures").origin(f"beyond-{profile}").data
    assert f"python -m lr_lab grid --profile {profile} --force" in origin
    assert "CSV" in origin


@pytest.mark.parametrize("name", ["bounds", "training", "bytes", "unlike", "longer", "gap"])
def test_a_figure_is_the_same_bytes_whatever_the_user_has_set_and_on_every_processor(beyond, module, name):
    data, draw = getattr(beyond, f"{name}_table")(), getattr(module("drawings.beyond_figures"), f"_draw_{name}")
    expected = plots.svg(draw(data))
    with mpl.rc_context(OF_A_USER):
        assert plots.svg(draw(data)) == expected
    (disturbed,) = other_processor([copy.deepcopy(data)])
    assert plots.svg(draw(disturbed)) == expected


@pytest.mark.parametrize("name", ["bounds", "training", "memory_bytes", "unlike", "longer", "gap"])
def test_without_runs_a_figure_says_so(beyond, module, name):
    for runs in module("analysis.edition").beyond.values():
        runs.records.clear()
    assert getattr(module("drawings.beyond_figures"), name)().data.endswith("not run.*")


def test_an_axis_holds_every_interval(beyond, module):
    data = beyond.training_table()
    data.loc[0, ["accuracy", "half_width"]] = 0.41, 0.22
    figure = module("drawings.beyond_figures")._draw_training(data)
    assert figure.axes[0].get_xlim()[0] == pytest.approx(0.16)
    data.loc[0, "half_width"] = 0.5  # no accuracy is below 0
    assert module("drawings.beyond_figures")._draw_training(data).axes[0].get_xlim()[0] == pytest.approx(-0.03)


def test_pairs_of_sets_are_shown_without_replay_too(beyond):
    data = beyond.unlike_table()
    assert set(data.latents) == {0, 63, 315, 1575}
    none = data[(data.latents == 0) & (data.evaluation == "running")].set_index(["dataset", "measure"]).accuracy
    assert none["mnist", "old"] == none["mnist+kmnist", "old"] == 0
    assert none["mnist", "new"] == none["mnist+kmnist", "new"] == 0.97


def test_captions_say_what_means_are_over(beyond, module):
    figures, runs = module("drawings.beyond_figures"), module("analysis.edition").beyond
    assert {figures.seeds(name) for name in ("unlike", "longer", "gap")} == {"three seeds"}
    assert figures.gap_cases() == "case 1"
    runs["unlike"].records.pop()
    assert figures.seeds("unlike") == "two to three seeds"
    del runs["longer"].records[1:]
    assert figures.seeds("longer") == "one seed"
    other = [copy.deepcopy(record) for record in runs["gap"].records]
    for record in other:
        record["run"] |= {"dataset": "kmnist"}
    more = [copy.deepcopy(record) for record in other]
    for record in more:
        record["run"] |= {"case": 2}
    runs["gap"].records += other + more
    assert figures.gap_cases() == "case 1 (MNIST) and cases 1 and 2 (KMNIST)"
    runs["gap"].records.clear()
    assert (figures.seeds("gap"), figures.gap_cases()) == ("seeds (not run)", "cases (not run)")


def test_sentences(beyond, module):
    words = module("sentences.beyond_words")
    found = words.by_set("bounds", lambda name: beyond.REPLAYED.accuracy(name, "old", "running")).data
    assert found.startswith("[62.0\xa0±\xa05.0\xa0%]")
    assert found.endswith("(MNIST)")
    number = {1: 0.3, -1: -0.3, 0: 0.05}
    for sign, phrase in ((1, "A"), (-1, "B"), (0, "C")):
        made = beyond.Estimate(beyond.Value(number[sign]), 0.1, (0, 1), (1,))
        assert words.concluded("bounds", lambda name, made=made: made, "A", "B", "C") == f"{phrase} on MNIST"
    assert words.concluded("bounds", lambda name: None, "A", "B", "C") == "(not run)"
    assert words.by_set("bounds", lambda name: None).data == words.with_interval(None) == "(not run)"


def test_advice_is_given_where_every_data_set_bears_it_out(beyond, module):
    said = module("sentences.beyond_words").advice().data
    assert "- Store latents in 4 bits" in said
    assert "old classes [+3.0\xa0±\xa00.2]" in said
    assert "new classes [+0.0]" in said  # what it costs
    assert "one batch" not in said  # the gap is 10 points
    assert "GroupNorm" in said  # not worse
    records = module("analysis.edition").beyond["bytes"].records
    records[:] = records[:1]
    said = module("sentences.beyond_words").advice().data
    assert "4 bits" not in said  # one seed says nothing
    assert "Count a memory in bytes" in said  # needs no run


def test_claims_of_ours_are_in_the_ledger(beyond, module):
    ledger = module("analysis.claims").ledger()
    entries = {e.claim.name: e for e in ledger if e.claim.datasets == ("mnist",) and e.evaluation == "running"}
    verdicts = {name: entries[name].verdict for name in ("gaussians", "modes-agree", "fewer-bits", "other-set")}
    assert verdicts == {"gaussians": "holds", "modes-agree": "fails", "fewer-bits": "holds", "other-set": "holds"}
    assert entries["fixed-size"].verdict == "holds"
    assert entries["stability-gap"].estimate.seeds == (0, 1, 2)
