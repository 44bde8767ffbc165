"""The experiment: tasks learned one after the other, with or without a memory of latents. `TaskSequence` is all of it.

The paper's case is a sequence of two tasks: the first is learned by compressor and classifier together, then the
compressor is frozen, a share of the first task is kept as latents, and the classifier learns the second task while it
replays them (section 5). Everything the paper leaves open is a parameter.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lr_core import memory, metrics, models
from lr_core.device import Compute, resolve
from lr_core.errors import UsageError
from lr_core.memory import LatentMemory
from lr_core.settings import CLASSES, EVALUATIONS, Settings, check_share, check_tasks, derived_seed, make_generator
from lr_core.tasks import Dataset, Inputs, split
from lr_core.training import Epoch, Trainer

FIRST_TASK, REPLAY, NO_REPLAY = ARMS = ("first-task", "replay", "no-replay")


def arm_name(arm: str, share: float | None, choice: str = "") -> str:
    """Name of an arm in files, in progress and, without a choice, in the seed of its batches: "replay-0.05", say."""
    return arm + (f"-{share!r}" if share is not None else "") + (f"-{choice}" if choice else "")


@torch.no_grad()
def encode(compressor: nn.Module, images: Tensor, compute: Compute, batch_size: int = 1000) -> Tensor:
    """(n, 1, 28, 28) uint8 images -> (n, 1, 6, 6) latents, by the compressor's running statistics."""
    compressor.eval()
    with compute.sharing(), compute.autocast():
        latents = torch.cat([compressor(batch) for batch in images.split(batch_size)])
    return latents.to(compute.dtype)


def freeze(compressor: nn.Module) -> None:
    """From here on neither its weights nor its BatchNorm statistics change."""
    compressor.requires_grad_(False).eval()


Policy = Callable[[Tensor, Tensor, float, torch.Generator], LatentMemory]
"""Which latents of a finished task are kept: (n, 1, 6, 6) latents, (n,) labels, share, generator, as `memory.choose`."""


@dataclass(frozen=True)
class Evaluation:
    """What the network knows at one moment: before a task (epoch 0) or after one of its epochs."""

    task: int  # the one being learned, from 0
    epoch: int  # of that task
    train_accuracy: float | None  # counted while training, by batch statistics; None at epoch 0
    accuracy: Mapping[str, tuple[float, ...]]  # evaluation mode -> on the test images of each task so far


class TaskSequence:
    """Tasks, the networks that learn them, and what was measured on the way.

    Every draw has a seed of its own, so no number depends on what was computed before it. Tasks, share or networks that
    do not fit are a `UsageError`.

    Parameters
    ----------
    dataset : all images; tasks are split from it
    tasks : the classes of each task, in the order of learning
    share : of each finished task's training images that is kept as latents; None replays nothing
    seed : draws split, weights, batches and memory
    settings : of training, the paper's by default; `memory_shares` and `latent_sample` are not used
    frozen : whether the compressor stays as the first task left it. By default with replay of latents only, as in the
        paper: stored latents hold for one compressor. Else the whole network goes on learning
    compressor : another one: (n, 1, 28, 28) floats in [0, 1] -> latents; (n, 1, 6, 6) for the paper's classifier
    classifier : another one: latents -> (n, 10) log-probabilities
    policy : which latents are kept
    compute : device and precision; `device.resolve` finds them where not given
    accelerate : called with each network, which it may change; `fast.accelerate` makes the paper's about three times as fast

    Attributes
    ----------
    evaluations : one before each task, then those after the epochs that `metrics.is_evaluated` names
    predicted : evaluation mode -> for each task so far, (n,) predicted classes of its test images, at the last evaluation
    learned : of each finished task, its `predicted` classes when it had been learned, by evaluation mode
    inputs : of each task so far, images or latents, as the task at hand uses them
    kept : the memory of each finished task; positions are those in the data set
    trainer : of the task at hand, since `begin`
    """

    def __init__(
        self, dataset: Dataset, tasks: Sequence[Sequence[int]], *, share: float | None = 0.05, seed: int = 0,
        settings: Settings | None = None, frozen: bool | None = None, compressor: nn.Module | None = None,
        classifier: nn.Module | None = None, policy: Policy = memory.choose,
        compute: Compute | None = None, accelerate: Callable[[nn.Module], object] | None = None,
    ) -> None:  # fmt: skip
        check_tasks(tasks, len(dataset.class_names))
        self.dataset, self.seed = dataset, seed
        self.settings = settings = settings or Settings()
        self._choose(share, frozen, policy)
        self.compute = compute or resolve(settings.precision)
        self.tasks = [split(dataset, task, settings, seed) for task in tasks]
        self.compressor, self.classifier = self._networks(compressor, classifier)
        if accelerate:
            for network in (self.compressor, self.classifier):
                accelerate(network)
        self.evaluations: list[Evaluation] = []
        self.predicted: dict[str, list[Tensor]] = {}
        self.learned: list[dict[str, Tensor]] = []
        self.kept: list[LatentMemory] = []
        self.trainer: Trainer
        self.inputs: list[Inputs] = []
        self._optimizer: dict[Tensor, object] = {}  # state of the latest, by parameter
        self._latents: dict[int, Inputs] = {}  # of the frozen compressor: encoded once, also for all branches

    def learn(self, until: int | None = None) -> Iterator[Evaluation]:
        """Learn the next tasks, all or up to a number; yields each evaluation. The caller may break out early."""
        for _ in range(len(self.learned), until or len(self.tasks)):
            yield self.begin()
            for epoch in self.epochs():
                if self.evaluations[-1].epoch == epoch.number:
                    yield self.evaluations[-1]

    def run(self, until: int | None = None) -> TaskSequence:
        """`learn` in one go; returns the sequence itself."""
        for _ in self.learn(until):
            pass
        return self

    def begin(self) -> Evaluation:
        """Prepare the next task, freeze and fill the memory where that is due, and evaluate before the first epoch."""
        number, frozen = len(self.learned), self._is_frozen
        adapting, raw = (frozen and choice in self.settings.choices for choice in ("adapting", "raw"))
        if frozen:
            freeze(self.compressor)
        self.inputs = [self._of_task(place, frozen) for place in range(number + 1)]
        if number and self.share is not None and len(self.kept) < number:
            self._remember(number - 1)
        if adapting:  # from here on latents change, but for those of the memory
            self.inputs, self._latents = [self._of_task(place, False) for place in range(number + 1)], {}
        new = self.inputs[number]
        self.trainer = Trainer(
            self.classifier if frozen and not adapting else nn.Sequential(self.compressor, self.classifier),
            new.train, new.train_labels, settings=self.settings, compute=self.compute,
            generator=make_generator(self.seed, "batches", *self._purpose(number)), memory=self.memory,
            replaying=self.classifier if adapting else nn.Sequential(self.compressor, self.classifier) if raw else None,
        )  # fmt: skip
        before, self._optimizer = self._optimizer, self.trainer.optimizer.state
        if "carry-optimizer" in self.settings.choices:
            self._optimizer.update({p: before[p] for p in self.trainer.network.parameters() if p in before})
        return self._evaluate(0, None)

    def epochs(self) -> Iterator[Epoch]:
        """Train the task at hand to its end; yields each epoch, after its evaluation where there is one.

        A trainer that was brought to where an earlier one stopped goes on from there (call `predict` before).
        """
        for epoch in self.trainer.epochs():
            if self.trainer.finished or metrics.is_evaluated(epoch.number):
                self._evaluate(epoch.number, epoch.train_accuracy)
            yield epoch
        self.learned.append({mode: classes[-1] for mode, classes in self.predicted.items()})

    def branch(
        self, share: float | None = None, *, frozen: bool | None = None, policy: Policy = memory.choose,
        choices: tuple[str, ...] = (),
    ) -> TaskSequence:  # fmt: skip
        """A copy that goes on with another memory; for a sequence that has learned its first task and no other."""
        if len(self.learned) != 1 or self.evaluations[-1].task:
            raise UsageError("a branch starts where the first task alone has been learned: learn(1) does that")
        other = copy.copy(self)
        parts = (self.compressor, self.classifier, self._optimizer)
        other.compressor, other.classifier, other._optimizer = copy.deepcopy(parts)
        other.evaluations, other.kept, other.learned = self.evaluations[:], [], self.learned[:]
        other.predicted, other.settings = dict(self.predicted), dataclasses.replace(self.settings, choices=choices)
        other._choose(share, frozen, policy)
        return other

    @property
    def _is_frozen(self) -> bool:
        return self.frozen and len(self.learned) > 0

    def _choose(self, share: float | None, frozen: bool | None, policy: Policy) -> None:
        replays_latents = share is not None and "raw" not in self.settings.choices
        if share is not None:
            check_share(share)
        if frozen is False and replays_latents:
            raise UsageError("replay of latents needs a frozen compressor: stored latents hold for one compressor")
        self.share, self.policy = share, policy
        self.frozen = replays_latents if frozen is None else frozen
        if self.frozen and len({"adapting", "raw", "mixed-batches"}.intersection(self.settings.choices)) > 1:
            raise UsageError("choices: with a frozen compressor, choose one of adapting, raw and mixed-batches")

    def _of_task(self, number: int, encoded: bool) -> Inputs:
        if encoded and number in self._latents:
            return self._latents[number]
        task, images, labels = self.tasks[number], self.dataset.images.unsqueeze(1), self.dataset.labels
        parts = (images[task.train], labels[task.train], images[task.test], labels[task.test])
        inputs = Inputs(*(part.to(self.compute.device) for part in parts))
        if encoded:
            train, test = (encode(self.compressor, part, self.compute) for part in (inputs.train, inputs.test))
            inputs = self._latents[number] = Inputs(train, inputs.train_labels, test, inputs.test_labels)
        return inputs

    def _remember(self, number: int) -> None:
        assert self.share is not None
        draw = make_generator(self.seed, "memory", *([number] if number else []))
        task = self._of_task(number, "raw" not in self.settings.choices)
        kept = self.policy(task.train, task.train_labels, self.share, draw)
        self.kept.append(dataclasses.replace(kept, positions=self.tasks[number].train[kept.positions.cpu()]))

    def _purpose(self, number: int) -> list[object]:
        """The words in the seed of the batches. The paper's arms have their names."""
        if number == 0:
            return [FIRST_TASK]
        arm = REPLAY if self.share is not None else "frozen" if self.frozen else NO_REPLAY
        return [arm_name(arm, self.share), *([number] if number > 1 else [])]

    def _networks(self, compressor: nn.Module | None, classifier: nn.Module | None) -> tuple[nn.Module, nn.Module]:
        papers = models.build(derived_seed(self.seed, "weights"))
        chosen = papers[0] if compressor is None else nn.Sequential(_Scaled(self.compute.dtype), compressor)
        networks = self.compute.place(chosen), self.compute.place(classifier or papers[1])
        two = self.dataset.images[:2].unsqueeze(1).to(self.compute.device)
        part = "compressor does not take (n, 1, 28, 28) images"
        try:
            with torch.no_grad():
                latents = networks[0].eval()(two)
                part = f"classifier does not take latents of shape {('n', *latents.shape[1:])}"
                shape = tuple(networks[1].eval()(latents).shape)
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"the {part}: {error}") from error
        if shape != (2, CLASSES):
            raise UsageError(f"the classifier gives {shape} for two images; it must be (2, {CLASSES})")
        return networks

    def _evaluate(self, epoch: int, train_accuracy: float | None) -> Evaluation:
        self.predict()
        labels = [inputs.test_labels for inputs in self.inputs]
        accuracy = {mode: tuple(map(metrics.accuracy, found, labels)) for mode, found in self.predicted.items()}
        self.evaluations.append(Evaluation(len(self.inputs) - 1, epoch, train_accuracy, accuracy))
        return self.evaluations[-1]

    def predict(self) -> None:
        """Predict the test images of the tasks so far, by the network as it is now, under every mode."""
        tests = [inputs.test for inputs in self.inputs]
        for mode in EVALUATIONS:
            # With one task there is nothing to mix: "mixed" is "batch", without its time.
            alone = mode == "mixed" and len(tests) == 1
            self.predicted[mode] = self.predicted["batch"] if alone else self._classes(tests, mode, "test")

    def _classes(self, parts: Sequence[Tensor], mode: str, purpose: str) -> list[Tensor]:
        """(n,) predicted classes of each part, the parts being in the order of the tasks."""
        shuffle = make_generator(self.seed, "mixed", purpose)  # the same after every epoch
        with self.compute.sharing(), self.compute.autocast():
            found = metrics.predict(self.trainer.network, parts[::-1], mode, self.settings.batch_size, shuffle)
        return found[::-1]

    def train_accuracy(self, mode: str) -> float:
        """Accuracy on the training images of the latest task."""
        tasks = self.inputs if mode == "mixed" else self.inputs[-1:]  # only in mixed batches do other tasks matter
        predicted = self._classes([inputs.train for inputs in tasks], mode, "train")[-1]
        return metrics.accuracy(predicted, self.inputs[-1].train_labels)

    @property
    def memory(self) -> LatentMemory | None:
        """All that is kept, of all finished tasks; None where nothing is. Positions are those in the data set."""
        if not self.kept:
            return None
        parts = zip(*((kept.latents, kept.labels, kept.positions) for kept in self.kept), strict=True)
        latents, labels, positions = map(torch.cat, parts)
        return LatentMemory(latents, labels, positions, self.kept[0].bits)

    @property
    def memory_bytes(self) -> int:
        """What has to be stored: `LatentMemory.bytes` of each finished task."""
        return sum(kept.bytes for kept in self.kept)

    def matrix(self, mode: str = "mixed") -> list[tuple[float, ...]]:
        """The accuracy matrix R of `metrics.forgetting`; its last row is the present one."""
        latest = {evaluation.task: evaluation.accuracy[mode] for evaluation in self.evaluations}
        return list(latest.values())

    def forgetting(self, mode: str = "mixed") -> float | None:
        """`metrics.forgetting` of the accuracy matrix; None while there is one task alone."""
        return metrics.forgetting(self.matrix(mode))

    def confusion(self, mode: str = "mixed") -> list[list[int]]:
        """(10, 10) counts over the test images of all tasks so far: row the true class, column the predicted one."""
        labels = torch.cat([inputs.test_labels for inputs in self.inputs])
        return metrics.confusion(torch.cat(self.predicted[mode]), labels)

    def encode(self, positions: Tensor) -> Tensor:
        """(n, 1, 6, 6) latents of the images at these positions, through the compressor as it is now."""
        images = self.dataset.images[positions].unsqueeze(1).to(self.compute.device)
        return encode(self.compressor, images, self.compute)


class _Scaled(nn.Module):
    """(n, 1, 28, 28) uint8 pixels -> floats in [0, 1]."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        return images.to(self.dtype) / 255
