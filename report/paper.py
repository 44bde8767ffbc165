"""The results that `index.qmd` tells: records of our runs, published values, and numbers for sentences.

Every number of the paper comes from here, and here from a record, from `data/published.csv` or from the library. A
`Value` remembers the arms that it was computed from, and a sentence shows them to whoever asks. Where a run is
missing, a table says "not run" and a number in a sentence says so too.
"""

from __future__ import annotations

import functools
import json
import os
import re
import statistics
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from lr_core.errors import LatentReplayError
from lr_core.memory import pixel_share
from lr_core.settings import EVALUATIONS
from lr_lab import plots
from lr_lab.data import catalogue
from lr_lab.files import absolute
from lr_lab.runs import store
from lr_lab.runs.profiles import find_profile
from lr_lab.runs.record import RunId

HERE = Path(__file__).parent
RUNS = absolute(os.environ.get("LR_RUNS") or HERE / "runs")
NOT_RUN = "not run"
MEASURES = {"train": "Training", "test": "Testing", "original_test": "Original testing"}
_PUBLISHED = {"train": "train_accuracy", "test": "test_accuracy", "original_test": "original_test_accuracy"}


class Value(float):
    """A number and the arms that it was computed from, each as "profile/run/place of the arm"."""

    sources: frozenset[str]

    def __new__(cls, value: float, sources: Iterable[str] = ()) -> Value:
        """The number itself, and where it comes from."""
        made = super().__new__(cls, value)
        made.sources = frozenset(sources)
        return made

    def __sub__(self, other: float) -> Value:
        return Value(float(self) - float(other), self.sources | getattr(other, "sources", frozenset()))

    def __abs__(self) -> Value:
        return Value(abs(float(self)), self.sources)


class Runs:
    """The records of one profile; none where the document does not tell of that profile."""

    def __init__(self, profile: str, runs: Path = RUNS, *, told: bool = True) -> None:
        self.profile = profile
        self.runs = runs
        self.told = told
        self.settings = find_profile(profile).settings

    @cached_property
    def records(self) -> list[dict]:
        """Those of the profile's data sets, which the sentences are about."""
        return self._read(added=False)

    @cached_property
    def added(self) -> list[dict]:
        """Those of data sets that a user has added, which have tables of their own."""
        return self._read(added=True)

    def _read(self, added: bool) -> list[dict]:
        """Records; those made under other settings or another protocol version are left out with a warning."""
        kept = []
        for record in store.read_all(self.runs, self.profile) if self.told else []:
            run = run_id(record)
            if (run.dataset not in find_profile(self.profile).datasets) != added:
                continue
            if record["key"] == run.key(self.settings):
                kept.append(record)
            else:
                warnings.warn(f"{run}: its record is out of date and left out; run the grid again", stacklevel=2)
        return kept

    def of(self, dataset: str, case: int | None = None, seed: int | None = None) -> list[dict]:
        """Records of a data set, one for each case, with the smallest seed unless one is named."""
        found: dict[int, dict] = {}
        for record in self.records + self.added:
            run = record["run"]
            if run["dataset"] == dataset and case in (None, run["case"]) and seed in (None, run["seed"]):
                found.setdefault(run["case"], record)
        return list(found.values())

    def value(
        self, dataset: str, case: int, name: str, measure: str, evaluation: str, share: float | None = None
    ) -> Value | None:
        """One accuracy of one run, or None where there is none."""
        for record in self.of(dataset, case):
            for arm in record["arms"]:
                if arm["arm"] == name and arm["memory_share"] == share:
                    return accuracy(record, arm, evaluation, measure)
        return None

    def twins_of(self, others: Runs) -> Runs:
        """Of these runs those whose data set, case and seed `others` has as well."""
        twins = Runs(self.profile, self.runs)
        found = [record["run"] for record in others.records]
        twins.records = [record for record in self.records if record["run"] in found]
        return twins

    @property
    def expected(self) -> int:
        """How many runs the profile has."""
        chosen = find_profile(self.profile)
        return len(chosen.datasets) * len(chosen.cases) * len(chosen.seeds)

    @property
    def datasets(self) -> list[str]:
        """The profile's data sets, in the paper's order, then those that a user has added."""
        known = {*find_profile(self.profile).datasets, *(record["run"]["dataset"] for record in self.added)}
        return [name for name in catalogue.DATASETS if name in known]


PROFILE = os.environ.get("LR_PROFILE", "paper")
ours = Runs(PROFILE)
# Beside runs of another profile they would be numbers whose provenance the page does not carry.
literal = Runs("literal", told=PROFILE == "paper")
half = Runs("bf16", told=PROFILE == "paper")  # one case in bfloat16, beside the same in `ours`
told = tuple(runs for runs in (ours, literal, half) if runs.told)  # whose numbers this document has
ALONE = f"This document tells of the profile {PROFILE} alone."


def read_published(path: Path) -> pd.DataFrame:
    """The original's tables 4 to 12, a row for each table, arm and case; a `LatentReplayError` where they are damaged."""
    names, numbers = ("dataset", "arm"), ("memory_pixels_percent", *_PUBLISHED.values())
    kinds = dict.fromkeys(("table", "case"), int) | dict.fromkeys(names, str) | dict.fromkeys(numbers, float)
    try:
        table = pd.read_csv(path, usecols=list(kinds), dtype=kinds)
        if not table[[*_PUBLISHED.values()]].stack().dropna().between(0, 1).all():
            raise ValueError("an accuracy is not between 0 and 1")
    except (OSError, ValueError) as error:
        raise LatentReplayError(f"{path}: cannot be used ({error}); restore it with git") from error
    return table


published = read_published(HERE.parent / "data" / "published.csv")


class Title(str):
    """A data set's title, which may be a user's own: as it is for text, escaped for Markdown and for HTML."""

    @property
    def html(self) -> str:
        """For table cells and other raw HTML."""
        return escape(self)

    @property
    def markdown(self) -> str:
        """For headings and sentences in Markdown: no sign means anything but itself."""
        return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", self)


def title(dataset: str) -> Title:
    """The title of a data set; warns where the PDF cannot show it."""
    found = Title(catalogue.describe(dataset).title)
    _warn_of_missing_font(dataset, found)
    return found


@functools.cache  # once, however often the title is shown
def _warn_of_missing_font(dataset: str, title: str) -> None:
    if words := plots.without_font(title):
        warnings.warn(f"{dataset}: the PDF has no font for {', '.join(words)} in its title; the page has", stacklevel=3)


def run_id(record: dict) -> RunId:
    """Which run a record is of."""
    return RunId(record["profile"], **record["run"])


def accuracy(record: dict, arm: dict, evaluation: str, measure: str) -> Value | None:
    """One accuracy of an arm, knowing where it comes from; None where an arm has no such value."""
    found = arm["accuracy"][evaluation][measure]
    return None if found is None else Value(found, [source(record, arm)])


@cache
def published_value(dataset: str, case: int, name: str, measure: str, share: float | None = None) -> float | None:
    """A value of the original's Tables 4 to 12, or None where it has none."""
    rows = published[(published.dataset == dataset) & (published.arm == name) & (published.case == case)]
    if share is not None:
        percent = 100 * pixel_share(1, 1) * share
        rows = rows[(rows.memory_pixels_percent - percent).abs() < 0.01]
    values = rows[_PUBLISHED[measure]].dropna()
    return float(values.iloc[0]) if len(values) == 1 else None


# -- where a number comes from ---------------------------------------------------------------------------------------


def source(record: dict, arm: dict) -> str:
    """An arm by name: profile, run and place among the run's arms."""
    return f"{record['profile']}/{run_id(record).stem}/{record['arms'].index(arm)}"


def page(record: dict) -> str:
    """The executed notebook of a run, as a page beside the paper."""
    return f"notebooks/{record['profile']}/{run_id(record).stem}.html"


def _told() -> list[dict]:
    return [record for runs in told for record in runs.records + runs.added]


def _references(sources: Iterable[str]) -> str:
    # Short, for there are many: the place of the run among those told of, a point, the place of the arm.
    places = {f"{record['profile']}/{run_id(record).stem}": place for place, record in enumerate(_told())}
    found = ((places[name.rpartition("/")[0]], int(name.rpartition("/")[2])) for name in sources)
    return " ".join(f"{run}.{arm}" for run, arm in sorted(found))


@dataclass(frozen=True)
class Sourced:
    """A formatted number that tells where it comes from: on the page whoever points at it sees the runs."""

    text: str
    sources: frozenset[str]

    def __str__(self) -> str:
        return f'[{self.text}]{{.from tabindex="0" from="{_references(self.sources)}"}}'

    def _repr_markdown_(self) -> str:
        return str(self)

    @property
    def html(self) -> str:
        """For cells of tables; a number of one run is a link to that run's notebook."""
        runs = {name.rpartition("/")[0] for name in self.sources}
        tag, link = "span", ' tabindex="0"'
        if len(runs) == 1:
            tag, link = "a", f' href="notebooks/{runs.pop()}.html"'
        return f'<{tag} class="from"{link} data-from="{_references(self.sources)}">{escape(self.text)}</{tag}>'


def in_table(number: Sourced | str) -> str:
    """A formatted number as the content of a table cell."""
    return number.html if isinstance(number, Sourced) else escape(number)


def provenance() -> Markdown:
    """What the page needs in order to answer: every run told of, and what its arms took."""
    runs = []
    for record in _told():
        run = record["run"]
        arms = [
            {
                "name": plots.arm_name(arm),
                "epochs": arm["epochs"],
                "seconds": round(arm["seconds"]),
                "commit": (arm["provenance"]["commit"] or "unknown")[:7],
                "machine": f"{arm['provenance']['processor']}, {arm['provenance']['precision']}",
            }
            for arm in record["arms"]
        ]
        name = f"{title(run['dataset'])}, case {run['case']}, seed {run['seed']}"
        runs.append({"title": name, "profile": record["profile"], "page": page(record), "arms": arms})
    data = json.dumps({"runs": runs}, separators=(",", ":")).replace("<", "\\u003c")
    script = (HERE / "theme" / "provenance.js").read_text(encoding="utf-8")
    return Markdown(
        f'```{{=html}}\n<script type="application/json" id="provenance">{data}</script>\n<script>\n{script}</script>\n```'
    )


# -- numbers in sentences --------------------------------------------------------------------------------------------


def mean(values: Iterable[float | None]) -> Value | None:
    """Mean of the values that are there, or None."""
    known = [value for value in values if value is not None]
    sources = frozenset[str]().union(*(getattr(value, "sources", ()) for value in known))
    return Value(statistics.fmean(known), sources) if known else None


def number(value: float | None, form: str = ".4f", unit: str = "") -> Sourced | str:
    """A value for a sentence; a real minus sign, and words where there is none."""
    if value is None:
        return "(not run)"
    text = format(value, form).replace("-", "−") + unit
    sources = getattr(value, "sources", None)
    return Sourced(text, sources) if sources else text


def percent(value: float | None, decimals: int = 1) -> Sourced | str:
    """A share in percent."""
    return number(_scaled(value), f".{decimals}f", " %")


def points(value: float | None, decimals: int = 1) -> Sourced | str:
    """A difference of shares in percentage points."""
    return number(_scaled(value), f".{decimals}f", " points")


def _scaled(value: float | None) -> float | None:
    return None if value is None else Value(100 * value, getattr(value, "sources", ()))


def count(value: int) -> str:
    """A count in words up to twelve."""
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[value] if value < len(words) else f"{value:,}"


def hours(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def arms(name: str, runs: Runs = ours, dataset: str | None = None) -> Iterator[tuple[dict, dict]]:
    """(record, arm) of every run there is, of one data set or of all."""
    for record in runs.records:
        if dataset in (None, record["run"]["dataset"]):
            yield from ((record, arm) for arm in record["arms"] if arm["arm"] == name)


def values(
    name: str, measure: str, evaluation: str, share: float | None = None, dataset: str | None = None, runs: Runs = ours
) -> list[Value | None]:
    """One accuracy of every run there is: over the cases, of one data set or of all."""
    return [
        accuracy(record, arm, evaluation, measure)
        for record, arm in arms(name, runs, dataset)
        if arm["memory_share"] == share
    ]


def gaps(
    name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None
) -> list[tuple[Value, dict, dict]]:
    """(ours less published, record, arm) of every run and budget that has a published value."""
    found = []
    for record, arm in arms(name, runs, dataset):
        run = record["run"]
        theirs = published_value(run["dataset"], run["case"], name, measure, arm["memory_share"])
        value = accuracy(record, arm, evaluation, measure)
        if theirs is not None and value is not None:
            found.append((value - theirs, record, arm))
    return found


def published_mean(name: str, measure: str, runs: Runs = ours) -> float | None:
    """Mean of the published values that stand beside those of the runs there are."""
    return mean(
        published_value(record["run"]["dataset"], record["run"]["case"], name, measure, arm["memory_share"])
        for record, arm in arms(name, runs)
    )


def mean_gap(name: str, measure: str, evaluation: str, runs: Runs = ours, dataset: str | None = None) -> Value | None:
    """Mean absolute difference from the published values."""
    return mean(abs(gap) for gap, _, _ in gaps(name, measure, evaluation, runs, dataset))


def paired(others: Runs) -> list[tuple[dict, dict, dict, dict]]:
    """(record, arm, record of the others, the same arm of it) of the runs that both have."""
    return [
        (record, arm, other, same)
        for other in others.records
        for record in ours.of(other["run"]["dataset"], other["run"]["case"], other["run"]["seed"])
        for arm, same in zip(record["arms"], other["arms"], strict=True)
    ]


def shift(others: Runs, measure: str, name: str | None = None) -> Value | None:
    """Mean absolute difference between the same arms of ours and of others (all, or of a name), over evaluation modes."""
    pairs = [
        (accuracy(record, arm, evaluation, measure), accuracy(other, same, evaluation, measure))
        for record, arm, other, same in paired(others)
        if name in (None, arm["arm"])
        for evaluation in EVALUATIONS
    ]
    return mean(abs(one - two) for one, two in pairs if one is not None and two is not None)


def spread_over_evaluations(measure: str = "original_test") -> Value | None:
    """How far the evaluation mode alone moves a replay arm's accuracy: largest less smallest, on average."""
    found = [[accuracy(record, arm, e, measure) for e in EVALUATIONS] for record, arm in arms("replay")]
    return mean(_range(modes) for modes in found)


def spread_over_budgets(evaluation: str, measure: str = "original_test") -> Value | None:
    """How far the memory budget alone moves accuracy: largest less smallest over the budgets, on average."""
    found: dict[str, list[Value | None]] = {}
    for record, arm in arms("replay"):
        found.setdefault(str(run_id(record)), []).append(accuracy(record, arm, evaluation, measure))
    return mean(_range(budgets) for budgets in found.values())


def _range(found: Iterable[Value | None]) -> Value:
    known = [value for value in found if value is not None]
    return max(known) - min(known)


def gain_over_running(evaluation: str, measure: str = "original_test") -> Value | None:
    """How much higher the replay arms' accuracy is under an evaluation mode than under running statistics."""
    pairs = ([accuracy(record, arm, e, measure) for e in (evaluation, "running")] for record, arm in arms("replay"))
    return mean(value - running for value, running in pairs if value is not None and running is not None)


def closest_evaluation(name: str, measure: str) -> str:
    """The evaluation mode under which ours come closest to the published values."""
    distances = {evaluation: mean_gap(name, measure, evaluation) for evaluation in EVALUATIONS}
    known = {evaluation: distance for evaluation, distance in distances.items() if distance is not None}
    return min(known, key=lambda evaluation: known[evaluation]) if known else "(not run)"


def forgetting(name: str, evaluation: str, share: float | None = None, dataset: str | None = None) -> Value | None:
    """Mean forgetting over the runs there are."""
    before = {str(run_id(record)): accuracy(record, arm, evaluation, "test") for record, arm in arms("first-task")}
    return mean(
        before[str(run_id(record))] - accuracy(record, arm, evaluation, "original_test")
        for record, arm in arms(name, dataset=dataset)
        if arm["memory_share"] == share
    )


def comparison(first: float | None, second: float | None, above: str, below: str) -> str:
    """One of two words, by which value is larger; for sentences that have to stay true as runs are added."""
    if first is None or second is None:
        return "(not run)"
    return above if first > second else below


def run_state(runs: Runs) -> str:
    """How much of a profile has been run, data set by data set."""
    if not runs.told:
        return "not told of here"
    parts = []
    for name in runs.datasets:
        done = [record["run"]["case"] for record in runs.of(name)]
        cases = find_profile(runs.profile).cases
        lacking = [str(case) for case in cases if case not in done]
        if not lacking:
            parts.append(
                f"{title(name)}: all {count(len(cases))} cases" if len(cases) > 1 else f"{title(name)}: case {cases[0]}"
            )
        elif done:
            parts.append(f"{title(name)}: case {', '.join(map(str, done))} ({', '.join(lacking)} not run)")
        else:
            parts.append(f"{title(name)}: not run")
    return "; ".join(parts)


def cases_of(runs: Runs) -> str:
    """The data sets and cases that there are, in words of Markdown."""
    parts = []
    for name in runs.datasets:
        if found := sorted(str(record["run"]["case"]) for record in runs.of(name)):
            cases = f"cases {', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else f"case {found[0]}"
            parts.append(f"{title(name).markdown}, {cases}")
    return "; ".join(parts) or NOT_RUN


def survivors() -> str:
    """What the baseline without replay keeps of the old classes with plain SGD, beside the same runs with momentum."""
    if not literal.records:
        return "With plain SGD nothing has been run yet." if literal.told else ALONE
    twins = ours.twins_of(literal)

    def kept(runs: Runs) -> str:
        of_mode = (mean(values("no-replay", "original_test", mode, runs=runs)) for mode in ("running", "batch"))
        return " and ".join(map(str, map(percent, of_mode)))

    short, short_plain = (unlearned_when_lost("batch", runs) for runs in (twins, literal))
    moral = comparison(
        short, short_plain, ": momentum, which the original does not state, is part of the difference", ""
    )
    return (
        f"With plain SGD there are runs of {cases_of(literal)}. On these the published baseline keeps "
        f"{percent(published_mean('no-replay', 'original_test', literal))}, ours {kept(twins)} with momentum and "
        f"{kept(literal)} with plain SGD, and at that moment ours are {points(short)} short with momentum and "
        f"{points(short_plain)} with plain SGD{moral}."
    )


def effect_of_momentum() -> str:
    """What plain SGD changes after replay: accuracies, their distance from the published ones, epochs."""
    if not literal.records:
        return "With plain SGD nothing has been run yet." if literal.told else ALONE

    def told_as(runs: Runs) -> str:
        distances = [str(number(mean_gap("replay", "original_test", mode, runs), ".3f")) for mode in EVALUATIONS]
        epochs = mean(Value(arm["epochs"], [source(record, arm)]) for record, arm in arms("replay", runs))
        return f"{', '.join(distances[:-1])} and {distances[-1]} after {number(epochs, '.0f')} epochs"

    old, new = (shift(literal, measure, "replay") for measure in ("original_test", "test"))
    small = 0.01  # half the band that the figure of agreement counts as the same
    moral = comparison(
        small, max(old or 0, new or 0), " With replay, momentum is a matter of time, not of outcome.", ""
    )
    return (
        f"In the runs that there are with and without it, the same arm with replay differs by "
        f"{points(old)} on old classes and by {points(new)} on new ones, on average over evaluation modes. The mean distance from "
        f"the published accuracies on old classes (running, batch, mixed) is {told_as(ours.twins_of(literal))} with "
        f"momentum and {told_as(literal)} without.{moral}"
    )


def unlearned_when_lost(evaluation: str, runs: Runs = ours) -> Value | None:
    """How far the baseline is from the published training accuracy when it comes to keep less than the published one.

    Published less ours, on average over the runs, ours being that of the first epoch from which on accuracy on the old
    classes is below the published value; of the last epoch where it never is.
    """
    found = []
    for record, arm in arms("no-replay", runs):
        run = record["run"]
        kept, learned = (
            published_value(run["dataset"], run["case"], "no-replay", measure) for measure in ("original_test", "train")
        )
        if kept is None or learned is None:
            continue
        old = zip(arm["curve"]["epochs"], arm["curve"]["old"][evaluation], strict=True)
        last = max((epoch for epoch, value in old if value >= kept), default=0)  # 0 is before the task
        training = arm["curve"]["train_accuracy"]
        found.append(Value(learned - training[min(last, len(training) - 1)], [source(record, arm)]))
    return mean(found)


def task_images() -> int:
    """Training images of a task in the sets whose classes have one size."""
    return round(ours.settings.train_share * catalogue.describe("fashion-mnist").images / 2)


def byte_shares() -> str:
    """The memories as shares of the first task's bytes: uint8 images against float32 latents."""
    shares = [100 * 4 * pixel_share(1, 1) * share for share in ours.settings.memory_shares]
    words = [f"{share:.2f}" for share in shares]
    return f"{', '.join(words[:-1])} and {words[-1]} %"


def published_train_test_gap() -> float:
    """Mean of training less test accuracy over the original's first tasks."""
    first = published[published.arm == "first-task"]
    return float((first.train_accuracy - first.test_accuracy).mean())


def train_test_gap(evaluation: str) -> Value | None:
    """The same of ours."""
    pairs = (
        [accuracy(record, arm, evaluation, measure) for measure in ("train", "test")]
        for record, arm in arms("first-task")
    )
    return mean(train - test for train, test in pairs if train is not None and test is not None)


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


def versions() -> str:
    """The versions that the records were made with, in words."""
    found: dict[str, set[str]] = {}
    for record in ours.records:
        for arm in record["arms"]:
            for package, version in arm["provenance"]["versions"].items():
                found.setdefault(package, set()).add(version)
    parts = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return ", ".join(parts) or "(not run)"
