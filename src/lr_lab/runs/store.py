"""Records as files: written whole or not at all, and read only if whole, unaltered and of the right name."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import msgspec

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.data import catalogue
from lr_lab.files import write_atomically
from lr_lab.runs.profiles import PROFILES
from lr_lab.runs.record import SCHEMA_VERSION, STEM, Record, RunId, SequenceRecord, digest

LARGEST = 8 << 20  # bytes; the largest record of the paper has 262,000. No larger file is read into memory
REMEDY = "run the grid again, which sets it aside"


def write(record: dict, path: Path) -> None:
    """Write a record whole or not at all."""
    try:
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise LatentReplayError(
            f"{path}: not written, a value is not a number ({error}); the training diverged"
        ) from error
    _decode(text.encode(), path)
    write_atomically(path, (text + "\n").encode())


def read(path: Path) -> dict:
    """A sound record of a known run; anything else is a `LatentReplayError` that names the file."""
    record = _read_checked(path)
    if reason := _unknown(record):
        raise LatentReplayError(f"{path}: {reason}")
    return record


def read_all(runs: Path, profile: str) -> list[dict]:
    """All records of a profile, in the order data set (as `catalogue.DATASETS`), case, seed.

    Sound ones of a data set or case that is not known here are left out, with one warning for the set or case.
    """
    if not os.path.isdir(runs):
        raise LatentReplayError(f"{runs}: there is no such folder; name one that holds the runs")
    records = [_read_checked(path) for path in sorted((runs / profile).glob("*.json"))]
    for reason in sorted({_unknown(record) for record in records} - {""}):
        warnings.warn(f"left out, its records are kept: {reason}", stacklevel=2)
    known = [(record["run"], record) for record in records if not _unknown(record)]
    known.sort(key=lambda each: (catalogue.order(each[0]["dataset"]), each[0]["case"], each[0]["seed"]))
    return [record for _, record in known]


def unknown_dataset(name: str) -> str:
    """What to do where there is a record of a data set, but no description of the set."""
    return f"To have the data set {name}, set LR_DATA_PATH to the folder that holds {name}/dataset.toml"


def _read_checked(path: Path) -> dict:
    """A record that is whole, of this schema, unaltered and of the right name."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise LatentReplayError(f"{path}: cannot be read ({error.strerror})") from error
    if len(text) > LARGEST:
        raise LatentReplayError(f"{path}: is larger than any record ({LARGEST} bytes); {REMEDY}")
    record = _decode(text, path)
    if digest({name: value for name, value in record.items() if name != "sha256"}) != record["sha256"]:
        raise LatentReplayError(f"{path}: its content does not match its checksum; {REMEDY}")
    profile, stem = record["profile"], STEM.format(**record["run"])
    if path.stem != stem or path.resolve().parent.name != profile:
        raise LatentReplayError(f"{path}: is the record of {profile}/{stem}; give it that name back, or {REMEDY}")
    return record


def _decode(text: bytes, path: Path) -> dict:
    try:
        profile = PROFILES.get(path.resolve().parent.name)
        msgspec.json.decode(text, type=SequenceRecord if profile and profile.orders else Record)
        return msgspec.json.decode(text)
    except ValueError as error:  # a DecodeError, a ValidationError or a UnicodeDecodeError
        reason = str(error)[:200]  # a name in it may be long
        raise LatentReplayError(
            f"{path}: is not a whole record of schema {SCHEMA_VERSION}: {reason}; {REMEDY}"
        ) from error


def _unknown(record: dict) -> str:
    """Why the run of a record is not known here; empty where it is."""
    try:
        RunId(record["profile"], **record["run"])
    except UsageError as error:
        name = record["run"]["dataset"]
        return str(error) if name in catalogue.DATASETS else f"{error}. {unknown_dataset(name)}"
    return ""
