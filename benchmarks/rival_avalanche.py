"""The Avalanche rival: `Naive` with `ReplayPlugin`, raw images in its memory, the networks of the textbook rival.

    python rival_avalanche.py {first,second} THREADS

Avalanche joins new and replayed images in one batch; the batches here hold as many of each as the protocol's two.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # A CUDA build of torchvision beside a CPU build of torch. Avalanche imports it but uses none of its compiled operators.
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]  # what the failed import left
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from avalanche.benchmarks import nc_benchmark  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin, SupervisedPlugin  # noqa: E402
from avalanche.training.supervised import Naive  # noqa: E402
from textbook import BATCH, classifier, compressor, optimizer_for  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402
from workload import MEMORY_SHARE, UPDATES, serve, tasks  # noqa: E402


class Rounds(SupervisedPlugin):
    """Holds training up before every `UPDATES`-th iteration until the next round is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.done, self.seen = threading.Semaphore(0), threading.Semaphore(0), 0

    def before_training_iteration(self, strategy: object, **kwargs: object) -> None:
        """Wait where a round begins."""
        if self.seen % UPDATES == 0:
            self.go.acquire()

    def after_training_iteration(self, strategy: object, **kwargs: object) -> None:
        """Tell where a round ends."""
        self.seen += 1
        if self.seen % UPDATES == 0:
            self.done.release()

    def measure(self) -> int:
        """One round."""
        self.go.release()
        self.done.acquire()
        return UPDATES * BATCH


def dataset(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> TensorDataset:
    """Of images in [0, 1], with the attribute that Avalanche looks for."""
    images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    found = TensorDataset(images.float() / 255, labels)
    found.targets = labels.tolist()
    return found


def main(phase: str, threads: int) -> None:
    """Train until standard input ends."""
    warnings.simplefilter("ignore")
    logging.disable()
    torch.set_num_threads(threads)
    parts = tasks()
    # Its first task is only there to fill the memory, and so is short.
    everything = dataset(parts)
    benchmark = nc_benchmark(everything, everything, 2, task_labels=False, fixed_class_order=list(range(10)))
    network = nn.Sequential(compressor(), classifier())
    rounds = Rounds()
    replay = [ReplayPlugin(mem_size=round(MEMORY_SHARE * len(parts[0][0])), batch_size_mem=BATCH)]
    strategy = Naive(
        model=network, optimizer=optimizer_for(network), criterion=nn.NLLLoss(), train_mb_size=BATCH, train_epochs=1,
        device="cpu", plugins=replay if phase == "second" else [], evaluator=EvaluationPlugin(loggers=[]),
    )  # fmt: skip
    first, second = benchmark.train_stream
    if phase == "second":
        strategy.train(first)
    strategy.plugins.append(rounds)
    strategy.train_epochs = 10_000
    trainer = threading.Thread(target=strategy.train, args=(second if phase == "second" else first,), daemon=True)
    trainer.start()
    serve(rounds.measure)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
