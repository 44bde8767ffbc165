"""Checkpoints of an unfinished run: a killed run goes on after the last epoch that it finished, not from the start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lr_lab.files import set_aside, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from lr_core.training import Epoch, Trainer

FORMAT = "3"
"""Of tensors and results. Raised when what an arm holds changes."""


@dataclass(frozen=True)
class Progress:
    """How far a run is; reported after every epoch."""

    arm: str
    done: float  # from 0 to 1: arms that are finished, and epochs of the present one, of its cap
    epoch: int
    train_accuracy: float

    def __str__(self) -> str:
        return f"{self.arm} epoch {self.epoch}, training accuracy {self.train_accuracy:.3f}"


def write_progress(folder: Path, progress: Progress) -> None:
    """Write how far a run is, for other processes."""
    write_atomically(folder / "progress.json", json.dumps(vars(progress)).encode())


def read_progress(folder: Path) -> Progress | None:
    """How far a run is, or None where nothing is written yet."""
    try:
        return Progress(**json.loads((folder / "progress.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Checkpoints:
    """A folder with `<arm>.safetensors` for each finished arm, and `<arm>.unfinished.safetensors` for one in training.

    Such a file holds tensors and, in its metadata, results as JSON, the arm, the key of the run and a checksum over
    tensors and results: one file, so that tensors and results always belong together. With `folder=None` nothing is kept.
    """

    def __init__(self, folder: Path | None, key: str = "") -> None:
        self.folder, self.key = folder, key

    def finished(self) -> int:
        """The number of finished arms."""
        names = self.folder.glob("*.safetensors") if self.folder else ()
        return sum(not name.match("*.unfinished.*") for name in names)

    def read(self, arm: str, *, finished: bool = True) -> tuple[dict[str, Tensor], dict] | None:
        """Tensors and results of an arm, or None. What is damaged is named, set aside and not used."""
        if self.folder is None or not (file := _file(self.folder, arm, finished)).exists():
            return None
        import safetensors  # here: it imports torch, which counting arms does not need

        try:
            with safetensors.safe_open(file, "pt") as content:
                kept = content.metadata()
                tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no dict)
            if _digest(tensors, kept["result"]) != kept["sha256"]:
                raise ValueError("checksum differs")
            if kept.get("format") != FORMAT:
                raise ValueError("it is of another version")
            if kept["key"] != self.key:
                raise ValueError("it is of another run")
            if kept["arm"] != arm:
                raise ValueError(f"it is of {kept['arm']}")
            return tensors, json.loads(kept["result"])
        # RuntimeError: torch maps the file, which may have been removed since it was opened.
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
            if not file.exists():
                return None
            warnings.warn(
                f"{file}: damaged checkpoint ({error}); set aside as {set_aside(file).name}, the arm is trained again",
                stacklevel=2,
            )
            return None

    def write(self, arm: str, tensors: dict[str, Tensor], result: dict, *, finished: bool = True) -> None:
        """Keep an arm. A finished one replaces its unfinished checkpoint."""
        if self.folder is None:
            return
        import safetensors.torch

        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        text = json.dumps(result)
        metadata = {"format": FORMAT, "key": self.key, "arm": arm, "sha256": _digest(tensors, text), "result": text}
        write_atomically(_file(self.folder, arm, finished), safetensors.torch.save(tensors, metadata))
        if finished:
            _file(self.folder, arm, False).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder, once the record is written. Damaged files that were set aside stay."""
        for parent, _, names in os.walk(self.folder, topdown=False) if self.folder else ():
            for path in [Path(parent, name) for name in names if ".damaged" not in name] + [Path(parent)]:
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()


def _file(folder: Path, arm: str, finished: bool) -> Path:
    return folder / f"{arm}{'' if finished else '.unfinished'}.safetensors"


def state(trainer: Trainer) -> dict[str, Tensor]:
    """What the next epochs of a trainer depend on: weights, BatchNorm statistics, momentum, generator."""
    momentum = {
        f"momentum.{number}": kept["momentum_buffer"]
        for number, kept in trainer.optimizer.state_dict()["state"].items()
        if kept.get("momentum_buffer") is not None  # there is none without momentum
    }
    weights = {f"network.{name}": value for name, value in trainer.network.state_dict().items()}
    return {**weights, **momentum, "generator": trainer.generator.get_state()}


def restore(trainer: Trainer, kept: dict[str, Tensor], latest: Epoch) -> None:
    """Let a trainer go on from a `state` after the epoch `latest`, as if there had been no interruption."""
    import torch

    weights = {name.removeprefix("network."): value for name, value in kept.items() if name.startswith("network.")}
    trainer.network.load_state_dict(weights)
    for number, parameter in enumerate(trainer.optimizer.param_groups[0]["params"]):
        if f"momentum.{number}" in kept:
            # In the parameter's own memory format and device, as the optimizer would have made it.
            buffer = torch.empty_like(parameter, requires_grad=False).copy_(kept[f"momentum.{number}"])
            trainer.optimizer.state[parameter]["momentum_buffer"] = buffer
    trainer.generator.set_state(kept["generator"])
    trainer.latest = latest


def _digest(tensors: dict[str, Tensor], result: str) -> str:
    import safetensors.torch

    return hashlib.sha256(safetensors.torch.save(tensors) + result.encode()).hexdigest()
