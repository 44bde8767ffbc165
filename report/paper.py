"""What `index.qmd` shows: records and published values, as tables, figures and numbers for sentences.

Every number of the paper comes from here, and here from a record, from `data/published.csv` or from the library.
Where a run is missing, a table says "not run" and a number in a sentence says so too.
"""

from __future__ import annotations

import os
import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
from IPython.display import SVG, Markdown
from matplotlib.figure import Figure

from lr_core import config, datasets, figures, metrics, models, records
from lr_core.config import EVALUATIONS
from lr_core.memory import pixel_share

HERE = Path(__file__).parent
RUNS = Path(os.environ.get("LR_RUNS", HERE / "runs"))
NOT_RUN = "not run"
STEPS = (0.005, 0.02, 0.05, 0.15)  # limits of the shades of a difference
MEASURES = {"train": "Training", "test": "Testing", "original_test": "Original testing"}
_PUBLISHED = {"train": "train_accuracy", "test": "test_accuracy", "original_test": "original_test_accuracy"}


class Runs:
    """The records of one profile, and the published values beside them."""

    def __init__(self, profile: str, runs: Path = RUNS) -> None:
        self.profile = profile
        self.runs = runs
        self.settings = config.profile(profile).settings

    @cached_property
    def records(self) -> list[dict]:
        """All records; those made under other settings or another protocol version are left out with a warning."""
        kept = []
        for record in records.read_all(self.runs, self.profile):
            run = records.RunId(self.profile, record["run"]["dataset"], record["run"]["case"], record["run"]["seed"])
            if record["key"] == records.key(run, self.settings):
                kept.append(record)
            else:
                warnings.warn(f"{run}: its record is out of date and left out; run the grid again", stacklevel=2)
        return kept

    def of(self, dataset: str, case: int | None = None, seed: int | None = None) -> list[dict]:
        """Records of a data set, one for each case, with the smallest seed unless one is named."""
        found: dict[int, dict] = {}
        for record in self.records:
            run = record["run"]
            if run["dataset"] == dataset and case in (None, run["case"]) and seed in (None, run["seed"]):
                found.setdefault(run["case"], record)
        return list(found.values())

    def arm(self, dataset: str, case: int, name: str, share: float | None = None) -> dict | None:
        """One arm of one run, or None where it has not been run."""
        for record in self.of(dataset, case):
            for arm in record["arms"]:
                if arm["arm"] == name and arm["memory_share"] == share:
                    return arm
        return None

    def value(
        self, dataset: str, case: int, name: str, measure: str, evaluation: str, share: float | None = None
    ) -> float | None:
        """One accuracy, or None where it has not been run."""
        arm = self.arm(dataset, case, name, share)
        return None if arm is None else arm["accuracy"][evaluation][measure]

    @property
    def expected(self) -> int:
        """How many runs the profile has."""
        chosen = config.profile(self.profile)
        return len(chosen.datasets) * len(chosen.cases) * len(chosen.seeds)

    @property
    def datasets(self) -> list[str]:
        """The profile's data sets, in the paper's order."""
        return [name for name in datasets.DATASETS if name in config.profile(self.profile).datasets]


PROFILE = os.environ.get("LR_PROFILE", "paper")
ours = Runs(PROFILE)
literal = Runs("literal")
published = pd.read_csv(HERE.parent / "data" / "published.csv")


def published_value(dataset: str, case: int, name: str, measure: str, share: float | None = None) -> float | None:
    """A value of the original's Tables 4 to 12, or None where it has none."""
    rows = published[(published.dataset == dataset) & (published.arm == name) & (published.case == case)]
    if share is not None:
        percent = 100 * pixel_share(1, 1) * share
        rows = rows[(rows.memory_pixels_percent - percent).abs() < 0.01]
    values = rows[_PUBLISHED[measure]].dropna()
    return float(values.iloc[0]) if len(values) == 1 else None


# -- numbers in sentences --------------------------------------------------------------------------------------------


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there, or None."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def number(value: float | None, form: str = ".4f") -> str:
    """A value for a sentence; a real minus sign, and words where there is none."""
    return "(not run)" if value is None else format(value, form).replace("-", "−")


def percent(value: float | None, decimals: int = 1) -> str:
    """A share in percent."""
    return number(None if value is None else 100 * value, f".{decimals}f") + ("" if value is None else " %")


def points(value: float | None, decimals: int = 1) -> str:
    """A difference of shares in percentage points."""
    return number(None if value is None else 100 * value, f".{decimals}f") + ("" if value is None else " points")


def count(value: int) -> str:
    """A count in words up to twelve."""
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[value] if value < len(words) else f"{value:,}"


def hours(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def values(
    name: str, measure: str, evaluation: str, share: float | None = None, dataset: str | None = None, runs: Runs = ours
) -> list[float]:
    """One accuracy of every run there is: over the cases, of one data set or of all."""
    return [
        arm["accuracy"][evaluation][measure]
        for record in runs.records
        if dataset in (None, record["run"]["dataset"])
        for arm in record["arms"]
        if arm["arm"] == name and arm["memory_share"] == share
    ]


def gaps(
    name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None
) -> list[tuple[float, dict, dict]]:
    """(ours less published, record, arm) of every run and budget that has a published value."""
    found = []
    for record in runs.records:
        run = record["run"]
        for arm in record["arms"]:
            if arm["arm"] != name or dataset not in (None, run["dataset"]):
                continue
            theirs = published_value(run["dataset"], run["case"], name, measure, arm["memory_share"])
            if theirs is not None:
                found.append((arm["accuracy"][evaluation][measure] - theirs, record, arm))
    return found


def mean_gap(name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None) -> float | None:
    """Mean absolute difference from the published values."""
    return mean(abs(gap) for gap, _, _ in gaps(name, measure, evaluation, runs, dataset))


def spread_over_evaluations(measure: str = "original_test") -> float | None:
    """How far the evaluation mode alone moves a replay arm's accuracy: largest less smallest, on average."""
    arms = [arm for record in ours.records for arm in record["arms"] if arm["arm"] == "replay"]
    ranges = [[arm["accuracy"][e][measure] for e in EVALUATIONS] for arm in arms]
    return mean(max(r) - min(r) for r in ranges)


def spread_over_budgets(evaluation: str, measure: str = "original_test") -> float | None:
    """How far the memory budget alone moves accuracy: largest less smallest over the budgets, on average."""
    ranges = [
        [arm["accuracy"][evaluation][measure] for arm in record["arms"] if arm["arm"] == "replay"]
        for record in ours.records
    ]
    return mean(max(r) - min(r) for r in ranges)


def gain_over_running(evaluation: str, measure: str = "original_test") -> float | None:
    """How much higher the replay arms' accuracy is under an evaluation mode than under running statistics."""
    arms = [arm["accuracy"] for record in ours.records for arm in record["arms"] if arm["arm"] == "replay"]
    return mean(accuracy[evaluation][measure] - accuracy["running"][measure] for accuracy in arms)


def closest_evaluation(name: str, measure: str) -> str:
    """The evaluation mode under which ours come closest to the published values."""
    distances = {evaluation: mean_gap(name, measure, evaluation) for evaluation in EVALUATIONS}
    known = {evaluation: distance for evaluation, distance in distances.items() if distance is not None}
    return min(known, key=lambda evaluation: known[evaluation]) if known else "(not run)"


def forgetting(name: str, evaluation: str, share: float | None = None, dataset: str | None = None) -> float | None:
    """Mean forgetting over the runs there are."""
    found = []
    for record in ours.records:
        if dataset not in (None, record["run"]["dataset"]):
            continue
        arms = {(arm["arm"], arm["memory_share"]): arm["accuracy"][evaluation] for arm in record["arms"]}
        if (name, share) in arms:
            found.append(metrics.forgetting(arms["first-task", None]["test"], arms[name, share]["original_test"]))
    return mean(found)


def comparison(first: float | None, second: float | None, above: str, below: str) -> str:
    """One of two words, by which value is larger; for sentences that have to stay true as runs are added."""
    if first is None or second is None:
        return "(not run)"
    return above if first > second else below


def run_state(runs: Runs) -> str:
    """How much of a profile has been run, data set by data set."""
    parts = []
    for name in runs.datasets:
        done = [record["run"]["case"] for record in runs.of(name)]
        cases = config.profile(runs.profile).cases
        lacking = [str(case) for case in cases if case not in done]
        title = datasets.describe(name).title
        if not lacking:
            parts.append(f"{title}: all {count(len(cases))} cases" if len(cases) > 1 else f"{title}: case {cases[0]}")
        elif done:
            parts.append(f"{title}: case {', '.join(map(str, done))} ({', '.join(lacking)} not run)")
        else:
            parts.append(f"{title}: not run")
    return "; ".join(parts)


# -- tables -----------------------------------------------------------------------------------------------------------


def html(head: Sequence[str], bodies: Iterable[Sequence[str]], classes: str = "") -> Markdown:
    """An HTML table from rows that are already cells; both engines parse it for HTML and PDF."""
    top = "".join(f"<tr>{row}</tr>" for row in head)
    rest = "".join(f"<tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody>" for body in bodies)
    attribute = f' class="{classes}"' if classes else ""
    return Markdown(f"```{{=html}}\n<table{attribute}>\n<thead>{top}</thead>\n{rest}\n</table>\n```")


def simple(columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Markdown:
    """A table with one header row; `numeric` columns are aligned on the right."""

    def cells(values: Sequence[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=num' if place in numeric else ''}>{value}</{tag}>" for place, value in enumerate(values)
        )

    return html([cells(columns, "th")], [[cells(row, "td") for row in rows]])


def shade(difference: float) -> str:
    """Class of a difference, by its size."""
    return f"diff-{sum(abs(difference) >= step for step in STEPS)}"


def legend() -> Markdown:
    """What the shades mean."""
    limits = [
        f"under {STEPS[0]:g}",
        *(f"{a:g} to {b:g}" for a, b in zip(STEPS, STEPS[1:], strict=False)),
        f"from {STEPS[-1]:g}",
    ]
    return Markdown(" ".join(f"[{text}]{{.diff-{place}}}" for place, text in enumerate(limits)))


def _ours(value: float | None, theirs: float | None) -> str:
    if value is None:
        return f'<td class="num muted">{NOT_RUN}</td>'
    if theirs is None:
        return f'<td class="num">{value:.4f}</td>'
    difference = f"{value - theirs:+.4f}".replace("-", "−")
    return f'<td class="num {shade(value - theirs)}">{value:.4f}<br><span class="delta">{difference}</span></td>'


def _beside(dataset: str) -> list[Runs]:
    """Whose results a table shows: ours, and those of `literal` where there are any beside the paper's profile."""
    return [ours, literal] if PROFILE == "paper" and literal.of(dataset) else [ours]


def _result_rows(dataset: str, case: int, name: str, share: float | None, measures: Sequence[str]) -> Iterator[str]:
    """A row for each profile that the table shows; label and published values stand once for all of them."""
    profiles = _beside(dataset)
    shares = _shares(name)
    span = f' rowspan="{len(profiles)}"' if len(profiles) > 1 else ""
    for place, runs in enumerate(profiles):
        cells = []
        if place == 0 and share == shares[0]:
            cells.append(f'<th rowspan="{len(shares) * len(profiles)}">{case}</th>')
        if place == 0 and share is not None:
            cells.append(f'<th class="num"{span}>{100 * pixel_share(1, 1) * share:.2f}&nbsp;%</th>')
        if len(profiles) > 1:
            cells.append(f"<td>{'momentum' if runs.settings.momentum else 'plain SGD'}</td>")
        for measure in measures:
            theirs = published_value(dataset, case, name, measure, share)
            if place == 0:
                cells.append(f'<td class="num"{span}>{"–" if theirs is None else format(theirs, ".4f")}</td>')
            cells += [
                _ours(runs.value(dataset, case, name, measure, evaluation, share), theirs)
                for evaluation in _modes(name)
            ]
        yield "".join(cells)


def _shares(name: str) -> Sequence[float | None]:
    return ours.settings.memory_shares if name == "replay" else (None,)


def _modes(name: str) -> Sequence[str]:
    # With one task learned there is nothing to mix: `mixed` equals `batch`.
    return EVALUATIONS[:2] if name == "first-task" else EVALUATIONS


def results(dataset: str, name: str) -> Markdown:
    """One of Tables 4 to 12: published beside ours under each evaluation mode, with the difference below ours."""
    measures = [measure for measure in MEASURES if name != "first-task" or measure != "original_test"]
    modes = _modes(name)
    groups = "".join(f'<th colspan="{1 + len(modes)}">{MEASURES[measure]}</th>' for measure in measures)
    below = ('<th class="num">published</th>' + "".join(f'<th class="num">{mode}</th>' for mode in modes)) * len(
        measures
    )
    budget = '<th rowspan="2" class="num">Memory</th>' if name == "replay" else ""
    optimizer = '<th rowspan="2">SGD</th>' if len(_beside(dataset)) > 1 else ""
    head = [f'<th rowspan="2">Case</th>{budget}{optimizer}{groups}', below]
    bodies = [
        [row for share in _shares(name) for row in _result_rows(dataset, case, name, share, measures)]
        for case in config.profile(ours.profile).cases
    ]
    return html(head, bodies)


def task_images() -> int:
    """Training images of a task in the sets whose classes have one size."""
    return round(ours.settings.train_share * datasets.describe("fashion-mnist").images / 2)


def byte_shares() -> str:
    """The memories as shares of the first task's bytes: uint8 images against float32 latents."""
    shares = [100 * 4 * pixel_share(1, 1) * share for share in ours.settings.memory_shares]
    words = [f"{share:.2f}" for share in shares]
    return f"{', '.join(words[:-1])} and {words[-1]} %"


def cases() -> Markdown:
    """Table 3."""
    rows = [
        (number, ", ".join(map(str, case.first)), ", ".join(map(str, case.second)))
        for number, case in config.CASES.items()
    ]
    return simple(("Case", "First task", "Second task"), rows)


def network(model: object, shape: tuple[int, ...]) -> Markdown:
    """Tables 1 and 2: every layer, what comes out of it, and its parameters, read from the model itself."""
    import torch

    rows = []
    values = torch.zeros(2, *shape)
    layer = 0
    for module in model:  # type: ignore[attr-defined]
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
    total = sum(parameter.numel() for parameter in model.parameters())  # type: ignore[attr-defined]
    rows.append(("", "<strong>all</strong>", "", "", "", f"<strong>{total:,}</strong>"))
    return simple(("Layer", "Module", "Kernel", "Padding", "Output", "Parameters"), rows, numeric=(5,))


def data_facts() -> Markdown:
    """The sets of the profile: images, smallest and largest class where a record says so, licence."""
    rows = []
    for name in ours.datasets:
        info = datasets.describe(name)
        record = next(iter(ours.of(name)), None)
        first = f"{record['tasks']['first']['train_images']:,}" if record else NOT_RUN
        rows.append((info.title, f"{info.images:,}", first, info.licence))
    return simple(("Data set", "Images", "Training images, first task of case 1", "Licence"), rows, numeric=(1, 2))


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
                f"{kept * (4 * models.LATENT_VALUES + 1):,}",
                f"{100 * 4 * pixel_share(kept, images):.2f} %",
            )
        )
    columns = ("Share of images", "Latents kept", "Share of pixels", "Bytes with labels", "Share of bytes")
    return simple(columns, rows, numeric=(0, 1, 2, 3, 4))


def largest_gaps(size: int = 10, evaluation: str = "mixed") -> Markdown:
    """The results that lie farthest from the published ones, in the given evaluation mode."""
    found = [
        (gap, record, arm, measure)
        for name in ("first-task", "replay", "no-replay")
        for measure in MEASURES
        if name != "first-task" or measure != "original_test"
        for gap, record, arm in gaps(name, measure, evaluation)
    ]
    found.sort(key=lambda item: -abs(item[0]))
    rows = []
    for gap, record, arm, measure in found[:size]:
        run = record["run"]
        theirs = published_value(run["dataset"], run["case"], arm["arm"], measure, arm["memory_share"])
        rows.append(
            (
                datasets.describe(run["dataset"]).title,
                run["case"],
                figures.arm_name(arm),
                MEASURES[measure].lower(),
                f"{theirs:.4f}",
                f"{arm['accuracy'][evaluation][measure]:.4f}",
                f"{gap:+.4f}".replace("-", "−"),
            )
        )
    columns = ("Data set", "Case", "Arm", "Accuracy", "Published", "Ours", "Difference")
    return simple(columns, rows or [(NOT_RUN, *[""] * 6)], numeric=(4, 5, 6))


def mean_gaps() -> Markdown:
    """Mean absolute difference from the published values, by arm, measure and evaluation mode."""
    rows = []
    for name in ("first-task", "replay", "no-replay"):
        for measure, title in MEASURES.items():
            if name == "first-task" and measure == "original_test":
                continue
            cells = [number(mean_gap(name, measure, evaluation), ".3f") for evaluation in EVALUATIONS]
            if literal.records and PROFILE == "paper":
                cells += [number(mean_gap(name, measure, evaluation, literal), ".3f") for evaluation in EVALUATIONS]
            rows.append((name.replace("-", " "), title.lower(), *cells))
    columns = ["Arm", "Accuracy", *EVALUATIONS]
    if literal.records and PROFILE == "paper":
        columns += [f"{mode}, plain SGD" for mode in EVALUATIONS]
    return simple(columns, rows, numeric=tuple(range(2, len(columns))))


def settings() -> Markdown:
    """Every knob: stated by the original or open, and what the two profiles make of it."""
    stated = {"train_share", "batch_size", "learning_rate", "memory_shares"}
    skip = {"latent_sample"}
    rows = []
    for name, value in ours.settings.as_dict().items():
        if name in skip:
            continue
        other = literal.settings.as_dict()[name]
        rows.append((name.replace("_", " "), "stated" if name in stated else "open", _plain(value), _plain(other)))
    return simple(("Setting", "Original", PROFILE, "literal"), rows)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "all" if value is None else str(value)


def provenance() -> Markdown:
    """Where each run was made, with what, and how long it took."""
    rows = []
    for runs in (ours, *([literal] if PROFILE == "paper" else [])):
        for record in runs.records:
            run, made = record["run"], [arm["provenance"] for arm in record["arms"]]
            rows.append(
                (
                    runs.profile,
                    datasets.describe(run["dataset"]).title,
                    run["case"],
                    run["seed"],
                    sum(arm["epochs"] for arm in record["arms"]),
                    hours(sum(arm["seconds"] for arm in record["arms"])),
                    " / ".join(sorted({f"{m['processor']}, {m['precision']}" for m in made})),
                    " ".join(sorted({(m["commit"] or "unknown")[:7] for m in made})),
                )
            )
    columns = ("Profile", "Data set", "Case", "Seed", "Epochs", "Time", "Processor, precision", "Commit")
    return simple(columns, rows or [(NOT_RUN, *[""] * 7)], numeric=(4, 5))


def versions() -> str:
    """The versions that the records were made with, in words."""
    found: dict[str, set[str]] = {}
    for record in ours.records:
        for arm in record["arms"]:
            for package, version in arm["provenance"]["versions"].items():
                found.setdefault(package, set()).add(version)
    parts = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return ", ".join(parts) or "(not run)"


def checksums() -> Markdown:
    """SHA-256 of every data file, as verified before each run."""
    rows = [
        (datasets.describe(name).title, file, f"<code>{sha256[:16]}…</code>")
        for name in ours.datasets
        for file, sha256 in datasets.checksums(name).items()
    ]
    return simple(("Data set", "File", "SHA-256"), rows)


# -- figures ----------------------------------------------------------------------------------------------------------


def drawn(draw: Callable[..., Figure], dataset: str, *arguments: object) -> SVG | Markdown:
    """A figure of a data set's runs, or the word that there are none."""
    found = ours.of(dataset)
    if not found:
        return Markdown(f"*{datasets.describe(dataset).title}: {NOT_RUN} under the profile {PROFILE}.*")
    return SVG(figures.svg(draw(found, *arguments)))


def forgetting_figure(dataset: str) -> SVG | Markdown:
    """Forgetting curves of all cases of a data set."""
    return drawn(figures.forgetting_grid, dataset, "mixed")


def latents_figure(dataset: str) -> SVG | Markdown:
    """Latents of all cases of a data set."""
    return drawn(figures.latents_grid, dataset, datasets.describe(dataset).class_names)


def budget_figure(dataset: str) -> SVG | Markdown:
    """Accuracy on the first task against the memory budget, all cases of a data set."""
    theirs: Mapping[tuple[int, float], float] = {
        (case, share): value
        for case in config.CASES
        for share in ours.settings.memory_shares
        if (value := published_value(dataset, case, "replay", "original_test", share)) is not None
    }
    return drawn(figures.budget, dataset, EVALUATIONS, theirs)


# -- remarks ----------------------------------------------------------------------------------------------------------


def published_train_test_gap() -> float:
    """Mean of training less test accuracy over the original's first tasks."""
    first = published[published.arm == "first-task"]
    return float((first.train_accuracy - first.test_accuracy).mean())


def train_test_gap(evaluation: str) -> float | None:
    """The same of ours."""
    train, test = (values("first-task", measure, evaluation) for measure in ("train", "test"))
    return mean(a - b for a, b in zip(train, test, strict=True))


def seeds() -> str:
    """How many seeds the runs of one case have, in words."""
    found = {record["run"]["seed"] for record in ours.records}
    return "one seed" if len(found) == 1 else f"{count(len(found))} seeds"


def mnist_task_sizes() -> str:
    """Training images of MNIST's first tasks, as far as they have been run."""
    parts = [
        f"the first task of case {record['run']['case']} has {record['tasks']['first']['train_images']:,}"
        for record in ours.of("mnist")
    ]
    return ", ".join(parts) or "(not run)"
