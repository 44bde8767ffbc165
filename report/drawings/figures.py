"""The figures of `index.qmd`: each as an image with a description made from its data, and with a line of origin.

A figure is drawn by a cell, `figures.forgetting("mnist")`, and its caption ends with `figures.origin("forgetting-mnist")`:
on the page the command that makes its data anew, how long that took, and the data. Print has a table of these commands.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

import thumbnails
from analysis import findings, verdicts
from analysis import readings as other_readings
from analysis.edition import PROFILE, REPORT, ours
from analysis.published import MEASURES, published_value
from drawings import charts, schematic, verdict_charts
from lr_core.settings import CASES, EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.evidence import VERDICTS
from lr_lab.plots.runs import LATENT_POINTS
from lr_lab.runs import results
from sentences import cost
from sentences.titles import title
from sentences.words import NOT_RUN, hours

FIGURES = REPORT / "figures"  # `make figures` draws them from the data sets: the paper is rendered without data
# Quarto wants images inside the project; report/render names a folder of its own.
DRAWN = Path(os.environ.get("RENDER_MEDIA", REPORT / ".drawn"))

FORGOTTEN = 12  # images a row

_origins: dict[str, tuple[str, pd.DataFrame | str]] = {}
_labels: dict[str, str] = {}


def origin(name: str, label: str | None = None) -> Markdown:
    """The last line of a figure's caption on the page: how to make it anew, and its data.

    `label` is the figure's own, if it is not "fig-" and the name; `origins` lists the same for print.
    """
    if name not in _origins:
        return Markdown("")
    command, data = _origins[name]
    _labels[label or f"fig-{name}"] = command
    if not isinstance(data, str):
        table = "data:text/csv;charset=utf-8," + quote(data.to_csv(index=False), safe=",.-:")
        # Not as a Markdown link: pandoc takes ten seconds to read one of this length.
        data = f'`<a href="{table}" download="{name}.csv">CSV</a>`{{=html}}'
    return Markdown(f"[Made anew by {command}. Data: {data}]{{.origin .html-only}}")


def origins() -> Markdown:
    """The commands that make the figures anew, each with its figures; of those that `origin` was asked for so far."""
    figures: dict[str, list[str]] = {}
    for label, command in _labels.items():
        figures.setdefault(command, []).append(f"@{label}")
    lines = ["| Figures | Made anew by |", "|:--------|:-------------|"]
    lines += [f"| {', '.join(labels)} | {command} |" for command, labels in figures.items()]
    return Markdown("\n".join(lines))


def _image(path: str, alt: str) -> Markdown:
    alt = alt.replace("\\", "\\\\").replace("&", "&amp;").replace('"', "&quot;")
    return Markdown(f'![](<{path}>){{fig-alt="{alt}"}}')


def drawn(name: str, figure: Figure, alt: str, data: pd.DataFrame | str, command: str) -> Markdown:
    """A figure as an image; `origin(name)` then gives the command and the data, or says where the data are."""
    content = plots.svg(figure).encode()
    # Named by its content: two documents may be rendered at the same time.
    path = DRAWN / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    _origins[name] = (command, data)
    return _image((path.relative_to(REPORT) if path.is_relative_to(REPORT) else path).as_posix(), alt)


def _runs_of(dataset: str | None = None) -> str:
    """The command that trains the runs anew, and what that took."""
    seconds = sum(results.seconds(r) for r in ours.records if dataset in (None, r["run"]["dataset"]))
    choice = f" --dataset {dataset}" if dataset else ""
    return (
        f"`python -m lr_lab grid --profile {PROFILE}{choice} --force` ({hours(seconds)} of training) and `make report`"
    )


def _missing(dataset: str) -> Markdown:
    return Markdown(f"*{title(dataset).markdown}: {NOT_RUN} under the profile {PROFILE}.*")


def _per_cent(value: float) -> str:
    return f"{100 * value:.0f} %"


# -- the experiment ---------------------------------------------------------------------------------------------------


def protocol() -> Markdown:
    """What is trained, frozen and kept."""
    alt = (
        "First task: images of five classes pass the compressor, become latents of 36 numbers, and the classifier learns them. "
        "The compressor is frozen; 1, 5 or 25 % of the latents become the memory. Second task: the classifier learns latents of "
        "five new classes, and those of the memory."
    )
    return drawn("protocol", schematic.protocol(), alt, "none", "`make report`")


# -- data sets --------------------------------------------------------------------------------------------------------


def static_figure(dataset: str, kind: str) -> Markdown:
    """A committed figure of a data set: `samples`, `rows` or `pca`."""
    name = f"{dataset}-{kind}"
    data = pd.read_csv(FIGURES / f"{name}.csv")
    seconds = pd.read_csv(FIGURES / "seconds.csv", index_col="dataset").seconds
    where = f"`report/figures/{name}.csv` in the [source](source.zip)"  # inline, these are 90 kB
    _origins[name] = (f"`python -m lr_lab figures {dataset}` ({hours(seconds[dataset])})", where)
    classes = list(dict.fromkeys(data.name.astype(str)))
    if kind == "pca":
        alt = f"{len(data)} images of {title(dataset)} in the plane of two principal components. {_layout(data)}"
    else:
        alt = f"{len(classes)} rows of {data.place.max() + 1} images of {title(dataset)}, a row for each class: {', '.join(classes)}."
    return _image(f"figures/{name}.svg", alt)


def per_class(dataset: str) -> int:
    """How many images of each class a data set's figure of principal components shows."""
    return int(pd.read_csv(FIGURES / f"{dataset}-pca.csv")["class"].value_counts().min())


def _layout(points: pd.DataFrame) -> str:
    """Which classes lie apart and which together, from their means; distances in units of the spread within a class."""
    by_class = points.groupby(points.name.astype(str), sort=False)[["x", "y"]]
    means, within = by_class.mean(), np.sqrt((by_class.std() ** 2).sum(axis=1)).mean()
    pairs = list(combinations(means.index, 2))
    distances = pdist(means) / within
    near, far = distances.argmin(), distances.argmax()
    return (
        f"The means of {' and '.join(pairs[near])} lie closest, {distances[near]:.1f} times the spread within a class; "
        f"those of {' and '.join(pairs[far])} lie farthest apart, {distances[far]:.1f} times."
    )


# -- published beside ours --------------------------------------------------------------------------------------------


def headline() -> Markdown:
    """Published accuracies and ours at every stage, averaged over the cases of a data set."""
    data = findings.stages()
    if data.empty:
        return Markdown(f"*{NOT_RUN.capitalize()} under the profile {PROFILE}.*")
    names = _stage_names()
    said = []
    for name, found in data[data.measure == "old"].groupby("dataset", sort=False):
        parts = [
            f"{names[stage]} {_per_cent(rows.published.iloc[0])} published, ours "
            + ", ".join(f"{_per_cent(row.ours)} ({row.evaluation})" for row in rows.itertuples())
            for stage, rows in found.groupby("stage", sort=False)
        ]
        said.append(f"{title(name)}, old classes: {'; '.join(parts)}.")
    alt = f"Published accuracies beside ours by memory and evaluation mode. {' '.join(said)}"
    return drawn("headline", headline_figure(), alt, data, _runs_of())


def headline_figure() -> Figure:
    """The same without words around it."""
    data = findings.stages()
    titles = {name: str(title(name)) for name in dict.fromkeys(data.dataset)}
    return verdict_charts.headline(data, titles, _stage_names())


def _stage_names() -> dict[str, str]:
    words = {"first-task": "before", "no-replay": "none"}
    return {stage: f"{share:.0%}" if share else words[arm] for stage, (arm, share) in findings.STAGES.items()}


# -- runs -------------------------------------------------------------------------------------------------------------


def agreement() -> Markdown:
    """Every difference between ours, the mean over the seeds of a case, and the published values."""
    rows = [
        {
            "dataset": each.dataset, "case": each.case, "arm": each.arm, "memory_share": each.share, "measure": each.measure,
            "evaluation": each.evaluation, "published": each.published, "ours": round(float(each.ours), 4),
            "difference": round(each.difference, 4) + 0.0,  # never -0.0
        }
        for each in verdicts.judged()
    ]  # fmt: skip
    if not rows:
        return Markdown(f"*{NOT_RUN.capitalize()} under the profile {PROFILE}.*")
    data = pd.DataFrame(rows)
    near = (data.difference.abs() <= 0.02).groupby(data.evaluation, sort=False).mean()
    shares = ", ".join(f"{_per_cent(share)} under {mode} statistics" for mode, share in near.items())
    alt = f"Dots of {len(data)} differences, ours less published. Within two points lie {shares}. " + " ".join(
        f"{arm.replace('-', ' ')}, {MEASURES[measure].lower()} accuracy: {100 * low:+.1f} to {100 * high:+.1f} points."
        for (arm, measure), low, high in data.groupby(["arm", "measure"], sort=False)
        .difference.agg(["min", "max"])
        .itertuples()
    )
    return drawn("agreement", charts.agreement(data), alt, "those of @fig-verdicts", _runs_of())


def error_bars() -> Markdown:
    """Errors on old classes after replay, split into wrong task and wrong class."""
    rows = [
        (f"{share:.0%} of the images", mode, *(findings.errors(kind, mode, share) for kind in ("task", "class")))
        for share in ours.settings.memory_shares
        for mode in EVALUATIONS
    ]
    if None in rows[0]:
        return Markdown(f"*{NOT_RUN.capitalize()} under the profile {PROFILE}.*")
    data = pd.DataFrame(rows, columns=["memory", "evaluation", "wrong_task", "wrong_class"])
    data = data.astype({"wrong_task": float, "wrong_class": float})  # rounded where they are printed, drawn and stored
    said = [
        f"Memory of {memory}, {mode} statistics: {100 * task:.1f} % taken for a new class, {100 * within:.1f} % for another old one."
        for memory, mode, task, within in data.itertuples(index=False)
    ]
    return drawn(
        "errors", charts.error_bars(data), f"Errors on old classes by kind. {' '.join(said)}", data.round(4), _runs_of()
    )


def verdict_matrix() -> Markdown:
    """The verdict on every published number under every evaluation mode."""
    judged = verdicts.judged()
    if not judged:
        return Markdown(f"*{NOT_RUN.capitalize()} under the profile {PROFILE}.*")
    titles = {name: str(title(name)) for name in dict.fromkeys(each.dataset for each in judged)}
    said = [f"{mode} statistics: {_counted(mode)}." for mode in EVALUATIONS]
    alt = f"A mark for each of {len(judged)} verdicts, by kind of number, case and evaluation mode. {' '.join(said)}"
    return drawn(
        "verdicts", verdict_charts.verdict_matrix(judged, titles), alt, other_readings.verdicts_explained(), _runs_of()
    )


def _counted(evaluation: str) -> str:
    found = verdicts.counts(evaluation)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict]) or "no verdict yet"


def verdict_strips(dataset: str) -> Markdown:
    """Ours less published with the prediction interval, for all published numbers of a data set."""
    judged = [each for each in verdicts.judged() if each.dataset == dataset]
    if not judged:
        return _missing(dataset)
    if dataset not in ours.repeated_datasets:
        return Markdown(f"*{title(dataset).markdown}: no verdict, as some of its cases have one seed.*")
    inside = {mode: [e.compatible for e in judged if e.evaluation == mode and e.verdict] for mode in EVALUATIONS}
    said = [f"{sum(found)} of {len(found)} intervals hold it under {mode} statistics" for mode, found in inside.items()]
    alt = (
        f"{len(judged)} differences of ours from the published values of {title(dataset)}, with the prediction interval "
        f"of one more run; {', '.join(said)}."
    )
    figure = verdict_charts.verdict_strips(judged, verdicts.RULE["margins"])
    return drawn(f"verdicts-{dataset}", figure, alt, "those of @fig-verdicts", _runs_of(dataset))


def _cell(record: Mapping) -> tuple[str, int]:
    return record["run"]["dataset"], record["run"]["case"]


def forgetting(dataset: str, evaluation: str = "mixed") -> Markdown:
    """Forgetting curves of all cases of a data set."""
    records = ours.of(dataset)
    if not records:
        return _missing(dataset)
    rows, said = [], []
    for record in records:
        case = record["run"]["case"]
        ends = []
        for arm in results.second_task_arms(record):
            drawn_curve = results.curve(arm)
            old, new = (drawn_curve[task][evaluation] for task in ("old", "new"))
            rows += [
                (case, arm["memory_share"] or 0, epoch, round(a, 4), round(b, 4))
                for epoch, a, b in zip(drawn_curve["epochs"], old, new, strict=True)
            ]
            ends.append(
                f"{plots.arm_name(arm)} {_per_cent(old[-1])} and {_per_cent(new[-1])} after {arm['epochs']} epochs"
            )
        said.append(f"Case {case}: from {_per_cent(old[0])} on old classes to (old and new) {'; '.join(ends)}.")
    data = pd.DataFrame(rows, columns=["case", "memory_share", "epoch", "old_accuracy", "new_accuracy"])
    alt = f"Forgetting curves on {title(dataset)}, {len(records)} cases. {' '.join(said)}"
    every = ours.records + ours.added
    cases = [[other for other in every if _cell(other) == _cell(record)] for record in records]
    return drawn(f"forgetting-{dataset}", charts.forgetting_grid(cases, evaluation), alt, data, _runs_of(dataset))


def budget(dataset: str) -> Markdown:
    """Accuracy on the first task against the memory, all cases of a data set."""
    records = ours.of(dataset)
    if not records:
        return _missing(dataset)
    theirs = {
        (case, share): value
        for case in CASES
        for share in ours.settings.memory_shares
        if (value := published_value(dataset, case, "replay", "original_test", share)) is not None
    }
    rows, said = [], []
    for record in records:
        case = record["run"]["case"]
        replay = [arm for arm in record["arms"] if arm["arm"] == "replay"]
        for arm in replay:
            values = [arm["accuracy"][evaluation]["original_test"] for evaluation in EVALUATIONS]
            rows.append(
                (case, arm["memory_share"], arm["memory_bytes"], *values, theirs.get((case, arm["memory_share"])))
            )
        said.append(
            f"Case {case}: "
            + "; ".join(
                f"{evaluation} {', '.join(_per_cent(arm['accuracy'][evaluation]['original_test']) for arm in replay)}"
                for evaluation in EVALUATIONS
            )
            + "."
        )
    data = pd.DataFrame(rows, columns=["case", "memory_share", "memory_bytes", *EVALUATIONS, "published"])
    alt = (
        f"Accuracy on old classes of {title(dataset)} with memories of "
        f"{', '.join(_per_cent(share) for share in ours.settings.memory_shares)} of the images. {' '.join(said)}"
    )
    return drawn(f"budget-{dataset}", charts.budget(records, EVALUATIONS, theirs), alt, data, _runs_of(dataset))


def latents(dataset: str) -> Markdown:
    """Latents of all cases of a data set."""
    records = ours.of(dataset)
    if not records:
        return _missing(dataset)
    names = catalogue.describe(dataset).class_names
    rows = [
        (record["run"]["case"], task, image, label, *xy)
        for record in records
        for task, points in record["latents"]["tasks"].items()
        for image, label, xy in list(zip(points["image"], points["label"], points["xy"], strict=True))[:LATENT_POINTS]
    ]
    data = pd.DataFrame(rows, columns=["case", "task", "image", "class", "x", "y"])
    means = data.groupby(["case", "task", "class"])[["x", "y"]].mean()
    said = [
        f"Case {case}: class means lie {pdist(means.loc[case, 'first']).mean():.1f} apart in the first task and "
        f"{pdist(means.loc[case, 'second']).mean():.1f} in the second."
        for case in data.case.unique()
    ]
    alt = f"Latents of test images of {title(dataset)} in two dimensions. {' '.join(said)}"
    where = "in the [records of the runs](notebooks/index.html)"
    return drawn(f"latents-{dataset}", charts.latents_grid(records, names), alt, where, _runs_of(dataset))


def averages() -> Markdown:
    """Accuracy after replay by stale running averages, by ones taken anew, and by batch statistics."""
    rows = [
        (task, f"{share:.0%} of the images", statistics, round(float(value), 4))
        for task, measure in (("old", "original_test"), ("new", "test"))
        for share in ours.settings.memory_shares
        for statistics in other_readings.AVERAGES
        if (value := other_readings.averages(measure, statistics, share)) is not None
    ]
    if not rows:
        return Markdown(f"*Running averages taken anew: {NOT_RUN}.*")
    data = pd.DataFrame(rows, columns=["task", "memory", "statistics", "accuracy"])
    said = [
        f"{task} classes, {memory}: "
        + ", ".join(
            f"{100 * row.accuracy:.1f} % by {other_readings.AVERAGES[row.statistics]}" for row in found.itertuples()
        )
        for (task, memory), found in data.groupby(["task", "memory"], sort=False)
    ]
    figure = charts.averages(data, other_readings.AVERAGES)
    return drawn("averages", figure, f"Accuracy after replay. {'; '.join(said)}.", data, _runs_of())


def readings() -> Markdown:
    """Distance of ours and of other readings from the published numbers."""
    data = other_readings.frame()
    if data.empty:
        return Markdown(f"*Other readings: {NOT_RUN}.*")
    names, kinds = other_readings.READINGS, other_readings.KINDS
    changed = data.assign(gain=data.ours - data.other).sort_values("gain")
    best, worst = changed.iloc[-1], changed.iloc[0]
    said = [
        f"{where} {names[row.reading]}, {kinds[row.arm, row.measure]}, {row.evaluation} statistics: from "
        f"{100 * row.ours:.1f} to {100 * row.other:.1f} points."
        for where, row in (("Nearest to the published by", best), ("Farthest off by", worst))
    ]
    alt = f"Distances from the published accuracies for {data.reading.nunique()} readings. {' '.join(said)}"
    command = "`python -m lr_lab grid --profile choices`, the same with `literal`, and `make report`"
    return drawn("readings", charts.readings(data, names, kinds), alt, data, command)


def forgotten(dataset: str, share: float, evaluation: str = "mixed") -> Markdown:
    """The old test images that a replay arm forgot first, a row for each case."""
    records = ours.of(dataset)
    if not records:
        return _missing(dataset)
    names = catalogue.describe(dataset).class_names
    rows, lines, said = [], [], []
    for record in records:
        case = record["run"]["case"]
        place, epochs = next(
            (n, arm["curve"]["epochs"]) for n, arm in enumerate(record["arms"]) if arm["memory_share"] == share
        )
        old = record["latents"]["tasks"]["first"]
        stem = thumbnails.stem(dataset, record["tasks"]["first"]["classes"], old["image"])
        path = FIGURES / "points" / f"{stem}.webp"
        if not path.exists():  # sheets are kept of the paper's own samples alone
            continue
        sheet = thumbnails.read(path)
        predicted = record["latents"]["predicted"][place][evaluation][0]
        last = record["latents"]["last_correct"][place][evaluation]
        followed = range(min(thumbnails.POINTS, len(last)))
        lost = [n for n in followed if predicted[n] != old["label"][n] and last[n] >= 0]
        lost.sort(key=lambda n: last[n])
        shown = lost[:FORGOTTEN]
        since = {n: epochs[epochs.index(last[n]) + 1] for n in lost}  # the first epoch looked at when it was wrong
        rows += [(case, old["image"][n], old["label"][n], predicted[n], since[n]) for n in shown]
        lines.append(
            (f"case {case}", [(sheet[n], _fate(names, old["label"][n], predicted[n], since[n])) for n in shown])
        )
        if lost:
            said.append(
                f"Case {case}: {len(lost)} of {len(followed)} images are forgotten, the first in epoch "
                f"{since[lost[0]]}, a {names[old['label'][lost[0]]]} taken for a {names[predicted[lost[0]]]}."
            )
        else:
            said.append(f"Case {case}: none is forgotten.")
    if not lines:
        return Markdown(f"*{title(dataset).markdown}: no pictures are kept of the test images of profile {PROFILE}.*")
    data = pd.DataFrame(rows, columns=["case", "image", "class", "predicted_class", "epoch"])
    alt = f"Test images of {title(dataset)} that are forgotten first. {' '.join(said)}"
    return drawn(f"forgotten-{dataset}", plots.pictures(lines, FORGOTTEN), alt, data, _runs_of(dataset))


def _fate(names: list[str], label: int, predicted: int, epoch: int) -> str:
    # Class names where they are short enough to stand below an image, else numbers.
    true, taken = (names[n] if max(map(len, names)) <= 3 else str(n) for n in (label, predicted))
    return f"{true}→{taken}\nepoch {epoch}"


# -- speed -----------------------------------------------------------------------------------------------------------

_RIVALS = ("second task with replay", "first task", "whole case")


def speed() -> Markdown:
    """New images a second of every rival, on the machine measured last."""
    if not cost.measured:
        return Markdown(f"*{cost.NOT_MEASURED}*")
    result = cost.measured[0]
    rows = [
        (m["experiment"], m["program"], place, round(rate, 1))
        for m in result["measured"]
        if m["experiment"] in _RIVALS
        for place, rate in enumerate(m["rates"], 1)
    ]
    data = pd.DataFrame(rows, columns=["experiment", "program", "round", "images_per_second"])
    medians = data.groupby(["experiment", "program"], sort=False).images_per_second.median()
    alt = f"New images a second on {cost.machine(result)}. " + "; ".join(
        f"{experiment}, {program}: {rate:,.0f}" for (experiment, program), rate in medians.items()
    )
    drawing = charts.rates(result["measured"], _RIVALS)
    return drawn("speed", drawing, alt, data, f"`make bench` ({hours(result['seconds'])}) and `make report`")
