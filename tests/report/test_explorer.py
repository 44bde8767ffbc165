"""The explorer: its data are those of the records, its images those of the sample, and its parts move together."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import DESKTOP, PHONE, TABLET, findings, page_of, visit
from playwright.sync_api import expect

from lr_core.settings import CASES, EVALUATIONS
from lr_core.tasks import split
from lr_lab.data import catalogue
from lr_lab.runs import results
from lr_lab.runs.profiles import find_profile

REPORT = Path(__file__).resolve().parents[2] / "report"
SHEETS = REPORT / "figures" / "points"
SECOND_TASK = ("replay-0.01", "replay-0.05", "replay-0.25", "no-replay")
MEASURES = ("train", "test", "original_test")


@pytest.fixture(scope="module")
def explorer():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPORT)
        patch.delenv("LR_PROFILE", raising=False)
        yield importlib.import_module("explorer")


@pytest.fixture(scope="module")
def thumbnails(explorer):
    return explorer.thumbnails


@pytest.fixture(scope="module")
def data(explorer):
    return explorer.data(explorer.ours)


@pytest.fixture(scope="module")
def committed(explorer):
    """Record of every run of the paper profile with the first seed, by the name that the explorer has for it."""
    records = [record for record in explorer.ours.records if record["run"]["seed"] == explorer.SEED]
    return {f"{record['run']['dataset']},{record['run']['case']}": record for record in records}


@pytest.fixture(scope="module")
def every_seed(explorer):
    return explorer.ours.records


def arms(record):
    return zip(
        SECOND_TASK, record["arms"][1:], record["latents"]["predicted"][1:], record["latents"]["last_correct"][1:],
        strict=True,
    )  # fmt: skip


# -- data -------------------------------------------------------------------------------------------------------------


def test_every_run_is_there_and_small(data, committed):
    assert set(data["runs"]) == set(committed)
    sizes = {name: len(json.dumps(run, separators=(",", ":"))) for name, run in data["runs"].items()}
    further = [
        json.dumps(run, separators=(",", ":")) for each in data["runs"].values() for run in each["seeds"].values()
    ]
    assert max(sizes.values()) < 30_000 + sum(map(len, further)), sizes
    assert max(map(len, further)) < 16_000


def test_accuracies_are_those_of_the_record(data, committed, every_seed):
    for record in every_seed:
        name, seed = f"{record['run']['dataset']},{record['run']['case']}", record["run"]["seed"]
        run = (
            data["runs"][name] if name in committed and committed[name] is record else data["runs"][name]["seeds"][seed]
        )
        for key, arm, _, _ in arms(record):
            shown, curve = run["arms"][key], results.curve(arm)
            assert shown["epochs"] == curve["epochs"]
            for mode in EVALUATIONS:
                old, new = ([value / 1e4 for value in values] for values in shown["curve"][mode])
                assert old == pytest.approx(curve["old"][mode], abs=5e-5)
                assert new == pytest.approx(curve["new"][mode], abs=5e-5)
                assert [row[0] for row in shown["ours"][mode]] == [f"{arm['accuracy'][mode][m]:.4f}" for m in MEASURES]
                assert shown["confusion"][mode] == arm["confusion"][mode]


def test_differences_are_ours_less_published(data):
    for run in data["runs"].values():
        for arm in run["arms"].values():
            for rows in arm["ours"].values():
                for (ours, difference, shade), published in zip(rows, arm["published"], strict=True):
                    assert float(difference.replace("−", "-")) == pytest.approx(
                        float(ours) - float(published), abs=1.01e-4
                    )
                    assert shade in range(5)


def test_points_are_those_of_the_record(data, committed, thumbnails):
    for name, record in committed.items():
        shown = data["runs"][name]
        for place, task in enumerate(record["latents"]["tasks"].values()):
            n = thumbnails.POINTS
            assert shown["label"][place] == "".join(map(str, task["label"][:n]))
            xy = np.reshape(shown["xy"][place], (n, 2)) / 100
            assert np.abs(xy - task["xy"][:n]).max() <= 0.0051
        for key, arm, predicted, last in arms(record):
            for mode in EVALUATIONS:
                assert shown["arms"][key]["predicted"][mode] == ["".join(map(str, p[:150])) for p in predicted[mode]]
                assert shown["arms"][key]["last"][mode] == last[mode][:150]
                right = [
                    p == t for p, t in zip(shown["arms"][key]["predicted"][mode][0], shown["label"][0], strict=True)
                ]
                assert right == [epoch == arm["epochs"] for epoch in last[mode][:150]]


def test_without_runs_there_is_a_sentence(explorer, tmp_path):
    shown = explorer.page(explorer.Runs("paper", tmp_path)).data
    assert shown == "*The explorer shows runs, and the profile paper has none yet.*"


def test_the_block_is_plain_html_that_loads_nothing(explorer):
    shared, own = explorer.interactive.shared().data, explorer.page().data
    for block in (shared, own):
        assert re.fullmatch(r"```\{=html\}\n(?:(?!```).*\n)*```", block)
    block = shared + own
    assert "<table" not in block  # report/render would read it as one
    assert set(re.findall(r"https?://[^\"'\s]+", block)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(eval|fetch|import|XMLHttpRequest|Function)\(", block)


# -- images -----------------------------------------------------------------------------------------------------------


def test_every_point_has_an_image_and_they_are_small(data):
    assert {stem for run in data["runs"].values() for stem in run["sheets"]} == set(data["sheets"])
    tasks = {task for case in CASES.values() for task in (case.first, case.second)}
    sheets = list(SHEETS.glob("*.webp"))
    assert len(sheets) == len(tasks) * len(catalogue.PAPER_DATASETS)
    assert sum(4 * -(-path.stat().st_size // 3) for path in sheets) < 900_000  # as base64


@pytest.mark.parametrize("name", catalogue.PAPER_DATASETS)
def test_sheets_are_drawn_before_the_run_and_fit_its_record(name, committed, thumbnails, tmp_path, monkeypatch):
    """From seed and settings alone come the names that the records ask for, and the images, to half a level of grey."""
    if name not in catalogue.available():
        pytest.skip(f"{name} is not on this machine")
    dataset = catalogue.load(name)
    # A sheet returns its images, as a test below says; to pack all of them takes half a minute.
    monkeypatch.setattr(thumbnails, "sheet", lambda images: images.numpy().tobytes())
    drawn = thumbnails.draw(dataset, tmp_path, find_profile("paper").settings)
    assert {path.name for path in drawn} == {
        path.name for path in SHEETS.glob(f"{name}-*") if path.name[len(name) + 1].isdigit()
    }
    for path in drawn:
        images = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 28, 28).astype(int)
        assert np.abs(thumbnails.read(SHEETS / path.name) - images).max() <= 8
    for record in committed.values():
        if record["run"]["dataset"] == name:
            for task, points in record["latents"]["tasks"].items():
                stem = thumbnails.stem(name, record["tasks"][task]["classes"], points["image"])
                images = dataset.images[points["image"][: thumbnails.POINTS]].numpy().astype(int)
                assert np.abs(thumbnails.read(SHEETS / f"{stem}.webp") - images).max() <= 8


def test_a_sheet_returns_its_images(digits, thumbnails, tmp_path):
    path = tmp_path / "sheet.webp"
    images = digits.images[:20]
    path.write_bytes(thumbnails.sheet(images))
    read = thumbnails.read(path)
    assert read.shape == (30, 28, 28)
    assert np.abs(read[:20].astype(int) - images.numpy()).max() <= 8
    assert not read[20:].any()


def test_sheets_are_drawn_of_small_classes(digits, thumbnails, tmp_path, tiny):
    few = torch.cat([(digits.labels == number).nonzero().flatten()[:12] for number in range(10)])
    small = replace(digits, images=digits.images[few], labels=digits.labels[few])
    assert thumbnails.draw(small, tmp_path, replace(tiny, images_per_class=None))


def test_another_sample_has_another_name(digits, thumbnails, tiny):
    stems = set()
    for seed in (0, 1):
        sample = split(digits, (0, 1, 2, 3, 4), tiny, seed).test.tolist()
        stems.add(thumbnails.stem("digits", (0, 1, 2, 3, 4), sample))
    assert len(stems) == 2
    assert all(re.fullmatch(r"digits-01234-[0-9a-f]{8}", stem) for stem in stems)


# -- in a browser -----------------------------------------------------------------------------------------------------

RUN = "mnist,1"
START = "#explore=mnist,1,replay-0.05,mixed,class,3,7"


@pytest.fixture(scope="module")
def alone(explorer, tmp_path_factory):
    """The explorer in a page of its own."""
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    return page_of(path, explorer.interactive.shared().data, explorer.page().data)


@pytest.fixture
def opened(chromium, alone):
    """Opens the explorer at a fragment of its address; what it must not do is checked when the test is over."""
    visits = []

    def open_at(fragment="", width=DESKTOP, **context):
        entered = visit(chromium, alone, width, **context)
        seen = entered.__enter__()
        visits.append((entered, seen))
        if fragment:
            seen.page.goto(alone.as_uri() + fragment)
            seen.page.reload()
        seen.page.wait_for_selector("#explorer [data-part=row] tbody")
        return seen.page

    yield open_at
    for entered, seen in visits:
        requested = [url for url in seen.requests if not url.startswith(("data:", alone.as_uri()))]
        errors = seen.errors
        entered.__exit__(None, None, None)
        assert requested == []
        assert errors == []


def part(page, name):
    return page.locator(f"#explorer [data-part={name}]")


def label(page, name):
    return part(page, name).locator("svg").first.get_attribute("aria-label")


def settled(page):
    """Wait until what was changed is drawn, and said in the address and to listeners."""
    page.wait_for_timeout(450)
    return page.evaluate("location.hash")


def choose(page, name, value):
    control = part(page, name)
    if name in ("dataset", "case"):
        control.select_option(value)
    else:
        control.locator(f"label:has(input[value='{value}'])").click()
    page.wait_for_timeout(60)


@pytest.mark.parametrize(("scheme", "width"), [("dark", PHONE), ("light", TABLET), ("light", DESKTOP)])
def test_axe_finds_nothing_and_nothing_is_too_wide(opened, scheme, width):
    page = opened(START, width, color_scheme=scheme)
    assert findings(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "MNIST, case 1, replay 5 %, mixed-batch statistics"),
        ({"arm": "no-replay"}, "MNIST, case 1, no replay, mixed-batch statistics"),
        ({"case": "3", "mode": "running"}, "MNIST, case 3, replay 5 %, running statistics"),
        ({"dataset": "kmnist", "arm": "replay-0.25"}, "KMNIST, case 1, replay 25 %, mixed-batch statistics"),
    ],
)
def test_all_parts_move_together(opened, data, changes, words):
    page = opened(START)
    for name, value in changes.items():
        choose(page, name, value)
    for graphic in ("curve", "map", "matrix"):
        assert words in label(page, graphic)
    chosen = {"dataset": "mnist", "case": "1", "arm": "replay-0.05", "mode": "mixed"} | changes
    run = data["runs"][f"{chosen['dataset']},{chosen['case']}"]
    arm = run["arms"][chosen["arm"]]
    row = [
        cell for t, o in zip(arm["published"], arm["ours"][chosen["mode"]], strict=True) for cell in (t, "".join(o[:2]))
    ]
    shown = page.locator("#explorer tr[aria-current] td").all_inner_texts()
    assert [text.replace("\n", "") for text in shown] == row
    assert part(page, "notebook").get_attribute("href") == run["notebook"]
    expected = [*chosen.values(), "class", "3"]
    assert settled(page).startswith("#explore=" + ",".join(expected)) or not changes
    assert words in part(page, "summary").text_content() or not changes


def test_another_seed_has_its_own_curves_table_and_notebook_but_no_points(opened, data):
    page = opened(START)
    choose(page, "seed", "1")
    assert "MNIST, case 1, replay 5 %, mixed-batch statistics, seed 1" in label(page, "curve")
    assert part(page, "curve").locator("path.line.seed").count() == 2 * len(data["runs"][RUN]["seeds"])  # old and new
    run = data["runs"][RUN]["seeds"][1]
    shown = page.locator("#explorer tr[aria-current] td.num").all_inner_texts()
    assert shown[1].split("\n")[0] == run["arms"]["replay-0.05"]["ours"]["mixed"][0][0]
    assert part(page, "notebook").get_attribute("href") == run["notebook"]
    assert part(page, "lost").text_content() == "Latents and images are kept of seed 0 alone."
    assert not any(part(page, name).is_visible() for name in ("map", "point", "colour"))
    assert settled(page).endswith(",1")
    page.reload()
    assert "seed 1" in label(page, "curve")
    choose(page, "seed", "0")
    assert "seed 0" in label(page, "map")


def test_a_case_without_the_chosen_seed_shows_one_that_it_has(opened, data):
    alone = next((name for name, run in data["runs"].items() if not run["seeds"]), None)
    if alone is None:
        pytest.skip("every case has several seeds")
    page = opened(START + ",1")
    dataset, case = alone.split(",")
    choose(page, "dataset", dataset)
    choose(page, "case", case)
    assert "seed" not in label(page, "curve")
    assert part(page, "seed").locator("input[value='1']").is_disabled()


def test_what_has_not_been_run_cannot_be_chosen(explorer, data, chromium, tmp_path):
    few = data | {"runs": {"mnist,2": data["runs"]["mnist,2"]}}
    interactive = explorer.interactive
    path = page_of(tmp_path / "few.html", interactive.shared().data, interactive.block(explorer.HERE, few).data)
    with visit(chromium, path) as seen:
        seen.page.wait_for_selector("#explorer [data-part=row] tbody")  # drawn once the choices are there
        sets = {o.inner_text(): o.is_disabled() for o in part(seen.page, "dataset").locator("option").all()}
        cases = {o.inner_text()[:1]: (o.is_disabled(), "(not run)" in o.inner_text())
                 for o in part(seen.page, "case").locator("option").all()}  # fmt: skip
        assert sets == {"MNIST": False, "Fashion-MNIST (not run)": True, "KMNIST (not run)": True}
        assert cases == {"1": (True, True), "2": (False, False), "3": (True, True), "4": (True, True)}
        assert seen.errors == []


@pytest.mark.parametrize(
    ("fragment", "settles"),
    [
        (START, START),
        ("#explore=mnist,2,no-replay,running,forgotten,0,299", "#explore=mnist,2,no-replay,running,forgotten,0,299"),
        ("#explore=mnist%2C3%2Creplay-0.25%2Cbatch%2Ctask%2Cend%2C5", "#explore=mnist,3,replay-0.25,batch,task,end,5"),
        ("#explore=mnist,3,constructor,odd,,-1,1e9", "#explore=mnist,3,replay-0.01,running,class,end,"),
        ("#explore=nothing", "#explore=mnist,1,replay-0.01,mixed,class,end,"),
    ],
)
def test_the_address_is_the_state(opened, fragment, settles):
    page = opened(fragment)
    assert page.evaluate("scrollY") >= 0
    part(page, "share").click()
    assert page.evaluate("location.hash").startswith(settles)


def test_another_address_is_followed_and_other_anchors_are_left_alone(opened):
    page = opened()
    assert page.evaluate("location.hash") == ""
    before = label(page, "curve")
    page.evaluate("location.hash = '#other'")
    page.wait_for_timeout(60)
    assert (page.evaluate("location.hash"), label(page, "curve")) == ("#other", before)
    page.evaluate("location.hash = '#explore=mnist,4,no-replay,batch,task,1'")
    page.wait_for_timeout(60)
    assert "MNIST, case 4, no replay, batch statistics" in label(page, "curve")


def test_the_link_is_copied(opened):
    page = opened(START, permissions=["clipboard-read", "clipboard-write"])
    part(page, "share").click()
    expect(part(page, "copied")).to_have_text("Copied.")  # once the clipboard has answered
    assert page.evaluate("navigator.clipboard.readText()").endswith(START)


def forgotten(run, key, mode, epoch):
    return sum(last < epoch for last in run["arms"][key]["last"][mode])


@pytest.mark.parametrize("by", ["keyboard", "pointer"])
def test_the_epoch_darkens_what_is_lost(opened, data, by):
    page = opened("#explore=mnist,1,no-replay,mixed,forgotten,0,0")
    run = data["runs"][RUN]
    looked_at = run["arms"]["no-replay"]["epochs"]
    epochs = looked_at[-1]
    for epoch in (0, epochs):
        if by == "keyboard":
            part(page, "epoch").press("End" if epoch else "Home")
        else:
            box = part(page, "curve").bounding_box()
            page.mouse.click(box["x"] + (box["width"] - 5 if epoch else 40), box["y"] + 50)
        lost = forgotten(run, "no-replay", "mixed", epoch)
        expect(part(page, "lost")).to_have_text(f"{lost} of 150 old images lost by epoch {epoch}")
        assert page.locator("#explorer [data-part=map] path.lost").count() in (lost, lost + 1)  # one is drawn again
        old = run["arms"]["no-replay"]["curve"]["mixed"][0][looked_at.index(epoch)] / 100
        assert f"epoch {epoch} of {epochs}: old {old:.1f}\u00a0%" in part(page, "reading").inner_text()


@pytest.mark.parametrize(
    ("asked", "key", "shown"),
    [(10, None, 10), (13, None, 10), (10, "ArrowRight", 15), (15, "ArrowLeft", 10), (3, "ArrowRight", 4)],
)
def test_the_epoch_is_one_looked_at(opened, data, asked, key, shown):
    arm = data["runs"][RUN]["arms"]["no-replay"]
    page = opened(f"#explore=mnist,1,no-replay,mixed,forgotten,{asked},0")
    if key:
        part(page, "epoch").press(key)
    old = arm["curve"]["mixed"][0][arm["epochs"].index(shown)] / 100
    expect(part(page, "reading")).to_contain_text(f"epoch {shown} of {arm['epochs'][-1]}: old {old:.1f}\u00a0%")
    line = part(page, "curve").locator("path.line:not(.other, .seed)").first.get_attribute("d")
    assert line.count(",") == len(arm["epochs"]) < arm["epochs"][-1]


def test_it_plays_to_the_end_and_only_when_asked(opened):
    page = opened("#explore=mnist,1,no-replay,mixed,class,end,0")
    end = part(page, "epoch").get_attribute("max")
    part(page, "play").click()
    page.wait_for_timeout(300)
    assert part(page, "play").get_attribute("aria-pressed") == "true"
    assert 0 < int(part(page, "epoch").input_value()) < int(end)
    expect(part(page, "play")).to_have_attribute("aria-pressed", "false", timeout=20_000)
    assert part(page, "epoch").input_value() == end
    assert part(page, "colour").locator(":checked").get_attribute("value") == "forgotten"


def test_nothing_plays_for_who_asks_for_less_motion(opened):
    page = opened(START, reduced_motion="reduce")
    assert not part(page, "play").is_visible()
    assert part(page, "epoch").is_visible()


def spot(page, point):
    """Where a point of the map is on the screen."""
    return page.evaluate(
        """point => {
            const box = document.querySelectorAll("[data-part=map] path")[point].getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }""",
        point,
    )


def test_pointing_shows_an_image_and_clicking_keeps_it(opened, data):
    page = opened(START)
    part(page, "map").scroll_into_view_if_needed()
    run = data["runs"][RUN]
    far = max(range(150), key=lambda i: run["xy"][0][2 * i])  # the rightmost old point: no other is as near
    page.mouse.move(*spot(page, far))
    page.wait_for_timeout(60)
    assert part(page, "place").inner_text() == f"{far + 1} of 300 on the map"
    assert part(page, "point").locator("dd").first.inner_text() == run["label"][0][far]
    page.mouse.move(0, 0)
    page.wait_for_timeout(60)
    assert part(page, "place").inner_text() == "8 of 300 on the map"
    page.mouse.click(*spot(page, far))
    page.mouse.move(0, 0)
    assert settled(page).endswith(f",{far}")
    assert part(page, "place").inner_text() == f"{far + 1} of 300 on the map"


@pytest.mark.parametrize("point", [0, 149, 150, 299])
def test_the_image_is_the_points(opened, data, thumbnails, point):
    page = opened(f"#explore=mnist,1,no-replay,mixed,class,end,{point}")
    pixels = page.evaluate("""async () => {
        const canvas = document.querySelector("[data-part=point] canvas").getContext("2d");
        const read = () => [...canvas.getImageData(0, 0, 28, 28).data];
        while (!read().some((value, place) => place % 4 < 3 && value)) await new Promise(requestAnimationFrame);
        return read();
    }""")
    sheet = thumbnails.read(SHEETS / f"{data['runs'][RUN]['sheets'][point // 150]}.webp")
    assert np.array_equal(np.reshape(pixels, (28, 28, 4))[..., 0], sheet[point % 150])


def test_every_point_can_be_reached_by_keyboard(opened):
    page = opened(START)
    part(page, "map").focus()
    for key, place in (("Home", 1), ("PageDown", 2), ("PageUp", 1), ("PageUp", 1), ("End", 300), ("PageDown", 300)):
        page.keyboard.press(key)
        page.wait_for_timeout(40)
        assert part(page, "place").inner_text() == f"{place} of 300 on the map"
    before = page.evaluate("+document.querySelector('[data-part=map] .ring').getAttribute('cx')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(60)
    assert page.evaluate("+document.querySelector('[data-part=map] .ring').getAttribute('cx')") < before


def test_a_cell_of_the_matrix_picks_its_points(opened, data):
    page = opened("#explore=mnist,1,no-replay,mixed,class,end,0")
    matrix = part(page, "matrix")
    matrix.focus()
    for key in ["ArrowUp", "ArrowLeft"] * 9:
        page.keyboard.press(key)
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(60)
    run = data["runs"][RUN]
    row = run["arms"]["no-replay"]["confusion"]["mixed"][0]
    assert part(page, "counts").inner_text() == f"0 taken for 2: {row[2]} of {sum(row)}"
    labels, guesses = "".join(run["label"]), "".join(run["arms"]["no-replay"]["predicted"]["mixed"])
    like = sum(pair == ("0", "2") for pair in zip(labels, guesses, strict=True))
    assert page.locator("[data-part=map] path.mark:not(.aside)").count() == like + 1  # and the one that is chosen
    assert settled(page)
    assert "0 taken for 2" in part(page, "summary").text_content()
    matrix.blur()
    page.wait_for_timeout(60)
    assert page.locator("[data-part=map] path.aside").count() == 0


CONTRASTS = """() => {
    const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
    const light = colour => {
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    return [...document.querySelectorAll("[data-part=matrix] text.count")].map(text => {
        const [a, b] = [text, text.previousElementSibling].map(e => light(getComputedStyle(e).fill));
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("mode", EVALUATIONS)
def test_counts_can_be_read_on_every_shade(opened, scheme, mode):
    page = opened(f"#explore=mnist,1,replay-0.25,{mode},class,end,0", color_scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert min(contrasts) >= 4.5


def test_the_printed_paper_has_no_explorer(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("#explorer").is_visible()


def test_the_paper_holds_the_explorer(chromium, rendered):
    with visit(chromium, rendered / "index.html") as seen:
        assert part(seen.page, "curve").locator("svg").count() == 1
        assert part(seen.page, "row").locator("tbody tr").count() == 4
        assert seen.errors == []
