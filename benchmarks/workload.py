"""What every rival is given, and how it is asked for a round: images of case 1, a warm-up, one round for each line.

A rival is a program of its own, so that its threads, its memory and its packages are its own too.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lr_lab.data import catalogue

DATASET = "fashion-mnist"  # 7,000 images of each class, and to be had wherever package registries are
UPDATES = 4  # on new images, in a round
BATCH = 1000
MEMORY_SHARE = 0.05
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def tasks(images_per_class: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """(n, 1, 28, 28) uint8 images and (n,) int64 labels of classes 0 to 4, then of classes 5 to 9."""
    dataset = catalogue.load(DATASET)
    found = []
    for classes in (range(5), range(5, 10)):
        chosen = torch.cat([torch.nonzero(dataset.labels == c).flatten()[:images_per_class] for c in classes])
        found.append((dataset.images[chosen].unsqueeze(1), dataset.labels[chosen]))
    return found


def serve(measure: Callable[[], int]) -> None:
    """Warm up, say so, and then, for each line of standard input, do one round and answer with a line of JSON.

    `measure` does a round's work and returns the number of new images in it.
    """
    measure()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        images = measure()
        answer = {
            "images": images,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(answer), flush=True)
