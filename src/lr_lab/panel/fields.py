"""The input fields of the panel, and the check of their values."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from lr_core.errors import UsageError
from lr_core.memory import check_share
from lr_core.settings import CASES, is_whole
from lr_lab.data import catalogue
from lr_lab.panel.text import parse_tasks
from lr_lab.runs import profiles
from lr_lab.runs.variants import VARIANTS


def written(tasks: tuple[tuple[int, ...], ...]) -> str:
    """Classes with a bar between tasks, as `parse_tasks` reads them."""
    return " | ".join("".join(map(str, classes)) for classes in tasks)


SPLITS = {
    **{f"5 / 5, case {number} of the paper": written((case.first, case.second)) for number, case in CASES.items()},
    "2 / 8": "01 | 23456789",
    "8 / 2": "01234567 | 89",
    "five tasks of two": "01 | 23 | 45 | 67 | 89",
}

REPLAYS = {"on": "replay", "off (the paper's baseline)": "none", "off, compressor frozen": "frozen"}
CONTENTS = {
    "latents, 32 bits a value": "",
    **{VARIANTS[name].words: name for name in ("bits-8", "bits-4", "raw-frozen", "raw")},
}
TRAININGS = {"new and memory in turn": (), "a combined batch of both": ("mixed-batches",)}


class Field(widgets.VBox):
    """An input with its name above it and one line for an error message below it."""

    def __init__(self, label: str, control: widgets.Widget) -> None:
        control.layout.width = "auto"
        self.control = control
        self.message = widgets.HTML()
        super().__init__([widgets.HTML(f"<b>{label}</b>"), control, self.message])


class Fields(dict[str, Field]):
    """The fields by name. `on_change` is called after each change."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        here = catalogue.available()
        titles = {
            f"{catalogue.describe(name).title}{'' if name in here else ' (not on this machine)'}": name
            for name in (*catalogue.DATASETS, *catalogue.PAIRS)
        }
        default = next(name for name in (*catalogue.PAPER_DATASETS, "digits") if name in here)
        super().__init__(
            dataset=Field("Data set", widgets.Dropdown(options=titles, value=default)),
            split=Field("Split, ready-made", widgets.Dropdown(options=SPLITS)),
            tasks=Field("Classes, a bar between tasks", widgets.Text(next(iter(SPLITS.values())))),
            replay=Field("Replay", widgets.Dropdown(options=REPLAYS)),
            memory=Field("Memory, % of a task's images", widgets.FloatText(5.0, step=1)),
            contents=Field("The memory holds", widgets.Dropdown(options=CONTENTS)),
            training=Field("An update takes", widgets.Dropdown(options=TRAININGS)),
            norm=Field("Normalisation", widgets.Dropdown(options={"BatchNorm": False, "GroupNorm": True})),
            images=Field("Images of each class", widgets.IntText(profiles.INTERACTIVE.images_per_class, step=50)),
            epochs=Field("Epochs a task, at most", widgets.IntText(profiles.INTERACTIVE.max_epochs)),
            seed=Field("Seed", widgets.IntText(0)),
        )
        self.absent: dict[str, str] = {}  # data set -> why it cannot be used; removed when it was fetched
        split, tasks = self["split"].control, self["tasks"].control
        # A ready-made split is written out as classes. For other classes, no ready-made split is chosen.
        known = (lambda chosen: chosen or tasks.value, lambda classes: classes if classes in SPLITS.values() else None)
        widgets.link((split, "value"), (tasks, "value"), known)
        for field in self.values():
            field.control.observe(lambda change: on_change(), names="value")

    def value(self, name: str) -> Any:
        """The value of a field."""
        return self[name].control.value

    @property
    def title(self) -> str:
        """The title of the chosen data set."""
        return catalogue.describe(self.value("dataset")).title

    @property
    def words(self) -> str:
        """What is replayed and how, for the title of a run."""
        if (without := {"none": "no replay", "frozen": "no replay, frozen"}.get(self.value("replay"))) is not None:
            return f"{without}{', GroupNorm' if self.value('norm') else ''}"
        words = [f"replay {self.value('memory'):g} %"]
        words += [VARIANTS[name].words for name in (self.value("contents"),) if name]
        words += ["combined batches"] if self.value("training") else []
        return ", ".join([*words, *(["GroupNorm"] if self.value("norm") else [])])

    @property
    def share(self) -> float | None:
        """The share of a task's images that is kept; None without replay."""
        return self.value("memory") / 100 if self.value("replay") == "replay" else None

    @property
    def missing_data(self) -> str:
        """Why the chosen data set cannot be used; empty if it can."""
        name = self.value("dataset")
        if name in self.absent or name in catalogue.available():
            return self.absent.get(name, "")
        return f"{self.title} is not on this machine: press “Fetch the data”, or choose another"

    def check(self) -> bool:
        """Write an error message below each wrong field; returns whether all are right."""
        share = self.share
        errors = {
            "dataset": self.missing_data,
            "tasks": _error(lambda: parse_tasks(self.value("tasks"))),
            "memory": "" if share is None else _error(lambda: check_share(share)),
            "images": "" if is_whole(self.value("images"), 20) else "choose at least 20 images of each class",
            "epochs": "" if is_whole(self.value("epochs"), 1) else "choose at least one epoch",
            "seed": "" if is_whole(self.value("seed"), 0) else "a seed is a whole number of at least 0",
        }
        for name, error in errors.items():
            self[name].message.value = sentence(error, "#b00020") if error else ""
        for name in ("memory", "contents", "training"):
            self[name].control.disabled = share is None
        return not any(errors.values())


def sentence(words: str, colour: str = "inherit") -> str:
    """A sentence as HTML that screen readers read when it changes."""
    return f'<span role="status" style="display: block; line-height: 1.4; color: {colour}">{html.escape(words)}</span>'


def _error(check: Callable[[], object]) -> str:
    try:
        check()
    except UsageError as error:
        return str(error)
    return ""
