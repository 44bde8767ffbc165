"""What tests of figures share: settings that a user may have, odd names, and the last bits of another processor."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from lr_core.experiment import Evaluation

GENERATOR = np.random.default_rng(0)

OF_A_USER = {
    "text.usetex": True,
    "font.family": "serif",
    "savefig.facecolor": "black",
    "axes.facecolor": "black",
    "axes.prop_cycle": "cycler('color', ['red'])",
    "image.origin": "lower",
    "image.cmap": "gray",
    "lines.marker": "o",
    "svg.fonttype": "path",
    "svg.image_inline": False,
    "savefig.bbox": "tight",
    "figure.dpi": 300,
    "axes.unicode_minus": False,
    "axes.formatter.use_locale": True,
    "path.sketch": (1, 100, 2),
    "xtick.labelsize": 20,
    "legend.loc": "center",
}
SIGNS = ("$$", "a $ b $ c", "_background_", "<b>x</b>", "*s*", "@home", "\\frac{1}", "%s {}", "&amp;", "^{2}")


def other_processor(value):
    """The same data but for the last bits of its floating point numbers, however these are nested."""
    if isinstance(value, float):
        return value + 1e-9 * float(GENERATOR.uniform(-1, 1))
    if isinstance(value, torch.Tensor):
        return torch.from_numpy(other_processor(value.numpy()))
    if isinstance(value, np.ndarray):
        return value + 1e-9 * GENERATOR.uniform(-1, 1, value.shape) if value.dtype == np.float64 else value
    if isinstance(value, pd.DataFrame):
        return value.map(other_processor)
    if isinstance(value, dict):
        return {name: item if name == "memory_share" else other_processor(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(other_processor, value))
    if isinstance(value, Evaluation):
        return Evaluation(value.task, value.epoch, value.train_accuracy, other_processor(value.accuracy))
    if type(value).__name__ == "Judged":
        return replace(value, ours=other_processor(value.ours), half_width=other_processor(value.half_width))
    return value


def figures_of(module):
    """Names of the module's functions that draw a figure."""
    return {
        name
        for name, function in vars(module).items()
        if getattr(function, "__annotations__", {}).get("return") == "Figure"
    }
