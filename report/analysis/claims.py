"""The ledger: what the original claims, and whether our runs bear it out under each evaluation mode.

A claim is a number for each seed (averaged over the cases of a data set) and the range in which the number has to lie. It
holds if the confidence interval of the mean over seeds lies inside the range, fails if it lies outside, and is undecided if
an end of the range lies in it. One seed has no interval, so it has no verdict. The claims of the original come first; those
that are ours are measured by `beyond`.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from analysis import beyond
from analysis.edition import Runs, ours
from analysis.estimates import Estimate, of_seeds
from analysis.sourced import Value
from analysis.verdicts import RULE
from lr_core.models import IMAGE_PIXELS, LATENT_VALUES
from lr_core.settings import EVALUATIONS
from lr_lab.runs.profiles import find_profile

PIXELS = {0.01: "0.05", 0.05: "0.23", 0.25: "1.15"}
"""The memories: share of the images -> percent of the pixels, as the original names them."""
SMALL, MIDDLE, LARGE = PIXELS
PRESERVED = {f"preserved-{pixels}": share for share, pixels in PIXELS.items()}
"""The claims that almost all is preserved, and with which memory."""


class Run:
    """Accuracies of one record under one evaluation mode."""

    def __init__(self, record: Mapping, mode: str) -> None:
        self._arms = {(arm["arm"], arm["memory_share"]): arm["accuracy"][mode] for arm in record["arms"]}
        self.before = self._arms["first-task", None]["test"]  # on the old classes, before the second task
        self.first_training = self._arms["first-task", None]["train"]

    def old(self, share: float | None) -> float:
        """Accuracy on the old classes after the second task; share None is without replay."""
        return self._of(share)["original_test"]

    def new(self, share: float | None, measure: str = "test") -> float:
        """Accuracy on the new classes."""
        return self._of(share)[measure]

    def forgetting(self, share: float | None) -> float:
        """Accuracy on the old classes before the second task less that after it."""
        return self.before - self.old(share)

    def _of(self, share: float | None) -> Mapping[str, float]:
        return self._arms["no-replay" if share is None else "replay", share]


Measure = Callable[[Runs, str], Estimate | None]
"""Of the runs of the paper's profile and an evaluation mode."""
Number = Callable[[Mapping[str, list[Run]]], float]
"""Of one seed: data set -> its runs, one for each case."""


@dataclass(frozen=True)
class Claim:
    """What is claimed, as a number and the range in which it has to lie (shares of the images)."""

    name: str
    where: str
    text: str
    measure: Measure
    measured: str
    least: float = -math.inf
    most: float = math.inf
    datasets: tuple[str, ...] = ()  # that the number needs


def _over_seeds(number: Number, *datasets: str) -> Measure:
    """A number of each seed that has all cases of the data sets."""

    def measure(runs: Runs, mode: str) -> Estimate | None:
        by_seed: dict[int, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
        for record in runs.records:
            if record["run"]["dataset"] in datasets:
                by_seed[record["run"]["seed"]][record["run"]["dataset"]].append(Run(record, mode))
        cases = find_profile(runs.profile).cases
        return of_seeds(
            {
                seed: Value(number(found))
                for seed, found in sorted(by_seed.items())
                if all(len(found[name]) == len(cases) for name in datasets)
            },
            cases,
        )

    return measure


def _mean(dataset: str, number: Callable[[Run], float]) -> Measure:
    return _over_seeds(lambda seed: fmean(map(number, seed[dataset])), dataset)


def _preserved(claim: str) -> list[Claim]:
    share = PRESERVED[claim]
    return [
        Claim(
            claim, f"section 6, Tables {tables}",
            f"Replaying {PIXELS[share]} % of the pixels ({100 * share:g} % of the images) preserves almost the accuracy of before.",
            _mean(name, lambda run: run.forgetting(share)), "forgetting", most=0.05, datasets=(name,),
        )
        for name, tables in _REPLAY_TABLES.items()
    ]  # fmt: skip


def _indifferent(measure: str, word: str) -> list[Claim]:
    return [
        Claim(
            f"{measure}-indifferent", f"Tables {tables}",
            f"{word} accuracy on the new classes does not depend on the size of the memory.",
            _mean(name, lambda run: run.new(LARGE, measure) - run.new(SMALL, measure)),
            "largest less smallest memory", least=-RULE["margins"][measure], most=RULE["margins"][measure], datasets=(name,),
        )
        for name, tables in _REPLAY_TABLES.items()
    ]  # fmt: skip


def _drop(run: Run) -> float:
    return run.old(MIDDLE) - run.old(SMALL)


_REPLAY_TABLES = {"mnist": "5", "fashion-mnist": "8", "kmnist": "11"}
_BASELINE_TABLES = {"mnist": "6", "fashion-mnist": "9", "kmnist": "12"}

CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(
            "forgotten", f"section 6, Table {tables}", "Without replay, the network forgets the first task.",
            _mean(name, lambda run: run.forgetting(None)), "forgetting", least=0.5, datasets=(name,),
        )
        for name, tables in _BASELINE_TABLES.items()
    ),
    *chain.from_iterable(map(_preserved, PRESERVED)),
    *_indifferent("train", "Training"),
    *_indifferent("test", "Test"),
    *(
        Claim(
            "compressor-serves", "sections 5 and 6", "A compressor trained on five classes serves the other five.",
            _mean(name, lambda run: run.new(None) - run.new(LARGE)),
            "new classes, whole network without replay less frozen compressor with the largest memory", most=0.05, datasets=(name,),
        )
        for name in _REPLAY_TABLES
    ),
    Claim(
        "kmnist-drop", "section 6, Table 11", "On KMNIST, 0.05 % of the pixels preserve clearly less than 0.23 %.",
        _mean("kmnist", _drop), "middle less smallest memory", least=0.05, datasets=("kmnist",),
    ),
    Claim(
        "fashion-training", "section 6, Table 7", "Training accuracy is slightly lower on Fashion-MNIST than on MNIST.",
        _over_seeds(
            lambda seed: fmean(run.first_training for run in seed["mnist"])
            - fmean(run.first_training for run in seed["fashion-mnist"]), "mnist", "fashion-mnist",
        ),
        "MNIST less Fashion-MNIST", least=0.0, datasets=("mnist", "fashion-mnist"),
    ),
    Claim(
        "diverse-classes", "section 6", "More diverse classes need more memory.",
        _over_seeds(lambda seed: fmean(map(_drop, seed["kmnist"])) - fmean(map(_drop, seed["mnist"])), "mnist", "kmnist"),
        "drop of KMNIST less that of MNIST", least=0.0, datasets=("mnist", "kmnist"),
    ),
    Claim(
        "storage", "section 6", "A memory's share of the pixels is its share of the storage.",
        lambda runs, mode: Estimate(Value(4 * LATENT_VALUES / IMAGE_PIXELS - LATENT_VALUES / IMAGE_PIXELS), 0.0, (), ()),
        "share of bytes less share of pixels, of one image", least=-0.001, most=0.001,
    ),
)  # fmt: skip


OURS = "ours, section on what goes beyond"


def _ours(
    name: str, text: str, measured: str, profile: str, number: Callable[[str, str], Estimate | None], **options: float
) -> list[Claim]:
    """A claim about each data set of a profile; of a pair of sets, about the first. The number is of data set and mode."""
    names = dict.fromkeys(name.partition("+")[0] for name, *_ in find_profile(profile).runs_of())
    return [
        Claim(
            name, OURS, text, lambda runs, mode, each=each: number(each, mode), measured, datasets=(each,), **options
        )
        for each in names
    ]  # fmt: skip


BEYOND: tuple[Claim, ...] = (
    *_ours(
        "gaussians", "A mean and a covariance of each old class do better than replay of three times their bytes.",
        "Gaussians less replay, mean of old and new", "bounds", lambda dataset, mode: beyond.difference(
            beyond.GAUSSIANS, beyond.REPLAYED, dataset, "both", mode), least=0.0,
    ),
    *_ours(
        "modes-agree", "With new and memory in one batch, batch and running statistics agree on old classes.",
        "batch less running statistics", "training", lambda dataset, mode: beyond.training("mixed-batches").gap(dataset),
        least=-RULE["margins"]["original_test"], most=RULE["margins"]["original_test"],
    ),
    *_ours(
        "fewer-bits", "At the same bytes, latents of 4 bits preserve more than latents of 32.",
        "4 less 32 bits, old classes", "bytes", lambda dataset, mode: beyond.difference(
            beyond.encoding("bits-4"), beyond.encoding(""), dataset, "old", mode), least=0.0,
    ),
    *_ours(
        "raw-images", "At the same bytes, latents preserve more than images.",
        "latents less images, old classes", "bytes", lambda dataset, mode: beyond.difference(
            beyond.encoding(""), beyond.encoding("raw"), dataset, "old", mode), least=0.0,
    ),
    *_ours(
        "other-set", "A compressor serves the classes of another set as well as the other classes of its own.",
        "new classes, whole network less frozen compressor: another set less its own", "unlike", beyond.price_abroad, most=0.05,
    ),
    *_ours(
        "fixed-size", "Over five tasks, a memory that is full from the start does no worse than one that grows to its size.",
        "fixed size less growing, mean accuracy", "longer", lambda dataset, mode: beyond.fixed_less_growing(dataset, mode),
        least=-RULE["margins"]["test"],
    ),
    *_ours(
        "stability-gap", "In its first updates the second task lowers accuracy on the first one, which then recovers within an epoch.",
        "after an epoch less the lowest of 16 updates", "gap", lambda dataset, mode: beyond.dip(dataset, "", mode),
        least=RULE["margins"]["test"],
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One claim under one evaluation mode."""

    claim: Claim
    evaluation: str
    estimate: Estimate | None
    verdict: str | None  # None without an interval


def verdict(estimate: Estimate | None, claim: Claim) -> str | None:
    """ "holds", "fails" or "undecided"; None without an interval."""
    if estimate is None or estimate.half_width is None:
        return None
    if estimate.inside(claim.least, claim.most):
        return "holds"
    return "fails" if estimate.outside(claim.least, claim.most) else "undecided"


def ledger(runs: Runs = ours) -> list[Entry]:
    """Every claim under every evaluation mode."""
    toy = find_profile(runs.profile).preliminary
    found = []
    for claim in (*CLAIMS, *(BEYOND if beyond.are_cited() else ())):
        for mode in EVALUATIONS:
            made = claim.measure(runs, mode)
            found.append(Entry(claim, mode, made, "toy" if toy and made else verdict(made, claim)))
    return found


def is_ours(claim: Claim) -> bool:
    """Whether the claim is not the original's."""
    return claim.where == OURS


def by_claim() -> dict[Claim, list[Entry]]:
    """The entries of each claim, one for each evaluation mode."""
    found: dict[Claim, list[Entry]] = {}
    for entry in ledger():
        found.setdefault(entry.claim, []).append(entry)
    return found


def overall(entries: Sequence[Entry]) -> str | None:
    """One word for a claim over its evaluation modes, and over the data sets among `entries`."""
    verdicts = {entry.verdict for entry in entries}
    if verdicts == {None}:
        return None
    if len(verdicts) == 1:
        return verdicts.pop()
    return "depends on the mode" if {"holds", "fails"} <= verdicts else "undecided"


def as_json() -> str:
    """The ledger and what it is judged by."""
    return json.dumps({"profile": ours.profile, "rule": RULE, "claims": list(map(_plain, ledger()))}, indent=1) + "\n"


def _plain(entry: Entry) -> dict:
    claim, made = entry.claim, entry.estimate
    return {
        "name": claim.name, "where": claim.where, "text": claim.text, "datasets": claim.datasets,
        "measured": claim.measured, "least": _finite(claim.least), "most": _finite(claim.most),
        "evaluation": entry.evaluation, "seeds": made.seeds if made else (), "mean": made and made.value,
        "half_width": made and made.half_width, "verdict": entry.verdict,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
