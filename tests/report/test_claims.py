"""The ledger of claims: how an interval is judged, and that the committed verdicts follow from the committed records."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from lr_lab.runs.profiles import find_profile

REPORT = Path(__file__).resolve().parents[2] / "report"


@pytest.fixture
def claims(module):
    return module("analysis.claims")


def claim(claims, least=-math.inf, most=math.inf):
    return claims.Claim("made-up", "nowhere", "Something.", lambda runs, mode: None, "a number", least, most)


@pytest.mark.parametrize(
    ("numbers", "least", "most", "expected"),
    [
        # Mean 0.2, t(0.975, 2) = 4.303, standard error 0.01 / sqrt(3): the interval is 0.175 to 0.225.
        ((0.19, 0.2, 0.21), 0.17, math.inf, "holds"),
        ((0.19, 0.2, 0.21), 0.18, math.inf, "undecided"),
        ((0.19, 0.2, 0.21), 0.23, math.inf, "fails"),
        ((0.19, 0.2, 0.21), -math.inf, 0.17, "fails"),
        ((0.19, 0.2, 0.21), 0.17, 0.23, "holds"),
        ((0.19, 0.2, 0.21), 0.18, 0.23, "undecided"),
        ((0.2,), 0.0, 1.0, None),
        ((), 0.0, 1.0, None),
    ],
)
def test_a_claim_is_judged_by_the_interval_of_its_seeds(claims, numbers, least, most, expected):
    made = claims.of_seeds(dict(enumerate(map(claims.Value, numbers))), cases=[1])
    assert claims.verdict(made, claim(claims, least, most)) == expected


@pytest.mark.parametrize(
    ("by_mode", "expected"),
    [
        (("holds",) * 3, "holds"),
        (("fails",) * 3, "fails"),
        (("holds", "fails", "holds"), "depends on the mode"),
        (("holds", "undecided", "fails"), "depends on the mode"),
        (("holds", "undecided", "holds"), "undecided"),
        ((None,) * 3, None),
    ],
)
def test_one_word_over_the_modes(claims, by_mode, expected):
    entries = [claims.Entry(claim(claims), "", None, verdict) for verdict in by_mode]
    assert claims.overall(entries) == expected


def run(dataset, case, seed, old, before=0.98):
    accuracy = {"train": 0.99, "test": before, "original_test": None}
    later = {"train": 0.99, "test": 0.97, "original_test": old}
    slight = 0.0001 * seed  # numbers without a spread have no interval
    arms = [("first-task", None, accuracy), ("no-replay", None, later | {"original_test": 0.01 + slight})]
    arms += [("replay", share, later | {"test": 0.97 + slight * share}) for share in (0.01, 0.05, 0.25)]
    return {
        "run": {"dataset": dataset, "case": case, "seed": seed},
        "arms": [
            {"arm": arm, "memory_share": share, "accuracy": dict.fromkeys(("running", "batch", "mixed"), values)}
            for arm, share, values in arms
        ],
    }


@pytest.fixture
def ledger(claims, paper):
    """Verdicts by claim and data sets, under mixed statistics, of the records given."""

    def judged(records):
        runs = paper.edition.Runs("paper", REPORT)
        runs.__dict__["records"] = records
        return {(e.claim.name, *e.claim.datasets): e for e in claims.ledger(runs) if e.evaluation == "mixed"}

    return judged


def test_numbers_are_averaged_over_cases_and_judged_over_seeds(ledger):
    records = [run("mnist", case, seed, old=0.9 + 0.01 * case) for case in (1, 2, 3, 4) for seed in (0, 1)]
    records[-1]["arms"][2]["accuracy"]["mixed"] |= {"original_test": 0.9404}
    found = ledger(records)
    small = found["preserved-0.05", "mnist"]
    assert small.estimate.value == pytest.approx(0.98 - 0.925 - 0.0004 / 8)
    assert (small.estimate.seeds, small.estimate.half_width) == ((0, 1), pytest.approx(12.706 * 0.00005, rel=1e-3))
    assert small.verdict == "fails"  # 5.5 points, not 5
    assert found["forgotten", "mnist"].verdict == "holds"
    assert found["test-indifferent", "mnist"].verdict == "holds"
    assert found["forgotten", "kmnist"].estimate is None


def test_a_seed_that_lacks_a_case_does_not_count(ledger):
    records = [run("mnist", case, 0, old=0.9) for case in (1, 2, 3, 4)]
    found = ledger([*records, run("mnist", 1, 1, old=0.1)])["preserved-0.05", "mnist"]
    assert (found.estimate.seeds, found.estimate.value, found.verdict) == ((0,), pytest.approx(0.08), None)


def test_a_preliminary_profile_shows_that_it_works_and_no_more(claims, paper):
    runs = paper.edition.Runs("quick", REPORT)
    cases = find_profile("quick").cases
    runs.__dict__["records"] = [run("mnist", case, seed, old=0.9) for case in cases for seed in (0, 1)]
    assert {entry.verdict for entry in claims.ledger(runs) if entry.claim.name == "forgotten" and entry.estimate} == {
        "toy"
    }


def test_shares_of_pixels_are_no_shares_of_storage(ledger):
    found = ledger([])["storage",]
    assert found.estimate.value == pytest.approx(3 * 36 / 784)
    assert found.verdict == "fails"


def test_committed_verdicts_follow_from_the_records(claims, paper, tmp_path):
    """Who adds records writes them anew: `python report/ledger.py report/claims.json`."""
    command = [sys.executable, REPORT / "ledger.py", tmp_path / "claims.json"]
    subprocess.run(command, check=True, timeout=100)
    now, committed = (json.loads((folder / "claims.json").read_text()) for folder in (tmp_path, REPORT))
    assert now["rule"] == committed["rule"]
    assert len(now["claims"]) == len((*claims.CLAIMS, *claims.BEYOND)) * 3
    assert [(c["name"], c["datasets"], c["evaluation"], c["seeds"], c["verdict"]) for c in now["claims"]] == [
        (c["name"], c["datasets"], c["evaluation"], c["seeds"], c["verdict"]) for c in committed["claims"]
    ]


# -- effects ----------------------------------------------------------------------------------------------------------


def with_old(dataset, case, seed, running, batch):
    """A run whose replay arms keep 10 points less with the smallest memory, and 10 more with the largest."""
    made = run(dataset, case, seed, old=0.0)
    for arm, shift in zip(made["arms"][2:], (-0.1, 0.0, 0.1), strict=True):
        arm["accuracy"] = {
            mode: {"original_test": old + shift}
            for mode, old in (("running", running), ("batch", batch), ("mixed", running + 0.01 * seed))
        }
    return made


def test_effects_are_paired_by_seed(module, paper):
    runs = paper.edition.Runs("paper", REPORT)
    runs.__dict__["records"] = [
        with_old("mnist", case, seed, running=0.5, batch=0.6 + 0.1 * seed) for case in (1, 2, 3, 4) for seed in (0, 1)
    ] + [with_old("kmnist", 1, 0, 0.5, 0.6)]  # one case of four, and one seed
    found = {(name, dataset): (effect, p) for name, dataset, effect, p in module("analysis.effects").effects(runs)}
    assert {dataset for _, dataset in found} == {"mnist"}
    leak, p = found["batch less running statistics", "mnist"]
    assert (leak.mean, leak.seeds) == (pytest.approx(0.15), 2)  # 10 points with one seed, 20 with the other
    assert leak.half_width == pytest.approx(12.706 * 0.05, rel=1e-3)  # t(0.975, 1), standard error 5 points
    assert p > leak.p
    assert found["mixed less running statistics", "mnist"][0].mean == pytest.approx(0.005)
    assert ("largest less smallest memory, batch statistics", "mnist") not in found  # no spread
