"""The live bench without a browser: what its fields refuse and where they say so, and runs that are kept."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lr_core import experiment
from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue, fetch
from lr_lab.panel import SPLITS, Panel


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A bench on a machine that has the digits and no other data, with the smallest settings.

    In double precision, for which nothing is compiled.
    """
    monkeypatch.setattr(experiment, "QUICK", replace(experiment.QUICK, precision="fp64"))
    monkeypatch.setenv("LR_DATA_PATH", "")
    monkeypatch.setattr(catalogue, "raw_folder", lambda: tmp_path)
    made = Panel()
    set_to(made, images=20, epochs=1, memory=25)
    return made


def set_to(bench, **values):
    for name, value in values.items():
        bench.fields[name].control.value = value


def complaints(bench):
    """Field -> the words below it, of those that complain."""
    found = {name: field.message.value for name, field in bench.fields.items()}
    return {name: value.split(">", 1)[1].removesuffix("</span>") for name, value in found.items() if value}


def in_a_loop(work):
    """As a kernel does, in a thread of its own: where a browser is open, this one has a loop that runs already."""
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, work).result()


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("dataset", "kmnist", "KMNIST is not on this machine"),
        ("tasks", "", "no class is chosen"),
        ("tasks", " | ", "no class is chosen"),
        ("tasks", "01 |", "task 2 is left without a class"),
        ("tasks", "01 | | 23", "task 2 is left without a class"),
        ("tasks", "0123456789", "one task alone"),
        ("tasks", "01 | 12", "class 1 is chosen twice"),
        ("tasks", "ab | cd", "is no class"),
        ("memory", 0, "more than 0 and at most 100 %"),
        ("memory", -5, "more than 0 and at most 100 %"),
        ("memory", 100.1, "more than 0 and at most 100 %"),
        ("memory", float("nan"), "more than 0 and at most 100 %"),
        ("images", 19, "at least 20 images"),
        ("images", -1, "at least 20 images"),
        ("epochs", 0, "at least one epoch"),
        ("seed", -1, "at least 0"),
    ],
)
def test_a_field_says_in_one_line_what_is_wrong_with_it(bench, field, value, complaint):
    assert (complaints(bench), bench.run_button.disabled) == ({}, False)
    set_to(bench, **{field: value})
    assert list(complaints(bench)) == [field]
    assert complaint in complaints(bench)[field]
    assert "\n" not in complaints(bench)[field]
    assert bench.run_button.disabled


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", 100),
        ("memory", 0.01),
        ("images", 20),
        ("epochs", 1),
        ("seed", 0),
        ("tasks", "7|3"),
        ("tasks", "0|1|2"),
    ],
)
def test_the_outermost_values_are_taken(bench, field, value):
    set_to(bench, **{field: value})
    assert (complaints(bench), bench.run_button.disabled) == ({}, False)


def test_each_field_complains_for_itself_and_stops_when_mended(bench):
    set_to(bench, tasks="", memory=0, seed=-1)
    assert set(complaints(bench)) == {"tasks", "memory", "seed"}
    set_to(bench, memory=5)
    assert set(complaints(bench)) == {"tasks", "seed"}
    set_to(bench, tasks="01 | 23", seed=0)
    assert (complaints(bench), bench.run_button.disabled) == ({}, False)


def test_the_memory_is_of_no_account_without_replay(bench):
    set_to(bench, memory=0, replay="none")
    assert (complaints(bench), bench.fields["memory"].control.disabled) == ({}, True)
    set_to(bench, replay="replay")
    assert set(complaints(bench)) == {"memory"}


@pytest.mark.parametrize("split", SPLITS.values())
def test_every_split_of_the_list_is_written_out_and_taken(bench, split):
    set_to(bench, split=split)
    assert bench.fields["tasks"].control.value == split
    assert complaints(bench) == {}


def test_a_split_of_ones_own_goes_by_no_name_of_the_list(bench):
    set_to(bench, tasks="9 | 8")
    assert bench.fields["split"].control.value is None
    assert bench.fields["tasks"].control.value == "9 | 8"
    set_to(bench, tasks=SPLITS["2 / 8"])
    assert bench.fields["split"].control.value == SPLITS["2 / 8"]


# -- data that cannot be had ------------------------------------------------------------------------------------------


def pressed_fetch(bench):
    async def press():
        bench.fetch()
        assert bench.fetch_button.disabled  # a second fetch beside the first one would be of no use
        await bench.task

    in_a_loop(press())


def test_data_that_cannot_be_fetched_are_refused_where_they_were_chosen(bench, monkeypatch):
    def refuse(name):
        raise LatentReplayError("no source delivered.\nTried <these>")

    monkeypatch.setattr(fetch, "fetch", refuse)
    set_to(bench, dataset="kmnist")
    assert bench.fetch_button.layout.display == ""
    pressed_fetch(bench)
    assert complaints(bench) == {"dataset": "KMNIST cannot be had: choose another, or see below why"}
    assert "no source delivered. Tried &lt;these&gt;" in bench.status.value
    assert (bench.run_button.disabled, bench.fetch_button.disabled) == (True, False)
    set_to(bench, seed=1)
    assert "cannot be had" in complaints(bench)["dataset"]  # still so, whatever else is changed
    set_to(bench, dataset="digits")
    assert (complaints(bench), bench.run_button.disabled) == ({}, False)
    assert bench.fetch_button.layout.display == "none"


def test_what_was_fetched_after_all_is_refused_no_longer(bench, monkeypatch):
    bench._refused["kmnist"] = "KMNIST cannot be had"
    monkeypatch.setattr(catalogue, "available", lambda: ("kmnist", "digits"))
    monkeypatch.setattr(fetch, "fetch", lambda name: None)
    set_to(bench, dataset="kmnist")
    assert "dataset" in complaints(bench)
    pressed_fetch(bench)
    assert (complaints(bench), bench.run_button.disabled) == ({}, False)


@pytest.mark.filterwarnings("ignore:not used")
def test_data_that_turn_out_damaged_are_refused_where_they_were_chosen(bench, tmp_path):
    info = catalogue.describe("mnist")
    for file, facts in info.files.items():  # of the right length, so that only reading them tells
        path = tmp_path / info.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as empty:
            empty.truncate(facts.bytes)
    set_to(bench, dataset="mnist")
    assert complaints(bench) == {}
    run(bench)
    assert complaints(bench) == {"dataset": "MNIST cannot be had: choose another, or see below why"}
    assert "no intact train-images-idx3-ubyte" in bench.status.value
    assert (bench.kept, bench.run_button.disabled) == ([], True)


# -- running ----------------------------------------------------------------------------------------------------------


def run(bench, after=None):
    """Press Run and wait for the end; `after` is called with the first curve."""

    async def press():
        bench.start()
        if after:
            while not bench.curves.value:
                await asyncio.sleep(0.01)
            after()
        await bench.task

    in_a_loop(press())


def test_runs_are_kept_side_by_side(bench):
    run(bench)
    set_to(bench, replay="none")
    run(bench)
    assert [kept.title for kept in bench.kept] == ["1: replay 25 %", "2: no replay"]
    assert all(kept.sequence.evaluations[-1].task == 1 for kept in bench.kept)
    assert bench.table.value.count("<tr>") == 3
    assert "Done after" in bench.status.value
    assert "Nothing is kept." in bench.details.value
    bench.which.value = 0
    assert "as latents with their labels" in bench.details.value
    bench.clear()
    assert (bench.kept, bench.curves.value, bench.table.value, bench.details.value) == ([], "", "", "")


def test_a_run_that_is_stopped_keeps_what_is_there(bench):
    set_to(bench, epochs=500)  # more than anybody waits for
    run(bench, after=bench.stop)
    (kept,) = bench.kept
    assert kept.title == "1: replay 25 %, stopped"
    assert 1 <= len(kept.sequence.evaluations) <= 3  # the epoch at hand when it was pressed is finished
    assert "Stopped after" in bench.status.value
    assert (bench.run_button.disabled, bench.stop_button.disabled) == (False, True)


def test_a_run_that_fails_says_so_and_leaves_the_bench_usable(bench, monkeypatch):
    def fail(self):
        raise RuntimeError("out of <memory>")

    with monkeypatch.context() as patch:
        patch.setattr(Panel, "_sequence", fail)
        run(bench)
    assert "The run failed: RuntimeError: out of &lt;memory&gt;" in bench.status.value
    assert (bench.run_button.disabled, bench.task) == (False, None)
