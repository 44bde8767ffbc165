"""Sheets of the images behind the latent maps: with them the report shows a point's image and needs no data set.

A sheet holds the first `POINTS` test images of one task, those that a record lists under `latents`. They follow from the
settings and the seed alone, so a sheet can be drawn before its run is finished. Public: `stem`, `sheet`, `draw`, `read`.
`python report/thumbnails.py [NAME]...` draws those of the paper's data sets, or of those named.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from lr_core.settings import CASES, Settings
from lr_core.tasks import Dataset, split
from lr_lab import files
from lr_lab.data import catalogue
from lr_lab.plots.runs import LATENT_POINTS
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import digest

POINTS = LATENT_POINTS  # of a task's sampled test images: those that a latent map shows
COLUMNS = 15  # images in a row of a sheet


def stem(dataset: str, classes: Sequence[int], images: Sequence[int]) -> str:
    """Name of the sheet of a task, given the positions of its sampled images in the data set.

    The name follows from the images, so that a sheet cannot be taken for that of another sample.
    """
    return f"{dataset}-{''.join(map(str, classes))}-{digest(list(images[:POINTS]))[:8]}"


def sheet(images: Tensor) -> bytes:
    """(n, 28, 28) uint8 -> a WebP file, `COLUMNS` images a row, in 16 levels of grey and otherwise without loss."""
    side = images.shape[-1]
    rows = -(-len(images) // COLUMNS)
    tiles = np.zeros((rows * COLUMNS, side, side), np.uint8)
    tiles[: len(images)] = (images.numpy().astype(np.uint16) + 8) // 17 * 17
    pixels = tiles.reshape(rows, COLUMNS, side, side).swapaxes(1, 2).reshape(rows * side, COLUMNS * side)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=100, method=6)
    return buffer.getvalue()


def draw(dataset: Dataset, folder: Path, settings: Settings, seed: int = 0) -> list[Path]:
    """Write a sheet for each task of each case; two cases that split the classes alike share theirs."""
    paths = []
    for classes in dict.fromkeys(task for case in CASES.values() for task in (case.first, case.second)):
        sample = split(dataset, classes, settings, seed).test[: min(POINTS, settings.latent_sample)]
        paths.append(folder / f"{stem(dataset.name, classes, sample.tolist())}.webp")
        files.write_atomically(paths[-1], sheet(dataset.images[sample]))
    return paths


def read(path: Path) -> np.ndarray:
    """(n, 28, 28) uint8: the images of a sheet, and black ones where its last row has places left."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"))
    side = pixels.shape[1] // COLUMNS
    return pixels.reshape(-1, side, COLUMNS, side).swapaxes(1, 2).reshape(-1, side, side)


if __name__ == "__main__":
    for name in sys.argv[1:] or catalogue.PAPER_DATASETS:
        folder = Path(__file__).parent / "figures" / "points"
        draw(catalogue.load(name), folder, find_profile("paper").settings)
        print(f"sheets of {name}: {folder}")
