"""The numbers of the report: the right published value beside the right one of ours, where ours comes from, and words
where there is none."""

import copy
import json
import os
import re
import runpy
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pandas as pd
import pypandoc
import pytest
from bs4 import BeautifulSoup

from lr_core.errors import LatentReplayError, UsageError
from lr_lab import plots
from lr_lab.data import catalogue, custom
from lr_lab.runs import store
from lr_lab.runs.record import RunId, digest, make_record

REPORT = Path(__file__).resolve().parents[2] / "report"


@pytest.fixture
def one_run(paper, record, monkeypatch):
    """The paper as if the one small run were all there is."""
    for runs in paper.edition.cited:
        monkeypatch.setitem(runs.__dict__, "records", [record] if runs is paper.edition.ours else [])
    monkeypatch.setattr(paper.edition.ours, "settings", records_settings(record))
    return record


def records_settings(record):
    from lr_core.settings import Settings

    return msgspec.convert(record["settings"], Settings)


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
    assert paper.published.published_value(dataset, case, arm, measure, share) == value


def test_every_published_row_is_complete(paper):
    assert len(paper.published.published) == 60
    assert paper.published.published.groupby("table").size().to_dict() == {
        4 + 3 * s + t: n for s in range(3) for t, n in enumerate((4, 12, 4))
    }


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda text: "", "No columns"),
        (lambda text: text.replace("train_accuracy", "accuracy"), "train_accuracy"),
        (lambda text: text.replace("0.9904", "nine"), "nine"),
        (lambda text: text.replace("0.9904", "99.04"), "between 0 and 1"),
        (lambda text: text[: text.rindex("kmnist") + 3], ""),
    ],
    ids=["empty", "a column less", "a word", "percent", "cut short"],
)
def test_damaged_published_values_are_one_line(paper, tmp_path, damage, word):
    path = tmp_path / "published.csv"
    path.write_text(damage((REPORT.parent / "data" / "published.csv").read_text()))
    with pytest.raises(LatentReplayError, match=rf"published.csv: cannot be used \(.*{word}.*restore it"):
        paper.published.read_published(path)


@pytest.mark.parametrize(
    ("difference", "shade"),
    [(0, 0), (-0.0049, 0), (0.005, 1), (-0.03, 2), (0.149, 3), (-0.9, 4)],
)
def test_a_difference_is_shaded_by_its_size(tables, difference, shade):
    assert tables.shade(difference) == shade


def test_a_shade_can_be_told_without_colour(module):
    tables = module("tables.published_beside_ours")
    assert len(set(tables.FILLINGS)) == len(tables.STEPS) + 1
    spans = re.findall(r"\[([^\]]*)\]\{\.diff-(\d)\}", tables.legend().data)
    assert [int(shade) for _, shade in spans] == [0, 1, 2, 3, 4]
    assert all(text.endswith(mark) for (text, _), mark in zip(spans, tables.FILLINGS, strict=True))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (lambda p: p.provenance.number(None), "(not run)"),
        (lambda p: p.provenance.number(-0.5), "−0.5000"),
        (lambda p: p.provenance.percent(0.1234), "12.3\xa0%"),
        (lambda p: p.provenance.points(None), "(not run)"),
        (lambda p: p.words.count(0), "no"),
        (lambda p: p.words.count(12), "twelve"),
        (lambda p: p.words.count(1300), "1,300"),
        (lambda p: p.words.hours(59), "59 s"),
        (lambda p: p.words.hours(3000), "50 min"),
        (lambda p: p.words.hours(9000), "2.5 h"),
        (lambda p: p.words.comparison(None, 1, "above", "below"), "(not run)"),
        (lambda p: p.words.comparison(2, 1, "above", "below"), "above"),
        (lambda p: p.facts.byte_shares(), "0.18, 0.92 and 4.59\xa0%"),
        (lambda p: p.facts.task_images(), 31_500),
    ],
)
def test_numbers_in_sentences(paper, words, expected):
    assert words(paper) == expected


@pytest.fixture
def written(record, run_id, tmp_path):
    store.write(record, run_id.record(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LR_PROFILE", "full", "unknown profile 'full'; known are paper"),
        ("LR_RUNS", "no/such/folder", "no/such/folder: there is no such folder"),
    ],
)
def test_a_report_of_what_is_not_there_is_one_line(paper, monkeypatch, variable, value, words):
    """The error of the first cell. That the report shows one line of it, test_render.py tests."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(LatentReplayError, match=words) as refused:
        list(runpy.run_path(paper.edition.__file__)["ours"].records)
    assert len(str(refused.value).splitlines()) == 1


def test_a_record_of_other_settings_is_left_out_and_named(paper, written):
    runs = paper.edition.Runs("smoke", written)  # the record's settings are the tests' own, not those of the profile
    with pytest.warns(UserWarning, match="smoke digits case 1 seed 0: its record is out of date"):
        assert runs.records == []


@pytest.mark.parametrize(
    ("of_arms", "of_record", "words"),
    [
        ({}, {}, None),
        ({"precision": "bf16"}, {}, "precision: {0} has fp64 and {1} has bf16; train one of them anew"),
        ({}, {"protocol_version": 2}, "protocol version: {0} has 1 and {1} has 2; train one of them anew"),
    ],
)
@pytest.mark.parametrize("arm", [0, 1])
def test_runs_that_differ_in_precision_or_protocol_are_refused(
    paper, watched, tmp_path, of_arms, of_record, words, arm
):
    runs, files = paper.edition.Runs("smoke", tmp_path), []
    for seed in (0, 1):
        run_id, result = RunId("smoke", "digits", 1, seed), copy.deepcopy(watched.result)
        result["arms"][arm]["provenance"] |= of_arms if seed else {}
        content = make_record(run_id, runs.settings, result) | (of_record if seed else {})
        content["sha256"] = digest({name: value for name, value in content.items() if name != "sha256"})
        files.append(run_id.record(tmp_path))
        store.write(content, files[-1])
    with nullcontext() if words is None else pytest.raises(LatentReplayError) as refused:
        assert len(runs.records) == 2
    if words:
        assert str(refused.value) == f"runs that are compared differ in {words.format(*files)}"


def test_runs_of_two_profiles_that_differ_in_precision_are_refused(paper, monkeypatch):
    paper.edition.check_compared()  # those that are committed, bf16 aside
    other = copy.deepcopy(paper.edition.literal.records[0])
    other["arms"][2]["provenance"]["precision"] = "bf16"
    monkeypatch.setitem(paper.edition.literal.__dict__, "records", [other])
    with pytest.raises(
        LatentReplayError, match="^runs that are compared differ in precision: .* has fp32 and .*literal.* has bf16"
    ):
        paper.edition.check_compared()


def test_a_set_that_a_user_added_has_tables_and_is_in_no_sentence(
    paper, tables, watched, digits, data_root, tmp_path, monkeypatch
):
    mine = custom.from_arrays("mine", digits.images.numpy(), digits.labels.numpy())
    custom.add(mine, origin="the digits again", licence="CC BY 4.0", root=data_root)
    run_id = RunId("smoke", "mine", 1, 0)
    runs = paper.edition.Runs("smoke", tmp_path)
    store.write(make_record(run_id, runs.settings, watched.result), run_id.record(tmp_path))
    assert (runs.records, runs.datasets) == ([], ["digits", "mine"])
    for name in ("records", "added", "settings"):
        monkeypatch.setitem(paper.edition.ours.__dict__, name, getattr(runs, name))
    arm = next(arm for arm in runs.added[0]["arms"] if arm["memory_share"] == 0.25)
    assert f"{arm['accuracy']['running']['original_test']:.4f}" in tables.results("mine", "replay").data
    assert "mine, case 1" in tables.provenance().data


TITLES = ["signs @home", "<b>x</b>", "*s* and _t_", "<script>alert(1)</script>", "a | b", "[x](y)", "`{python} 1`",
          "{{< pagebreak >}}", "$x$", "&amp;", "\\textbf{x}", '" onload="x', "~~x~~ ^y^", "# x", "1. x", "-- x"]  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_a_title_means_nothing_but_itself(
    paper, tables, drawings, watched, digits, data_root, tmp_path, monkeypatch, title
):
    mine = custom.from_arrays("mine", digits.images.numpy(), digits.labels.numpy(), title=title)
    custom.add(mine, origin="the digits again", licence="<i>none</i>", root=data_root)
    run_id = RunId("smoke", "mine", 1, 0)
    runs = paper.edition.Runs("smoke", tmp_path)
    store.write(make_record(run_id, runs.settings, watched.result), run_id.record(tmp_path))
    for name in ("records", "added", "settings"):
        monkeypatch.setitem(paper.edition.ours.__dict__, name, getattr(runs, name))
    monkeypatch.setattr(paper.edition.ours, "profile", "smoke")
    monkeypatch.setattr(drawings, "DRAWN", tmp_path / "drawn")
    parts = [getattr(tables, name)().data for name in ("data_facts", "provenance", "checksums")]
    parts += [f"{paper.titles.title('mine').markdown}: one", f"### {paper.titles.title('mine').markdown}"]
    parts += [
        drawings._missing("mine").data,
        f"{paper.titles.Title(paper.facts.cases_of(runs)).markdown}",
        drawings.forgetting("mine").data,
    ]
    page = BeautifulSoup(pypandoc.convert_text("\n\n".join(parts), "html", "markdown"), "html.parser")
    text = re.sub(r"\s+", " ", page.text)
    assert text.count(title) == 1 + 1 + 4 + 4  # the last table has a row for each of four files
    assert page.find("img")["data-fig-alt"].startswith(f"Forgetting curves on {title}, 1 cases.")
    assert {tag.name for tag in page.find_all()} <= {
        *("table", "thead", "tbody", "tr", "th", "td", "a", "p", "h3", "em", "code", "figure", "figcaption", "img")
    }
    assert not page.select("[onload], script")
    (data,) = re.findall(r'id="provenance">(.*?)</script>', paper.provenance.page_data().data)
    assert json.loads(data)["runs"][0]["title"] == f"{title}, case 1, seed 0"


def test_a_title_that_the_pdf_cannot_show_gives_a_warning(paper, digits, data_root):
    mine = custom.from_arrays("mine", digits.images.numpy(), digits.labels.numpy(), title="Kannada ಅಂಕಿ 10")
    custom.add(mine, origin="the digits again", licence="none", root=data_root)
    with pytest.warns(UserWarning, match="mine: the PDF has no font for ಅಂಕಿ in its title") as warned:
        assert paper.titles.title("mine") == paper.titles.title("mine") == "Kannada ಅಂಕಿ 10"
    assert sum("mine: " in str(warning.message) for warning in warned) == 1


def test_lr_runs_may_begin_with_a_tilde(tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "LR_RUNS": "~/runs", "PYTHONPATH": str(REPORT)}
    command = [sys.executable, "-c", "from analysis import edition; print(edition.RUNS)"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip() == str(
        tmp_path / "runs"
    )


def test_values_come_from_the_right_arm(paper, record, monkeypatch):
    runs = paper.edition.Runs("smoke", REPORT)
    monkeypatch.setitem(runs.__dict__, "records", [record])
    for arm in record["arms"]:
        for evaluation, accuracies in arm["accuracy"].items():
            for measure, value in accuracies.items():
                found = runs.values("digits", 1, arm["arm"], measure, evaluation, arm["memory_share"])
                assert found == ([] if value is None else [value])
    assert runs.values("digits", 2, "first-task", "test", "running") == []
    assert runs.values("mnist", 1, "first-task", "test", "running") == []


@pytest.mark.parametrize(
    ("seconds", "times", "machines"),
    [
        ([], "MNIST not run, Fashion-MNIST not run, KMNIST not run", "(not run)"),
        ([[60]], "MNIST 60 s (one run)", "P1"),
        ([[60, 7200], [600]], "MNIST 10 min (60 s to 2.0 h, three runs)", "P1 and P2"),
        ([[60, 60], [60, 60]], "MNIST 60 s (60 s, four runs)", "P1 and P2"),
    ],
)
def test_times_are_of_all_cases_and_seeds(paper, module, monkeypatch, seconds, times, machines):
    cost = module("sentences.cost")
    records = [
        {"run": {"dataset": "mnist", "case": case, "seed": seed},
         "arms": [{"seconds": each, "epochs": 10, "provenance": {"processor": f"P{case}"}}]}
        for case, by_seed in enumerate(seconds, 1) for seed, each in enumerate(by_seed)
    ]  # fmt: skip
    monkeypatch.setitem(paper.edition.ours.__dict__, "records", records)
    monkeypatch.setitem(paper.edition.ours.__dict__, "added", [])
    assert cost.case_times().startswith(times)
    assert cost.run_machines() == machines


def test_what_has_not_been_run_is_said_data_set_by_data_set(paper, record, monkeypatch):
    runs = paper.edition.Runs("smoke", REPORT)
    monkeypatch.setitem(runs.__dict__, "records", [record])
    assert paper.facts.run_state(runs) == "Digits: 1 of 2 runs"
    monkeypatch.setitem(runs.__dict__, "records", [])
    assert paper.facts.run_state(runs) == f"{catalogue.describe('digits').title}: not run"


@pytest.fixture
def with_plain_sgd(paper, record, monkeypatch):
    """The paper as if three runs were there with momentum and one of these with plain SGD, which keeps more of the old classes."""

    def made(profile, dataset, case, kept):
        arms = [
            {**arm, "accuracy": {mode: {**of, "original_test": kept} for mode, of in arm["accuracy"].items()}}
            for arm in record["arms"]
        ]
        return {**record, "profile": profile, "run": {"dataset": dataset, "case": case, "seed": 0}, "arms": arms}

    runs = [made("paper", "mnist", 1, 0.01), made("paper", "mnist", 3, 0.5), made("paper", "kmnist", 1, 0.5)]
    monkeypatch.setitem(paper.edition.ours.__dict__, "records", runs)
    monkeypatch.setitem(paper.edition.literal.__dict__, "records", [made("literal", "mnist", 1, 0.04)])
    for other in (paper.edition.bf16, paper.edition.choices, *paper.edition.beyond.values()):
        monkeypatch.setitem(other.__dict__, "records", [])


@pytest.fixture
def paragraph(module, monkeypatch):
    """A paragraph of index.qmd by its first words, with its values, as plain text."""
    monkeypatch.syspath_prepend(REPORT / "render")
    code, prose = [], ""
    for part in module("source").split(REPORT / "index.qmd").parts:
        if hasattr(part, "text"):
            prose += part.text
        elif part.options.get("include") is False:  # what the sentences need
            code.append(part.code)

    def read(start):
        names = {}
        for cell in code:
            exec(cell, names)
        (text,) = (text for text in prose.split("\n\n") if text.startswith(start))
        text = re.sub(r"`\{python\} ([^`]+)`", lambda found: str(eval(found[1], names)), text)
        return " ".join(re.sub(r"\[([^\]]*)\]\{[^}]*\}", r"\1", text).split())

    return read


def test_plain_sgd_is_compared_on_the_runs_that_both_have(paper, tables, paragraph, with_plain_sgd):
    matched = paper.edition.ours.matched_with(paper.edition.literal)
    assert [paper.sourced.run_id(record).stem for record in matched.records] == ["mnist-case1-seed0"]
    short = f"{100 * paper.findings.unlearned_when_lost('batch', matched):.1f}"
    assert paragraph("Cases that this document has both") == (
        "Cases that this document has both with momentum and with plain SGD: MNIST, case 1. "
        "In these, the published baseline keeps 4.2 %. "
        f"With momentum, ours keeps 1.0 % (running) and 1.0 % (batch). It is {short} points short of the published "
        f"training accuracy when it comes to keep less than published. With plain SGD, ours keeps 4.0 % and 4.0 % and is {short} points short."
    )
    last = re.search(r"no replay</td><td>original testing</td>(?:<td.*?</td>)*", tables.mean_gaps().data)[0]
    gaps = [float(value) for value in re.findall(r">(0\.\d{3})<", last)]
    assert gaps == [pytest.approx((0.0323 + 0.2997 + 0.4878) / 3, abs=6e-4)] * 3 + [0.032] * 3 + [0.002] * 3


def test_what_momentum_changes_is_said_of_the_runs_that_both_have(paper, paragraph, with_plain_sgd):
    assert {(a["run"]["case"], b["run"]["case"]) for a, _, b, _ in paper.findings.paired(paper.edition.literal)} == {
        (1, 1)
    }
    assert paper.findings.shift(paper.edition.literal, "original_test", "replay") == pytest.approx(0.04 - 0.01)
    assert paper.findings.shift(paper.edition.literal, "test") == 0
    text = paragraph("**Momentum.**")
    published = [0.9555, 0.9787]  # original testing of Table 5, case 1, both memories of the fixture
    with_momentum, without = (f"{100 * (sum(published) / 2 - kept):.1f}" for kept in (0.01, 0.04))
    assert "by 3.0 points on old classes and by 0.0 points on new ones" in text
    assert f"{with_momentum}, {with_momentum} and {with_momentum} points after" in text
    assert f"{without}, {without} and {without} points after" in text
    assert "matter of time" not in text


@pytest.mark.parametrize(
    ("old", "training"),
    [
        ([0.9, 0.5, 0.03, 0.01], 0.8),  # 0.0423 is published: below it after the second epoch
        ([0.9, 0.03, 0.05, 0.01], 0.95),  # not for good before the third
        ([0.9, 0.01, 0.01, 0.01], 0.4),  # from the first on
        ([0.9, 0.5, 0.3, 0.2], 0.95),  # never
    ],
)
def test_how_much_is_learned_when_the_old_is_lost(paper, record, monkeypatch, old, training):
    lost = {"old": {"batch": old}, "epochs": [0, 1, 2, 3], "train_accuracy": [0.4, 0.8, 0.95]}
    arms = [{**arm, "curve": lost} for arm in record["arms"]]
    run = {"dataset": "mnist", "case": 1, "seed": 0}
    monkeypatch.setitem(paper.edition.ours.__dict__, "records", [{**record, "run": run, "arms": arms}])
    assert paper.findings.unlearned_when_lost("batch") == pytest.approx(0.9910 - training)


def test_distances_after_replay_are_those_of_the_data_set(tables, with_plain_sgd):
    rows = [re.findall(r">([^<]+)</", row) for row in tables.replay_gaps().data.split("<tr>")[3:]]
    assert [row[0] for row in rows] == ["MNIST", "Fashion-MNIST", "KMNIST"]
    assert rows[1][1:] == ["(not run)"] * 6
    published = [0.9108, 0.9506]  # original testing of Table 11, case 1, both memories; ours is 0.5 in the fixture
    assert [float(value) for value in rows[2][4:7]] == [pytest.approx(sum(published) / 2 - 0.5, abs=6e-4)] * 3


def test_without_runs_of_plain_sgd_the_paper_says_so(paragraph, one_run):
    assert "with plain SGD: none. In these, the published baseline keeps (not run)." in paragraph("Cases that this")
    text = paragraph("**Momentum.**")
    assert re.sub(r"\d", "", text) == text  # no number
    assert text.count("(not run)") == 10
    assert "matter of time" not in text


def test_a_table_has_columns_for_plain_sgd_where_it_ran(tables, with_plain_sgd):
    heads = [re.findall(r"Ours[^<]*", tables.results(dataset, "replay").data) for dataset in ("mnist", "kmnist")]
    assert heads == [["Ours, momentum", "Ours, plain SGD (n&nbsp;=&nbsp;1)"], ["Ours"]]


# -- where a number comes from ----------------------------------------------------------------------------------------


def test_a_value_remembers_what_it_was_computed_from(paper):
    a, b = paper.sourced.Value(0.25, ["x/y/0"]), paper.sourced.Value(0.75, ["x/y/1"])
    assert (a - b, (a - b).sources) == (-0.5, {"x/y/0", "x/y/1"})
    assert (abs(a - 1), abs(a - 1).sources) == (0.75, {"x/y/0"})
    assert (paper.sourced.mean([a, None, b]), paper.sourced.mean([a, None, b]).sources) == (0.5, {"x/y/0", "x/y/1"})
    assert paper.sourced.mean([None]) is None


def test_a_number_in_a_sentence_names_its_arms(paper, one_run):
    value = paper.findings.mean_accuracy("replay", "test", "running", 0.05)
    assert value == one_run["arms"][1]["accuracy"]["running"]["test"]
    assert str(paper.provenance.percent(value)) == f'[{100 * value:.1f}\xa0%]{{.from tabindex="0" from="0:1"}}'
    average = paper.findings.forgetting("replay", "mixed", 0.25)
    assert paper.provenance.number(average).html.startswith(
        '<a class="from" href="notebooks/smoke/digits-case1-seed0.html" data-from="0:0,2">'
    )


def test_what_a_number_refers_to_is_on_the_page(paper, one_run):
    text = paper.provenance.page_data().data
    (data,) = re.findall(r'id="provenance">(.*?)</script>', text)
    read = json.loads(data)
    (run,) = read["runs"]
    assert run["title"] == "Digits, case 1, seed 0"
    assert run["page"] == "notebooks/smoke/digits-case1-seed0.html"
    for (name, epochs, seconds, made), arm in zip(run["arms"], one_run["arms"], strict=True):
        assert read["names"][name] == plots.arm_name(arm)
        assert (epochs, seconds) == (arm["epochs"], round(arm["seconds"]))
        assert read["made"][made][0].startswith(arm["provenance"]["processor"])


@pytest.mark.parametrize("name", ["first-task", "replay", "no-replay"])
def test_every_result_in_a_table_leads_to_its_arm(tables, paper, one_run, name):
    cells = re.findall(r'data-from="0:(\d+)">([\d.]+)</a>', tables.results("digits", name).data)
    assert cells
    for place, text in cells:
        accuracies = one_run["arms"][int(place)]["accuracy"].values()
        assert text in {
            f"{value:.4f}" for by_measure in accuracies for value in by_measure.values() if value is not None
        }


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["forgetting", "budget", "latents"])
def test_a_figure_is_described_by_its_data_and_says_where_they_are(drawings, one_run, monkeypatch, tmp_path, draw):
    monkeypatch.setattr(drawings, "DRAWN", tmp_path)
    markdown = getattr(drawings, draw)("digits").data
    path, alt = re.fullmatch(r'!\[\]\(<(.*)>\)\{fig-alt="(.*)"\}', markdown).groups()
    assert Path(path).read_text().startswith("<?xml")
    assert alt.count("Case 1:") == 1
    assert "Digits" in alt
    origin = drawings.origin(f"{draw}-digits").data
    assert "python -m lr_lab grid" in origin
    if draw == "latents":
        assert "Data: in the [records of the runs](notebooks/index.html)]" in origin
        return
    data = pd.read_csv(urlopen(re.search(r'"(data:text/csv[^"]*)"', origin)[1]))
    assert len(data) == {"forgetting": sum(arm["epochs"] + 1 for arm in one_run["arms"][1:]), "budget": 2}[draw]


def test_an_end_of_a_forgetting_curve_is_in_its_description(drawings, one_run, monkeypatch, tmp_path):
    monkeypatch.setattr(drawings, "DRAWN", tmp_path)
    text = drawings.forgetting("digits").data
    for arm in one_run["arms"][1:]:
        old, new = (100 * arm["curve"][task]["mixed"][-1] for task in ("old", "new"))
        assert f"{old:.0f} % and {new:.0f} %" in text


def test_a_figure_of_runs_that_are_not_there_says_so(drawings, one_run):
    assert "not run" in drawings.forgetting("kmnist").data
    assert drawings.origin("forgetting-kmnist").data == ""


def test_other_readings_are_no_paper_of_their_own(monkeypatch):
    monkeypatch.setenv("LR_PROFILE", "choices")
    monkeypatch.syspath_prepend(REPORT)
    with pytest.raises(UsageError, match="profile choices has no document of its own"):
        runpy.run_path(str(REPORT / "analysis" / "edition.py"))
