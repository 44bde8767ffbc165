"""The handwritten digits that scikit-learn carries, enlarged to 28 x 28."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from lr_core.errors import LatentReplayError
from lr_lab.data.idx import SIDE, Bytes


def load(checksums: Mapping[str, str]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Images (1797, 28, 28) uint8 and labels (1797,) int64. Raises LatentReplayError if their SHA-256 are others."""
    values, labels = load_digits(return_X_y=True)
    images, labels = enlarge(values.reshape(-1, 8, 8).astype(np.int64)), labels.astype("<i8")
    for file, array in (("images", images), ("labels", labels)):
        if (found := hashlib.sha256(array.tobytes()).hexdigest()) != checksums[file]:
            raise LatentReplayError(
                f"Digits: this scikit-learn's {file} differ: expected SHA-256 {checksums[file]}, found {found}. "
                "Install the version in requirements.lock."
            )
    return images, labels.astype(np.int64)


def enlarge(values: npt.NDArray[np.int64]) -> Bytes:
    """(n, 8, 8) values 0 to 16 -> (n, 28, 28) uint8 0 to 255, bilinearly, with aligned pixel centres.

    All in integers, so that every processor gets the same bytes: output pixel i lies at (4 i - 5) / 14 of the small
    image, so both weights are multiples of 1/14, and are kept as such.
    """
    parts, small = 14, np.arange(8)
    places = np.clip(4 * np.arange(SIDE) - 5, 0, parts * small[-1])  # the border pixel is repeated outwards
    weights = np.maximum(parts - abs(places[:, None] - parts * small), 0)  # (28, 8)
    scaled = weights @ values @ weights.T  # (n, 28, 28), in units of 1 / (14 * 14)
    unit = 16 * parts * parts
    return ((2 * 255 * scaled + unit) // (2 * unit)).astype(np.uint8)  # rounded half up
