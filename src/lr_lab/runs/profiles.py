"""The named settings of this project, and the runs that the grid makes with each: `PROFILES`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from reprlib import repr as short_repr

from lr_core.errors import UsageError
from lr_core.settings import CASES, Settings
from lr_lab.runs.variants import READINGS


@dataclass(frozen=True)
class Profile:
    """A named `Settings` and the runs that `grid` makes with it when nothing else is asked for."""

    settings: Settings
    datasets: tuple[str, ...]
    cases: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    preliminary: bool = False  # True puts a banner on every report made from it
    purpose: str = ""
    variants: tuple[str, ...] = ()  # of `variants.VARIANTS`; each has arms of its own. () is as in the paper
    joint: bool = False  # whether all classes are also learned at once, the upper bound
    updates: int = 0  # so many first updates of each second task are followed one by one
    orders: tuple[tuple[tuple[int, ...], ...], ...] = ()  # longer sequences of tasks, in place of cases
    document: bool = True  # whether LR_PROFILE can name it; False: its runs are shown in the document of `paper` alone
    in_case_1: tuple[str, ...] = ()  # further data sets, of which case 1 alone is run

    def __post_init__(self) -> None:
        for order in self.orders:
            classes = sorted(number for task in order for number in task)
            if len(order) < 2 or not all(order) or classes != [*range(len(classes))]:
                rule = "two tasks or more, none without a class, of the classes 0, 1, 2 and so on, each once"
                raise UsageError(f"profile: an order is {short_repr(order)}; it must be {rule}")

    def cases_of(self, dataset: str) -> tuple[int, ...]:
        """The cases of a data set; all of them for one that a user has added."""
        return (1,) if dataset in self.in_case_1 else self.cases

    def runs_of(self) -> list[tuple[str, int, int]]:
        """Data set, case and seed of each run."""
        names = (*self.datasets, *self.in_case_1)
        return [(name, case, seed) for name in names for seed in self.seeds for case in self.cases_of(name)]

    def as_dict(self) -> dict[str, object]:
        """What a record holds beside settings. What is at its default is left out, so that earlier keys stay."""
        found = {"choices": list(self.variants), "joint": self.joint, "updates": self.updates}
        return {name: value for name, value in found.items() if value}


# MNIST before KMNIST before Fashion-MNIST: the quick ones first, since Fashion-MNIST runs into the epoch cap.
_PAPER_DATASETS = ("mnist", "kmnist", "fashion-mnist")

# What goes beyond the paper needs many trainings, so it has a seventh of the images and a tenth of the batch. The budgets hold
# as many bytes as the paper's 1 and 5 % do (315 and 1,575 latents), and a fifth of the smaller one.
_BEYOND = Settings(
    images_per_class=1000, batch_size=100, learning_rate=0.005, max_epochs=60, memory_shares=(0.014, 0.07, 0.35),
    latent_sample=50,
)  # fmt: skip
_BEYOND_DATASETS, _BEYOND_SEEDS = ("mnist", "kmnist"), (0, 1, 2)

# Double precision: rounded results then agree on every processor, so that stored outputs can be compared.
_SMOKE = Settings(
    batch_size=30, learning_rate=0.03, max_epochs=3, memory_shares=(0.05, 0.25), precision="fp64", images_per_class=60,
    latent_sample=30,
)  # fmt: skip

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
        Settings(memory_shares=(0.01, 0.05)),
        ("mnist", "kmnist"),
        (1, 3),
        seeds=(0, 1),
        variants=READINGS,
        document=False,
        purpose="other readings of what the original leaves open, one at a time",
    ),
    "bounds": Profile(
        replace(_BEYOND, memory_shares=(*_BEYOND.memory_shares, 1.0)),
        _PAPER_DATASETS,
        tuple(CASES),
        _BEYOND_SEEDS,
        variants=("", "frozen"),
        joint=True,
        document=False,
        purpose="what replay lies between: no memory, closed forms on the same latents, replay of everything, joint training",
    ),
    "closed-forms": Profile(
        # Without Fashion-MNIST, whose first tasks take hours.
        Settings(),
        _BEYOND_DATASETS,
        tuple(CASES),
        _BEYOND_SEEDS,
        variants=("closed-forms",),
        document=False,
        purpose="classifiers in closed form at the size of the original: the first tasks of `paper` alone",
    ),
    "training": Profile(
        replace(_BEYOND, memory_shares=(0.014, 0.07)),
        _BEYOND_DATASETS,
        tuple(CASES),
        _BEYOND_SEEDS,
        variants=("", "mixed-batches", "group-norm"),
        in_case_1=("fashion-mnist",),
        document=False,
        purpose="ways to train that make the evaluation modes agree",
    ),
    "bytes": Profile(
        _BEYOND,
        _BEYOND_DATASETS,
        tuple(CASES),
        _BEYOND_SEEDS,
        variants=("bits-8", "bits-4", "raw-frozen", "raw"),
        document=False,
        purpose="other contents of a memory of the same bytes",
    ),
    "unlike": Profile(
        _BEYOND,
        tuple(f"{first}+{second}" for first in _PAPER_DATASETS for second in _PAPER_DATASETS if first != second),
        (1,),
        _BEYOND_SEEDS,
        document=False,
        purpose="the second task from another data set",
    ),
    "longer": Profile(
        # Four memories of 79 latents before the last task, or one of 316. An order is in the key by its number alone, as a case.
        replace(_BEYOND, memory_shares=(0.04375,)),
        _BEYOND_DATASETS,
        (1, 2, 3),
        _BEYOND_SEEDS,
        orders=(
            ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)),
            ((8, 9), (6, 7), (4, 5), (2, 3), (0, 1)),
            ((3, 7), (0, 8), (5, 9), (1, 4), (2, 6)),
        ),
        document=False,
        purpose="five tasks of two classes, in three orders",
    ),
    "gap": Profile(
        replace(_BEYOND, memory_shares=(0.07,)),
        _BEYOND_DATASETS,
        tuple(CASES),
        _BEYOND_SEEDS,
        variants=("", "mixed-batches"),
        updates=64,
        document=False,
        purpose="the first updates of the second task, one by one",
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
        _SMOKE,
        ("digits",),
        (1, 3),
        preliminary=True,
        purpose="seconds; for tests and for the outputs stored in the notebooks",
    ),
    "smoke-longer": Profile(
        replace(_SMOKE, memory_shares=(0.25,)),
        ("digits",),
        (1,),
        preliminary=True,
        orders=(((0, 1), (2, 3), (4, 5)),),
        document=False,
        purpose="three tasks in seconds; for tests and for the outputs stored in the notebooks",
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
