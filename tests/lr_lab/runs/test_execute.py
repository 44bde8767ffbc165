"""One case from raw images to numbers: the split, the freeze, the arms, and that a seed decides everything."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from grids import without_timings

from lr_core import metrics, models
from lr_core.device import Compute, resolve
from lr_core.experiment import encode, freeze
from lr_core.metrics import is_evaluated
from lr_core.settings import CASES, EVALUATIONS, PROTOCOL_VERSION, Settings
from lr_core.tasks import split
from lr_lab.data import catalogue
from lr_lab.runs import execute, provenance, results, store
from lr_lab.runs.checkpoints import Checkpoints, read_progress
from lr_lab.runs.profiles import PROFILES, find_profile
from lr_lab.runs.record import RunId, make_record

GOLDEN = Path(__file__).with_name("golden.json")
MODES = pytest.mark.parametrize("mode", EVALUATIONS)
SECOND_TASK_ARMS = pytest.mark.parametrize("number", [1, 2, 3], ids=["replay-0.05", "replay-0.25", "no-replay"])


# -- the split ----------------------------------------------------------------------------------------------------


def check_split(dataset, classes, settings, seed=0):
    """All images of the classes, each once, nine in ten of them for training."""
    task = split(dataset, classes, settings, seed)
    everything = torch.nonzero(torch.isin(dataset.labels, torch.tensor(classes))).flatten()
    assert torch.equal(torch.cat([task.train, task.test]).sort().values, everything)
    assert len(task.train) == round(0.9 * len(everything))
    assert task.classes == classes
    return len(task.train), len(task.test)


@pytest.mark.parametrize("classes", [classes for case in CASES.values() for classes in (case.first, case.second)])
def test_split_of_the_digits(digits, classes):
    check_split(digits, classes, Settings())


# Training and test images of first and second task, for each case. MNIST's classes differ in size.
EVEN = {number: ((31_500, 3_500), (31_500, 3_500)) for number in CASES}
UNEVEN = {
    1: ((32_162, 3_573), (30_838, 3_427)),
    2: ((30_838, 3_427), (32_162, 3_573)),
    3: ((31_463, 3_496), (31_537, 3_504)),
    4: ((31_736, 3_526), (31_264, 3_474)),
}


@pytest.mark.parametrize(("name", "counts"), [("mnist", UNEVEN), ("fashion-mnist", EVEN), ("kmnist", EVEN)])
def test_split_of_the_real_sets(name, counts):
    if name not in catalogue.available():
        pytest.skip(f"{name} is not on this machine")
    dataset = catalogue.load(name)
    assert len(dataset.labels) == 70_000
    for number, case in CASES.items():
        found = tuple(check_split(dataset, classes, Settings()) for classes in (case.first, case.second))
        assert found == counts[number], number


def test_split_is_drawn_from_the_seed_and_mixes_classes(digits):
    def train(seed):
        return split(digits, (0, 1, 2, 3, 4), Settings(), seed).train

    assert torch.equal(train(0), train(0))
    assert not torch.equal(train(0), train(1))
    assert sorted(train(0).tolist()) != sorted(train(1).tolist())  # other images, not only another order
    assert len(digits.labels[train(0)][:50].unique()) == 5


def test_split_leaves_the_global_generator_alone(digits):
    before = torch.get_rng_state()
    split(digits, (0, 1, 2, 3, 4), Settings(images_per_class=20), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reduced_run_takes_the_same_number_of_every_class(digits):
    task = split(digits, (0, 1, 2, 5, 6), Settings(images_per_class=20), 0)
    chosen = torch.cat([task.train, task.test])
    assert digits.labels[chosen].bincount(minlength=10).tolist() == [20, 20, 20, 0, 0, 20, 20, 0, 0, 0]
    assert (len(task.train), len(task.test)) == (90, 10)
    assert len(chosen.unique()) == 100


def test_the_images_chosen_of_a_class_do_not_depend_on_the_case(digits):
    def of_class_0(classes):
        task = split(digits, classes, Settings(images_per_class=20), 0)
        chosen = torch.cat([task.train, task.test])
        return set(chosen[digits.labels[chosen] == 0].tolist())

    assert of_class_0((0, 1, 2, 3, 4)) == of_class_0((5, 6, 7, 0, 1))


# -- encoding and freezing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp64", torch.float64), ("fp32", torch.float32), ("bf16", torch.float32)]
)
def test_latents(digits, precision, dtype):
    where = Compute(torch.device("cpu"), precision, 1)
    compressor, _ = models.build(0)
    where.place(compressor)
    images = digits.images[:10].unsqueeze(1)
    latents = encode(compressor, images, where, batch_size=4)
    assert latents.shape == (10, 1, 6, 6)
    assert latents.dtype == dtype
    assert not latents.requires_grad
    # Computed in bf16 they are stored as single precision, which holds every bf16 value.
    assert torch.equal(latents, latents.bfloat16().to(dtype)) is (precision == "bf16")
    torch.testing.assert_close(latents, compressor.eval()(images), atol=0.05, rtol=0.05)


def test_a_frozen_compressor_does_not_change_by_use(digits):
    compressor, _ = models.build(0)
    freeze(compressor)
    before = {name: value.clone() for name, value in compressor.state_dict().items()}
    assert not compressor(digits.images[:10].unsqueeze(1)).requires_grad
    assert all(torch.equal(before[name], value) for name, value in compressor.state_dict().items())


# BatchNorm subtracts the bias of the convolution before it again: it has no gradient but what rounding leaves.
BIASES_WITHOUT_EFFECT = ("0.bias", "3.bias")


def compressor_state(weights):
    return {name.removeprefix("0."): value for name, value in weights.items() if name.startswith("0.")}


def test_the_compressor_is_bit_equal_before_and_after_the_second_task(watched):
    assert len(watched.frozen) == 2  # after the first task, one of each replay arm
    for compressor, before in watched.frozen:
        after = compressor.state_dict()
        assert len(before) == 14  # weights and biases, and BatchNorm's three buffers in two layers
        assert [name for name in before if not torch.equal(before[name], after[name])] == []
        assert not any(p.requires_grad for p in compressor.parameters())
        assert not any(module.training for module in compressor.modules())


def test_the_compressor_of_every_replay_arm_is_that_of_the_first_task(watched):
    learned = compressor_state(watched.weights("first-task"))
    for compressor, _ in watched.frozen:
        differing = [name for name, value in compressor.state_dict().items() if not torch.equal(value, learned[name])]
        assert differing == []


def test_without_replay_nothing_is_frozen(watched):
    first, last = (compressor_state(watched.weights(arm)) for arm in ("first-task", "no-replay"))
    names = [name for name in first if name not in BIASES_WITHOUT_EFFECT]
    assert [name for name in names if torch.equal(first[name], last[name])] == []


@pytest.mark.parametrize("arm", ["replay-0.05", "replay-0.25"])
def test_a_replay_arm_trains_the_classifier(watched, arm):
    first, after = watched.weights("first-task"), watched.weights(arm)
    assert set(after) == {name.removeprefix("1.") for name in first if name.startswith("1.")}
    learned = [name for name in after if name.endswith(("weight", "running_mean", "running_var"))]
    assert len(learned) == 8 + 7 * 3  # convolutions and dense layers, and BatchNorm
    assert [name for name in learned if torch.equal(after[name], first[f"1.{name}"])] == []


# -- the arms -----------------------------------------------------------------------------------------------------


def test_arms_and_their_order(watched):
    facts = [(a["arm"], a["memory_share"], a["memory_images"], a["memory_bytes"]) for a in watched.result["arms"]]
    assert facts == [
        ("first-task", None, None, None),
        ("replay", 0.05, 4, 4 * 145),
        ("replay", 0.25, 22, 22 * 145),
        ("no-replay", None, None, None),
    ]


def test_each_choice_has_arms_of_its_own_where_it_changes_something(digits, tiny, double, tmp_path):
    # Of 135 latents 7 and 34 are kept.
    settings, profile = replace(tiny, images_per_class=30, batch_size=30, max_epochs=1), find_profile("choices")
    kept = {"compute": double, "checkpoints": Checkpoints(tmp_path)}
    result = execute.train(digits, CASES[1], 0, settings, profile=profile, **kept)
    assert [(arm["arm"], arm["memory_share"], arm.get("choice")) for arm in result["arms"]] == [
        ("first-task", None, None),
        *((*arm, "carry-optimizer") for arm in (("replay", 0.05), ("replay", 0.25), ("no-replay", None))),
        *(("replay", share, "memory-first") for share in (0.05, 0.25)),
        ("replay", 0.25, "whole-memory"),  # 5 % is less than a batch
        *(("replay", share, "adapting") for share in (0.05, 0.25)),
    ]
    record = make_record(RunId("choices", "digits", 1, 0), settings, result)
    store.write(record, RunId("choices", "digits", 1, 0).record(tmp_path))  # its schema is checked
    assert list(results.summary(record).index)[-2:] == ["replay 5 %, adapting", "replay 25 %, adapting"]
    # Again from checkpoints, the last arms without: momentum of the first task was kept.
    for arm in ("no-replay-carry-optimizer", "replay-0.25-adapting"):
        (tmp_path / f"{arm}.safetensors").unlink()
    again = execute.train(digits, CASES[1], 0, settings, profile=profile, **kept)
    assert without_timings(make_record(RunId("choices", "digits", 1, 0), settings, again)) == without_timings(record)
    # The first task is that of a run without choices.
    ordinary = execute.train(digits, CASES[1], 0, replace(settings, memory_shares=()), compute=double)
    assert ordinary["arms"][0]["curve"] == result["arms"][0]["curve"]


def test_one_first_task_serves_all_arms(watched):
    shapes = [(tuple(inputs.shape), inputs.dtype) for _, inputs, _, _ in watched.trained]
    images, latents = ((90, 1, 28, 28), torch.uint8), ((90, 1, 6, 6), torch.float64)
    assert shapes == [images, latents, latents, images]  # first task, two replay arms, no replay
    assert [kept is not None for *_, kept in watched.trained] == [False, True, True, False]


def test_each_image_is_encoded_once_for_all_arms_not_once_an_epoch(watched, tiny):
    assert tiny.max_epochs > 1
    both_tasks = 2 * (90 + 10)
    assert sum(watched.compressed.values()) == both_tasks


def test_each_replay_arm_trains_on_the_latents_of_the_new_images(watched):
    task, data = watched.tasks[1], watched.dataset
    compressor, _ = watched.frozen[0]
    for _, inputs, _, _ in watched.trained[1:3]:
        expected = encode(compressor, data.images.unsqueeze(1)[task.train], watched.compute)
        assert torch.equal(inputs, expected)


def test_curves_start_before_the_first_epoch(watched, tiny):
    for arm in watched.result["arms"]:
        curve = arm["curve"]
        assert arm["epochs"] == tiny.max_epochs == len(curve["train_accuracy"]) == len(curve["loss"])
        assert ("old" in curve) is (arm["arm"] != "first-task")
        for which in {"new", "old"} & set(curve):
            assert curve["epochs"] == list(range(tiny.max_epochs + 1))
            assert {mode: len(values) for mode, values in curve[which].items()} == dict.fromkeys(
                EVALUATIONS, tiny.max_epochs + 1
            )
        assert all(math.isfinite(loss) and loss > 0 for loss in curve["loss"])


def test_test_images_are_predicted_after_few_of_many_epochs():
    assert [epoch for epoch in range(27) if is_evaluated(epoch)] == [*range(11), 15, 20, 25]


def test_what_is_not_looked_at_changes_neither_weights_nor_accuracies(digits, tiny, tmp_path, monkeypatch):
    settings = replace(tiny, memory_shares=(), max_epochs=4, learning_rate=1e-4)  # far from the target

    def trained(name):
        kept = Checkpoints(tmp_path / name)
        result = execute.train(digits, CASES[1], 0, settings, checkpoints=kept)
        return result, {arm: kept.read(arm)[0] for arm in ("first-task", "no-replay")}  # and momentum

    monkeypatch.setattr(metrics, "is_evaluated", lambda epoch: epoch in (0, 2))
    few, weights = trained("few")
    monkeypatch.setattr(metrics, "is_evaluated", lambda epoch: True)
    all_of_them, same_weights = trained("all")
    for arm, full in zip(few["arms"], all_of_them["arms"], strict=True):
        epochs = arm["curve"]["epochs"]
        assert (epochs, full["curve"]["epochs"]) == ([0, 2, 4], list(range(5)))  # the last one always
        assert [arm[name] for name in ("accuracy", "confusion")] == [full[name] for name in ("accuracy", "confusion")]
        assert arm["curve"]["loss"] == full["curve"]["loss"]
        for task in {"new", "old"} & set(arm["curve"]):
            for mode, values in arm["curve"][task].items():
                assert values == [full["curve"][task][mode][epoch] for epoch in epochs]
    last, of_all = (result["latents"]["last_correct"][1] for result in (few, all_of_them))
    for mode in EVALUATIONS:  # the latest epoch looked at that is not after the one found by looking at them all
        assert set(last[mode]) <= {-1, *few["arms"][1]["curve"]["epochs"]}
        assert all(a <= b for a, b in zip(last[mode], of_all[mode], strict=True))
    for arm, tensors in weights.items():
        assert all(torch.equal(value, same_weights[arm][name]) for name, value in tensors.items())


@SECOND_TASK_ARMS
@pytest.mark.parametrize("mode", ["running", "batch"])  # mixed batches hold other images now
def test_the_second_task_starts_where_the_first_ended(watched, number, mode):
    first, arm = watched.result["arms"][0], watched.result["arms"][number]
    assert arm["curve"]["old"][mode][0] == first["accuracy"][mode]["test"]
    assert arm["curve"]["new"][mode][0] <= 0.2  # classes never seen


@MODES
def test_accuracies_are_the_last_points_of_the_curves(watched, mode):
    for arm in watched.result["arms"]:
        accuracy, curve = arm["accuracy"][mode], arm["curve"]
        assert accuracy["test"] == curve["new"][mode][-1]
        assert accuracy["original_test"] == (curve["old"][mode][-1] if "old" in curve else None)
        assert 0 <= accuracy["train"] <= 1


@MODES
def test_confusion_counts_every_test_image(watched, mode):
    labels = watched.dataset.labels
    in_test = [labels[task.test].bincount(minlength=10) for task in watched.tasks]
    for number, arm in enumerate(watched.result["arms"]):
        counts = torch.tensor(arm["confusion"][mode])
        expected = in_test[0] if number == 0 else in_test[0] + in_test[1]
        assert torch.equal(counts.sum(dim=1), expected)
        shares = [v for v in (arm["accuracy"][mode]["test"], arm["accuracy"][mode]["original_test"]) if v is not None]
        assert counts.trace().item() == round(10 * sum(shares))  # 10 test images a task


def test_the_target_ends_an_arm_before_the_cap(short_runs):
    for result in short_runs:
        assert [(arm["epochs"], arm["reached_target"]) for arm in result["arms"]] == [(1, True)] * 3


def test_the_cap_ends_an_arm_short_of_the_target(watched):
    assert [arm["reached_target"] for arm in watched.result["arms"]] == [False] * 4


def test_progress_grows_to_the_end(watched, tiny, tiny_arms):
    reported = [(progress.arm, progress.epoch) for progress in watched.progress]
    assert reported == [(arm, epoch) for arm in tiny_arms for epoch in range(1, tiny.max_epochs + 1)]
    done = [progress.done for progress in watched.progress]
    assert done == sorted(done)
    assert done[0] == 1 / 4 / tiny.max_epochs
    assert done[-1] == 1


def test_latent_map(watched, tiny):
    latents = watched.result["latents"]
    assert 0 < latents["explained_variance_ratio"][1] <= latents["explained_variance_ratio"][0] < 1
    for name, task in (("first", watched.tasks[0]), ("second", watched.tasks[1])):
        points = latents["tasks"][name]
        assert points["image"] == task.test[: tiny.latent_sample].tolist()
        assert points["label"] == watched.dataset.labels[task.test][: tiny.latent_sample].tolist()
        assert [len(xy) for xy in points["xy"]] == [2] * tiny.latent_sample
    assert [len(by_arm["running"]) for by_arm in latents["predicted"]] == [1, 2, 2, 2]  # tasks with predictions
    assert latents["last_correct"][0] is None


@SECOND_TASK_ARMS
@MODES
def test_the_last_correct_epoch_agrees_with_predictions_and_curve(watched, tiny, number, mode):
    latents = watched.result["latents"]
    labels = latents["tasks"]["first"]["label"]
    predicted, last = latents["predicted"][number][mode][0], latents["last_correct"][number][mode]
    assert [epoch == tiny.max_epochs for epoch in last] == [p == y for p, y in zip(predicted, labels, strict=True)]
    assert all(-1 <= epoch <= tiny.max_epochs for epoch in last)


# -- the seed decides everything ----------------------------------------------------------------------------------


def untimed(record):
    """What must be equal, bit for bit; through JSON, as it is stored."""
    return json.loads(json.dumps(without_timings(record)))


AGAIN = """
import json, msgspec, sys, torch
from lr_core.settings import CASES, Settings
from lr_lab.data import catalogue
from lr_lab.runs import execute
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId, make_record
torch.set_num_threads(1)
settings = msgspec.json.decode(sys.argv[1], type=Settings)
result = execute.train(catalogue.load("digits"), CASES[1], 0, settings)
print(json.dumps(make_record(RunId("smoke", "digits", 1, 0), settings, result)))
"""


def test_same_seed_in_another_process_gives_the_same_record_bit_for_bit(short_runs, short, run_id):
    command = [sys.executable, "-c", AGAIN, json.dumps(short.as_dict())]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    again = untimed(json.loads(output.splitlines()[-1]))
    expected = untimed(make_record(run_id, short, short_runs[0]))
    assert again["arms"] == expected["arms"]
    assert again == expected


@pytest.fixture(scope="module")
def short(tiny):
    """With a target that the first epoch reaches."""
    return replace(tiny, memory_shares=(0.25,), target_train_accuracy=0.01)


@pytest.fixture(scope="module")
def short_runs(digits, short):
    """Seeds 0 and 1."""
    return [execute.train(digits, CASES[1], seed, short) for seed in (0, 1)]


def test_another_seed_gives_another_run(short_runs, watched):
    same, other = short_runs
    first = watched.result["arms"][0]["curve"]
    # The first task is the same whatever follows it, and however long it may last.
    assert same["arms"][0]["curve"]["loss"] == first["loss"][:1]
    assert other["arms"][0]["curve"]["loss"] != first["loss"][:1]
    assert other["latents"]["tasks"]["first"]["image"] != same["latents"]["tasks"]["first"]["image"]


def test_a_run_leaves_the_global_generator_alone(digits, tiny, watched, tmp_path):
    folder = shutil.copytree(watched.checkpoints.folder, tmp_path / "arms")
    (folder / "no-replay.safetensors").unlink()
    before = torch.get_rng_state()
    kept = Checkpoints(folder)
    execute.train(digits, CASES[1], 0, replace(tiny, max_epochs=1), checkpoints=kept)
    assert torch.equal(torch.get_rng_state(), before)


class Stopped(Exception):
    pass


def test_a_stopped_run_goes_on_with_its_next_epoch_to_the_same_record(monkeypatch, tmp_path, tiny, run_id, record):
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], settings=tiny))
    runs, cache, heard = tmp_path / "runs", tmp_path / "cache", []

    def stop(progress):
        if progress.arm == "replay-0.25":
            raise Stopped

    with pytest.raises(Stopped):
        execute.run(run_id, runs=runs, cache=cache, report=stop)
    folder = cache / run_id.key(tiny)
    assert not run_id.record(runs).exists()
    assert {file.name for file in folder.glob("*.safetensors")} == {
        "first-task.safetensors", "replay-0.05.safetensors", "replay-0.25.unfinished.safetensors",
    }  # fmt: skip
    assert read_progress(folder).arm == "replay-0.25"

    finished = execute.run(run_id, runs=runs, cache=cache, report=heard.append)
    # Arms from a checkpoint report once, with their last epoch; the others after every epoch.
    assert [(p.arm, p.epoch) for p in heard] == [
        ("first-task", 2), ("replay-0.05", 2), ("replay-0.25", 2), ("no-replay", 1), ("no-replay", 2),
    ]  # fmt: skip
    assert untimed(finished) == untimed(record)
    assert store.read(run_id.record(runs)) == finished


# -- golden numbers -----------------------------------------------------------------------------------------------


def golden_numbers(watched):
    """What the watched run measured, and the length of all weights together at the end of each arm."""
    arms = {}
    for name, arm in zip(
        ("first-task", "replay-0.05", "replay-0.25", "no-replay"), watched.result["arms"], strict=True
    ):
        weights = [value.flatten().double() for value in watched.weights(name).values()]
        arms[name] = {
            "loss": arm["curve"]["loss"],
            "train_accuracy": arm["curve"]["train_accuracy"],
            "new": arm["curve"]["new"],
            "old": arm["curve"].get("old", {}),
            "train": {mode: arm["accuracy"][mode]["train"] for mode in EVALUATIONS},
            "weights": torch.linalg.vector_norm(torch.cat(weights)).item(),
        }
    latents = watched.result["latents"]
    return {"arms": arms, "latents": {name: latents["tasks"][name]["xy"] for name in ("first", "second")}}


def leaves(value, path=""):
    if isinstance(value, (dict, list)):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, f"{path}/{name}")
    else:
        yield path, value


def deviations(found, expected):
    """Path -> (found, expected), for every number out of tolerance.

    In double precision processors agree to about 1e-16 in a step; replay batches of four images magnify that some
    thousand times in a run. The tolerance is 1e-4, relative, for losses and weights, which leaves room for other
    kernels and none for another rule; 1e-9 for accuracies; and 2e-4, absolute, for the coordinates of the latents,
    which are rounded to four decimals.
    """
    found, expected = dict(leaves(found)), dict(leaves(expected))
    assert found.keys() == expected.keys()
    return {
        path: (value, expected[path])
        for path, value in found.items()
        if not math.isclose(value, expected[path], rel_tol=1e-4, abs_tol=2e-4 if path.startswith("/latents") else 1e-9)
    }


def test_golden_numbers(watched, tiny, request):
    """The numbers of a short training are those of tests/lr_lab/runs/golden.json.

    Records are keyed by `PROTOCOL_VERSION`, not by the sources, so that a refactoring does not force hours of
    training; this test is what makes that safe. Who changes the numbers on purpose raises `PROTOCOL_VERSION` in
    settings.py and then regenerates the file:

        python -m pytest tests/lr_lab/runs/test_execute.py -k golden --update-golden
    """
    found = {"protocol_version": PROTOCOL_VERSION, "settings": tiny.as_dict(), **golden_numbers(watched)}
    golden = json.loads(GOLDEN.read_bytes()) if GOLDEN.exists() else None
    if request.config.getoption("--update-golden"):
        if golden is not None and golden["protocol_version"] == PROTOCOL_VERSION:
            same = golden["settings"] == found["settings"]
            assert not same or deviations(found, golden) == {}, "numbers differ: raise PROTOCOL_VERSION first"
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
        golden = found
    assert golden is not None, "tests/lr_lab/runs/golden.json is missing"
    assert golden["protocol_version"] == PROTOCOL_VERSION, "regenerate tests/lr_lab/runs/golden.json (see above)"
    assert golden["settings"] == found["settings"], "regenerate tests/lr_lab/runs/golden.json (see above)"
    assert deviations(golden_numbers(watched), {name: golden[name] for name in ("arms", "latents")}) == {}


# -- where and how precisely --------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with these capabilities."""

    def pretend(capabilities=(), accelerator=None):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True))
        found = torch.device(accelerator) if accelerator else None
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found)
        for setting in ("deterministic", "benchmark"):  # set by resolve; put back after the test
            monkeypatch.setattr(torch.backends.cudnn, setting, getattr(torch.backends.cudnn, setting))

    return pretend


@pytest.mark.parametrize(
    ("asked", "machine_has", "device", "precision"),
    [
        ("auto", {}, "cpu", "fp32"),
        ("auto", {"capabilities": ["avx512_bf16", "amx_bf16"]}, "cpu", "fp32"),
        ("auto", {"capabilities": ["neon", "bf16"]}, "cpu", "fp32"),
        ("auto", {"accelerator": "cuda"}, "cuda", "bf16"),
        ("auto", {"accelerator": "mps"}, "mps", "fp32"),
        ("auto", {"accelerator": "xpu"}, "cpu", "fp32"),  # nothing was ever tried there
        ("fp32", {"accelerator": "cuda"}, "cuda", "fp32"),
        ("bf16", {}, "cpu", "bf16"),
        ("fp64", {"accelerator": "cuda"}, "cpu", "fp64"),
    ],
)
def test_device_and_precision(machine, asked, machine_has, device, precision):
    machine(**machine_has)
    found = resolve(asked)
    assert (found.device.type, found.precision) == (device, precision)
    if device == "cuda":
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark


def test_threads_are_set_and_recorded():
    assert provenance.describe(resolve("fp64", threads=1))["threads"] == 1 == torch.get_num_threads()


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
def test_networks_are_placed_channels_last_in_the_precision_of_their_weights(precision):
    compressor, _ = models.build(0)
    Compute(torch.device("cpu"), precision, 1).place(compressor)
    assert {p.dtype for p in compressor.parameters()} == {torch.float64 if precision == "fp64" else torch.float32}
    assert compressor[3].weight.is_contiguous(memory_format=torch.channels_last)


def test_provenance_of_an_arm(watched):
    for arm in watched.result["arms"]:
        made = arm["provenance"]
        assert (made["device"], made["precision"], made["threads"]) == ("cpu", "fp64", 1)
        assert made["versions"]["torch"] == torch.__version__
        assert set(made["versions"]) == {"python", "lr_core", "torch", "numba", "numpy", "scikit-learn"}
        assert made["started"].endswith("+00:00")
        assert made["processor"]


def test_the_version_of_pytorch_names_its_build_where_the_package_does_not(monkeypatch):
    monkeypatch.setattr(provenance.importlib.metadata, "version", lambda name: "2.13.0")
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    assert provenance._versions.__wrapped__()["torch"] == "2.13.0+cu130"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_checkout_without_git_is_not_taken_for_the_repository_around_it(tmp_path, monkeypatch):
    source = tmp_path / "unpacked" / "src" / "lr_core"
    source.mkdir(parents=True)
    for arguments in (["init"], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "a"]):
        environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, env=environment)
    monkeypatch.setattr(provenance, "LIBRARY", source)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    found = provenance._sources.__wrapped__()
    assert (found["commit"], found["uncommitted_changes"]) == (None, None)
