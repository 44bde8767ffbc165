"""The paper in a few sentences: the abstract and what its figures conclude, all from the records.

A sentence is said only if the numbers bear it out.
"""

from __future__ import annotations

from collections.abc import Iterator

import findings
from beyond_words import advised
from edition import ours
from provenance import percent
from verdicts import counts, decided
from words import comparison, listed

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
    return " ".join(filter(None, _abstract()))


def _abstract() -> Iterator[str]:
    yield (
        "Latent replay keeps a few images of a first task, compressed to 36 numbers each, and replays them while a network learns "
        "a second. We rebuilt the published experiment, twelve cases on three data sets, from its description."
    )
    yield reproduced()
    yield mechanism()
    yield central_claim()
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


def central_claim() -> str:
    """Whether the smallest memory preserves the first task, on average over the runs that there are."""
    small = ours.settings.memory_shares[0]
    kept = findings.mean_accuracy("replay", "original_test", "mixed", small)
    lost = findings.mean_accuracy("no-replay", "original_test", "mixed")
    if kept is None or lost is None:
        return ""
    return (
        f"Without replay {percent(lost)} of old images are recognised, with {percent(small, 0)} kept {percent(kept)} (mixed batches): "
        f"{comparison(kept, lost, 'the central claim stands', 'the central claim does not stand')}."
    )


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
