"""What the page trains on, made from the runs of the paper: `data/<data set>.safetensors` and `stored.json`.

    make trainer

Each first task of `SETS` is trained again as its record says, to have its networks, and compared with the record. Then
the kernel learns the second task once for each choice that the page offers; what came out is stored, so that a browser
can say whether it repeated that training bit for bit. Half an hour of one core; the real data sets are needed.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from safetensors.numpy import save
from sklearn.decomposition import PCA
from torch import nn

from lr_core import models
from lr_core.device import resolve
from lr_core.errors import LatentReplayError
from lr_core.experiment import FIRST_TASK, TaskSequence, encode
from lr_core.fast import accelerate
from lr_core.settings import CASES, EVALUATIONS, make_generator
from lr_lab.data import catalogue
from lr_lab.files import write_atomically
from lr_lab.grid.plan import RUNS
from lr_lab.runs import store
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId
from trainer.kernel import Kernel
from trainer.layout import MODES, OTHERS, WEIGHTS
from trainer.offered import (
    CASE,
    EARLY,
    MEMORIES,
    NEW,
    RATE,
    SEED,
    SETS,
    STORED,
    TEST,
    UPDATES,
    choices,
    data_file,
    name_of,
)

TOLERANCE = 0.002  # of an accuracy: another processor rounds otherwise


def record_of(dataset: str) -> dict:
    """The record that a data file belongs to."""
    return store.read(RunId("paper", dataset, CASE, SEED).record(RUNS))


def first_task(dataset: str) -> TaskSequence:
    """The first task of a record, trained again; an error if its accuracies are not those of the record."""
    settings, case, record = find_profile("paper").settings, CASES[CASE], record_of(dataset)
    sequence = TaskSequence(
        catalogue.load(dataset), (case.first, case.second), share=None, seed=SEED, settings=settings,
        compute=resolve(settings.precision, 1), accelerate=accelerate,
    )  # fmt: skip
    for evaluation in sequence.learn(1):
        print(f"{dataset}: first task, epoch {evaluation.epoch}", flush=True)
    (arm,) = [arm for arm in record["arms"] if arm["arm"] == FIRST_TASK]
    for mode in EVALUATIONS:
        ours, recorded = sequence.evaluations[-1].accuracy[mode][0], arm["accuracy"][mode]["test"]
        if abs(ours - recorded) > TOLERANCE:
            raise LatentReplayError(f"{dataset}: test accuracy {ours:.4f} ({mode}), the record has {recorded:.4f}")
    return sequence


def chosen(sequence: TaskSequence) -> torch.Tensor:
    """Positions in the data set of the images that a data file holds: new, memory, test images of both tasks.

    The memory is the beginning of the one that the paper's run draws, the test images are the first ones of each task.
    """
    old, new = sequence.tasks
    order = torch.randperm(len(old.train), generator=make_generator(SEED, "memory"))
    return torch.cat([new.train[:NEW], old.train[order[: MEMORIES[-1]]], old.test[:TEST], new.test[:TEST]])


def content(sequence: TaskSequence) -> dict[str, np.ndarray]:
    """The tensors of a data file: latents and weights in eight bits, everything else of the networks as it is."""
    positions = chosen(sequence)
    compressor, _ = models.build(0)  # plain layers: compiled ones round otherwise
    compressor.load_state_dict(sequence.compressor.state_dict())
    latents = (
        encode(compressor, sequence.dataset.images[positions].unsqueeze(1), sequence.compute).numpy().reshape(-1, 36)
    )
    least = latents.min(axis=0)
    step = (latents.max(axis=0) - least) / 255
    parts = list(parameters(sequence.classifier))
    weights, others = [part for part in parts if part.ndim > 1], [part for part in parts if part.ndim == 1]
    assert [part.size for part in weights] == list(WEIGHTS)
    assert sum(part.size for part in others) == sum(OTHERS)
    scales = [np.float32(abs(part).max() / 127) for part in weights]
    plane = PCA(2, svd_solver="full").fit_transform(latents[-2 * TEST :])
    plane -= plane.min(axis=0)
    return {
        "latents": np.rint((latents - least) / step).astype(np.uint8),
        "least": least,
        "step": step,
        "label": sequence.dataset.labels[positions].numpy().astype(np.uint8),
        "plane": np.rint(plane / plane.max() * 255).astype(np.uint8),
        "weights": np.concatenate(
            [np.rint(part / scale).astype(np.int8).ravel() for part, scale in zip(weights, scales, strict=True)]
        ),
        "scales": np.array(scales),
        "others": np.concatenate(others),
        "compressor": np.concatenate([part.ravel() for part in parameters(sequence.compressor)]),
    }


def parameters(network: nn.Module) -> list[np.ndarray]:
    """Weights and running statistics in PyTorch's order."""
    return [value.numpy() for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")]


def begin(dataset: str, seed: int) -> Kernel:
    """A kernel before the first update of the second task."""
    kernel = Kernel()
    kernel.load(data_file(dataset))
    kernel.begin(seed)
    return kernel


def train(kernel: Kernel, memory: int, mixed: bool, updates: int) -> str:
    """So many updates; returns the hash of the state after them."""
    for _ in range(updates):
        kernel.learn(NEW, memory, int(mixed), RATE)
    return kernel.hash


def accuracies(kernel: Kernel) -> dict[str, list[float]]:
    """Evaluation mode -> accuracy on old and on new test images."""
    starts = (NEW + MEMORIES[-1], NEW + MEMORIES[-1] + TEST)
    found = {}
    for mode, (statistics, mixed) in MODES.items():
        kernel.judge(*starts, TEST, statistics, mixed)
        right = kernel.guess == kernel.label
        found[mode] = [round(float(right[start : start + TEST].mean()), 4) for start in starts]
    return found


def main() -> None:
    """Make everything anew."""
    for dataset in SETS:
        tensors = content(first_task(dataset))
        run = {"run": str(RunId("paper", dataset, CASE, SEED)), "key": record_of(dataset)["key"]}
        write_atomically(data_file(dataset), save(tensors, run))
    runs = {}
    for dataset, memory, mixed, seed in choices():
        kernel, name = begin(dataset, seed), name_of(dataset, memory, mixed, seed)
        early = train(kernel, memory, mixed, EARLY)
        last = train(kernel, memory, mixed, UPDATES - EARLY)
        runs[name] = {"early": early, "hash": last, "accuracy": accuracies(kernel)}
        print(name, runs[name]["accuracy"], flush=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(run)}" for name, run in runs.items())
    write_atomically(STORED, f"{{\n{lines}\n}}\n".encode())


if __name__ == "__main__":
    try:
        main()
    except LatentReplayError as error:
        sys.exit(f"error: {error}")
