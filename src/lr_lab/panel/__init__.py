"""The live bench of `notebooks/explore.ipynb`: choose, press Run, look on, stop, compare.

What is learned and measured is `experiment.TaskSequence`; what is drawn is of `figures`. Here are only the fields, what they
refuse, and the panel.

Public, in reading order: `show`, `Panel`.
"""

from __future__ import annotations

import asyncio
import base64
import html
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
from IPython.display import Markdown
from matplotlib.figure import Figure

from lr_core import experiment
from lr_core.errors import LatentReplayError, UsageError
from lr_core.experiment import TaskSequence
from lr_core.fast import accelerate
from lr_core.memory import check_share, pixel_share
from lr_core.settings import CASES, EVALUATIONS, Settings
from lr_core.tasks import Dataset
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.panel.text import parse_tasks
from lr_lab.runs.latent_plane import latent_plane

SPLITS = {
    **{
        f"5 / 5, case {number} of the paper": " | ".join("".join(map(str, task)) for task in (case.first, case.second))
        for number, case in CASES.items()
    },
    "2 / 8": "01 | 23456789",
    "8 / 2": "01234567 | 89",
    "five tasks of two": "01 | 23 | 45 | 67 | 89",
}

PAGE = 760  # pixels: what a figure as wide as the text takes

REPLAYS = {
    "on": "replay",
    "off (the paper's baseline)": "none",
    "off, compressor frozen": "frozen",
}


def show() -> widgets.VBox | Markdown:
    """The bench, where there is a page on which it can be used; elsewhere one line that says where."""
    # A Jupyter server names the notebook to the kernels that it starts. papermill and nbval start theirs without one.
    if "JPY_SESSION_NAME" in os.environ:
        return Panel().panel
    return Markdown(
        "*Here is the live bench when this notebook is open in JupyterLab (`make lab`). "
        "What it does is done below in code, with the outputs of a small run.*"
    )


@dataclass
class Kept:
    """A run, finished or stopped, that stays for comparison."""

    title: str
    sequence: TaskSequence
    seconds: float


class Field:
    """An input with its name above it and room for one line of complaint below it."""

    def __init__(self, label: str, control: widgets.Widget) -> None:
        control.layout.width = "auto"
        self.control = control
        self.message = widgets.HTML()
        self.box = widgets.VBox([widgets.HTML(f"<b>{label}</b>"), control, self.message])

    def say(self, fault: str) -> None:
        """Show what is wrong, or nothing."""
        self.message.value = _line(fault, "#b00020") if fault else ""


class Panel:
    """The fields, the run in progress, and the runs that are kept. `panel` is what a notebook shows."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.task: asyncio.Task | None = None
        self._stopping = False
        self._data: Dataset | None = None
        self._refused: dict[str, str] = {}  # data set -> why it cannot be had, until it is fetched after all
        self._fields()
        self._buttons()
        self._views()
        everything = widgets.GridBox(
            [field.box for field in self.fields.values()],
            layout=widgets.Layout(grid_template_columns="repeat(auto-fit, minmax(230px, 1fr))", grid_gap="4px 24px"),
        )
        self.panel = widgets.VBox(
            [everything, widgets.HBox([self.run_button, self.stop_button, self.clear_button, self.fetch_button]),
             self.status, self.curves, self.table, self.closer]
        )  # fmt: skip
        self.panel.add_class("lr-bench")
        self.check()

    # -- what there is to choose --------------------------------------------------------------------------------

    def _fields(self) -> None:
        here = catalogue.available()
        names = {
            f"{catalogue.describe(name).title}{'' if name in here else ' (not on this machine)'}": name
            for name in catalogue.DATASETS
        }
        default = next(name for name in (*catalogue.PAPER_DATASETS, "digits") if name in here)
        self.fields = {
            "dataset": Field("Data set", widgets.Dropdown(options=names, value=default)),
            "split": Field("Split, ready-made", widgets.Dropdown(options=SPLITS)),
            "tasks": Field("Classes, a bar between tasks", widgets.Text(next(iter(SPLITS.values())))),
            "replay": Field("Replay", widgets.Dropdown(options=REPLAYS)),
            "memory": Field("Memory, % of a task's images", widgets.FloatText(5.0, step=1)),
            "images": Field("Images of each class", widgets.IntText(experiment.QUICK.images_per_class, step=50)),
            "epochs": Field("Epochs a task, at most", widgets.IntText(experiment.QUICK.max_epochs)),
            "seed": Field("Seed", widgets.IntText(0)),
        }
        self._control("split").observe(self._on_split, names="value")
        self._control("tasks").observe(self._on_tasks, names="value")
        for field in self.fields.values():
            field.control.observe(lambda change: self.check(), names="value")

    def _buttons(self) -> None:
        def button(label: str, icon: str, press: Callable[[], object], style: str = "") -> widgets.Button:
            made = widgets.Button(description=label, icon=icon, button_style=style)
            made.on_click(lambda _: press())
            return made

        self.run_button = button("Run", "play", self.start, "primary")
        self.stop_button = button("Stop", "stop", self.stop)
        self.clear_button = button("Clear runs", "trash", self.clear)
        self.fetch_button = button("Fetch the data", "download", self.fetch)
        self.stop_button.disabled = True
        self.fetch_button.layout.display = "none"
        self.status = widgets.HTML(_line("Press Run.", ""))

    def _views(self) -> None:
        self.curves, self.table = widgets.HTML(), widgets.HTML()
        self.which = widgets.Dropdown(description="Run", layout=widgets.Layout(width="560px"))
        self.which.style.description_width = "initial"
        self.mode = widgets.Dropdown(
            description="Measured by",
            options={plots.EVALUATION_NAMES[mode]: mode for mode in EVALUATIONS},
            value="mixed",
            style={"description_width": "initial"},
        )
        self.which.observe(self._draw_closer, names="value")
        self.mode.observe(lambda change: self._draw_all(), names="value")
        self.details = widgets.HTML()
        self.closer = widgets.VBox(
            [widgets.HTML("<h3>One run, closer</h3>"), widgets.HBox([self.which, self.mode]), self.details]
        )
        self.closer.children[1].layout.flex_flow = "row wrap"
        self.closer.layout.display = "none"

    def _control(self, name: str) -> widgets.Widget:
        return self.fields[name].control

    def _value(self, name: str) -> Any:
        return self._control(name).value

    def _on_split(self, change: dict) -> None:
        if change["new"] is not None:
            self._control("tasks").value = change["new"]

    def _on_tasks(self, change: dict) -> None:
        # A split of one's own has no name in the list: none may go on standing there.
        self._control("split").value = change["new"] if change["new"] in SPLITS.values() else None

    # -- what is refused ----------------------------------------------------------------------------------------

    def check(self) -> bool:
        """Complain below each field about what is wrong with it; whether nothing is."""
        name = str(self._value("dataset"))
        absent = self._refused.get(name) or (
            ""
            if name in catalogue.available()
            else f"{catalogue.describe(name).title} is not on this machine: press “Fetch the data”, or choose another"
        )
        self.fetch_button.layout.display = "" if absent else "none"
        self.fetch_button.disabled = self.task is not None
        faults = {
            "dataset": absent,
            "tasks": _fault(lambda: parse_tasks(str(self._value("tasks")))),
            "memory": _fault(lambda: check_share(self._share())) if self._value("replay") == "replay" else "",
            # In the words of the fields: the settings speak of their own names.
            "images": _fault(lambda: self._settings("images_per_class")) and "choose at least 20 images of each class",
            "epochs": _fault(lambda: self._settings("max_epochs")) and "choose at least one epoch",
            "seed": "" if self._value("seed") >= 0 else "a seed is a whole number of at least 0",
        }
        for name, fault in faults.items():
            self.fields[name].say(fault)
        self._control("memory").disabled = self._value("replay") != "replay"
        well = not any(faults.values())
        self.run_button.disabled = not well or self.task is not None
        return well

    def _share(self) -> float:
        return float(self._value("memory")) / 100

    def _settings(self, *only: str) -> Settings:
        chosen = {"images_per_class": self._value("images"), "max_epochs": self._value("epochs")}
        own = {name: value for name, value in chosen.items() if not only or name in only}
        return Settings.from_dict(experiment.QUICK.as_dict() | own)

    # -- running ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a run with what the fields say; it goes on while the page stays usable."""
        if self.check() and self.task is None:
            self._begin(self.run())

    def stop(self) -> None:
        """End the run after the epoch at hand; what was learned and seen stays."""
        self._stopping = True
        self.stop_button.disabled = True

    def clear(self) -> None:
        """Forget the runs that are kept."""
        self.kept.clear()
        self._draw_all()

    def fetch(self) -> None:
        """Get the data set that is chosen from its sources."""
        if self.task is None:
            self._begin(self._fetch())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self.task = asyncio.get_running_loop().create_task(self._watched(work))
        self.check()

    async def _watched(self, work: Coroutine[None, None, None]) -> None:
        name = str(self._value("dataset"))
        try:
            await work
        except UsageError as error:  # of the fields together: one alone is refused as soon as it is typed
            self._say(f"Nothing was run: {error}")
        except LatentReplayError as error:
            self._refused[name] = f"{catalogue.describe(name).title} cannot be had: choose another, or see below why"
            self._say(" ".join(str(error).split()))
        except Exception as error:  # a task's exception would otherwise be seen by nobody
            self._say(f"The run failed: {type(error).__name__}: {error}")
        finally:
            self.task = None
            self.stop_button.disabled = True
            self.check()

    async def _fetch(self) -> None:
        from lr_lab.data import fetch

        name = str(self._value("dataset"))
        self._say(f"Fetching {catalogue.describe(name).title} ...")
        await asyncio.get_running_loop().run_in_executor(None, fetch.fetch, name)
        self._refused.pop(name, None)
        self._say("The data are there: press Run.")

    async def run(self) -> None:
        """One run, drawn as it goes; kept at its end, also where it was stopped."""
        self._stopping, began = False, time.perf_counter()
        self.stop_button.disabled = False
        self._say("Loading the images ...")
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as other:  # so that the page and the Stop button are served during an epoch
            sequence = await loop.run_in_executor(other, self._sequence)
            run = Kept(self._title(), sequence, 0.0)
            self.kept.append(run)
            looks = sequence.learn()
            while not self._stopping and (look := await loop.run_in_executor(other, next, looks, None)):
                run.seconds = time.perf_counter() - began
                self._say(f"Task {look.task + 1} of {len(sequence.tasks)}, epoch {look.epoch}; {run.seconds:.0f} s.")
                self._draw_curves()
        if self._stopping:
            run.title += ", stopped"
        if not sequence.evaluations:
            self.kept.remove(run)
        self._draw_all()
        self._say(
            f"{'Stopped' if self._stopping else 'Done'} after {run.seconds:.0f} s. Change something and run again."
        )

    def _sequence(self) -> TaskSequence:
        name, replay = str(self._value("dataset")), self._value("replay")
        if self._data is None or self._data.name != name:
            self._data = catalogue.load(name)
        return TaskSequence(
            self._data,
            parse_tasks(str(self._value("tasks"))),
            share=self._share() if replay == "replay" else None,
            frozen=replay != "none",
            seed=int(self._value("seed")),
            settings=self._settings(),
            accelerate=accelerate,
        )

    def _title(self) -> str:
        replay = {"replay": f"replay {100 * self._share():g} %", "none": "no replay", "frozen": "no replay, frozen"}
        return f"{len(self.kept) + 1}: {replay[str(self._value('replay'))]}"

    # -- showing ------------------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        self.status.value = _line(words, "")

    def _draw_all(self) -> None:
        self._draw_curves()
        self.table.value = _comparison(self.kept, self.mode.value) if self.kept else ""
        self.closer.layout.display = "" if self.kept else "none"
        self.which.unobserve(self._draw_closer, names="value")  # new options would be drawn one by one
        self.which.options = [(f"{run.title} ({_about(run.sequence)})", place) for place, run in enumerate(self.kept)]
        self.which.value = len(self.kept) - 1 if self.kept else None
        self.which.observe(self._draw_closer, names="value")
        self._draw_closer()

    def _draw_curves(self) -> None:
        shown = {run.title: run.sequence.evaluations for run in self.kept if run.sequence.evaluations}
        epochs = shown and max(len(looks) for looks in shown.values())
        self.curves.value = (
            _picture(plots.task_curves(shown, self.mode.value), f"Accuracy on each task, {epochs} points")
            if shown
            else ""
        )

    def _draw_closer(self, change: object = None) -> None:
        if self.which.value is None:
            self.details.value = ""
            return
        sequence, mode = self.kept[self.which.value].sequence, self.mode.value
        self.details.value = "".join(_details(sequence, mode))


def _details(sequence: TaskSequence, mode: str) -> list[str]:
    """What is to be seen of one run, as HTML."""
    data, names = sequence.dataset, sequence.dataset.class_names
    parts = [
        "<h4>The latents</h4><p>Test images as the compressor sees them now, 36 numbers each, in the plane in which "
        "those of the first task vary most.</p>",
        _picture(plots.latent_planes(*latent_plane(sequence), names), "Latents of each task in a plane"),
        "<h4>What is taken for what</h4>",
        _picture(
            plots.confusion_matrix(sequence.confusion(mode), [task.classes for task in sequence.learned], names),
            "Confusion matrix",
        ),
    ]
    if len(sequence.learned) > 2:
        parts += [
            "<h4>Accuracy after each task</h4>",
            _picture(plots.accuracy_matrix(sequence.matrix(mode)), "Accuracy matrix"),
        ]
    lost = sequence.forgotten(mode)
    parts.append(
        f"<h4>What was forgotten</h4><p>{len(lost.labels):,} of the {lost.known:,} old test images that were known.</p>"
    )
    if len(lost.labels):
        parts.append(_picture(plots.forgotten(data, lost), "Forgotten images"))
    kept = sequence.memory
    parts.append("<h4>What is remembered</h4>")
    if kept is None:
        return [*parts, "<p>Nothing is kept.</p>"]
    images = sum(len(task.train) for task in sequence.learned[: len(sequence.kept)])
    parts.append(
        f"<p>{len(kept):,} of {images:,} images, as latents with their labels: {sequence.memory_bytes:,} bytes. That is "
        f"{pixel_share(len(kept), images):.2%} of the images' pixels, as the paper counts, and "
        f"{sequence.memory_bytes / (785 * images):.2%} of their bytes. As images they would be {785 * len(kept):,} bytes.</p>"
    )
    return [*parts, _picture(plots.image_latents(data, kept.positions, kept.latents), "Some of the memory")]


def _comparison(kept: Sequence[Kept], mode: str) -> str:
    """The runs as an HTML table, a row for each."""
    head = ("Run", "Data and settings", "Old classes", "New classes", "Forgetting", "Memory", "Time")
    rows = []
    for run in kept:
        *old, new = run.sequence.matrix(mode)[-1]
        lost = run.sequence.forgetting(mode)
        rows.append(
            (
                run.title,
                _about(run.sequence),
                f"{sum(old) / len(old):.1%}" if old else "",
                f"{new:.1%}",
                "" if lost is None else f"{100 * lost:.1f} points",
                f"{run.sequence.memory_bytes:,} bytes",
                f"{run.seconds:.0f} s",
            )
        )
    lines = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f"<table class='jp-RenderedHTMLCommon'><thead><tr>{_cells('th', head)}</tr></thead><tbody>{lines}</tbody></table>"


def _cells(tag: str, row: Sequence[str]) -> str:
    """Words to the left, as wide as they need but for the settings; numbers to the right, where JupyterLab puts all."""
    styles = ("text-align: left; white-space: nowrap", "text-align: left", *["white-space: nowrap"] * 5)
    return "".join(
        f"<{tag} style='{style}'>{html.escape(cell)}</{tag}>" for cell, style in zip(row, styles, strict=True)
    )


def _about(sequence: TaskSequence) -> str:
    tasks = " | ".join("".join(map(str, task.classes)) for task in sequence.tasks)
    return (
        f"{sequence.dataset.title}, {tasks}, {sequence.settings.images_per_class} images a class, seed {sequence.seed}"
    )


def _picture(figure: Figure, description: str) -> str:
    """A figure for an HTML widget, as wide as it was drawn and no wider than the page; on white, whatever the theme."""
    data = base64.b64encode(plots.svg(figure).encode()).decode()
    return (
        f"<img alt='{html.escape(description)}' src='data:image/svg+xml;base64,{data}' "
        f"style='background: white; width: {PAGE * figure.get_size_inches()[0] / plots.WIDTH:.0f}px; max-width: 100%'>"
    )


def _line(words: str, colour: str) -> str:
    """A sentence that screen readers read when it changes; close-set, where it takes more than one line."""
    return (
        f'<span role="status" style="display: block; line-height: 1.4; color: {colour or "inherit"}">'
        f"{html.escape(words)}</span>"
    )


def _fault(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except UsageError as error:
        return str(error)
    return ""
