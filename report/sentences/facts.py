"""What this edition holds, in numbers and short phrases: cases, seeds, sizes, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from IPython.display import Markdown

from analysis import claims, findings, readings
from analysis.edition import Runs, ours
from analysis.published import published_count
from analysis.sourced import Value
from analysis.verdicts import decided
from lr_core.memory import pixel_share
from lr_core.models import LATENT_VALUES
from lr_lab.data import catalogue
from lr_lab.evidence import VERDICTS
from lr_lab.runs.profiles import find_profile
from sentences.provenance import percent, points_alone
from sentences.titles import title
from sentences.words import NOT_RUN, count, listed

T = TypeVar("T")


def run_state(runs: Runs) -> str:
    """How much of a profile has been run, data set by data set."""
    if not runs.cited:
        return "not shown in this document"
    profile = find_profile(runs.profile)
    parts = []
    for name in runs.datasets:
        done = sum(record["run"]["dataset"] == name for record in runs.records + runs.added)
        every = sum(dataset == name for dataset, *_ in profile.runs_of())
        state = NOT_RUN if not done else f"all {count(every)} runs" if done >= every > 1 else f"{done} of {every} runs"
        parts.append(f"{title(name)}: {state}")
    return "; ".join(parts)


def cases_of(runs: Runs) -> str:
    """The data sets and cases that have been run, or "none"."""
    parts = []
    for name in runs.datasets:
        if found := sorted(record["run"]["case"] for record in runs.of(name)):
            parts.append(f"{title(name)}, {'cases' if len(found) > 1 else 'case'} {listed(found)}")
    return "; ".join(parts) or "none"


def seeds() -> str:
    """How many seeds the cases have: "three seeds", or "one to three seeds" where they differ."""
    by_case = Counter((record["run"]["dataset"], record["run"]["case"]) for record in ours.records)
    least, most = min(by_case.values(), default=0), max(by_case.values(), default=0)
    if least == most:
        return "one seed" if most == 1 else f"{count(most)} seeds"
    return f"{count(least)} to {count(most)} seeds"


def judged_numbers() -> str:
    """How many of the published numbers have a verdict, in a sentence."""
    judged, every = len(decided("batch")), published_count()
    if not judged:
        return "No case of this edition has a second seed, so no published number is judged."
    return f"{'All' if judged == every else f'{judged} of the'} {every} published numbers are judged."


def all_runs() -> str:
    """What the averages over all runs are over, in a sentence with a space behind it; nothing where every set is repeated."""
    if len(ours.repeated_datasets) in (0, len(ours.datasets)):
        return ""
    return (
        "Averages in this section are over all our runs; the abstract and the conclusion are about the data sets with several seeds of each "
        f"case, {listed(map(title, ours.repeated_datasets))}. "
    )


def moved_by_open_choices() -> Markdown:
    """How far what is open moves accuracy on old classes after replay under running statistics, in a sentence."""
    sets = tuple(ours.repeated_datasets) or None
    early = readings.early_end("original_test", "running", sets)
    found = {
        "batch statistics in their place move it by": findings.gain_over_running("batch", runs=ours.repeated),
        f"an end after {count(readings.EPOCHS[0])} epochs by": early and early.shift,
        "another way to train the second task by at most": readings.largest_shift("running", datasets=sets),
    }
    if any(value is None for value in found.values()):
        return Markdown("")
    numbers = listed(f"{words} {points_alone(abs(value))}" for words, value in found.items() if value is not None)
    return Markdown(
        "What the description leaves open moves accuracy on old classes after replay under running statistics, each on average over the "
        f"runs that were made both ways: {numbers} points."
    )


KINDS = {
    ("first-task", False): "in the first task",
    ("replay", False): "on new classes after replay",
    ("replay", True): "on old classes after replay",
    ("no-replay", False): "on new classes without replay",
    ("no-replay", True): "on old classes without replay",
}
"""The published numbers by arm, and whether they are of old classes after the second task."""


def where_it_differs(evaluation: str) -> str:
    """How many numbers of each kind differ under an evaluation mode, most first: "8 of 24 ... differ"."""
    every, differing = Counter(), Counter()
    for each in decided(evaluation):
        kind = KINDS[each.arm, each.measure == "original_test"]
        every[kind] += 1
        differing[kind] += each.verdict == "differs"
    parts = [f"{n} of {every[kind]} {kind}" for kind, n in differing.most_common() if n]
    return f"{listed(parts)} differ" if parts else "none differs"


def settled_by(evaluation: str, other: str) -> str:
    """How many numbers differ under an evaluation mode, and what becomes of them under another one, in a sentence."""
    differing = {each.number for each in decided(evaluation) if each.verdict == "differs"}
    if not differing:
        return ""
    so = Counter(each.verdict for each in decided(other) if each.number in differing)
    parts = listed(f"{so[verdict]} “{verdict}”" for verdict in VERDICTS if so[verdict])
    return f"Of the {len(differing)} that differ under {evaluation} statistics, the verdict under {other} statistics is: {parts}."


def shares_of_images() -> str:
    """The memories as shares of the first task's images."""
    return listed(f"{100 * share:g}" for share in ours.settings.memory_shares) + "\N{NO-BREAK SPACE}%"


def shares_of_pixels() -> str:
    """The memories as shares of the first task's pixels, as the original quotes them."""
    return (
        listed(f"{100 * pixel_share(1, 1) * share:.2f}" for share in ours.settings.memory_shares)
        + "\N{NO-BREAK SPACE}%"
    )


def claim_counts() -> str:
    """How many of the original's claims hold, fail or hang on the evaluation mode, counted for each data set, in a sentence."""
    entries = [each for claim, each in claims.by_claim().items() if not claims.is_ours(claim)]
    found = Counter(map(claims.overall, entries))
    kinds = ("holds", "fails", "depends on the mode", "undecided", "toy")
    judged = ", ".join(f"{found[kind]} “{kind}”" for kind in kinds if found[kind])
    open_ones = f"; {found[None]} have no interval and so no verdict" if found[None] else ""
    return f"Of {len(entries)} pairs of a claim and its data sets: {judged}{open_ones}."


def nearest_readings() -> Markdown:
    """For each kind of published number the reading that comes closest under batch statistics, in a sentence."""
    parts = []
    for (arm, measure), kind in readings.KINDS.items():
        found = readings.nearest(arm, measure, "batch")
        if found is None:
            continue
        gain = found.ours - found.other
        if gain < 0.005:
            parts.append(f"{kind}: none comes closer by half a point")
        else:
            parts.append(
                f"{kind}: *{readings.READINGS[found.reading]}*, {points_alone(found.other)} points away instead of "
                f"{points_alone(found.ours)}"
            )
    if parts and all("none comes closer" in part for part in parts):
        return Markdown("Under batch statistics, none of them comes closer to the published numbers by half a point.")
    return Markdown(f"Closest under batch statistics – {'; '.join(parts)}." if parts else "")


def largest_baseline() -> Markdown:
    """Where the published baseline keeps most, and what ours and other readings keep there, in sentences."""
    found, nearest = readings.baseline(), readings.nearest_epoch()
    if found is None or nearest is None:
        return Markdown("")
    whose = f"*{readings.READINGS[nearest.reading]}*" if nearest.reading else "ours"
    return Markdown(
        f"Once it keeps {percent(found.published)} ({title(found.dataset)}, case {found.case}); ours keeps {percent(found.ours)} "
        f"there under batch statistics, and of the other readings of @sec-readings *{readings.READINGS[found.reading]}* keeps "
        f"most, {percent(found.other)}. Published are {percent(nearest.published_old)} of the old and {percent(nearest.published_new)} of the "
        f"new images right; of all our trainings of this case, the epoch that comes nearest ({whose}, epoch {nearest.epoch}) "
        f"has {percent(nearest.old)} and {percent(nearest.new)}."
    )


def by_dataset(found: Callable[[Runs], Value | None], write: Callable[[Value | None], object]) -> Markdown:
    """One number for each data set that has runs, in percent or points: "6.5 (MNIST) and 11.8 points (KMNIST)"."""
    known = {
        name: value
        for name in ours.datasets
        if (value := found(ours.only(lambda record, name=name: record["run"]["dataset"] == name))) is not None
    }
    return with_one_unit(known, points_alone, write)


def with_one_unit(known: Mapping[str, T], write: Callable[[T], object], with_unit: Callable[[T], object]) -> Markdown:
    """Numbers of data sets, the unit behind the last one alone."""
    *others, last = known or [""]
    writers = dict.fromkeys(others, write) | {last: with_unit}
    parts = [f"{writers[name](value)} ({title(name).markdown})" for name, value in known.items()]
    return Markdown(listed(parts) if parts else f"({NOT_RUN})")


def task_images() -> int:
    """Training images of a task in the sets whose classes have one size."""
    return round(ours.settings.train_share * catalogue.describe("fashion-mnist").images / 2)


def memory_bytes(share: float) -> int:
    """What a memory takes whose task has classes of one size: four bytes a value, one a label."""
    return round(share * task_images()) * (4 * LATENT_VALUES + 1)


def mnist_task_sizes() -> str:
    """Training images of MNIST's first tasks that have been run, case by case."""
    sizes = [f"{r['tasks']['first']['train_images']:,} in case {r['run']['case']}" for r in ours.of("mnist")]
    return ", ".join(sizes) or f"({NOT_RUN})"


def byte_shares() -> str:
    """The memories as shares of the first task's bytes: uint8 images against float32 latents."""
    return (
        listed(f"{100 * 4 * pixel_share(1, 1) * share:.2f}" for share in ours.settings.memory_shares)
        + "\N{NO-BREAK SPACE}%"
    )


def versions() -> str:
    """The versions of packages that the records were made with."""
    found: dict[str, set[str]] = {}
    for record in ours.records:
        for arm in record["arms"]:
            for package, version in arm["provenance"]["versions"].items():
                found.setdefault(package, set()).add(version)
    parts = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return ", ".join(parts) or f"({NOT_RUN})"
