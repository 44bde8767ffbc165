"""The paper in a few sentences: the abstract and what its figures conclude, all from the records.

A sentence is said only if the numbers bear it out.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis import claims, findings
from analysis.edition import ours
from analysis.published import published_count
from analysis.sourced import Value
from analysis.verdicts import counts, decided
from sentences.beyond_words import advised
from sentences.provenance import percent
from sentences.titles import title
from sentences.words import listed, sentence

MEASURED = {
    "running": "under running statistics",
    "batch": "under the statistics of test batches of one task",
    "mixed": "under the statistics of mixed test batches",
}
"""How an evaluation mode is measured, as the end of a sentence."""
CONCLUDED = ours.repeated
"""The runs that the conclusions rest on."""
SMALL, *_, LARGE = ours.settings.memory_shares


def in_one_line() -> str:
    """The subtitle: what was reproduced, for those who cannot wait. Plain text."""
    judged = len(decided("batch"))
    if not judged:
        return "What a few percent of compressed memories preserve, and what the way of measuring adds"
    batch, running = (counts(mode)["reproduced"] for mode in ("batch", "running"))
    return (
        f"Of {judged} published numbers, {batch} are reproduced if each test batch holds one task, {running} if each image is judged "
        "by itself"
    )


def abstract() -> str:
    """At most 150 words: what was rebuilt, the verdict, the mechanism, and what follows for practice."""
    return " ".join(filter(None, _abstract()))


def _abstract() -> Iterator[str]:
    yield (
        "Latent replay keeps a few images of a first task, compressed to 36 numbers, and replays them while a network learns "
        "a second. We rebuilt the published experiment (twelve cases, three data sets) from its description."
    )
    yield reproduced()
    yield mechanism()
    yield central_claim()
    if advice := advised():
        yield f"Smaller trainings advise: {listed(advice[:2])}; say which statistics a test used."


def reproduced() -> str:
    """How many published numbers are reproduced under the mode that reproduces most, and under running statistics."""
    found = {mode: counts(mode)["reproduced"] for mode in MEASURED}
    judged = len(decided("batch"))
    if not judged:
        return "No case has a second seed yet, so no published number is judged."
    best = max(found, key=lambda mode: found[mode])
    of = (
        f"Of {judged} published numbers"
        if judged == (every := published_count())
        else f"Of the {judged} published numbers judged (of {every})"
    )
    text = f"{of}, {found[best]} are reproduced {MEASURED[best]}"
    return f"{text}." if best == "running" else f"{text}, {found['running']} {MEASURED['running']}."


def central_claim() -> str:
    """What replay preserves in mixed test batches, and whether that is almost all, as the original says."""
    kept, lost, before = _old_classes()
    if kept is None or lost is None or before is None:
        return ""
    return (
        f"In mixed test batches, {percent(before)} of old images are recognised before the second task, {percent(lost)} after it "
        f"without replay, and {percent(kept)} with {percent(SMALL, 0)} kept.{_preserved()}"
    )


def prevents_forgetting() -> str:
    """Whether the smallest memory keeps more than half of what is lost without replay, in mixed test batches, in a sentence.

    Said of the data sets on which the interval over seeds decides it.
    """
    said: dict[str, list[str]] = {}
    for name in ours.repeated_datasets:
        found = findings.kept_beyond_half(name, "mixed", SMALL)
        if found is not None and found.sign:
            verb = "prevents" if found.sign > 0 else "does not prevent"
            said.setdefault(verb, []).append(title(name))
    parts = listed(f"{verb} most of the forgetting on {listed(names)}" for verb, names in said.items()) if said else ""
    return f"So a memory of {percent(SMALL, 0)} {parts}." if parts else ""


def _old_classes() -> tuple[Value | None, Value | None, Value | None]:
    """Accuracy on old classes with the smallest memory, without replay, and before the second task."""
    return (
        findings.mean_accuracy("replay", "original_test", "mixed", SMALL, CONCLUDED),
        findings.mean_accuracy("no-replay", "original_test", "mixed", runs=CONCLUDED),
        findings.mean_accuracy("first-task", "test", "mixed", runs=CONCLUDED),
    )


def _preserved() -> str:
    """With which memory almost all is preserved, by data set, in a sentence: claims `preserved-` of the ledger in mixed test batches.

    The least of which that is decided: a smaller one may do as well. Nothing of a data set where all are undecided.
    """
    verdicts: dict[str, dict[float, str | None]] = {}
    for entry in claims.ledger():
        if entry.evaluation == "mixed" and entry.claim.name in claims.PRESERVED:
            verdicts.setdefault(entry.claim.datasets[0], {})[claims.PRESERVED[entry.claim.name]] = entry.verdict
    most = 100 * next(claim.most for claim in claims.CLAIMS if claim.name in claims.PRESERVED)
    enough: dict[float, list[str]] = {}
    none_is = [title(name) for name, found in verdicts.items() if set(found.values()) == {"fails"}]
    for name, found in verdicts.items():
        if "holds" in found.values():
            enough.setdefault(min(share for share, verdict in found.items() if verdict == "holds"), []).append(
                title(name)
            )
    parts = []
    if enough:
        kept = ", ".join(f"{percent(share, 0)} on {listed(names)}" for share, names in enough.items())
        parts.append(f"at most {most:g} points are lost with {kept}")
    if none_is:
        parts.append(
            f"on {listed(none_is)} no memory {'is enough' if enough else f'keeps the loss below {most:g} points'}"
        )
    return f" {sentence('; '.join(parts))}." if parts else ""


def mechanism() -> str:
    """Whether a batch of one task makes a test task-aware, from the errors with the largest memory."""
    batch, running = (findings.errors("task", mode, LARGE, runs=CONCLUDED) for mode in ("batch", "running"))
    if batch is None or running is None or 2 * batch > running:
        return ""
    return (
        f"One-task batches reveal the task: with the largest memory, {percent(batch)} of old images are taken for new classes, "
        f"{percent(running)} under running statistics."
    )
