"""What this edition holds, in numbers and short phrases: cases, seeds, sizes, versions."""

from __future__ import annotations

from edition import Runs, ours
from titles import title
from words import NOT_RUN, count, listed

from lr_core.memory import pixel_share
from lr_lab.data import catalogue
from lr_lab.runs.profiles import find_profile


def run_state(runs: Runs) -> str:
    """How much of a profile has been run, data set by data set."""
    if not runs.cited:
        return "not shown in this document"
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
            parts.append(f"{title(name)}: {NOT_RUN}")
    return "; ".join(parts)


def cases_of(runs: Runs) -> str:
    """The data sets and cases that have been run, or "none"."""
    parts = []
    for name in runs.datasets:
        if found := sorted(record["run"]["case"] for record in runs.of(name)):
            parts.append(f"{title(name)}, {'cases' if len(found) > 1 else 'case'} {listed(found)}")
    return "; ".join(parts) or "none"


def seeds() -> str:
    """How many seeds the runs of one case have."""
    found = {record["run"]["seed"] for record in ours.records}
    return "one seed" if len(found) == 1 else f"{count(len(found))} seeds"


def task_images() -> int:
    """Training images of a task in the sets whose classes have one size."""
    return round(ours.settings.train_share * catalogue.describe("fashion-mnist").images / 2)


def mnist_task_sizes() -> str:
    """Training images of MNIST's first tasks that have been run, case by case."""
    sizes = [f"{r['tasks']['first']['train_images']:,} in case {r['run']['case']}" for r in ours.of("mnist")]
    return ", ".join(sizes) or f"({NOT_RUN})"


def byte_shares() -> str:
    """The memories as shares of the first task's bytes: uint8 images against float32 latents."""
    return listed(f"{100 * 4 * pixel_share(1, 1) * share:.2f}" for share in ours.settings.memory_shares) + " %"


def versions() -> str:
    """The versions of packages that the records were made with."""
    found: dict[str, set[str]] = {}
    for record in ours.records:
        for arm in record["arms"]:
            for package, version in arm["provenance"]["versions"].items():
                found.setdefault(package, set()).add(version)
    parts = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return ", ".join(parts) or f"({NOT_RUN})"
