"""The rule for what is printed, drawn or stored to be compared: only digits that every processor agrees on.

The last bits of a sum depend on the processor, on the libraries that choose their code by it, and on the number of
threads. So what is to be the same everywhere

- is computed in double precision, where two processors differ by far less than 1e-9,
- is rounded by `rounded` before it is drawn or stored, and by its format where it is printed,
- is written, where it is a figure, with coordinates in hundredths of a point and with numbered ids.

A component of a PCA has no sign of its own; scikit-learn makes its largest weight positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECIMALS = 4  # of coordinates and shares: less than the eye sees, a hundred thousand times what processors differ by


def rounded(values: ArrayLike, decimals: int = DECIMALS) -> NDArray[np.floating]:
    """The same values, rounded, as a float64 array of their shape; a zero has no sign."""
    return np.asarray(np.round(np.asarray(values, dtype=np.float64), decimals) + 0.0, dtype=np.float64)
