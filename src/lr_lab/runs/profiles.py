"""The named settings of this project, and the runs that the grid makes with each: `PROFILES`."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short_repr

from lr_core.errors import UsageError
from lr_core.settings import CASES, CHOICES, Settings


@dataclass(frozen=True)
class Profile:
    """A named `Settings` and the runs that `grid` makes with it when nothing else is asked for."""

    settings: Settings
    datasets: tuple[str, ...]
    cases: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    preliminary: bool = False  # True puts a banner on every report made from it
    purpose: str = ""


# MNIST before KMNIST before Fashion-MNIST: the quick ones first, since Fashion-MNIST runs into the epoch cap.
_PAPER_DATASETS = ("mnist", "kmnist", "fashion-mnist")

PROFILES: dict[str, Profile] = {
    "paper": Profile(
        Settings(),
        _PAPER_DATASETS,
        tuple(CASES),
        seeds=(0, 1, 2),
        purpose="the first-choice reading of the original: all images, momentum 0.9",
    ),
    "literal": Profile(
        # Plain SGD needs about seven times the epochs, so the cap is doubled. One data set shows what momentum changes.
        Settings(momentum=0.0, max_epochs=300),
        ("mnist",),
        tuple(CASES),
        purpose="nothing that the original does not state: plain SGD",
    ),
    "choices": Profile(
        # Beside the same seeds of "paper", whose first tasks these are. 25 % shows little that 5 % does not.
        Settings(memory_shares=(0.01, 0.05), choices=tuple(CHOICES)),
        ("mnist", "kmnist"),
        (1, 3),
        seeds=(0, 1),
        purpose="other readings of what the original leaves open, one at a time",
    ),
    "bf16": Profile(
        # On every processor; where bf16 is not native it is emulated, and takes hours.
        Settings(precision="bf16"),
        ("mnist",),
        (1,),
        purpose="one case of the paper in bfloat16, to lay beside the one in single precision",
    ),
    "quick": Profile(
        # A tenth of the images with a tenth of the batch makes about as many updates per epoch as the full run.
        Settings(images_per_class=600, batch_size=100, learning_rate=0.005, max_epochs=12),
        _PAPER_DATASETS,
        (1,),
        preliminary=True,
        purpose="a reduced grid on real images, within ten minutes on two cores",
    ),
    "smoke": Profile(
        # Double precision: rounded results then agree on every processor, so that stored outputs can be compared.
        Settings(
            batch_size=30,
            learning_rate=0.03,
            max_epochs=3,
            memory_shares=(0.05, 0.25),
            precision="fp64",
            images_per_class=60,
            latent_sample=30,
        ),  # fmt: skip
        ("digits",),
        (1, 3),
        preliminary=True,
        purpose="seconds; for tests and for the outputs stored in the notebooks",
    ),
}


INTERACTIVE = Settings(images_per_class=200, batch_size=50, learning_rate=0.01, max_epochs=6)
"""Of the live panel, and of no profile: seconds a task on two cores, by as many updates as small batches allow."""


RESULTS = tuple(name for name, entry in PROFILES.items() if not entry.preliminary)
"""The profiles whose runs are results."""


def find_profile(name: str) -> Profile:
    """The profile of that name, or a `UsageError` that lists the known ones."""
    if not isinstance(name, str) or name not in PROFILES:
        raise UsageError(f"unknown profile {short_repr(name)}; known are {', '.join(PROFILES)}")
    return PROFILES[name]
