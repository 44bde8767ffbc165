"""Latents in the plane of the first task's two main components: the coordinates of the latent maps."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor

from lr_core.experiment import TaskSequence
from lr_lab.rounding import rounded


def latent_plane(
    sequence: TaskSequence, sample: int = 200
) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[float, float]]:
    """Test latents of each task, begun or not.

    For each task (n, 2) coordinates and (n,) labels, of at most `sample` images; and the shares of the first task's
    variance along the two components. These are of the first task's training latents. All are rounded.
    """

    def rows(positions: Tensor) -> np.ndarray:
        return sequence.encode(positions).flatten(1).cpu().double().numpy()

    basis = PCA(n_components=2, svd_solver="full").fit(rows(sequence.tasks[0].train))
    tests = [task.test[:sample] for task in sequence.tasks]
    points = [(rounded(basis.transform(rows(test))), sequence.dataset.labels[test].numpy()) for test in tests]
    first, second = rounded(basis.explained_variance_ratio_, 6)
    return points, (float(first), float(second))
