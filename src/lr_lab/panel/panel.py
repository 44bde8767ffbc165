"""The panel: its buttons, the run in progress, and the views of finished runs."""

from __future__ import annotations

import asyncio
import base64
import html
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import ipywidgets as widgets
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from lr_core import memory
from lr_core.errors import LatentReplayError, UsageError
from lr_core.experiment import TaskSequence
from lr_core.fast import accelerate
from lr_core.settings import EVALUATIONS
from lr_core.tasks import Dataset
from lr_lab import plots
from lr_lab.data import catalogue, fetch
from lr_lab.panel.fields import Fields, sentence, written
from lr_lab.panel.text import parse_tasks
from lr_lab.plots.style import WIDTH
from lr_lab.runs import profiles
from lr_lab.runs.arms import policy, with_group_norm
from lr_lab.runs.forgotten import find_forgotten
from lr_lab.runs.latent_plane import latent_plane
from lr_lab.runs.variants import VARIANTS

PAGE = 760  # pixels: what a figure as wide as the text takes


def show() -> widgets.VBox | Markdown:
    """The panel in a page that can show it; else one line that says where it can be used."""
    # Jupyter servers set this variable for their kernels; papermill and nbval do not.
    if "JPY_SESSION_NAME" in os.environ:
        return Panel().view
    return Markdown(
        "*Here is the live panel when this notebook is open in JupyterLab (`make lab`). "
        "What it does is done below in code, with the outputs of a small run.*"
    )


@dataclass
class KeptRun:
    """A run, in progress, finished or stopped."""

    title: str
    sequence: TaskSequence
    seconds: float


class Panel:
    """The fields, buttons and results. `view` is what a notebook shows."""

    def __init__(self) -> None:
        self.kept: list[KeptRun] = []
        self.task: asyncio.Task | None = None  # the run or fetch in progress
        self._stopping = False
        self._data: Dataset | None = None
        self.fields = Fields(self.check)
        choices = widgets.GridBox(
            list(self.fields.values()),
            layout=widgets.Layout(grid_template_columns="repeat(auto-fit, minmax(230px, 1fr))", grid_gap="4px 24px"),
        )
        self.run_button = widgets.Button(description="Run", icon="play", button_style="primary")
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True)
        clear_button = widgets.Button(description="Clear runs", icon="trash")
        self.fetch_button = widgets.Button(description="Fetch the data", icon="download")
        buttons = [self.run_button, self.stop_button, clear_button, self.fetch_button]
        for button, press in zip(buttons, (self.start, self.stop, self.clear, self.fetch), strict=True):
            button.on_click(press)
        self.status = widgets.HTML(sentence("Press Run."))
        self.curves, self.table, self.details = widgets.HTML(), widgets.HTML(), widgets.HTML()
        wide = {"description_width": "initial"}
        self.which = widgets.Dropdown(description="Run", layout=widgets.Layout(width="560px"), style=wide)
        modes = {plots.EVALUATION_NAMES[mode]: mode for mode in EVALUATIONS}
        self.mode = widgets.Dropdown(description="Measured by", options=modes, value="mixed", style=wide)
        self.which.observe(self._draw_details, names="value")
        self.mode.observe(self._draw_all, names="value")
        views = widgets.HBox([self.which, self.mode], layout=widgets.Layout(flex_flow="row wrap"))
        self.one_run = widgets.VBox([widgets.HTML("<h3>One run, closer</h3>"), views, self.details])
        self.one_run.layout.display = "none"
        self.view = widgets.VBox([choices, widgets.HBox(buttons), self.status, self.curves, self.table, self.one_run])
        self.view.add_class("lr-panel")
        self.check()

    def check(self) -> bool:
        """Check the fields and enable the buttons that can be pressed; returns whether all fields are right."""
        valid = self.fields.check()
        self.fetch_button.layout.display = "" if self.fields.missing_data else "none"
        self.fetch_button.disabled = self.task is not None
        self.run_button.disabled = not valid or self.task is not None
        return valid

    # -- running ------------------------------------------------------------------------------------------------

    def start(self, button: object = None) -> None:
        """Begin a run in the background."""
        if self.check():
            self._begin(self.run)

    def stop(self, button: object = None) -> None:
        """End the run after the epoch in progress; its results stay."""
        self._stopping = True
        self.stop_button.disabled = True

    def clear(self, button: object = None) -> None:
        """Remove all runs."""
        self.kept.clear()
        self._draw_all()

    def fetch(self, button: object = None) -> None:
        """Fetch the chosen data set."""
        self._begin(self._fetch)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._watched(work))
            self.check()

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        name, title = self.fields.value("dataset"), self.fields.title
        try:
            await work()
        except UsageError as error:  # of values that do not fit together
            self._say(f"Nothing was run: {error}")
        except LatentReplayError as error:
            self.fields.absent[name] = f"{title} cannot be had: choose another, or see below why"
            self._say(str(error))
        except Exception as error:  # asyncio shows it nowhere
            self._say(f"The run failed: {type(error).__name__}: {error}")
        finally:
            self.task = None
            self.stop_button.disabled = True
            self.check()

    async def _fetch(self) -> None:
        name = self.fields.value("dataset")
        self._say(f"Fetching {self.fields.title} ...")
        await asyncio.get_running_loop().run_in_executor(None, fetch.fetch, name)
        self.fields.absent.pop(name, None)
        self._say("The data are there: press Run.")

    async def run(self) -> None:
        """Train, and draw after each epoch. The run stays for comparison, also if it was stopped."""
        self._stopping, began = False, time.perf_counter()
        self.stop_button.disabled = False
        self._say("Loading the images ...")
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as other:  # the page and the Stop button work during an epoch
            sequence = await loop.run_in_executor(other, self._sequence)
            run = KeptRun(f"{len(self.kept) + 1}: {self.fields.words}", sequence, 0.0)
            self.kept.append(run)
            evaluations = sequence.learn()
            while not self._stopping and (last := await loop.run_in_executor(other, next, evaluations, None)):
                run.seconds = time.perf_counter() - began
                self._say(f"Task {last.task + 1} of {len(sequence.tasks)}, epoch {last.epoch}; {run.seconds:.0f} s.")
                self._draw_curves()
        if self._stopping:
            run.title += ", stopped"
        if not sequence.evaluations:
            self.kept.remove(run)
        self._draw_all()
        ended = "Stopped" if self._stopping else "Done"
        self._say(f"{ended} after {run.seconds:.0f} s. Change something and run again.")

    def _sequence(self) -> TaskSequence:
        value = self.fields.value
        if self._data is None or self._data.name != value("dataset"):
            self._data = catalogue.load(value("dataset"))
        replays = self.fields.share is not None
        variant = VARIANTS[value("contents") if replays else ""]
        settings = replace(
            profiles.INTERACTIVE, images_per_class=value("images"), max_epochs=value("epochs"),
            choices=variant.choices + (value("training") if replays else ()),
        )  # fmt: skip
        sequence = TaskSequence(
            self._data, parse_tasks(value("tasks")), share=self.fields.share, settings=settings, seed=value("seed"),
            frozen={"none": False, "frozen": True}.get(value("replay"), variant.frozen), policy=policy(variant),
            accelerate=with_group_norm if value("norm") else accelerate,
        )  # fmt: skip
        if self.fields.share is not None:  # refused now, not when the first task has been learned
            for task in sequence.tasks[:-1]:
                memory.count(self.fields.share, len(task.train))
        return sequence

    # -- showing ------------------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        self.status.value = sentence(words)

    def _draw_all(self, change: object = None) -> None:
        self._draw_curves()
        self.table.value = _comparison(self.kept, self.mode.value) if self.kept else ""
        self.one_run.layout.display = "" if self.kept else "none"
        self.which.unobserve(self._draw_details, names="value")  # each new option would be drawn
        self.which.options = [(f"{run.title} ({_about(run.sequence)})", place) for place, run in enumerate(self.kept)]
        self.which.value = len(self.kept) - 1 if self.kept else None
        self.which.observe(self._draw_details, names="value")
        self._draw_details()

    def _draw_curves(self) -> None:
        evaluations = {run.title: run.sequence.evaluations for run in self.kept if run.sequence.evaluations}
        alt = f"Accuracy on each task, {max(map(len, evaluations.values()), default=0)} points"
        self.curves.value = _picture(plots.task_curves(evaluations, self.mode.value), alt) if evaluations else ""

    def _draw_details(self, change: object = None) -> None:
        chosen = self.which.value
        self.details.value = "" if chosen is None else _details(self.kept[chosen].sequence, self.mode.value)


def _details(sequence: TaskSequence, mode: str) -> str:
    """The figures of one run, as HTML."""
    data, names, tasks = sequence.dataset, sequence.dataset.class_names, sequence.tasks[: len(sequence.inputs)]
    planes = plots.latent_planes(*latent_plane(sequence), names)
    confusion = plots.confusion_matrix(sequence.confusion(mode), [task.classes for task in tasks], names)
    lost, kept = find_forgotten(sequence, mode), sequence.memory
    page = _section(
        "The latents", "Test images as the compressor sees them now, 36 numbers each, in the plane in which those of the "
        "first task vary most.", planes, "Latents of each task in a plane"
    )  # fmt: skip
    page += _section("What is taken for what", "", confusion, "Confusion matrix")
    if len(tasks) > 2:
        matrix = plots.accuracy_matrix(sequence.matrix(mode))
        page += _section("Accuracy after each task", "", matrix, "Accuracy matrix")
    known = f"{len(lost.labels):,} of the {lost.known:,} old test images that were known."
    images = plots.forgotten(data, lost) if len(lost.labels) else None
    page += _section("What was forgotten", known, images, "Forgotten images")
    if kept is None:
        return page + _section("What is remembered", "Nothing is kept.")
    count = sum(len(task.train) for task in tasks[: len(sequence.kept)])
    if kept.latents.is_floating_point():
        kind, share, counted = "latents", memory.pixel_share(len(kept), count), ", as the paper counts latents,"
        instead = f" As images they would be {785 * len(kept):,} bytes."
    else:
        kind, share, counted, instead = "images", len(kept) / count, "", ""
    words = (
        f"{len(kept):,} of {count:,} images, as {kind} with their labels: {sequence.memory_bytes:,} bytes. That is {share:.2%} of the "
        f"images' pixels{counted} and {sequence.memory_bytes / (785 * count):.2%} of their bytes.{instead}"
    )
    images = plots.image_latents(data, kept.positions, kept.latents)
    return page + _section("What is remembered", words, images, "Some of the memory")


def _section(heading: str, words: str, figure: Figure | None = None, description: str = "") -> str:
    picture = _picture(figure, description) if figure else ""
    return f"<h4>{heading}</h4>{words and f'<p>{words}</p>'}{picture}"


def _comparison(kept: Sequence[KeptRun], mode: str) -> str:
    """The runs as an HTML table, a row for each."""
    rows = []
    for run in kept:
        *old, new = run.sequence.matrix(mode)[-1]
        lost = run.sequence.forgetting(mode)
        rows.append({
            "Run": run.title,
            "Data and settings": _about(run.sequence),
            "Old classes": f"{sum(old) / len(old):.1%}" if old else "",
            "New classes": f"{new:.1%}",
            "Forgetting": "" if lost is None else f"{100 * lost:.1f} points",
            "Memory": f"{run.sequence.memory_bytes:,} bytes",
            "Time": f"{run.seconds:.0f} s",
        })  # fmt: skip
    styles = [  # texts to the left; only the settings may take more than one line
        {"selector": ".col0, .col1", "props": "text-align: left"},
        {"selector": "th, td:not(.col1)", "props": "white-space: nowrap"},
    ]
    table = pd.DataFrame(rows).style.hide().format(escape="html").set_table_styles(styles)
    return table.to_html(table_attributes="class='jp-RenderedHTMLCommon'")


def _about(sequence: TaskSequence) -> str:
    tasks = written(tuple(task.classes for task in sequence.tasks))
    return (
        f"{sequence.dataset.title}, {tasks}, {sequence.settings.images_per_class} images a class, seed {sequence.seed}"
    )


def _picture(figure: Figure, description: str) -> str:
    """A figure for an HTML widget, as wide as it was drawn and no wider than the page; on white, whatever the theme."""
    data = base64.b64encode(plots.svg(figure).encode()).decode()
    return (
        f"<img alt='{html.escape(description)}' src='data:image/svg+xml;base64,{data}' "
        f"style='background: white; width: {PAGE * figure.get_size_inches()[0] / WIDTH:.0f}px; max-width: 100%'>"
    )
