"""The explorer: every run of the profile in one linked view, as one block of HTML that holds its data, style and script.

`page` is what `index.qmd` calls; `data` is what the script reads. Nothing is loaded from anywhere when it is used.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from IPython.display import Markdown

import interactive
import thumbnails
from analysis.edition import Runs, ours
from analysis.published import MEASURES, published_value
from drawings.charts import ARM_COLOURS
from lr_core.experiment import arm_name
from lr_core.settings import CASES, EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.runs import results
from lr_lab.runs.profiles import find_profile
from sentences.provenance import page as notebook
from tables import shade

HERE = Path(__file__).parent
SHEETS = HERE.parent / "figures" / "points"
SEED = 0


def page(runs: Runs = ours) -> Markdown:
    """The explorer of a profile's runs as a raw HTML block, or a sentence where there is none."""
    content = data(runs)
    if not content["runs"]:
        return Markdown(f"*The explorer shows runs, and the profile {runs.profile} has none yet.*")
    return interactive.block(HERE, content)


def data(runs: Runs) -> dict:
    """What the script needs to know: names, colours, one entry for each run and the images of its points."""
    found = [record for name in runs.datasets for record in runs.of(name, seed=SEED)]
    cases = sorted({*find_profile(runs.profile).cases, *(record["run"]["case"] for record in found)})
    others: dict[str, dict[int, dict]] = {}
    for record in runs.records + runs.added:
        if record["run"]["seed"] != SEED:
            others.setdefault(_name(record), {})[record["run"]["seed"]] = _further_seed(record)
    sheets = {stem: SHEETS / f"{stem}.webp" for record in found for stem in _stems(record)}
    arms = [{"arm": "replay", "memory_share": share} for share in runs.settings.memory_shares]
    arms.append({"arm": "no-replay", "memory_share": None})
    return {
        "evaluations": {mode: plots.EVALUATION_NAMES[mode] for mode in EVALUATIONS},
        "arms": {_key(arm): plots.arm_name(arm) for arm in arms},
        "measures": list(MEASURES.values()),
        "datasets": {
            name: {"title": info.title, "classes": info.class_names}
            for name in runs.datasets
            for info in [catalogue.describe(name)]
        },
        "cases": {number: [list(CASES[number].first), list(CASES[number].second)] for number in cases},
        "colours": {
            "tasks": list(plots.TASK_COLOURS.values()),
            "classes": plots.CLASS_COLOURS,
            "arms": dict(zip(map(_key, arms), (*ARM_COLOURS[: len(arms) - 1], ARM_COLOURS[-1]), strict=True)),
        },
        "markers": plots.MARKERS,
        "columns": thumbnails.COLUMNS,
        "sheets": {
            stem: base64.b64encode(path.read_bytes()).decode() for stem, path in sheets.items() if path.exists()
        },
        "seed": SEED,
        "runs": {_name(record): _run(record) | {"seeds": others.get(_name(record), {})} for record in found},
    }


def _name(record: Mapping) -> str:
    return f"{record['run']['dataset']},{record['run']['case']}"


def _key(arm: Mapping) -> str:
    return arm_name(arm["arm"], arm["memory_share"])


def _stems(record: Mapping) -> list[str]:
    """Names of the sheets of a run's two tasks."""
    return [
        thumbnails.stem(record["run"]["dataset"], record["tasks"][task]["classes"], points["image"])
        for task, points in record["latents"]["tasks"].items()
    ]


def _run(record: Mapping) -> dict:
    """One run, its second-task arms by name. Classes are digits of a string, accuracies are in ten-thousandths."""
    run, latents = record["run"], record["latents"]
    tasks = [latents["tasks"][task] for task in ("first", "second")]
    return {
        "notebook": notebook(record),
        "sheets": _stems(record),
        "variance": latents["explained_variance_ratio"],
        "label": [_digits(task["label"]) for task in tasks],
        "xy": [[round(100 * value) for point in task["xy"][: thumbnails.POINTS] for value in point] for task in tasks],
        "arms": {
            _key(arm): _arm(run, arm) | _predictions(predicted, last)
            for arm, predicted, last in zip(record["arms"], latents["predicted"], latents["last_correct"], strict=True)
            if last is not None  # the first task has nothing to forget
        },
    }


def _further_seed(record: Mapping) -> dict:
    """What the page has of a run with another seed: no latents and no predictions of single images, which take most room."""
    return {
        "notebook": notebook(record),
        "arms": {_key(arm): _arm(record["run"], arm) for arm in results.second_task_arms(record)},
    }


def _predictions(predicted: Mapping, last: Mapping) -> dict:
    return {
        "predicted": {mode: [_digits(classes) for classes in predicted[mode]] for mode in EVALUATIONS},
        "last": {mode: last[mode][: thumbnails.POINTS] for mode in EVALUATIONS},
    }


def _arm(run: Mapping, arm: Mapping) -> dict:
    """One arm: curves of old and new classes, confusion, and its row of the table."""
    drawn = results.curve(arm)
    theirs = [published_value(run["dataset"], run["case"], arm["arm"], m, arm["memory_share"]) for m in MEASURES]
    curves = {mode: [drawn[task][mode] for task in ("old", "new")] for mode in EVALUATIONS}
    return {
        "epochs": drawn["epochs"],
        "curve": {mode: [[round(1e4 * v) for v in curve] for curve in both] for mode, both in curves.items()},
        "confusion": arm["confusion"],
        "published": [None if value is None else f"{value:.4f}" for value in theirs],
        "ours": {
            mode: [_beside(arm["accuracy"][mode][m], value) for m, value in zip(MEASURES, theirs, strict=True)]
            for mode in EVALUATIONS
        },
    }


def _digits(classes: list[int]) -> str:
    return "".join(map(str, classes[: thumbnails.POINTS]))


def _beside(value: float, theirs: float | None) -> list[str]:
    """An accuracy, and where it has a published one the difference and its shade, written as in the tables."""
    if theirs is None:
        return [f"{value:.4f}"]
    return [f"{value:.4f}", f"{value - theirs:+.4f}".replace("-", "−"), shade(value - theirs)]
