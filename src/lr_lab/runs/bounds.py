"""What replay lies between: classifiers in closed form on the frozen latents (`bounds`), and all classes at once (`joint`).

A nearest class mean needs 36 numbers a class, a Gaussian with a covariance of its own 702. With all old images these are
what a memory of means and covariances holds, and no stored example. They say what replay has to beat.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from lr_core import memory, metrics
from lr_core.experiment import TaskSequence
from lr_core.settings import EVALUATIONS, make_generator
from lr_core.training import Trainer


def bounds(sequence: TaskSequence, shares: tuple[float, ...]) -> dict[str, dict[str, list[float]]]:
    """Test accuracy on old and on new classes: classifier -> share of the old latents -> [old, new].

    Classifiers are "nearest-mean", "linear" and "quadratic" (discriminant analysis, all classes equally likely, covariances
    shrunk as Ledoit and Wolf, 2004). They have all training latents of the new task, and of the old one the latents that a
    memory of this share has under this seed; "1.0" is all of them. A share is left out where it gives a class a single image
    or latents that are all the same.

    Parameters
    ----------
    sequence : of two tasks, that has learned the first one
    """

    def values_of(positions: Tensor) -> tuple[np.ndarray, np.ndarray]:
        latents = sequence.encode(positions).flatten(1).cpu().double().numpy()
        return latents, sequence.dataset.labels[positions].numpy()

    (old, old_labels), (new, new_labels) = (values_of(task.train) for task in sequence.tasks)
    tests = [values_of(task.test) for task in sequence.tasks]
    found: dict[str, dict[str, list[float]]] = {name: {} for name in _classifiers(1)}
    for share in dict.fromkeys((*shares, 1.0)):
        draw = make_generator(sequence.seed, "memory")  # as in the replay arms
        kept = memory.choose(torch.from_numpy(old), torch.from_numpy(old_labels), share, draw).positions.numpy()
        values, targets = np.concatenate([old[kept], new]), np.concatenate([old_labels[kept], new_labels])
        classes, counts = np.unique(targets, return_counts=True)
        if counts.min() < 2:
            continue
        for name, classifier in _classifiers(len(classes)).items():
            with contextlib.suppress(np.linalg.LinAlgError):
                classifier.fit(values, targets)
                found[name][repr(share)] = [float(classifier.score(*test)) for test in tests]
    return found


def joint(sequence: TaskSequence) -> dict[str, list[float]]:
    """Test accuracy on old and on new classes when all are learned at once: evaluation mode -> [old, new].

    A new network, of the weights that the sequence began with, learns the training images of both tasks, shuffled together, to
    the same target or cap.

    Parameters
    ----------
    sequence : of two tasks, that has begun none
    """
    images, labels = sequence.dataset.images.unsqueeze(1), sequence.dataset.labels
    positions = torch.cat([task.train for task in sequence.tasks])
    network = torch.nn.Sequential(sequence.compressor, sequence.classifier)
    device, generator = sequence.compute.device, make_generator(sequence.seed, "batches", "joint")
    trainer = Trainer(
        network, images[positions].to(device), labels[positions].to(device), settings=sequence.settings,
        compute=sequence.compute, generator=generator,
    )  # fmt: skip
    for _ in trainer.epochs():
        pass
    tests = [images[task.test].to(device) for task in sequence.tasks]
    found = {}
    with sequence.compute.sharing(), sequence.compute.autocast():
        for mode in EVALUATIONS:
            shuffle = make_generator(sequence.seed, "mixed", "test")
            predicted = metrics.predict(network, tests, mode, sequence.settings.batch_size, shuffle)
            right = zip(predicted, sequence.tasks, strict=True)
            found[mode] = [metrics.accuracy(classes, labels[task.test].to(device)) for classes, task in right]
    return found


def _classifiers(classes: int) -> dict[str, ClassifierMixin]:
    equal = np.full(classes, 1 / classes)
    return {
        "nearest-mean": NearestCentroid(),
        "linear": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=equal),
        # Latents may lie close together: no variance but 0 is too small.
        "quadratic": QuadraticDiscriminantAnalysis(solver="eigen", shrinkage="auto", priors=equal, tol=0.0),
    }
