"""What is where in the kernel's memory. `kernel.c` fixes it; `kernel.py` and the page read it here."""

from __future__ import annotations

MODES = {"running": (0, 0), "batch": (1, 0), "mixed": (1, 1)}
"""Evaluation mode -> the last two arguments of `judge`: whether the batch's statistics are used, whether batches are mixed."""

WEIGHTS, OTHERS = (450, *[22_500] * 5, 28_800, 160), (250, *[250] * 5, 80, 10)
"""Of each layer: weights, kept in eight bits, and bias and BatchNorm, kept in single precision."""

STATE = sum(WEIGHTS) + sum(OTHERS)  # numbers of the classifier
ROWS = 6000  # latents; the last is that of a drawn image

ARRAYS = {
    "state": ("float32", (STATE,)),
    "gradient": ("float32", (STATE,)),
    "rows": ("float32", (ROWS, 36)),
    "label": ("uint8", (ROWS,)),
    "image": ("float32", (28, 28)),
    "compressor": ("float32", (555,)),
    "chosen": ("int16", (200,)),
    "scores": ("float32", (2000,)),
    "guess": ("uint8", (ROWS,)),
}
"""Type and shape, in the order of the numbers that `memory_of` takes."""


def for_page() -> dict:
    """All of it, as `worker.js` reads it."""
    return {"modes": MODES, "weights": WEIGHTS, "others": OTHERS, "rows": ROWS, "arrays": ARRAYS}
