"""Finished arms of an unfinished run: a killed run goes on with the next arm, not from the start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from pathlib import Path

import safetensors.torch
from torch import Tensor

from lr_core.files import set_aside, write_atomically


def arm_name(arm: str, share: float | None) -> str:
    """What an arm is called in file names, in progress and when its batches are drawn: "replay-0.05", say."""
    return arm if share is None else f"{arm}-{share!r}"


class Checkpoints:
    """A folder with `<arm>.safetensors` (weights) and `<arm>.json` (results and the weights' SHA-256) for each arm.

    The JSON file is written last and vouches for the other: an arm counts as finished when both are whole, agree, and
    are of the run with this key. With `folder=None` nothing is kept.
    """

    def __init__(self, folder: Path | None, key: str = "") -> None:
        self.folder, self.key = folder, key

    def read(self, arm: str) -> tuple[dict[str, Tensor], dict] | None:
        """Weights and results of a finished arm, or None. What is damaged is named, set aside and not used."""
        if self.folder is None or not (self.folder / f"{arm}.json").exists():
            return None
        result_file, weights_file = self.folder / f"{arm}.json", self.folder / f"{arm}.safetensors"
        try:
            kept = json.loads(result_file.read_bytes())
            content = weights_file.read_bytes()
            if (
                hashlib.sha256(content).hexdigest() != kept["weights_sha256"]
                or _digest(kept["result"]) != kept["sha256"]
            ):
                raise ValueError("checksum differs")
            if kept["key"] != self.key:
                raise ValueError("it is of another run")
            found = kept["result"]["arm"]
            if arm != arm_name(found["arm"], found["memory_share"]):
                raise ValueError(f"it is of {found['arm']}")
            return safetensors.torch.load(content), kept["result"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            aside = [set_aside(file).name for file in (result_file, weights_file) if file.exists()]
            warnings.warn(
                f"{result_file}: damaged checkpoint ({error}); set aside as {', '.join(aside)}, the arm is trained again",
                stacklevel=2,
            )
            return None

    def write(self, arm: str, weights: dict[str, Tensor], result: dict) -> None:
        """Keep a finished arm."""
        if self.folder is None:
            return
        content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()})
        write_atomically(self.folder / f"{arm}.safetensors", content)
        kept = {
            "key": self.key,
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            "sha256": _digest(result),
            "result": result,
        }
        write_atomically(self.folder / f"{arm}.json", json.dumps(kept).encode())

    def clear(self) -> None:
        """Remove the folder, once the run's record is written; what was set aside stays, and keeps it there."""
        for parent, _, names in os.walk(self.folder, topdown=False) if self.folder else ():
            for path in [Path(parent, name) for name in names if ".damaged" not in name] + [Path(parent)]:
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()


def _digest(result: dict) -> str:
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
