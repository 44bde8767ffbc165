"""The trainer: the second task, learned in the page by whoever reads it, as one block of HTML that holds all it needs.

`page` is what `index.qmd` calls. `make.py` makes the data, `kernel.c` is what computes, `worker.js` and `trainer.js` use it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from safetensors import safe_open

import interactive
from analysis.edition import Runs, ours
from analysis.published import published_value
from drawings.charts import ARM_COLOURS
from lr_core.settings import CASES, EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from trainer import layout
from trainer.offered import CASE, MEMORIES, NEW, RATE, SEEDS, SETS, STORED, TEST, UPDATES, data_file, name_of

HERE = Path(__file__).parent
LOOK = 300  # test images of each task that are looked at while training goes on; all of them at the end
SHARES = {"no memory": None, "1 %": 0.01, "5 %": 0.05}  # of the paper's runs beside these
# How a drawing is made like the images of a set: side of its box and width of a stroke in pixels, centre of mass or of the box.
DRAWN = {"mnist": (20, 2.2, True), "kmnist": (27, 2.6, False)}


def page(runs: Runs = ours) -> Markdown:
    """The trainer as a raw HTML block. The paper's own runs stand beside it where the document shows the paper's profile."""
    return interactive.block(HERE, data(runs))


def old_accuracy(dataset: str, memory: int) -> str:
    """What a stored run keeps of the old classes, with updates in turn, seed 0 and under mixed statistics, as it is written in a sentence."""
    run = json.loads(STORED.read_text("utf-8"))[name_of(dataset, memory, False, 0)]
    return f"{100 * run['accuracy']['mixed'][0]:.1f}\u00a0%"


def data(runs: Runs) -> dict:
    """What the script needs: the kernel, the worker, latents and networks, stored results, names and colours."""
    tasks = [list(CASES[CASE].first), list(CASES[CASE].second)]
    stored = json.loads(STORED.read_text("utf-8"))
    return {
        "kernel": _base64((HERE / "kernel.wasm").read_bytes()),
        "worker": (HERE / "worker.js").read_text("utf-8"),
        "layout": layout.for_page(),
        "evaluations": {mode: plots.EVALUATION_NAMES[mode] for mode in EVALUATIONS},
        "new": NEW,
        "test": TEST,
        "look": LOOK,
        "rate": RATE,
        "updates": UPDATES,
        "memories": MEMORIES,
        "seeds": SEEDS,
        "sets": {name: _set(name, runs) | {"tasks": tasks} for name in SETS},
        "stored": {name: {"hash": run["hash"]} for name, run in stored.items()},
        "markers": plots.MARKERS,
        "colours": {
            "tasks": list(plots.TASK_COLOURS.values()),
            "classes": plots.CLASS_COLOURS,
            "memories": dict(zip(map(str, MEMORIES), (ARM_COLOURS[-1], ARM_COLOURS[2], *ARM_COLOURS[:2]), strict=True)),
        },
    }


def _set(name: str, runs: Runs) -> dict:
    info, file = catalogue.describe(name), data_file(name)
    with safe_open(file, "numpy") as content:
        label, plane = content.get_tensor("label"), content.get_tensor("plane")
    box, stroke, centred = DRAWN[name]
    found = runs.of(name, CASE) if runs.profile == "paper" else []
    return {
        "title": info.title,
        "classes": info.class_names,
        "file": _base64(file.read_bytes()),
        "truth": "".join(map(str, label[-2 * TEST :])),
        "plane": _base64(plane.tobytes()),
        "aspect": float(255 / np.ptp(plane[:, 1].astype(int))),
        "box": box,
        "stroke": stroke,
        "centred": centred,
        "images": f"{found[0]['tasks']['second']['train_images']:,}" if found else "many more",
        "paper": _papers_runs(name, runs) if found else [],
    }


def _papers_runs(name: str, runs: Runs) -> list[dict]:
    """For each memory, accuracy on old and new classes as published, and ours under each mode, averaged over seeds."""
    rows = []
    for memory, share in SHARES.items():
        arm = "no-replay" if share is None else "replay"
        measures = ("original_test", "test")
        ours_of = {
            mode: [
                float(np.mean(values))
                for measure in measures
                if (values := runs.values(name, CASE, arm, measure, mode, share))
            ]
            for mode in EVALUATIONS
        }
        rows.append({
            "memory": memory,
            "published": [published_value(name, CASE, arm, measure, share) for measure in measures],
            "ours": ours_of,
            "seeds": len(runs.values(name, CASE, arm, "test", "mixed", share)),
        })  # fmt: skip
    return rows


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
