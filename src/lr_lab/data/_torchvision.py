"""Import torchvision's data set classes, also where torchvision and torch were built for different devices.

Public: `mirrors`.
"""

from __future__ import annotations

import sys

import torch

_missing: list[torch.library.Library] = []  # kept alive: operators vanish with the Library that defined them


def mirrors(class_name: str) -> list[str]:
    """Base addresses, each ending in a slash, from which torchvision itself downloads a data set's .gz files.

    Parameters
    ----------
    class_name : {"MNIST", "FashionMNIST", "KMNIST"}
        The class in `torchvision.datasets`.

    Raises
    ------
    ImportError, RuntimeError
        torchvision is not there, or does not fit the installed torch.
    """
    try:
        from torchvision import datasets
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _define_operators()
        from torchvision import datasets
    return [address.rstrip("/") + "/" for address in getattr(datasets, class_name).mirrors]


def _define_operators() -> None:
    """Name the two operators that importing torchvision looks up, for a torchvision whose compiled part did not load.

    A CUDA build of torchvision beside a CPU build of torch is such a one, and some package indexes offer no other.
    The data set classes are plain Python and call neither operator. Only after a failed import: where the compiled
    part does load, a second definition would be an error.
    """
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]  # what the failed import left, half initialised
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _missing.append(library)
