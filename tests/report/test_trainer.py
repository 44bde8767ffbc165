"""The trainer: its kernel computes what PyTorch does, its data belong to the records, and a page of its own trains."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import DESKTOP, FIREFOX, PHONE, POLICY, TABLET, findings, in_firefox, page_of, visit
from playwright.sync_api import expect
from safetensors import safe_open
from torch.nn import functional as F

from lr_core import memory, models
from lr_core.metrics import batch_statistics
from lr_core.settings import CASES, EVALUATIONS, make_generator
from lr_core.tasks import split
from lr_lab.data import catalogue
from lr_lab.runs.profiles import find_profile

ROOT = Path(__file__).resolve().parents[2]
SETS = ("mnist", "kmnist")
COUNT = 100  # images of a batch


@pytest.fixture(scope="module")
def trainer():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "report")
        patch.delenv("LR_PROFILE", raising=False)
        yield importlib.import_module("trainer")


@pytest.fixture(scope="module")
def make(trainer):
    return importlib.import_module("trainer.make")


@pytest.fixture(scope="module")
def kernels(make):
    return importlib.import_module("trainer.kernel")


@pytest.fixture(scope="module")
def stored(make):
    return json.loads(make.STORED.read_text())


# -- the kernel beside PyTorch ----------------------------------------------------------------------------------------


def numbers(network):
    """Weights and running statistics in one row, as the kernel has them."""
    kept = [value for name, value in network.state_dict().items() if "num_batches" not in name]
    return np.concatenate([value.detach().numpy().ravel() for value in kept])


def distance(ours, theirs):
    """Relative, of all values of a tensor."""
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.fixture
def both(kernels):
    """The library's classifier and a kernel with the same weights and 600 random latents."""
    draw = torch.Generator().manual_seed(0)
    _, network = models.build(3)
    with torch.no_grad():
        for values in network.parameters():
            values += 0.02 * torch.randn(values.shape, generator=draw)  # norms are not 1 and 0
    latents = torch.randn(600, 1, 6, 6, generator=draw)
    labels = torch.randint(0, 10, (600,), generator=draw)
    kernel = kernels.Kernel()
    kernel.state[:] = numbers(network)
    kernel.rows[:600], kernel.label[:600] = latents.numpy().reshape(600, 36), labels.numpy()
    kernel.begin(0)
    return network, kernel, latents, labels


def choose(kernel, places):
    kernel.chosen[: len(places)] = places


@pytest.mark.parametrize("count", [20, 100, 200])
@pytest.mark.parametrize("statistics", [0, 1])
def test_log_probabilities_are_pytorchs(both, count, statistics):
    network, kernel, latents, _ = both
    choose(kernel, range(count))
    kernel.forward(count, statistics)
    network.eval()
    with torch.no_grad():
        if statistics:
            with batch_statistics(network):
                expected = network(latents[:count])
        else:
            expected = network(latents[:count])
    assert distance(kernel.scores[: 10 * count].reshape(10, count).T, expected.numpy()) < 1e-5
    assert numbers(network) == pytest.approx(kernel.state), "no statistics are updated"


def test_each_gradient_is_pytorchs(both):
    network, kernel, latents, labels = both
    choose(kernel, range(COUNT))
    kernel.forward(COUNT, 2)
    kernel.backward(COUNT)
    F.nll_loss(network.train()(latents[:COUNT]), labels[:COUNT]).backward()
    begin = 0
    parameters = dict(network.named_parameters())
    for name, value in network.state_dict().items():
        if "num_batches" in name:
            continue
        ours = kernel.gradient[begin : begin + value.numel()]
        begin += value.numel()
        if "running" in name:
            assert not ours.any()
            continue
        theirs = parameters[name].grad.numpy().ravel()
        if abs(theirs).max() < 1e-6:  # a bias before BatchNorm, which cancels: theirs is rounding
            assert not ours.any(), name
        else:
            assert distance(ours, theirs) < 1e-5, name
    assert begin == len(kernel.gradient)


def update(kernel, places):
    choose(kernel, places)
    kernel.forward(len(places), 2)
    kernel.backward(len(places))
    kernel.descend(0.005)


def test_ten_updates_are_pytorchs(both):
    network, kernel, latents, labels = both
    before = numbers(network)
    optimizer = torch.optim.SGD(network.train().parameters(), lr=0.005, momentum=0.9)
    for number in range(10):
        places = np.arange(50 * number, 50 * number + COUNT)
        update(kernel, places)
        optimizer.zero_grad()
        F.nll_loss(network(latents[places]), labels[places]).backward()
        optimizer.step()
    assert distance(kernel.state, numbers(network)) < 1e-5
    assert distance(kernel.state - before, numbers(network) - before) < 1e-3


def test_an_epoch_has_each_new_image_once(both):
    _, kernel, _, _ = both
    seen = []
    for _ in range(6):
        kernel.learn(300, 0, 0, 0.005)
        seen.append(kernel.chosen[:COUNT].copy())
    for epoch in (seen[:3], seen[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(300))
    assert not np.array_equal(seen[0], seen[3])


@pytest.mark.parametrize("mixed", [0, 1])
def test_learning_updates_on_new_images_and_on_the_memory(both, kernels, mixed):
    """In turn, or in a combined batch: bit for bit what the same updates by hand give."""
    _, kernel, _, _ = both
    start = kernel.state.copy()
    other = kernels.Kernel()
    other.rows[:], other.label[:], other.state[:] = kernel.rows, kernel.label, start
    other.begin(0)
    other.learn(300, 0, 0, 0.005)  # draws the same new images first
    new = other.chosen[:COUNT].copy()
    other.state[:] = start
    other.begin(0)
    kernel.learn(300, 200, mixed, 0.005)
    kept = kernel.chosen[COUNT * mixed :][:COUNT].copy()
    assert len({*kept}) == COUNT
    assert {*kept} <= {*range(300, 500)}
    for places in [np.concatenate([new, kept])] if mixed else [new, kept]:
        update(other, places)
    assert kernel.hash == other.hash


def test_the_compressor_is_pytorchs(kernels):
    compressor, _ = models.build(5)
    compressor.train()(torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(1)))  # running statistics
    kernel, image = kernels.Kernel(), torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    kernel.compressor[:], kernel.image[:] = numbers(compressor), image.numpy()[0, 0]
    kernel.compress(7)
    with torch.no_grad():
        assert distance(kernel.rows[7], compressor.eval()(image).numpy().ravel()) < 1e-5


def test_modes_differ_in_the_company_of_an_image(both):
    """`judge` by running averages, by batches of one task, and by batches of half and half."""
    network, kernel, latents, labels = both
    kernel.judge(0, 300, 200, 0, 0)
    with torch.no_grad():
        running = network.eval()(latents).argmax(dim=1).numpy()
        with batch_statistics(network):
            alone = [network(latents[begin : begin + 100]).argmax(dim=1).numpy() for begin in (0, 100, 300, 400)]
            mixed = network(torch.cat([latents[:50], latents[300:350]])).argmax(dim=1).numpy()
    places = np.r_[0:200, 300:500]
    assert np.array_equal(kernel.guess[places], running[places])
    kernel.judge(0, 300, 200, 1, 0)
    assert np.array_equal(kernel.guess[places], np.concatenate(alone))
    kernel.judge(0, 300, 200, 1, 1)
    assert np.array_equal(kernel.guess[np.r_[0:50, 300:350]], mixed)


# -- the binary -------------------------------------------------------------------------------------------------------


def test_the_binary_is_small_and_asks_for_nothing(kernels):
    import wasmtime

    assert kernels.BINARY.stat().st_size < 12_000
    assert wasmtime.Module.from_file(wasmtime.Engine(), str(kernels.BINARY)).imports == []


@pytest.mark.long
def test_the_binary_is_the_compiled_source(kernels, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "kernel.py", tmp_path / "kernel.wasm"], capture_output=True, text=True
    )
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kernel.wasm").read_bytes() == kernels.BINARY.read_bytes()


# -- data and stored results ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SETS)
def dataset(request):
    return request.param


def test_data_belong_to_the_record_that_they_name(make, dataset):
    """Each test image of the record's sample is taken for the same class, but for what eight bits move."""
    record = make.record_of(dataset)
    kernel = make.begin(dataset, 0)
    with safe_open(make.data_file(dataset), "numpy") as content:
        assert content.metadata() == {"run": f"paper {dataset} case 1 seed 0", "key": record["key"]}
    first = make.NEW + make.MEMORIES[-1]
    sample = record["latents"]["tasks"]["first"]["label"]
    assert list(kernel.label[first : first + len(sample)]) == sample
    for mode, predicted in zip(
        ("running", "batch"), (record["latents"]["predicted"][0][m] for m in ("running", "batch")), strict=True
    ):
        kernel.judge(first, first + make.TEST, make.TEST, *make.MODES[mode])
        same = kernel.guess[first : first + len(sample)] == predicted[0]
        assert same.mean() > 0.99
        accuracy = (kernel.guess == kernel.label)[first : first + make.TEST].mean()
        assert accuracy == pytest.approx(record["arms"][0]["accuracy"][mode]["test"], abs=0.02)  # of fewer images


def test_latents_are_those_of_the_images(make, dataset):
    if dataset not in catalogue.available():
        pytest.skip(f"{dataset} is not on this machine")
    images, settings = catalogue.load(dataset), find_profile("paper").settings
    old, new = (split(images, task, settings, make.SEED) for task in (CASES[1].first, CASES[1].second))
    order = torch.randperm(len(old.train), generator=make_generator(make.SEED, "memory"))
    places = torch.cat(
        [new.train[: make.NEW], old.train[order[: make.MEMORIES[-1]]], old.test[: make.TEST], new.test[: make.TEST]]
    )
    kernel = make.begin(dataset, 0)
    assert np.array_equal(kernel.label[: len(places)], images.labels[places])
    with safe_open(make.data_file(dataset), "numpy") as content:
        step = content.get_tensor("step").max()
    for row in range(0, len(places), 500):
        kernel.image[:] = images.images[places[row]].numpy() / np.float32(255)
        kernel.compress(5999)
        assert np.abs(kernel.rows[5999] - kernel.rows[row]).max() <= 0.51 * step
    # The memory is the beginning of the one that the paper's runs draw.
    share = memory.choose(
        torch.zeros(len(old.train), 1), torch.zeros(len(old.train)), 0.05, make_generator(make.SEED, "memory")
    )
    assert share.positions[:100].tolist() == order[:100].tolist()


def test_files_are_small(make, dataset):
    assert make.data_file(dataset).stat().st_size < 350_000


def test_every_choice_has_its_stored_result(make, stored):
    assert set(stored) == {make.name_of(*choice) for choice in make.choices()}


@pytest.mark.parametrize("choice", [("mnist", 315, False, 0), ("kmnist", 1575, True, 1), ("kmnist", 0, False, 2)])
def test_fifty_updates_give_the_stored_hash(make, stored, choice):
    name, memory, mixed, seed = choice
    assert make.train(make.begin(name, seed), memory, mixed, make.EARLY) == stored[make.name_of(*choice)]["early"]


def test_what_is_stored_shows_what_the_paper_says(stored):
    """Without a memory all is forgotten; a larger memory keeps more; batches of one task look better when trained in turn."""
    for seed in range(3):
        for name in SETS:
            kept = [stored[f"{name},{memory},alternating,{seed}"]["accuracy"] for memory in (0, 100, 315, 1575)]
            old = [accuracy["mixed"][0] for accuracy in kept]
            assert old[0] < 0.01
            assert old == sorted(old)
            assert all(accuracy["batch"][0] > accuracy["mixed"][0] for accuracy in kept[1:])


# -- in a browser -----------------------------------------------------------------------------------------------------


def test_the_policy_allows_the_kernel_and_its_worker_and_nothing_else():
    assert POLICY == (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' "
        "'wasm-unsafe-eval'; worker-src blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


@pytest.fixture(scope="module")
def alone(trainer, tmp_path_factory):
    """Explorer and trainer in a page of their own: test images come from the explorer."""
    path = tmp_path_factory.mktemp("trainer") / "page.html"
    explorer = importlib.import_module("explorer")
    return page_of(path, trainer.interactive.shared().data, explorer.page().data, trainer.page().data)


@pytest.fixture
def opened(chromium, alone):
    """Opens the trainer at a fragment of its address; what it must not do is checked when the test is over."""
    visits = []

    def open_at(fragment="", width=DESKTOP, before="", page=alone, **context):
        entered = visit(chromium, page, width, **context)
        seen = entered.__enter__()
        visits.append((entered, seen))
        if before:
            seen.page.add_init_script(before)
        seen.page.goto(page.as_uri() + fragment)
        seen.page.reload()
        seen.page.wait_for_selector("#trainer [data-part=runs] tbody")
        return seen.page

    yield open_at
    for entered, seen in visits:
        requested = [url for url in seen.requests if not url.startswith(("data:", "blob:", "file:"))]
        errors = seen.errors
        entered.__exit__(None, None, None)
        assert requested == []
        assert errors == []


def part(page, name):
    return page.locator(f"#trainer [data-part={name}]")


def accuracies(page):
    """Old and new, in per cent, as they are read above the curve."""
    found = re.findall(r"([\d.]+)\s%", part(page, "reading").inner_text())
    return [float(value) for value in found]


def train_to(page, updates):
    """Press the button, and wait until so many updates are done: as long as it takes, while it goes on.

    How long an update takes says more of what else the machine does than of the trainer.
    """
    part(page, "train").click()
    done = 0
    while done < updates:
        page.wait_for_function(
            "done => document.querySelector('#trainer progress').value > done", arg=done, timeout=60_000
        )
        done = part(page, "progress").evaluate("bar => bar.value")


NONE, SOME = "#train=kmnist,0,alternating,0,mixed", "#train=kmnist,315,alternating,0,mixed"


def test_nothing_starts_by_itself_and_a_press_shows_something_at_once(opened):
    page = opened(NONE)
    page.wait_for_timeout(300)
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert "nothing trained yet" in part(page, "curve").inner_text()
    train_to(page, 1)
    expect(part(page, "train")).to_have_text("Pause")
    expect(part(page, "status")).to_contain_text("updates a second")


def test_without_a_memory_the_first_task_is_soon_forgotten(opened):
    page = opened(NONE)
    train_to(page, 61)
    old, new = accuracies(page)
    assert old < 5
    assert new > 60
    assert "are taken for another class" in part(page, "lost").inner_text()
    assert int(part(page, "lost").inner_text().split()[0]) > 285
    part(page, "train").click()  # pause
    done = part(page, "progress").evaluate("bar => bar.value")
    page.wait_for_timeout(500)
    assert part(page, "progress").evaluate("bar => bar.value") <= done + 1
    expect(part(page, "status")).to_contain_text("Paused")
    expect(part(page, "train")).to_have_text("Go on")
    part(page, "restart").click()
    expect(part(page, "train")).to_have_text("Pause")
    page.wait_for_function("() => document.querySelector('#trainer progress').value < 50")


@pytest.mark.long
def test_a_browser_repeats_the_stored_training_bit_for_bit(opened, stored):
    """Without a memory and with 315 latents to the end: accuracies, hashes, both runs side by side, a drawn digit."""
    page = opened(NONE)
    for fragment, name in ((NONE, "kmnist,0,alternating,0"), (SOME, "kmnist,315,alternating,0")):
        page.evaluate("address => { location.hash = address; }", fragment)
        expect(part(page, "train")).to_have_text("Train")
        train_to(page, 300)
        expect(part(page, "status")).to_contain_text("bit for bit", timeout=60_000)
        expect(part(page, "status")).to_contain_text(stored[name]["hash"])
        assert accuracies(page) == [round(100 * value, 1) for value in stored[name]["accuracy"]["mixed"]]
    assert stored["kmnist,0,alternating,0"]["accuracy"]["mixed"][0] < 0.05
    assert stored["kmnist,315,alternating,0"]["accuracy"]["mixed"][0] > 0.6
    rows = part(page, "runs").locator("tbody").first.locator("tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows[1:]] == ["no memory", "315\u00a0latents"]
    assert [row.split("\t")[-1] for row in rows[1:]] == ["same bits"] * 2
    draw_a_stroke(page)
    judged = part(page, "judged").locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in judged] == [
        "before the second task", "after it, no memory", "after it, 315\u00a0latents",
    ]  # fmt: skip


TO_THE_END = """(async () => {
  const part = (name) => document.querySelector(`#trainer [data-part=${name}]`);
  const later = () => new Promise((done) => setTimeout(done, 200));
  while (part("body").hidden) await later();
  part("train").click();
  while (part("problem").hidden && !/weights/.test(part("status").textContent)) await later();
  return part("problem").textContent + part("status").textContent;
})()"""


@pytest.mark.long
@pytest.mark.skipif(not FIREFOX, reason="there is no Firefox")
def test_firefox_repeats_it_too(alone, stored, tmp_path):
    said = in_firefox(alone.as_uri() + NONE, TO_THE_END, tmp_path, timeout=900)
    assert f"bit for bit (weights {stored['kmnist,0,alternating,0']['hash']})" in said


def draw_a_stroke(page):
    part(page, "pad").scroll_into_view_if_needed()
    box = part(page, "pad").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for place in ((0.7, 0.3), (0.6, 0.6), (0.4, 0.8)):
        page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"], steps=5)
    page.mouse.up()
    part(page, "judged").locator("tbody tr").first.wait_for()


def test_an_image_is_judged_as_by_the_library(opened, make):
    """A test image through the page: its latent and class are those of the kernel here."""
    page = opened("#train=mnist,0,alternating,0,mixed")
    part(page, "example").click()
    part(page, "judged").locator("tbody tr").first.wait_for()
    explorer = importlib.import_module("explorer")
    record = make.record_of("mnist")
    points = record["latents"]["tasks"]["first"]
    place = 37  # the first that the page takes
    sheet = explorer.thumbnails.read(
        explorer.SHEETS / f"{explorer.thumbnails.stem('mnist', CASES[1].first, points['image'])}.webp"
    )
    kernel = make.begin("mnist", 0)
    kernel.image[:] = sheet[place] / np.float32(255)
    kernel.compress(5999)
    shown = [
        float(value)
        for value in part(page, "latent").get_attribute("aria-label").removeprefix("The latent: ").split(", ")
    ]
    assert shown == pytest.approx(kernel.rows[5999], abs=0.051)
    assert part(page, "judged").locator("tbody strong").inner_text() == str(
        record["latents"]["predicted"][0]["running"][0][place]
    )


def test_a_drawing_is_put_into_the_box_of_the_set(opened):
    page = opened("#train=mnist,0,alternating,0,mixed")
    draw_a_stroke(page)
    pixels = part(page, "seen").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"
    )
    image = np.reshape(pixels, (28, 28)) / 255
    ys, xs = np.nonzero(image > 0.3)
    assert 18 <= max(np.ptp(ys), np.ptp(xs)) + 1 <= 22
    assert abs((image * np.arange(28)).sum() / image.sum() - 13.5) < 0.6
    assert "before the second task" in part(page, "judged").inner_text()
    assert "Train above" in part(page, "judged").inner_text()
    part(page, "clear").click()
    expect(part(page, "judged")).to_have_text("")


def test_the_address_holds_the_choice(opened):
    page = opened("#train=mnist,1575,mixed,2,batch")
    for name, value in {"dataset": "mnist", "memory": "1575", "batches": "mixed", "seed": "2", "mode": "batch"}.items():
        assert part(page, name).locator("input:checked").get_attribute("value") == value
    assert part(page, "batches").locator("label").all_inner_texts() == ["in turn", "combined"]
    part(page, "memory").locator("label:has(input[value='0'])").click()
    page.wait_for_timeout(100)
    assert page.evaluate("location.hash") == "#train=mnist,0,alternating,2,batch", (
        "without a memory there is nothing to combine"
    )
    page = opened("#train=fashion,7,none,99")
    assert part(page, "dataset").locator("input:checked").get_attribute("value") == "kmnist"


def test_a_hidden_page_waits(opened):
    page = opened(NONE)
    train_to(page, 5)
    hide = "Object.defineProperty(document, 'hidden', {{ get: () => {}, configurable: true }}); document.dispatchEvent(new Event('visibilitychange'));"
    page.evaluate(hide.format("true"))
    page.wait_for_timeout(300)
    done = part(page, "progress").evaluate("bar => bar.value")
    page.wait_for_timeout(700)
    assert part(page, "progress").evaluate("bar => bar.value") <= done + 1
    expect(part(page, "status")).to_contain_text("Waits until the page is seen")
    page.evaluate(hide.format("false"))
    page.wait_for_function("done => document.querySelector('#trainer progress').value > done + 3", arg=done)


@pytest.mark.parametrize(("scheme", "width"), [("dark", PHONE), ("light", TABLET), ("light", DESKTOP)])
def test_axe_finds_nothing_and_nothing_is_too_wide(opened, scheme, width):
    page = opened(NONE, width, color_scheme=scheme)
    part(page, "example").click()
    train_to(page, 8)
    part(page, "train").click()
    assert findings(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


def test_the_keyboard_is_enough(opened):
    page = opened(NONE)
    part(page, "train").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#trainer progress').value > 0")
    page.keyboard.press("Enter")
    expect(part(page, "train")).to_have_text("Go on")
    part(page, "example").focus()
    page.keyboard.press("Enter")
    part(page, "judged").locator("tbody tr").first.wait_for()


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("WebAssembly.validate = () => false;", "no WebAssembly with SIMD"),
        ("Worker = class { constructor() { throw new Error('blocked'); } };", "lets no page start a worker"),
    ],
)
def test_a_browser_that_cannot_train_says_so(opened, before, words):
    page = opened(NONE, before=before)
    part(page, "train").click()
    expect(part(page, "problem")).to_contain_text(words)
    assert part(page, "problem").inner_text().count("\n") == 0
    expect(part(page, "train")).to_have_text("Train")


@pytest.mark.parametrize("cut", [200_000, 199_999, 0])
def test_data_that_are_cut_short_are_named(opened, alone, trainer, cut):
    data = trainer.data(trainer.ours)
    data["sets"]["kmnist"]["file"] = data["sets"]["kmnist"]["file"][:cut]
    interactive = trainer.interactive
    broken = alone.with_name(f"cut-{cut}.html")
    page = opened(NONE, page=page_of(broken, interactive.shared().data, interactive.block(trainer.HERE, data).data))
    part(page, "train").click()
    expect(part(page, "problem")).to_contain_text("The data of this page are cut short: get the page again.")


@pytest.mark.parametrize(
    ("before", "words"),
    [("", "are cut short"), ("DecompressionStream = undefined;", "needs a browser of 2023 or later")],
)
def test_a_part_that_cannot_read_its_data_says_so(chromium, alone, before, words):
    broken = alone.with_name("half.html")
    begin = (page := alone.read_text()).index('id="trainer-data">') + 10_000
    broken.write_text(page[:begin] + page[page.index("<", begin) :] if not before else page)
    with visit(chromium, broken) as seen:
        seen.page.add_init_script(before)
        seen.page.reload()
        expect(seen.page.locator("#trainer [role=alert]")).to_contain_text(words)
        assert seen.errors == []


def test_an_empty_drawing_is_named(opened):
    page = opened(NONE)
    part(page, "ask").click()
    expect(part(page, "judged")).to_have_text("Nothing is drawn yet: draw above, or take a test image.")


def test_the_papers_runs_stand_beside(opened, make):
    page = opened(SOME)
    rows = part(page, "runs").locator("tbody").last.locator("tr").all_inner_texts()
    assert rows[0] == "The paper's own runs of this case, with all images"
    assert [row.split("\t")[0].split(",")[0] for row in rows[1:]] == ["no memory"] * 2 + ["1 %"] * 2 + ["5 %"] * 2
    records = [
        r
        for r in importlib.import_module("analysis.edition").ours.records
        if (r["run"]["dataset"], r["run"]["case"]) == ("kmnist", 1)
    ]
    ours = [arm["accuracy"] for record in records for arm in record["arms"] if arm["memory_share"] == 0.01]
    expected = [
        f"{100 * np.mean([a[mode][m] for a in ours]):.1f}" for m in ("original_test", "test") for mode in EVALUATIONS
    ]
    assert rows[4].split("\t")[2:8] == expected
