"""What a trained network shows when its BatchNorm gets other statistics than in the three evaluation modes: `probe`.

It needs the weights, which no record keeps, so it is measured at the end of an arm. Nothing is trained, and the
network stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from lr_core import metrics
from lr_core.experiment import TaskSequence
from lr_core.settings import make_generator
from lr_core.training import batches

BATCH_SIZES = (50, 200)
"""Images in a test batch, beside the size of training batches, which the accuracies of an arm have."""


def probe(sequence: TaskSequence) -> dict:
    """Accuracies, each a list by task, of the network as it is now.

    batch
        Under "batch" statistics with test batches of another size: "50", "200", and "all" images of a task at once. With a
        frozen compressor also "compressor": its BatchNorm has the statistics of the test batch too.
    reestimated
        Under "running" statistics with averages taken anew from the finished network, over one pass through the new
        training images. Each batch is half new; its other half comes from the "memory", or from "all" training images
        of the task before. Not there without a memory of latents, or where the compressor adapts.
    """
    network = copy.deepcopy(sequence.trainer.network)
    is_frozen = sequence.trainer.network is sequence.classifier
    latents = [inputs.test for inputs in sequence.inputs]

    def accuracies(mode: str, size: int, network: nn.Module = network, tests: list[Tensor] = latents) -> list[float]:
        unused = make_generator(sequence.seed)  # of mixed batches alone
        with sequence.compute.autocast():
            found = metrics.predict(network, tests, mode, size, unused)
        return [metrics.accuracy(*pair) for pair in zip(found, (i.test_labels for i in sequence.inputs), strict=True)]

    with sequence.compute.sharing():
        sizes = {str(size): size for size in BATCH_SIZES} | {"all": max(map(len, latents))}
        found: dict = {"batch": {name: accuracies("batch", size) for name, size in sizes.items()}}
        if is_frozen:
            every = sequence.dataset.images.unsqueeze(1)
            images = [every[task.test].to(sequence.compute.device) for task in sequence.tasks[: len(latents)]]
            whole = nn.Sequential(copy.deepcopy(sequence.compressor), network)
            found["batch"]["compressor"] = accuracies("batch", sequence.settings.batch_size, whole, images)
        memory = sequence.memory
        if is_frozen and memory is not None and memory.latents.shape[1:] == sequence.trainer.inputs.shape[1:]:
            found["reestimated"] = {}
            for name, old in {"memory": memory.latents, "all": sequence.inputs[-2].train}.items():
                with sequence.compute.autocast():
                    reestimate(network, _half_and_half(sequence, old))
                found["reestimated"][name] = accuracies("running", sequence.settings.batch_size)
    return found


@torch.no_grad()
def reestimate(network: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Set the running averages of every BatchNorm to the plain mean over these batches. Weights stay as they are."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch's word for a plain mean
    network.train()
    for batch in inputs:
        network(batch)
    network.eval()
    for layer, before in zip(layers, momentum, strict=True):
        layer.momentum = before


def _half_and_half(sequence: TaskSequence, old: Tensor) -> Iterator[Tensor]:
    new, draw = sequence.trainer.inputs, make_generator(sequence.seed, "reestimate")
    size = min(sequence.settings.batch_size // 2, len(old))
    for positions in batches(len(new), size, draw):
        chosen = torch.randperm(len(old), generator=draw)[: len(positions)]
        yield torch.cat([new[positions.to(new.device)], old[chosen.to(old.device)]])
