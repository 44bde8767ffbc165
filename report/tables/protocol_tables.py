"""What is run: cases, layers, settings, data sets and memories."""

from __future__ import annotations

from html import escape

import torch
from IPython.display import Markdown

from analysis.edition import PROFILE, literal, ours
from lr_core.memory import pixel_share
from lr_core.settings import CASES
from lr_lab.data import catalogue
from sentences.facts import memory_bytes, task_images
from sentences.titles import title
from sentences.words import NOT_RUN
from tables.html_table import simple_table


def cases() -> Markdown:
    """Table 3."""
    rows = [
        (number, ", ".join(map(str, case.first)), ", ".join(map(str, case.second))) for number, case in CASES.items()
    ]
    return simple_table(("Case", "First task", "Second task"), rows)


def network(model: torch.nn.Sequential, shape: tuple[int, ...]) -> Markdown:
    """Tables 1 and 2: every layer, what comes out of it, and its parameters, read from the model itself."""
    rows = []
    values = torch.zeros(2, *shape)
    layer = 0
    for module in model:
        values = module(values)
        kind = type(module).__name__
        weights = sum(parameter.numel() for parameter in module.parameters())
        size = getattr(module, "kernel_size", "")
        if isinstance(size, tuple):
            size = " × ".join(map(str, size))
        elif size:
            size = f"{size} × {size}"
        padding = getattr(module, "padding", "")
        if isinstance(padding, tuple):
            padding = padding[0]
        starts = kind in ("Conv2d", "Linear", "MaxPool2d")
        layer += starts
        if kind == "MaxPool2d":
            padding = ""
        out = " × ".join(map(str, values.shape[1:]))
        rows.append((layer if starts else "", kind, size, padding, out, f"{weights:,}" if weights else ""))
    total = sum(parameter.numel() for parameter in model.parameters())
    rows.append(("", "<strong>all</strong>", "", "", "", f"<strong>{total:,}</strong>"))
    return simple_table(("Layer", "Module", "Kernel", "Padding", "Output", "Parameters"), rows, numeric=(5,))


def data_facts() -> Markdown:
    """The sets of the profile: images, smallest and largest class where a record says so, licence."""
    rows = []
    for name in ours.datasets:
        info = catalogue.describe(name)
        record = next(iter(ours.of(name)), None)
        first = f"{record['tasks']['first']['train_images']:,}" if record else NOT_RUN
        rows.append((title(name).html, f"{info.images:,}", first, escape(info.licence)))
    return simple_table(
        ("Data set", "Images", "Training images, first task of case 1", "Licence"), rows, numeric=(1, 2)
    )


def budgets() -> Markdown:
    """What each memory share amounts to, in images, pixels and bytes of a task with 7,000 images a class."""
    images = task_images()
    rows = []
    for share in ours.settings.memory_shares:
        kept = round(share * images)
        rows.append(
            (
                f"{100 * share:g} %",
                f"{kept:,}",
                f"{100 * pixel_share(kept, images):.3f} %",
                f"{memory_bytes(share):,}",
                f"{100 * 4 * pixel_share(kept, images):.2f} %",
            )
        )
    columns = ("Share of images", "Latents kept", "Share of pixels", "Bytes with labels", "Share of bytes")
    return simple_table(columns, rows, numeric=(0, 1, 2, 3, 4))


def settings() -> Markdown:
    """Every setting: whether the original states it, and its value in this profile and in `literal`."""
    stated = {"train_share", "batch_size", "learning_rate", "memory_shares"}
    skip = {"latent_sample"}
    rows = []
    for name, value in ours.settings.as_dict().items():
        if name in skip:
            continue
        other = literal.settings.as_dict()[name]
        rows.append((name.replace("_", " "), "stated" if name in stated else "open", _plain(value), _plain(other)))
    return simple_table(("Setting", "Original", PROFILE, "literal"), rows)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "all" if value is None else escape(str(value))


def checksums() -> Markdown:
    """SHA-256 of every data file, as verified before each run."""
    rows = [
        (title(name).html, escape(file), f"<code>{sha256[:16]}…</code>")
        for name in ours.datasets
        for file, sha256 in catalogue.checksums(name).items()
    ]
    return simple_table(("Data set", "File", "SHA-256"), rows)
