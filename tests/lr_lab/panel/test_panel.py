"""The live panel without a browser: what its fields refuse and where they say so, and runs that are kept."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue, fetch
from lr_lab.panel import SPLITS, Panel
from lr_lab.runs import profiles


@pytest.fixture
def panel(monkeypatch, tmp_path):
    """A panel on a machine that has the digits and no other data, with the smallest settings.

    In double precision, for which nothing is compiled.
    """
    monkeypatch.setattr(profiles, "INTERACTIVE", replace(profiles.INTERACTIVE, precision="fp64"))
    monkeypatch.setenv("LR_DATA_PATH", "")
    monkeypatch.setattr(catalogue, "raw_folder", lambda: tmp_path)
    made = Panel()
    set_to(made, images=20, epochs=1, memory=25)
    return made


def set_to(panel, **values):
    for name, value in values.items():
        panel.fields[name].control.value = value


def complaints(panel):
    """Field -> the words below it, of those that complain."""
    found = {name: field.message.value for name, field in panel.fields.items()}
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
def test_a_field_says_in_one_line_what_is_wrong_with_it(panel, field, value, complaint):
    assert (complaints(panel), panel.run_button.disabled) == ({}, False)
    set_to(panel, **{field: value})
    assert list(complaints(panel)) == [field]
    assert complaint in complaints(panel)[field]
    assert "\n" not in complaints(panel)[field]
    assert panel.run_button.disabled


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
def test_the_outermost_values_are_taken(panel, field, value):
    set_to(panel, **{field: value})
    assert (complaints(panel), panel.run_button.disabled) == ({}, False)


def test_each_field_complains_for_itself_and_stops_when_mended(panel):
    set_to(panel, tasks="", memory=0, seed=-1)
    assert set(complaints(panel)) == {"tasks", "memory", "seed"}
    set_to(panel, memory=5)
    assert set(complaints(panel)) == {"tasks", "seed"}
    set_to(panel, tasks="01 | 23", seed=0)
    assert (complaints(panel), panel.run_button.disabled) == ({}, False)


def test_the_memory_is_of_no_account_without_replay(panel):
    set_to(panel, memory=0, replay="none")
    assert (complaints(panel), panel.fields["memory"].control.disabled) == ({}, True)
    set_to(panel, replay="replay")
    assert set(complaints(panel)) == {"memory"}


@pytest.mark.parametrize("split", SPLITS.values())
def test_every_split_of_the_list_is_written_out_and_taken(panel, split):
    set_to(panel, split=split)
    assert panel.fields["tasks"].control.value == split
    assert complaints(panel) == {}


def test_a_split_of_ones_own_goes_by_no_name_of_the_list(panel):
    set_to(panel, tasks="9 | 8")
    assert panel.fields["split"].control.value is None
    assert panel.fields["tasks"].control.value == "9 | 8"
    set_to(panel, tasks=SPLITS["2 / 8"])
    assert panel.fields["split"].control.value == SPLITS["2 / 8"]


# -- data that cannot be had ------------------------------------------------------------------------------------------


def pressed_fetch(panel):
    async def press():
        panel.fetch()
        assert panel.fetch_button.disabled  # a second fetch beside the first one would be of no use
        await panel.task

    in_a_loop(press())


def test_data_that_cannot_be_fetched_are_refused_where_they_were_chosen(panel, monkeypatch):
    def refuse(name):
        raise LatentReplayError("no source delivered.\nTried <these>")

    monkeypatch.setattr(fetch, "fetch", refuse)
    set_to(panel, dataset="kmnist")
    assert panel.fetch_button.layout.display == ""
    pressed_fetch(panel)
    assert complaints(panel) == {"dataset": "KMNIST cannot be had: choose another, or see below why"}
    assert "no source delivered. Tried &lt;these&gt;" in panel.status.value
    assert (panel.run_button.disabled, panel.fetch_button.disabled) == (True, False)
    set_to(panel, seed=1)
    assert "cannot be had" in complaints(panel)["dataset"]  # still so, whatever else is changed
    set_to(panel, dataset="digits")
    assert (complaints(panel), panel.run_button.disabled) == ({}, False)
    assert panel.fetch_button.layout.display == "none"


def test_what_was_fetched_after_all_is_refused_no_longer(panel, monkeypatch):
    panel.fields.absent["kmnist"] = "KMNIST cannot be had"
    monkeypatch.setattr(catalogue, "available", lambda: ("kmnist", "digits"))
    monkeypatch.setattr(fetch, "fetch", lambda name: None)
    set_to(panel, dataset="kmnist")
    assert "dataset" in complaints(panel)
    pressed_fetch(panel)
    assert (complaints(panel), panel.run_button.disabled) == ({}, False)


@pytest.mark.filterwarnings("ignore:not used")
def test_data_that_turn_out_damaged_are_refused_where_they_were_chosen(panel, tmp_path):
    info = catalogue.describe("mnist")
    for file, facts in info.files.items():  # of the right length, so that only reading them tells
        path = tmp_path / info.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as empty:
            empty.truncate(facts.bytes)
    set_to(panel, dataset="mnist")
    assert complaints(panel) == {}
    run(panel)
    assert complaints(panel) == {"dataset": "MNIST cannot be had: choose another, or see below why"}
    assert "no intact train-images-idx3-ubyte" in panel.status.value
    assert (panel.kept, panel.run_button.disabled) == ([], True)


# -- running ----------------------------------------------------------------------------------------------------------


def run(panel, after=None):
    """Press Run and wait for the end; `after` is called with the first curve."""

    async def press():
        panel.start()
        if after:
            while not panel.curves.value:
                await asyncio.sleep(0.01)
            after()
        await panel.task

    in_a_loop(press())


def test_runs_are_kept_side_by_side(panel):
    run(panel)
    set_to(panel, replay="none")
    run(panel)
    assert [kept.title for kept in panel.kept] == ["1: replay 25 %", "2: no replay"]
    assert all(kept.sequence.evaluations[-1].task == 1 for kept in panel.kept)
    assert panel.table.value.count("<tr>") == 3
    assert "Done after" in panel.status.value
    assert "Nothing is kept." in panel.details.value
    panel.which.value = 0
    assert "as latents with their labels" in panel.details.value
    panel.clear()
    assert (panel.kept, panel.curves.value, panel.table.value, panel.details.value) == ([], "", "", "")


def test_a_run_that_is_stopped_keeps_what_is_there(panel):
    set_to(panel, epochs=500)  # more than anybody waits for
    run(panel, after=panel.stop)
    (kept,) = panel.kept
    assert kept.title == "1: replay 25 %, stopped"
    assert 1 <= len(kept.sequence.evaluations) <= 3  # the epoch at hand when it was pressed is finished
    assert "Stopped after" in panel.status.value
    assert (panel.run_button.disabled, panel.stop_button.disabled) == (False, True)


def test_a_run_that_fails_says_so_and_leaves_the_panel_usable(panel, monkeypatch):
    def fail(self):
        raise RuntimeError("out of <memory>")

    with monkeypatch.context() as patch:
        patch.setattr(Panel, "_sequence", fail)
        run(panel)
    assert "The run failed: RuntimeError: out of &lt;memory&gt;" in panel.status.value
    assert (panel.run_button.disabled, panel.task) == (False, None)


@pytest.mark.parametrize(
    ("values", "title", "held"),
    [
        ({"contents": "bits-4"}, "1: replay 25 %, latents of 4 bits", "22 of 90 images, as latents with their labels: 706 bytes. That is 1.12% of the images' pixels, as"),
        ({"contents": "raw"}, "1: replay 25 %, images, nothing frozen", f"as images with their labels: {22 * 785:,} bytes. That is 24.44% of the images' pixels and 24.44%"),
        ({"contents": "raw-frozen", "norm": True}, "1: replay 25 %, images, compressor frozen, GroupNorm", "as images"),
        ({"training": ("mixed-batches",)}, "1: replay 25 %, combined batches", "as latents"),
        ({"contents": "raw", "replay": "frozen"}, "1: no replay, frozen", "Nothing is kept."),
    ],
)  # fmt: skip
def test_what_the_memory_holds_and_how_it_is_replayed(panel, values, title, held):
    set_to(panel, **values)
    run(panel)
    assert panel.kept[0].title == title
    assert held in panel.details.value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"contents": "raw-frozen", "training": ("mixed-batches",)}, "choices: with a frozen compressor, choose"),
        ({"memory": 0.5}, "a memory of 0.5 % of 90 images does not hold two items"),
        ({"memory": 3, "tasks": "01234 | 56 | 789"}, "a memory of 3 % of 36 images does not hold two items"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_one_line(panel, values, words):
    set_to(panel, **values)
    run(panel)
    assert f"Nothing was run: {words}" in panel.status.value
    assert panel.kept == []


def test_a_pair_whose_data_are_missing_is_refused(panel):
    set_to(panel, dataset="mnist+kmnist")
    assert complaints(panel) == {
        "dataset": "MNIST, then KMNIST is not on this machine: press “Fetch the data”, or choose another"
    }
