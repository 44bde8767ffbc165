"""The record of a run: what it is a record of (`RunId`, `key`), its schema, writing, reading, and its tables.

A record is one JSON file, `<runs>/<profile>/<dataset>-case<k>-seed<s>.json`. It is the only proof that a run was
finished; the notebook beside it is for reading. Its numbers are the same on any number of threads (`compute.sharing`); on
another processor they agree up to rounding.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any

from lr_core.errors import LatentReplayError, UsageError
from lr_core.settings import EVALUATIONS, PROTOCOL_VERSION, Settings, find_case, is_number, is_whole
from lr_lab.data import catalogue
from lr_lab.files import write_atomically
from lr_lab.runs.profiles import find_profile

if TYPE_CHECKING:
    import jsonschema
    import pandas as pd

SCHEMA_VERSION = 2
LARGEST = 8 << 20  # bytes; the largest record of the paper has 116,000, and no larger file is read into memory
REMEDY = "run the grid again, which sets it aside"


class UnknownRun(LatentReplayError):
    """A sound record of a data set, case or profile that is not known here; `reason` is the message without its path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


_STEM = "{dataset}-case{case}-seed{seed}"


@dataclass(frozen=True, order=True)
class RunId:
    """What a run is: one data set, case and seed under one profile. Unknown names are a `UsageError`."""

    profile: str
    dataset: str
    case: int
    seed: int

    def __post_init__(self) -> None:
        find_profile(self.profile)
        find_case(self.case)
        catalogue.describe(self.dataset)
        if not is_whole(self.seed, least=0):
            raise UsageError(f"seed is {short_repr(self.seed)}; it must be a whole number of at least 0, below 2**31")

    @property
    def stem(self) -> str:
        """Name of the record and of the executed notebook, without suffix."""
        return _STEM.format(**vars(self))

    def record(self, runs: Path) -> Path:
        """Where the record is, below the folder of all runs."""
        return runs / self.profile / f"{self.stem}.json"

    def notebook(self, runs: Path) -> Path:
        """Where the executed notebook is, below the folder of all runs."""
        return runs / self.profile / f"{self.stem}.ipynb"

    def __str__(self) -> str:
        return f"{self.profile} {self.dataset} case {self.case} seed {self.seed}"


def basis(run: RunId, settings: Settings) -> dict[str, object]:
    """Everything that a run's numbers follow from, up to rounding by the machine: what its key is the digest of."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "run": {"dataset": run.dataset, "case": run.case, "seed": run.seed},
        "settings": settings.as_dict(),
        "data": catalogue.checksums(run.dataset),
    }


def key(run: RunId, settings: Settings) -> str:
    """64 hexadecimal digits. A run is due when its record does not carry this key."""
    return digest(basis(run, settings))


def digest(value: object) -> str:
    """SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# -- writing ------------------------------------------------------------------------------------------------------


def make(run: RunId, settings: Settings, result: dict[str, object]) -> dict:
    """The whole record of a finished run, from what `protocol.Run.result` returned."""
    content = {
        "schema": SCHEMA_VERSION,
        "key": key(run, settings),
        "profile": run.profile,
        **basis(run, settings),
        **result,
    }
    return content | {"sha256": digest(content)}


def write(record: dict, path: Path) -> None:
    """Write a record whole or not at all."""
    try:
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise LatentReplayError(
            f"{path}: not written, a value is not a number ({error}); the training diverged"
        ) from error
    _validate(record, path)
    write_atomically(path, (text + "\n").encode())


# -- reading ------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict:
    """A record that is whole, of this schema and unaltered; anything else is a `LatentReplayError` that names it."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise LatentReplayError(f"{path}: is larger than any record ({LARGEST} bytes); {REMEDY}")
        return _checked(json.loads(content), path)
    except OSError as error:
        raise LatentReplayError(f"{path}: cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise LatentReplayError(f"{path}: is nested too deeply for a record; {REMEDY}") from error
    except ValueError as error:
        raise LatentReplayError(f"{path}: is not a whole JSON file ({error}); {REMEDY}") from error


def _checked(record: object, path: Path) -> dict:
    version = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(record, dict) or version != SCHEMA_VERSION:
        raise LatentReplayError(f"{path}: schema version {short_repr(version)}, expected {SCHEMA_VERSION}; {REMEDY}")
    _validate(record, path)
    arms = [(arm["arm"], arm["memory_share"]) for arm in record["arms"]]
    if len(set(arms)) < len(arms):
        raise LatentReplayError(f"{path}: an arm is there more than once; {REMEDY}")
    content = {name: value for name, value in record.items() if name != "sha256"}
    if digest(content) != record["sha256"]:
        raise LatentReplayError(f"{path}: its content does not match its checksum; {REMEDY}")
    profile, stem = record["profile"], _STEM.format(**record["run"])
    if path.stem != stem or path.resolve().parent.name != profile:
        raise LatentReplayError(f"{path}: is the record of {profile}/{stem}; give it that name back, or {REMEDY}")
    try:
        RunId(profile, **record["run"])
    except UsageError as error:
        dataset = record["run"]["dataset"]
        remedy = "" if dataset in catalogue.DATASETS else f". {unknown_dataset(dataset)}"
        raise UnknownRun(path, f"{error}{remedy}") from error
    return record


def unknown_dataset(name: str) -> str:
    """What to do where there is a record of a data set, but no description of the set."""
    return f"To have the data set {name}, set LR_DATA_PATH to the folder that holds {name}/dataset.toml"


def read_all(runs: Path, profile: str) -> list[dict]:
    """All records of a profile, in the order data set (as `catalogue.DATASETS`), case, seed.

    Sound ones of a data set or case that is not known here are left out, with one warning for the set or case.
    """
    if not os.path.isdir(runs):
        raise LatentReplayError(f"{runs}: there is no such folder; name one that holds the runs")
    records, unknown = [], set()
    for path in sorted((runs / profile).glob("*.json")):
        try:
            records.append(read(path))
        except UnknownRun as error:
            unknown.add(error.reason)
    for reason in sorted(unknown):
        warnings.warn(f"left out, its records are kept: {reason}", stacklevel=2)
    names = catalogue.DATASETS

    def order(record: dict) -> tuple[int, int, int]:
        run = record["run"]
        return names.index(run["dataset"]), run["case"], run["seed"]

    return sorted(records, key=order)


def results(records: Iterable[dict]) -> pd.DataFrame:
    """Tidy: one row per profile, data set, case, seed, arm, memory budget and evaluation mode.

    Columns: profile, dataset, case, seed, arm, evaluation, memory_images_percent, train_accuracy, test_accuracy,
    original_test_accuracy (shares, 0 to 1), epochs, seconds, memory_bytes. Empty where an arm has no such value.
    """
    import pandas as pd  # here: most commands need no table

    rows = []
    for record in records:
        for arm in record["arms"]:
            share = arm["memory_share"]
            for evaluation in EVALUATIONS:
                accuracy = arm["accuracy"][evaluation]
                rows.append(
                    {
                        "profile": record["profile"],
                        **record["run"],
                        "arm": arm["arm"],
                        "evaluation": evaluation,
                        "memory_images_percent": None if share is None else round(100 * share, 6),
                        "train_accuracy": accuracy["train"],
                        "test_accuracy": accuracy["test"],
                        "original_test_accuracy": accuracy["original_test"],
                        "epochs": arm["epochs"],
                        "seconds": round(arm["seconds"], 1),
                        "memory_bytes": arm["memory_bytes"],
                    }
                )
    columns = [
        "profile", "dataset", "case", "seed", "arm", "evaluation", "memory_images_percent", "train_accuracy",
        "test_accuracy", "original_test_accuracy", "epochs", "seconds", "memory_bytes",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"memory_bytes": "Int64"})


def summary(record: dict) -> pd.DataFrame:
    """One run at a glance: a row for each arm, for each evaluation mode its accuracies in percent, two decimals."""
    import pandas as pd

    measures = {"train": "train", "test": "test", "original_test": "original test"}
    labels, rows = [], []
    for arm in record["arms"]:
        share = arm["memory_share"]
        labels.append(arm["arm"] if share is None else f"{arm['arm']} {round(100 * share, 6):g} %")
        values = [arm["accuracy"][evaluation][measure] for evaluation in EVALUATIONS for measure in measures]
        rows.append(["" if value is None else f"{100 * value:.2f}" for value in values])
    columns = pd.MultiIndex.from_product([EVALUATIONS, measures.values()], names=["evaluation", None])
    return pd.DataFrame(rows, index=pd.Index(labels, name="arm"), columns=columns)


def seconds(record: dict) -> float:
    """How long the training of all arms took."""
    return sum(arm["seconds"] for arm in record["arms"])


def without_timings(record: dict) -> dict:
    """What two runs of the same seed on the same machine have in common, bit for bit, but for the `threads` of provenance."""

    def untimed(values: dict) -> dict:
        return {name: value for name, value in values.items() if name not in ("seconds", "started", "sha256")}

    arms = [untimed(arm) | {"provenance": untimed(arm["provenance"])} for arm in record["arms"]]
    return untimed(record) | {"arms": arms}


# -- schema -------------------------------------------------------------------------------------------------------


def _object(properties: dict, optional: Sequence[str] = ()) -> dict:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(items: dict, **limits: int) -> dict:
    return {"type": "array", "items": items, **limits}


def _nullable(kind: dict) -> dict:
    return {"anyOf": [kind, {"type": "null"}]}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}\\Z"}
# Names and values that fit on one line, since `grid` says in which a record differs.
_SETTING = {
    "anyOf": [
        {"type": ["number", "boolean", "null"]},
        {"type": "string", "pattern": "^[a-z0-9_-]*\\Z"},
        _list({"type": "number"}),
    ]
}
_TASK = _object({"classes": _list(_COUNT, minItems=1), "train_images": _COUNT, "test_images": _COUNT})
_PER_EVALUATION = {
    "accuracy": _object({"train": _SHARE, "test": _SHARE, "original_test": _nullable(_SHARE)}),
    "curve": _list(_SHARE, minItems=2),
    "confusion": _list(_list(_COUNT, minItems=10, maxItems=10), minItems=10, maxItems=10),
    "predicted": _list(_list(_COUNT), minItems=1, maxItems=2),
    "last_correct": _list({"type": "integer", "minimum": -1}),
}
_EVALUATED = {name: _object({mode: kind for mode in EVALUATIONS}) for name, kind in _PER_EVALUATION.items()}
_POINTS = _object(
    {"image": _list(_COUNT), "label": _list(_COUNT), "xy": _list(_list({"type": "number"}, minItems=2, maxItems=2))}
)
_PROVENANCE = _object(
    {
        "started": _TEXT,
        "device": _TEXT,
        "processor": _TEXT,
        "precision": _TEXT,
        "threads": _COUNT,
        "commit": _nullable(_TEXT),
        "uncommitted_changes": _nullable({"type": "boolean"}),
        "sources_sha256": _SHA256,
        "versions": {"type": "object", "additionalProperties": _TEXT},
    }
)
_ARM = _object(
    {
        "arm": {"enum": ["first-task", "replay", "no-replay"]},
        "memory_share": _nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        "memory_images": _nullable(_COUNT),
        "memory_bytes": _nullable(_COUNT),
        "epochs": {"type": "integer", "minimum": 1},
        "reached_target": {"type": "boolean"},
        "seconds": {"type": "number", "minimum": 0},
        "accuracy": _EVALUATED["accuracy"],
        "curve": _object(
            {
                "train_accuracy": _list(_SHARE, minItems=1),
                "loss": _list({"type": "number"}, minItems=1),
                "epochs": _list(_COUNT, minItems=2),
                "new": _EVALUATED["curve"],
                "old": _EVALUATED["curve"],
            },
            optional=["old"],
        ),
        "confusion": _EVALUATED["confusion"],
        "provenance": _PROVENANCE,
    }
)
_SCHEMA = _object(
    {
        "schema": {"const": SCHEMA_VERSION},
        "key": _SHA256,
        "sha256": _SHA256,
        "profile": _TEXT,
        "protocol_version": _COUNT,
        "run": _object({"dataset": _TEXT, "case": _COUNT, "seed": _COUNT}),
        "settings": {"type": "object", "propertyNames": {"pattern": "^[a-z_]+\\Z"}, "additionalProperties": _SETTING},
        "data": {"type": "object", "additionalProperties": _SHA256},
        "tasks": _object({"first": _TASK, "second": _TASK}),
        "arms": _list(_ARM, minItems=1),
        "latents": _object(
            {
                "explained_variance_ratio": _list(_SHARE, minItems=2, maxItems=2),
                "tasks": _object({"first": _POINTS, "second": _POINTS}),
                "predicted": _list(_EVALUATED["predicted"]),
                "last_correct": _list(_nullable(_EVALUATED["last_correct"])),
            }
        ),
    }
)


def _all_follow(kind: dict, values: list) -> bool:
    """Whether all are of a kind of number, or lists of such, at once: twenty times as fast as one by one.

    The paper reads thousands. False where it cannot be told like this.
    """
    if kind.keys() <= {"type", "items", "minItems", "maxItems"} and kind.get("type") == "array":
        least, most = kind.get("minItems", 0), kind.get("maxItems", math.inf)
        return all(isinstance(v, list) and least <= len(v) <= most and _all_follow(kind["items"], v) for v in values)
    sound = {"integer": is_whole, "number": is_number}.get(str(kind.get("type")))
    if sound is None or not kind.keys() <= {"type", "minimum", "maximum"} or not all(map(sound, values)):
        return False
    least, most = kind.get("minimum", -math.inf), kind.get("maximum", math.inf)
    return not values or least <= min(values) <= max(values) <= most


@cache
def _validator() -> jsonschema.protocols.Validator:
    """Stricter than JSON Schema and Python's reader: neither NaN nor infinities, no 2.0 for 2, nothing too large."""
    import jsonschema  # here: it takes a third of a second, and not every command reads a record

    dialect = jsonschema.Draft202012Validator

    def items(validator: Any, kind: dict, values: object, schema: dict) -> Iterator[jsonschema.ValidationError]:
        if not (isinstance(values, list) and _all_follow(kind, values)):
            yield from dialect.VALIDATORS["items"](validator, kind, values, schema)

    numbers = dialect.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: is_whole(value), "number": lambda _, value: is_number(value)}
    )
    return jsonschema.validators.extend(dialect, {"items": items}, type_checker=numbers)(_SCHEMA)


def _validate(record: dict, path: Path) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(record))
    if error is not None:
        where = "/".join(map(str, error.absolute_path)) or "the record"
        raise LatentReplayError(
            f"{path}: does not follow schema {SCHEMA_VERSION}: {where}: {error.message[:160]}; {REMEDY}"
        )
