"""The paper in a few sentences: the abstract and what its figures conclude, all from the records.

A sentence is said only if the numbers bear it out.

`python report/summary.py docs/headline.svg` draws the picture of the README.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import drawings
import findings
from beyond_words import advised
from edition import ours
from provenance import percent
from verdicts import counts, decided
from words import comparison, listed

from lr_lab import files, plots

MEASURED = {
    "running": "in evaluation mode",
    "batch": "when each test batch holds one task and batch normalisation uses its statistics",
    "mixed": "when test batches mix both tasks",
}
"""How an evaluation mode is measured, as the end of a sentence."""


def in_one_line() -> str:
    """The subtitle: what was reproduced, for those who cannot wait. Plain text."""
    judged = len(decided("batch"))
    if not judged:
        return "What a few percent of compressed memories preserve, and what the way of measuring adds"
    batch, running = (counts(mode)["reproduced"] for mode in ("batch", "running"))
    return f"Of {judged} published numbers, {batch} are reproduced if a test batch reveals its task, {running} in evaluation mode"


def abstract() -> str:
    """At most 150 words: what was rebuilt, the verdict, the mechanism, and what follows for practice."""
    return " ".join(_abstract())


def _abstract() -> Iterator[str]:
    small = ours.settings.memory_shares[0]
    kept = findings.mean_accuracy("replay", "original_test", "mixed", small)
    lost = findings.mean_accuracy("no-replay", "original_test", "mixed")
    yield (
        "Latent replay keeps a few images of a first task, compressed to 36 numbers each, and replays them while a network learns "
        "a second. We rebuilt the published experiment, twelve cases on three data sets, from its description."
    )
    yield reproduced()
    yield mechanism()
    if kept is not None and lost is not None:
        yield (
            f"Without replay {percent(lost)} of old images are recognised, with {percent(small, 0)} kept {percent(kept)} (mixed batches): "
            f"{comparison(kept, lost, 'the central claim stands', 'the central claim does not stand')}."
        )
    if advice := advised():
        yield f"For practice: {listed(advice[:3])}; and say which statistics a test used."


def reproduced() -> str:
    """How many published numbers are reproduced under the mode that reproduces most, and under running statistics."""
    found = {mode: counts(mode)["reproduced"] for mode in MEASURED}
    judged = len(decided("batch"))
    if not judged:
        return "No case has a second seed yet, so no published number is judged."
    best = max(found, key=lambda mode: found[mode])
    text = f"Of {judged} published numbers that several seeds can judge, {found[best]} are reproduced {MEASURED[best]}"
    return f"{text}." if best == "running" else f"{text}, and {found['running']} {MEASURED['running']}."


def mechanism() -> str:
    """Whether a batch of one task makes a test task-aware, from the errors with the largest memory."""
    large = ours.settings.memory_shares[-1]
    batch, running = (findings.errors("task", mode, large) for mode in ("batch", "running"))
    if batch is None or running is None or 2 * batch > running:
        return ""
    return (
        f"Such batches tell the network the task: with the largest memory, {percent(batch)} of old images are then taken for new "
        f"classes, {percent(running)} in evaluation mode."
    )


def picture() -> str:
    """The headline figure as an SVG document on white, for pages that may be dark."""
    head, rest = plots.svg(drawings.headline_figure()).split(">", 1)
    return f'{head}><rect width="100%" height="100%" fill="white"/>{rest}'


if __name__ == "__main__":
    files.write_atomically(Path(sys.argv[1]), picture().encode())
