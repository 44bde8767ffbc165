"""Verdicts: from the seeds of made-up runs of MNIST, whose numbers are set beside the published ones."""

import re

import pytest

FIRST = {1: 0.9885, 2: 0.9837, 3: 0.9871, 4: 0.9881}  # Table 4, test accuracy


@pytest.fixture
def seeds(paper, monkeypatch):
    """Give each case of MNIST first-task test accuracies: published + shift + what each seed adds."""

    def given(shift, *spread, cases=FIRST):
        records = [
            {
                "profile": "paper",
                "run": {"dataset": "mnist", "case": case, "seed": seed},
                "arms": [
                    {
                        "arm": "first-task",
                        "memory_share": None,
                        "accuracy": {
                            mode: {"train": 0.99, "test": FIRST[case] + shift + more, "original_test": None}
                            for mode in ("running", "batch", "mixed")
                        },
                    }
                ],
            }
            for case in cases
            for seed, more in enumerate(spread)
        ]
        monkeypatch.setitem(paper.edition.ours.__dict__, "records", records)
        monkeypatch.setitem(paper.edition.ours.__dict__, "added", [])
        return [each for each in paper.verdicts.judged() if each.measure == "test" and each.evaluation == "batch"]

    return given


@pytest.mark.parametrize(
    ("shift", "spread", "expected"),
    [
        (0.000, (-0.001, 0, 0.001), "reproduced"),
        (0.005, (-0.001, 0, 0.001), "small systematic shift"),  # 0.5 points: outside 0.27, within the margin of 1
        (0.005, (-0.01, 0, 0.01), "inconclusive"),
        (0.02, (-0.001, 0, 0.001), "differs"),
        (-0.02, (-0.001, 0, 0.001), "differs"),
    ],
)
def test_verdict_of_four_cases_with_three_seeds(seeds, shift, spread, expected):
    found = seeds(shift, *spread)
    assert [each.case for each in found] == [1, 2, 3, 4]
    assert {each.verdict for each in found} == {expected}
    assert [each.difference for each in found] == pytest.approx([shift] * 4)
    factor = 2.306 * (4 / 3) ** 0.5  # t(0.975, 8) from a printed table
    assert [each.half_width for each in found] == pytest.approx([factor * spread[-1]] * 4, rel=1e-3)


def test_one_seed_gives_neither_interval_nor_verdict(seeds):
    assert {(each.seeds, each.half_width, each.verdict) for each in seeds(0.0, 0.001)} == {(1, None, None)}


def test_one_seed_has_no_figure_of_intervals(seeds, module, monkeypatch):
    monkeypatch.setattr(module("drawings.figures"), "_runs_of", lambda *_: "")  # of runs that took no time
    for spread, shown in (
        ((0.001,), "*MNIST: no verdict, as some of its cases have one seed.*"),
        ((-0.001, 0.001), "![]("),
    ):
        seeds(0.0, *spread)
        assert module("drawings.figures").verdict_strips("mnist").data.startswith(shown)


def test_a_data_set_has_verdicts_once_all_its_cases_have_two_seeds(seeds, paper):
    both = paper.edition.ours
    seeds(0.0, -0.001, 0.001, cases=[1, 2, 3])
    more = both.records
    assert both.repeated_datasets == []
    seeds(0.0, 0.0, cases=[4])
    both.__dict__["records"] += more
    found = {each.case: each for each in paper.verdicts.judged() if each.measure == "test"}
    assert {case: (each.seeds, each.verdict) for case, each in found.items()} == dict.fromkeys((1, 2, 3), (2, None)) | {
        4: (1, None)
    }
    seeds(0.0, -0.001, 0.001)
    assert both.repeated_datasets == ["mnist"]
    assert {record["run"]["dataset"] for record in both.repeated.records} == {"mnist"}


def test_counts_and_what_chance_would_put_outside(seeds, paper, tables):
    seeds(0.02, -0.001, 0, 0.001)
    # Training accuracy is 0.99 with every seed: it has no spread, so whatever is not equal lies outside.
    judged = paper.verdicts.decided("batch")
    assert len(judged) == 8
    assert paper.verdicts.counts("batch")["differs"] == 4
    assert paper.facts.judged_numbers() == "8 of the 168 published numbers are judged."
    assert tables.verdict_counts().data.count("8 of 8") == 3


def test_averages_weigh_each_case_the_same_whatever_its_seeds(seeds, paper):
    seeds(0.0, 0.0, 0.0, 0.0, cases=[1])
    three = paper.edition.ours.records
    seeds(0.0, 0.0, cases=[2])
    paper.edition.ours.__dict__["records"] += three
    found = paper.findings.mean_accuracy("first-task", "test", "batch")
    assert found == pytest.approx((FIRST[1] + FIRST[2]) / 2)


def test_margins_are_those_that_were_set_before_the_second_seed(paper):
    assert paper.verdicts.RULE == {
        "confidence": 0.95,
        "significance": 0.05,
        "margins": {"train": 0.01, "test": 0.01, "original_test": 0.02},
    }


def test_the_headline_has_the_mean_of_the_published_values_and_of_our_seeds(module):
    findings, published, edition = (module(f"analysis.{name}") for name in ("findings", "published", "edition"))
    data = findings.stages().set_index(["dataset", "measure", "stage", "evaluation"]).sort_index()
    row = data.loc["mnist", "old", "memory-0.01", "running"]
    theirs = published.published.query("dataset == 'mnist' and arm == 'replay' and memory_pixels_percent == 0.05")
    assert row.published == pytest.approx(theirs.original_test_accuracy.mean(), abs=1e-4)
    seeds = [edition.ours.values("mnist", case, "replay", "original_test", "running", 0.01) for case in (1, 2, 3, 4)]
    assert row.ours == pytest.approx(sum(map(sum, seeds)) / sum(map(len, seeds)), abs=5e-5)
    assert (row.cases, row.seeds) == (4, len(seeds[0]))
    assert data.loc["mnist", "new"].index.get_level_values("stage").unique().tolist() == [
        "memory-0.01",
        "memory-0.05",
        "memory-0.25",
        "none",
    ]  # no "before"


@pytest.mark.parametrize("mode", ["running", "batch", "mixed"])
def test_where_it_differs_counts_every_number_that_differs_once(module, mode):
    found = re.findall(r"(\d+) of (\d+) (?:on|in)", module("sentences.facts").where_it_differs(mode))
    assert sum(int(n) for n, _ in found) == module("analysis.verdicts").counts(mode)["differs"]
    assert all(0 < int(n) <= int(of) for n, of in found)


def test_what_differs_under_one_mode_is_counted_by_its_verdict_under_another(module):
    said, verdicts = module("sentences.facts").settled_by("running", "batch"), module("analysis.verdicts")
    every, *parts = map(int, re.findall(r"\d+", said))
    assert every == verdicts.counts("running")["differs"] == sum(parts)
    assert module("sentences.facts").settled_by("running", "running").endswith(f"is: {every} “differs”.")
