"""A pair of data sets, "mnist+kmnist": classes 0 to 4 of the first set, 5 to 9 of the second, so that tasks are less alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lr_core.errors import UsageError

if TYPE_CHECKING:
    from lr_core.tasks import Dataset
    from lr_lab.data.catalogue import Description

HALF = 5  # of the ten classes


def parts(name: str) -> list[str]:
    """The names of the sets: two of a pair, else one. A pair of other than two different sets is a `UsageError`."""
    found = name.split("+")
    if len(found) > 2 or len(found) == 2 and found[0] == found[1]:
        raise UsageError(f"data set {name}: a pair is of two different sets, as in mnist+kmnist")
    return found


def describe(first: Description, second: Description) -> Description:
    """What is known of a pair. Its files have the names of their sets before them."""
    from msgspec.structs import replace

    return replace(
        first,
        name=f"{first.name}+{second.name}",
        title=f"{first.title}, then {second.title}",
        class_names=first.class_names[:HALF] + second.class_names[HALF:],
        glyphs=(),
        paper=False,
        files={f"{info.name}/{file}": facts for info in (first, second) for file, facts in info.files.items()},
    )


def combine(first: Dataset, second: Dataset, info: Description) -> Dataset:
    """The images of a pair, those of the first set first."""
    import torch

    from lr_core.tasks import Dataset

    halves = [(first, first.labels < HALF), (second, second.labels >= HALF)]
    images = torch.cat([part.images[chosen] for part, chosen in halves])
    labels = torch.cat([part.labels[chosen] for part, chosen in halves])
    sums = {file: facts.sha256 for file, facts in info.files.items()}
    return Dataset(info.name, info.title, images, labels, info.class_names, sums)
