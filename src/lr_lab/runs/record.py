"""What the record of a run is: whose it is (`RunId`), its schema (`Record`), and making one (`make_record`).

A record is one JSON file, `<runs>/<profile>/<dataset>-case<k>-seed<s>.json`. It is the only proof that a run was
finished. Its numbers do not depend on the number of threads; on another processor they agree up to rounding.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from lr_core.errors import UsageError
from lr_core.settings import CASES, LIMIT, PROTOCOL_VERSION, Settings, is_whole
from lr_lab.data import catalogue
from lr_lab.runs.profiles import find_profile

SCHEMA_VERSION = 2
STEM = "{dataset}-case{case}-seed{seed}"


@dataclass(frozen=True, order=True)
class RunId:
    """What a run is: one data set, case and seed under one profile. Unknown names are a `UsageError`."""

    profile: str
    dataset: str
    case: int
    seed: int

    def __post_init__(self) -> None:
        orders = find_profile(self.profile).orders
        cases = [*range(1, 1 + len(orders))] if orders else [1] if "+" in str(self.dataset) else [*CASES]
        if not is_whole(self.case) or self.case not in cases:
            raise UsageError(f"unknown case {short_repr(self.case)}; known are {', '.join(map(str, cases))}")
        catalogue.describe(self.dataset)
        if not is_whole(self.seed, least=0):
            raise UsageError(f"seed is {short_repr(self.seed)}; it must be a whole number of at least 0, below 2**31")

    @property
    def stem(self) -> str:
        """Name of the record and of the executed notebook, without suffix."""
        return STEM.format(**vars(self))

    def record(self, runs: Path) -> Path:
        """Where the record is, below the folder of all runs."""
        return runs / self.profile / f"{self.stem}.json"

    def notebook(self, runs: Path) -> Path:
        """Where the executed notebook is, below the folder of all runs."""
        return runs / self.profile / f"{self.stem}.ipynb"

    def basis(self, settings: Settings) -> dict[str, object]:
        """Everything that the run's numbers follow from, up to rounding by the machine."""
        return {
            "protocol_version": PROTOCOL_VERSION,
            "run": {"dataset": self.dataset, "case": self.case, "seed": self.seed},
            "settings": settings.as_dict() | find_profile(self.profile).as_dict(),
            "data": catalogue.checksums(self.dataset),
        }

    def key(self, settings: Settings) -> str:
        """Digest of the basis. A run is due when its record does not carry this key."""
        return digest(self.basis(settings))

    def __str__(self) -> str:
        return f"{self.profile} {self.dataset} case {self.case} seed {self.seed}"


def digest(value: object) -> str:
    """SHA-256 of a JSON value in canonical form: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def make_record(run: RunId, settings: Settings, result: dict[str, object]) -> dict:
    """The whole record of a finished run, from what `execute.train` returned."""
    basis = run.basis(settings)
    content = {"schema": SCHEMA_VERSION, "key": digest(basis), "profile": run.profile, **basis, **result}
    return content | {"sha256": digest(content)}


# -- schema -------------------------------------------------------------------------------------------------------
# Everyone reads a record as a dict; these types only check what is in one. True and 2.0 are no `int`.

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0, lt=LIMIT)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Curve = Annotated[list[Share], Meta(min_length=2)]
_TEN = Meta(min_length=10, max_length=10)
_Confusion = Annotated[list[Annotated[list[Count], _TEN]], _TEN]


class _Object(Struct, forbid_unknown_fields=True):
    """A JSON object with all of these fields and no others."""


class _ByEvaluation(_Object, Generic[T]):  # a value for each of `settings.EVALUATIONS`
    running: T
    batch: T
    mixed: T


class _ByTask(_Object, Generic[T]):
    first: T
    second: T


class _Run(_Object):  # a `RunId` without its profile, which may be unknown here
    dataset: str
    case: Count
    seed: Count


class _Task(_Object):
    classes: Annotated[list[Count], Meta(min_length=1)]
    train_images: Count
    test_images: Count


class _Accuracy(_Object):
    train: Share
    test: Share
    original_test: Share | None  # on the first task, where the arm trains another


class _Curves(_Object):
    train_accuracy: Annotated[list[Share], Meta(min_length=1)]  # of each epoch
    loss: Annotated[list[float], Meta(min_length=1)]
    epochs: Annotated[list[Count], Meta(min_length=2)]  # those after which the test images were evaluated
    new: _ByEvaluation[_Curve]
    old: _ByEvaluation[_Curve] | UnsetType = UNSET  # not in the first task


class _Provenance(_Object):
    started: str
    device: str
    processor: str
    precision: str
    threads: Count
    commit: str | None
    uncommitted_changes: bool | None
    sources_sha256: Sha256
    versions: dict[str, str]


class _Probes(_Object):  # `probes.probe`; accuracies by task
    batch: dict[str, list[Share]]
    reestimated: dict[str, list[Share]] | UnsetType = UNSET


class _Updates(_Object):  # `updates.Updates.accuracy`: before the first update and after each
    old: _ByEvaluation[list[Share]]
    new: _ByEvaluation[list[Share]]


class _Arm(_Object):
    arm: Literal["first-task", "replay", "no-replay"]
    memory_share: Annotated[float, Meta(gt=0, le=1)] | None
    memory_images: Count | None
    memory_bytes: Count | None
    epochs: Annotated[int, Meta(ge=1, lt=LIMIT)]
    reached_target: bool
    seconds: Annotated[float, Meta(ge=0)]
    accuracy: _ByEvaluation[_Accuracy]
    curve: _Curves
    confusion: _ByEvaluation[_Confusion]
    provenance: _Provenance
    choice: str | UnsetType = UNSET  # of `variants.VARIANTS`; not in an arm as in the paper
    probes: _Probes | UnsetType = UNSET  # not in records from before they were measured
    updates: _Updates | UnsetType = UNSET  # where the profile has the first ones followed


class _Points(_Object):  # sampled test images of a task
    image: list[Count]
    label: list[Count]
    xy: list[tuple[float, float]]


class _Latents(_Object):
    explained_variance_ratio: tuple[Share, Share]
    tasks: _ByTask[_Points]
    predicted: list[_ByEvaluation[Annotated[list[list[Count]], Meta(min_length=1, max_length=2)]]]  # by arm and task
    last_correct: list[_ByEvaluation[list[Annotated[int, Meta(ge=-1, lt=LIMIT)]]] | None]  # by arm; epoch, -1: never


class _SequenceArm(_Object):
    arm: Literal["replay", "no-replay"]
    memory_share: Annotated[float, Meta(gt=0, le=1)] | None  # of each task's images
    memory_images: Count | None  # in the last task
    memory_bytes: Count | None
    epochs: list[Count]  # of each task
    seconds: Annotated[float, Meta(ge=0)]
    matrix: _ByEvaluation[list[list[Share]]]  # row t: accuracy on tasks 0 to t when task t was learned
    confusion: _ByEvaluation[_Confusion]
    provenance: _Provenance
    choice: str | UnsetType = UNSET  # of `longer.MEMORIES`


class _File(_Object):
    """What every record has."""

    schema: Literal[2]  # SCHEMA_VERSION; it comes first, so that it is the first thing to be refused
    key: Sha256
    sha256: Sha256
    profile: str
    protocol_version: Count
    run: _Run
    settings: dict[Annotated[str, Meta(pattern=r"^[a-z_]+\Z")], float | bool | str | list[float | str] | None]
    data: dict[str, Sha256]

    def __post_init__(self) -> None:
        # `grid` shows settings on one line. This is no `Meta(pattern=...)` because msgspec 0.22.0 crashes where a string
        # with a pattern and a list are in one union.
        values = [each for value in self.settings.values() for each in (value if isinstance(value, list) else [value])]
        for value in values:
            if isinstance(value, str) and not re.fullmatch("[a-z0-9_-]*", value):
                raise ValueError(f"a setting is {short_repr(value)}, expected a-z, 0-9, - and _ - at `$.settings`")
        if len({(arm.arm, arm.memory_share, arm.choice) for arm in self.arms}) < len(self.arms):  # type: ignore[attr-defined]
            raise ValueError("an arm is there more than once - at `$.arms`")


class SequenceRecord(_File, kw_only=True):
    """The whole file of a run of more than two tasks."""

    sequence: Annotated[list[_Task], Meta(min_length=2)]
    arms: Annotated[list[_SequenceArm], Meta(min_length=1)]


class Record(_File, kw_only=True):
    """The whole file of a run of two tasks."""

    tasks: _ByTask[_Task]
    arms: Annotated[list[_Arm], Meta(min_length=1)]
    latents: _Latents
    # `bounds.bounds`: classifier -> share of the old latents -> accuracy on old and new classes; "joint" -> mode -> the same
    bounds: dict[str, dict[str, tuple[Share, Share]]] | UnsetType = UNSET  # not in records from before
