"""Figures of images: samples of a data set (Figures 1, 3 and 4 of the paper), its principal components (Figure 2), rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from lr_core.tasks import Dataset
from lr_lab.data.idx import SIDE
from lr_lab.plots.fonts import japanese_font
from lr_lab.plots.style import WIDTH, bare, draw_classes, name_legend, short_name, styled
from lr_lab.rounding import rounded

SAMPLES = 19  # images of each class in `samples` and `glyph_rows`


def first_images(dataset: Dataset) -> pd.DataFrame:
    """The images that `samples` and `glyph_rows` show, as a table (class, name, place in the row, image)."""
    rows = [
        (number, name, place, image)
        for number, name in enumerate(dataset.class_names)
        for place, image in enumerate((dataset.labels == number).nonzero().flatten()[:SAMPLES].tolist())
    ]
    return pd.DataFrame(rows, columns=["class", "name", "place", "image"])


@styled
def samples(dataset: Dataset, columns: int = SAMPLES) -> Figure:
    """The first images of each class: one row a class, named at its left (Figures 1 and 3)."""
    classes = len(dataset.class_names)
    figure = Figure((WIDTH, WIDTH * classes / columns * 0.86))
    axes = figure.subplots()
    _draw_rows(axes, dataset, columns)
    axes.set_yticks(SIDE * np.arange(classes) + 13.5, map(short_name, dataset.class_names))
    return figure


@styled
def glyph_rows(dataset: Dataset) -> Figure:
    """One row a class, with its modern character at the left (Figure 4: hiragana)."""
    classes = len(dataset.class_names)
    figure = Figure((WIDTH, WIDTH * classes / (SAMPLES + 1) * 0.96))
    left, right = figure.subplots(1, 2, width_ratios=(1, SAMPLES))
    font, glyphs = japanese_font(), [*map(short_name, dataset.glyphs or dataset.class_names)]
    size = 15 * min(1, 11 / max(map(len, glyphs)))
    for row, glyph in enumerate(glyphs):
        left.text(0.5, row + 0.5, glyph, ha="center", va="center", fontproperties=font, fontsize=size)
    left.set(xlim=(0, 1), ylim=(classes, 0))
    bare(left)
    _draw_rows(right, dataset, SAMPLES, stretched=True)
    return figure


def _draw_rows(axes: Axes, dataset: Dataset, columns: int, stretched: bool = False) -> None:
    """The first `columns` images of each class side by side, a row for each class; short rows end in background."""
    tiles = np.zeros((len(dataset.class_names), columns, SIDE, SIDE), np.uint8)
    for number, row in enumerate(tiles):
        images = dataset.images[dataset.labels == number][:columns].numpy()
        row[: len(images)] = images
    pixels = 255 - tiles.swapaxes(1, 2).reshape(-1, columns * SIDE)  # (classes * 28, columns * 28)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="none", aspect="auto" if stretched else "equal")
    bare(axes)


def pca_points(dataset: Dataset, per_class: int = 100) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Some images of each class in the plane of the first two principal components of all of them.

    Returns a table (class, name, image, x, y), `per_class` rows a class, and the two components' shares of the variance.
    """
    pixels = dataset.images.flatten(1).numpy().astype(np.float64) / 255
    labels = dataset.labels.numpy()
    pca = PCA(n_components=2, svd_solver="covariance_eigh").fit(pixels)
    chosen = np.concatenate([np.flatnonzero(labels == number)[:per_class] for number in np.unique(labels)])
    x, y = rounded(pca.transform(pixels[chosen])).T
    names = [dataset.class_names[number] for number in labels[chosen]]
    points = pd.DataFrame({"class": labels[chosen], "name": names, "image": chosen, "x": x, "y": y})
    first, second = map(float, pca.explained_variance_ratio_)
    return points, (first, second)


@styled
def pca_images(points: pd.DataFrame, shares: tuple[float, float]) -> Figure:
    """The images of `pca_points`, a mark for each class (Figure 2)."""
    figure = Figure((WIDTH * 0.8, WIDTH * 0.62))
    axes = figure.subplots()
    names = dict(zip(points["class"], points["name"], strict=True))
    marks = draw_classes(axes, points[["x", "y"]].to_numpy(), points["class"].to_numpy(), names)
    axes.set(
        xlabel=f"first component ({shares[0]:.1%} of the variance)",
        ylabel=f"second component ({shares[1]:.1%} of the variance)",
    )
    name_legend(figure, marks, loc="outside right center", markerscale=1.6)
    return figure


@styled
def pictures(rows: Sequence[tuple[str, Sequence[tuple[np.ndarray, str]]]], columns: int = 14) -> Figure:
    """Images with a word below each, a named row for each run or kind; dark is a large value.

    Parameters
    ----------
    rows : (name, [((height, width) values, what stands below it), ...]); bytes are shaded from 0 to 255, other values
        from the smallest to the largest of their row
    """
    figure = Figure((WIDTH, 0.05 + 0.66 * 14 / columns * len(rows)))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for (name, images), line in zip(rows, axes, strict=True):
        values = np.array([image for image, _ in images[:columns]])
        values = values if values.dtype == np.uint8 else rounded(values)
        low, high = (0, 255) if values.dtype == np.uint8 or not len(values) else (values.min(), values.max())
        for axis in line:
            bare(axis)
        for axis, image, (_, below) in zip(line, values, images, strict=False):
            axis.imshow(image, cmap="gray_r", vmin=low, vmax=high, interpolation="none")
            axis.set_xlabel(below, fontsize=6 * (14 / columns) ** 0.5, labelpad=1.5)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=4)
    return figure
