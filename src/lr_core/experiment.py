"""Tasks learned one after the other while one looks on: what the notebooks for trying things out are made of.

`TaskSequence` is the protocol with its choices left open: any split of the classes into two tasks or more, and a
compressor, a classifier or a memory policy of one's own. With two tasks and the paper's parts it computes, bit for bit,
what an arm of `protocol.Run` does.

Public, in reading order: `QUICK`, `Policy`, `ARMS`, `arm_name`, `encode`, `freeze`, `Look`, `Forgotten`, `TaskSequence`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lr_core import memory, metrics, models
from lr_core.device import Compute, resolve
from lr_core.errors import UsageError
from lr_core.memory import LatentMemory, check_share
from lr_core.rounding import rounded
from lr_core.settings import CLASSES, EVALUATIONS, Settings, derived_seed, make_generator
from lr_core.tasks import Dataset, Inputs, Task, check_tasks, split
from lr_core.training import Training

QUICK = Settings(images_per_class=200, batch_size=50, learning_rate=0.01, max_epochs=6)
"""Seconds a task on two cores: as many updates as a few hundred images a class and a small batch allow."""

Policy = Callable[[Tensor, Tensor, float, torch.Generator], LatentMemory]
"""Which latents of a finished task are kept: (n, 1, 6, 6) latents, (n,) labels, share, generator, as `memory.choose`."""


FIRST_TASK, REPLAY, NO_REPLAY = "first-task", "replay", "no-replay"
ARMS = (FIRST_TASK, REPLAY, NO_REPLAY)


def arm_name(arm: str, share: float | None) -> str:
    """What an arm is called in file names, in progress and when its batches are drawn: "replay-0.05", say."""
    return arm if share is None else f"{arm}-{share!r}"


@torch.no_grad()
def encode(compressor: nn.Module, images: Tensor, compute: Compute, batch_size: int = 1000) -> Tensor:
    """(n, 1, 28, 28) uint8 images -> (n, 1, 6, 6) latents through the frozen compressor (running statistics)."""
    compressor.eval()
    with compute.sharing(), compute.autocast():
        latents = torch.cat([compressor(batch) for batch in images.split(batch_size)])
    return latents if compute.precision == "fp64" else latents.float()


def freeze(compressor: nn.Module) -> None:
    """From here on neither its weights nor its BatchNorm statistics change."""
    compressor.requires_grad_(False).eval()


@dataclass(frozen=True)
class Look:
    """What the network knows at one moment: before a task (epoch 0) or after one of its epochs."""

    task: int  # the one being learned, from 0
    epoch: int  # of that task
    train_accuracy: float | None  # tallied while training; None at epoch 0
    accuracy: Mapping[str, tuple[float, ...]]  # evaluation mode -> on the test images of each task so far


@dataclass(frozen=True)
class Forgotten:
    """Test images that were right when their task had been learned and are wrong now."""

    positions: Tensor  # (n,) int64 into the data set
    labels: Tensor  # (n,) int64
    predicted: Tensor  # (n,) int64: what they are taken for now
    known: int  # how many were right when their task had been learned


class TaskSequence:
    """Tasks, the networks that learn them, and what was seen of it so far.

    Parameters
    ----------
    dataset : one of `datasets.load`, or one's own (`own.from_arrays`, `own.from_folder`)
    tasks : the classes of each task, in the order of learning
    share : of each finished task's training images that is kept as latents; None replays nothing
    seed : draws split, weights, batches and memory
    settings : of training; `memory_shares` and `latent_sample` are not used
    frozen : whether the compressor stays as the first task left it; by default where there is replay (latents that
        were stored must stay valid), so that without replay the whole network goes on learning, as in the paper
    compressor : of one's own: (n, 1, 28, 28) floats in [0, 1] -> latents; (n, 1, 6, 6) for the paper's classifier
    classifier : of one's own: latents -> (n, 10) log-probabilities
    policy : which latents are kept
    compute : device and precision; found by `compute.resolve` where not given

    Raises
    ------
    UsageError
        The split, the share or the networks do not fit; the message says what would.
    """

    def __init__(
        self,
        dataset: Dataset,
        tasks: Sequence[Sequence[int]],
        *,
        share: float | None = 0.05,
        seed: int = 0,
        settings: Settings = QUICK,
        frozen: bool | None = None,
        compressor: nn.Module | None = None,
        classifier: nn.Module | None = None,
        policy: Policy = memory.choose,
        compute: Compute | None = None,
    ) -> None:
        check_tasks(tasks, len(dataset.class_names))
        self._choose(share, frozen, policy)
        self.dataset, self.seed, self.settings = dataset, seed, settings
        self.compute = compute or resolve(settings.precision)
        self.tasks = [split(dataset, task, settings, seed) for task in tasks]
        self.compressor, self.classifier = self._networks(compressor, classifier)
        self.looks: list[Look] = []
        self.kept: list[LatentMemory] = []  # one for each finished task; positions are those in the data set
        self._predicted: dict[str, list[Tensor]] = {}  # at the latest look, by evaluation mode, for each task so far
        self._once: list[dict[str, Tensor]] = []  # for each finished task, what it got when it had been learned

    # -- learning -----------------------------------------------------------------------------------------------

    def learn(self, until: int | None = None) -> Iterator[Look]:
        """Learn the next tasks, all or up to a number of them, and look before each and after each epoch.

        Who stops asking keeps what was learned so far.
        """
        network: nn.Module = nn.Sequential(self.compressor, self.classifier)
        inputs = [self._images(task) for task in self.tasks]
        for number in range(len(self._once), until or len(self.tasks)):
            if number and self.frozen and network is not self.classifier:
                freeze(self.compressor)
                inputs = [self._latents(each) for each in inputs]
                network = self.classifier
            if number and self.share is not None:
                self._remember(number - 1, inputs[number - 1])
            new = inputs[number]
            yield self._look(network, inputs[: number + 1], 0, None)
            for epoch in Training(
                network, new.train, new.train_labels, settings=self.settings, compute=self.compute,
                generator=make_generator(self.seed, "batches", *self._purpose(number)), memory=self.memory,
            ):  # fmt: skip
                yield self._look(network, inputs[: number + 1], epoch.number, epoch.train_accuracy)
            self._once.append({mode: predicted[number] for mode, predicted in self._predicted.items()})

    def branch(
        self, share: float | None = None, *, frozen: bool | None = None, policy: Policy = memory.choose
    ) -> TaskSequence:
        """A copy that goes on with another memory; for a sequence that has learned its first task and no other."""
        if len(self._once) != 1 or self.looks[-1].task:
            raise UsageError(
                "only where the first task alone has been learned can other ways be taken: learn(1) does that"
            )
        other = copy.copy(self)
        other.compressor, other.classifier = copy.deepcopy((self.compressor, self.classifier))
        other.looks, other.kept, other._once = self.looks[:], [], self._once[:]
        other._predicted = dict(self._predicted)
        other._choose(share, frozen, policy)
        return other

    def run(self, until: int | None = None) -> TaskSequence:
        """`learn` in one go; returns the sequence itself."""
        for _ in self.learn(until):
            pass
        return self

    def _choose(self, share: float | None, frozen: bool | None, policy: Policy) -> None:
        if share is not None:
            check_share(share)
            if frozen is False:
                raise UsageError("replay of latents needs a frozen compressor: what was stored would lose its meaning")
        self.share, self.policy = share, policy
        self.frozen = share is not None if frozen is None else frozen

    def _look(self, network: nn.Module, inputs: Sequence[Inputs], epoch: int, train_accuracy: float | None) -> Look:
        newest_first = list(reversed(inputs))
        accuracy = {}
        for mode in EVALUATIONS:
            shuffle = make_generator(self.seed, "mixed", "test")  # the same after every epoch, as in the protocol
            with self.compute.sharing(), self.compute.autocast():
                tests = [each.test for each in newest_first]
                predicted = metrics.predict(network, tests, mode, self.settings.batch_size, shuffle)
            self._predicted[mode] = predicted[::-1]
            accuracy[mode] = tuple(
                metrics.accuracy(classes, each.test_labels)
                for classes, each in zip(self._predicted[mode], inputs, strict=True)
            )
        self.looks.append(Look(len(inputs) - 1, epoch, train_accuracy, accuracy))
        return self.looks[-1]

    def _remember(self, number: int, task: Inputs) -> None:
        assert self.share is not None
        draw = make_generator(self.seed, "memory", *([number] if number else []))
        kept = self.policy(task.train, task.train_labels, self.share, draw)
        self.kept.append(LatentMemory(kept.latents, kept.labels, self.tasks[number].train[kept.positions.cpu()]))

    def _purpose(self, number: int) -> list[object]:
        # As the protocol's arms are called, so that the same batches are drawn.
        if number == 0:
            return [FIRST_TASK]
        arm = REPLAY if self.share is not None else "frozen" if self.frozen else NO_REPLAY
        return [arm_name(arm, self.share), *([number] if number > 1 else [])]

    def _networks(self, compressor: nn.Module | None, classifier: nn.Module | None) -> tuple[nn.Module, nn.Module]:
        papers = models.build(derived_seed(self.seed, "weights"))
        own = papers[0] if compressor is None else nn.Sequential(_Scaled(), compressor)
        networks = self.compute.place(own), self.compute.place(classifier or papers[1])
        two = self.dataset.images[:2].unsqueeze(1).to(self.compute.device)
        for module in networks:
            module.eval()
        with torch.no_grad():
            try:
                latents = networks[0](two)
            except RuntimeError as error:
                raise UsageError(f"the compressor does not take (n, 1, 28, 28) images: {_short(error)}") from error
            try:
                shape = tuple(networks[1](latents).shape)
            except (RuntimeError, ValueError) as error:
                raise UsageError(
                    f"the classifier does not take the compressor's latents of shape {('n', *latents.shape[1:])}; "
                    f"the paper's takes (n, 1, 6, 6): {_short(error)}"
                ) from error
        if shape != (2, CLASSES):
            raise UsageError(f"the classifier gives {shape} for two images; it must be (2, {CLASSES})")
        return networks

    def _images(self, task: Task) -> Inputs:
        images, labels = self.dataset.images.unsqueeze(1), self.dataset.labels
        parts = (images[task.train], labels[task.train], images[task.test], labels[task.test])
        return Inputs(*(part.to(self.compute.device) for part in parts))

    def _latents(self, task: Inputs) -> Inputs:
        train, test = (encode(self.compressor, part, self.compute) for part in (task.train, task.test))
        return Inputs(train, task.train_labels, test, task.test_labels)

    # -- what came of it ----------------------------------------------------------------------------------------

    @property
    def learned(self) -> list[Task]:
        """The tasks that were begun."""
        return self.tasks[: self.looks[-1].task + 1] if self.looks else []

    @property
    def memory(self) -> LatentMemory | None:
        """All that is kept, of all finished tasks; None where nothing is. Positions are those in the data set."""
        if not self.kept:
            return None
        parts = zip(*((kept.latents, kept.labels, kept.positions) for kept in self.kept), strict=True)
        return LatentMemory(*(torch.cat(part) for part in parts))

    @property
    def memory_bytes(self) -> int:
        """What has to be stored in single precision: four bytes a value, one a label."""
        return sum(4 * kept.latents.numel() + len(kept) for kept in self.kept)

    def matrix(self, mode: str = "mixed") -> list[tuple[float, ...]]:
        """Row i: after task i, the accuracy on the test images of tasks 0 to i (the latest, where it was stopped)."""
        return [
            [look for look in self.looks if look.task == number][-1].accuracy[mode]
            for number in range(len(self.learned))
        ]

    def forgetting(self, mode: str = "mixed") -> float | None:
        """Mean over the tasks but the last of `metrics.forgetting`; None while there is one task alone."""
        rows = self.matrix(mode)
        lost = [metrics.forgetting(rows[n][n], rows[-1][n]) for n in range(len(rows) - 1)]
        return sum(lost) / len(lost) if lost else None

    def confusion(self, mode: str = "mixed") -> list[list[int]]:
        """(10, 10) counts over the test images of all tasks so far: row the true class, column the predicted one."""
        labels = torch.cat([self.dataset.labels[task.test] for task in self.learned])
        return metrics.confusion(torch.cat(self._predicted[mode]).cpu(), labels)

    def forgotten(self, mode: str = "mixed") -> Forgotten:
        """Of the tasks before the present one, the test images that were known and are no longer."""
        places = range(len(self.learned) - 1)
        positions = torch.cat([self.tasks[n].test for n in places] or [torch.empty(0, dtype=torch.int64)])
        labels = self.dataset.labels[positions]
        once = torch.cat([self._once[n][mode].cpu() for n in places] or [labels])
        now = torch.cat([self._predicted[mode][n].cpu() for n in places] or [labels])
        lost = (once == labels) & (now != labels)
        return Forgotten(positions[lost], labels[lost], now[lost], int((once == labels).sum()))

    def encode(self, positions: Tensor) -> Tensor:
        """(n, 1, 6, 6) latents of the images at these positions, through the compressor as it is now."""
        images = self.dataset.images[positions].unsqueeze(1).to(self.compute.device)
        return encode(self.compressor, images, self.compute)

    def plane(self, sample: int = 200) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[float, float]]:
        """Test latents of each task, begun or not, in the plane of the first task's two main components.

        For each task (n, 2) coordinates and (n,) labels, of at most `sample` images; and the shares of the first
        task's variance along the two. The basis is that of the first task's training latents. All are rounded.
        """

        def rows(positions: Tensor) -> np.ndarray:
            return self.encode(positions).flatten(1).cpu().double().numpy()

        basis = PCA(n_components=2, svd_solver="full").fit(rows(self.tasks[0].train))
        tests = [task.test[:sample] for task in self.tasks]
        points = [(rounded(basis.transform(rows(test))), self.dataset.labels[test].numpy()) for test in tests]
        first, second = rounded(basis.explained_variance_ratio_)
        return points, (float(first), float(second))


class _Scaled(nn.Module):
    """(n, 1, 28, 28) uint8 pixels -> floats in [0, 1], in the precision that the network was placed in."""

    white: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("white", torch.tensor(255.0))

    def forward(self, images: Tensor) -> Tensor:
        return images / self.white


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
