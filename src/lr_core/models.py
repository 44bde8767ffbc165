"""The two networks of the paper, layer by layer: `Compressor` (Table 1) and `Classifier` (Table 2).

ELU works in place: its gradient is then taken from its result, without an exponential.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lr_core.settings import CLASSES

LATENT_SHAPE = (1, 6, 6)
LATENT_VALUES = 36
IMAGE_PIXELS = 28 * 28


class Compressor(nn.Sequential):
    """Table 1: (n, 1, 28, 28) images -> (n, 1, 6, 6) latents, 36 values for 784 pixels.

    28 -> 24 -> 20 by two 5x5 convolutions without padding, 20 -> 6 by pooling 3x3 blocks (the last two rows and
    columns fall away). 533 parameters: 260 + 20 in layer 1, 251 + 2 in layer 2.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 10, kernel_size=5),
            nn.BatchNorm2d(10),
            nn.ELU(inplace=True),
            nn.Conv2d(10, 1, kernel_size=5),
            nn.BatchNorm2d(1),
            nn.ELU(inplace=True),
            nn.MaxPool2d(3),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Of uint8 pixels, scaled to [0, 1] here (the paper does not say how), or of floats already in [0, 1]."""
        if images.dtype == torch.uint8:
            images = images.to(next(self.parameters()).dtype) / 255
        return super().forward(images)


class Classifier(nn.Sequential):
    """Table 2: (n, 1, 6, 6) latents -> (n, 10) log-probabilities.

    The paper gives no padding; six 3x3 convolutions fit a 6x6 map only with padding 1, which leaves
    50 x 6 x 6 = 1800 inputs to the dense part. 142,868 parameters: 600 in layer 1, 5 x 22,650 in layers 2 to 6
    (each with 100 of its BatchNorm), 28,848 in layer 7, 170 in layer 8.
    """

    def __init__(self, channels: int = 50) -> None:
        convolutions: list[nn.Module] = []
        for inputs in (1, *[channels] * 5):
            convolutions += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ELU(inplace=True)]
        super().__init__(
            *convolutions,
            nn.Flatten(),
            nn.Linear(channels * LATENT_VALUES, 16),
            nn.BatchNorm1d(16),
            nn.ELU(inplace=True),
            nn.Linear(16, CLASSES),
            nn.LogSoftmax(dim=1),
        )


def build(seed: int) -> tuple[Compressor, Classifier]:
    """Both networks with PyTorch's default initialisation, drawn from `seed`; the global generator is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Compressor(), Classifier()
