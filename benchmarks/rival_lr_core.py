"""`lr_core` itself as a program: `python rival_lr_core.py {first,second,case,peak} THREADS [--images N] [--share S]`."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from torch import nn
from workload import BATCH, DATASET, MEMORY_SHARE, UPDATES, serve, tasks

from lr_core import memory, models
from lr_core.device import Compute, resolve
from lr_core.experiment import encode, freeze
from lr_core.fast import accelerate
from lr_core.settings import CASES, Settings, make_generator
from lr_core.training import Trainer
from lr_lab.data import catalogue
from lr_lab.runs.execute import train

IMAGES_PER_CLASS = 500  # of the whole case: its five arms, each with
EPOCHS = 10
SIDE = 2048  # of the matrices whose product gives the peak


def updates(phase: str, compute: Compute, images: int, share: float) -> None:
    """Rounds of one epoch over `images` new images."""
    settings = replace(Settings(), max_epochs=1)
    (old, old_labels), (new, new_labels) = tasks()
    new, new_labels = (part.to(compute.device) for part in (new[:images], new_labels[:images]))
    compressor, classifier = (accelerate(compute.place(network)) for network in models.build(0))
    network, kept = nn.Sequential(compressor, classifier), None
    if phase == "second":
        freeze(compressor)
        new, old = (encode(compressor, part.to(compute.device), compute) for part in (new, old))
        kept = memory.choose(old, old_labels.to(compute.device), share, make_generator(0, "memory"))
        network = classifier
    generator = make_generator(0, "batches")

    def epoch() -> int:
        trainer = Trainer(
            network, new, new_labels, settings=settings, compute=compute, generator=generator, memory=kept
        )
        next(trainer.epochs())  # reads its accuracy from the device at the end, so it has finished
        return images

    serve(epoch)


def whole_case(compute: Compute) -> None:
    """Rounds of one case: five arms, measured under three evaluation modes after every epoch."""
    dataset = catalogue.load(DATASET)
    settings = replace(Settings(), max_epochs=EPOCHS, images_per_class=IMAGES_PER_CLASS)

    def case() -> int:
        tasks = train(dataset, CASES[1], 0, settings, compute=compute)["tasks"]
        return EPOCHS * (tasks["first"]["train_images"] + 4 * tasks["second"]["train_images"])

    serve(case)


def peak(compute: Compute) -> None:
    """Rounds of matrix products in the precision of training; their work is counted in floating-point operations."""
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    a, b = (torch.rand(SIDE, SIDE, device=compute.device).to(dtype) for _ in range(2))

    def products() -> int:
        for _ in range(5):
            a @ b
        if compute.device.type != "cpu":
            torch.accelerator.synchronize()
        return 5 * 2 * SIDE**3

    serve(products)


def main() -> None:
    """Work until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=("first", "second", "case", "peak"))
    parser.add_argument("threads", type=int)
    parser.add_argument("--images", type=int, default=UPDATES * BATCH)
    parser.add_argument("--share", type=float, default=MEMORY_SHARE)
    asked = parser.parse_args()
    compute = resolve("auto", asked.threads)
    if asked.phase == "peak":
        peak(compute)
    elif asked.phase == "case":
        whole_case(compute)
    else:
        updates(asked.phase, compute, asked.images, asked.share)


if __name__ == "__main__":
    main()
