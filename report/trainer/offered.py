"""What the page offers to train, and where what it needs is kept. `kernel.c` fixes batches of 100 and a momentum of 0.9."""

from __future__ import annotations

import itertools
from pathlib import Path

HERE = Path(__file__).parent
STORED = HERE / "stored.json"
"""What came out of each run that is offered, by its name: hash of the weights early and at the end, accuracies."""

SETS, CASE, SEED = ("mnist", "kmnist"), 1, 0
"""Whose first task a reader starts from: the records of the profile `paper` with this case and seed."""

NEW, TEST = 1500, 1000  # images of the second task that are learned; test images of each task
MEMORIES = (0, 100, 315, 1575)  # latents; the last two are 1 and 5 % of KMNIST's first task
SEEDS = (0, 1, 2)
RATE, EARLY, UPDATES = 0.005, 50, 300


def data_file(dataset: str) -> Path:
    """Latents and networks of a data set."""
    return HERE / "data" / f"{dataset}.safetensors"


def name_of(dataset: str, memory: int, mixed: bool, seed: int) -> str:
    """Of a run, here and in the page."""
    return f"{dataset},{memory},{'mixed' if mixed else 'alternating'},{seed}"


def choices() -> list[tuple[str, int, bool, int]]:
    """Every run that is offered, as the arguments of `name_of`. Without a memory there is nothing to mix."""
    every = itertools.product(SETS, MEMORIES, (False, True), SEEDS)
    return [run for run in every if run[1] or not run[2]]
