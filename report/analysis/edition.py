"""Which runs this edition of the paper shows.

Two environment variables choose them. They are read here and nowhere else:

LR_PROFILE : the profile whose runs are called "ours"; `paper` if it is not set
LR_RUNS : the folder of all runs; `report/runs` if it is not set
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from analysis.sourced import Value, accuracy, run_id
from lr_core.errors import LatentReplayError, UsageError
from lr_lab.data import catalogue
from lr_lab.files import absolute
from lr_lab.runs import store
from lr_lab.runs.profiles import find_profile

REPORT = Path(__file__).parent.parent
PROFILE = os.environ.get("LR_PROFILE", "paper")
RUNS = absolute(os.environ.get("LR_RUNS") or REPORT / "runs")


def _check_alike(records: Iterable[dict], runs: Path) -> None:
    """Refuse records that cannot be compared: of two precisions or versions of the protocol."""
    found: dict[str, dict[object, Path]] = {"precision": {}, "protocol version": {}}
    for record in records:
        file = run_id(record).record(runs)
        found["protocol version"].setdefault(record["protocol_version"], file)
        for arm in record["arms"]:
            found["precision"].setdefault(arm["provenance"]["precision"], file)
    for what, files in found.items():
        if len(files) > 1:
            unlike = " and ".join(f"{file} has {value}" for value, file in files.items())
            raise LatentReplayError(f"runs that are compared differ in {what}: {unlike}; train one of them anew")


class Runs:
    """The records of one profile; no records if this document does not cite the profile."""

    def __init__(self, profile: str, runs: Path = RUNS, *, cited: bool = True) -> None:
        self.profile = profile
        self.runs = runs
        self.cited = cited
        self.settings = find_profile(profile).settings

    @cached_property
    def records(self) -> list[dict]:
        """Records of the profile's own data sets. The sentences are about these."""
        return [record for record in self._all if not self._is_added(record)]

    @cached_property
    def added(self) -> list[dict]:
        """Records of data sets that a user has added. They have tables of their own."""
        return [record for record in self._all if self._is_added(record)]

    def _is_added(self, record: dict) -> bool:
        profile = find_profile(self.profile)
        return record["run"]["dataset"] not in (*profile.datasets, *profile.in_case_1)

    @cached_property
    def _all(self) -> list[dict]:
        """All records, which must have one precision and protocol. Those of other settings are left out with a warning."""
        kept = []
        for record in store.read_all(self.runs, self.profile) if self.cited else []:
            run = run_id(record)
            if record["key"] == run.key(self.settings):
                kept.append(record)
            else:
                warnings.warn(f"{run}: its record is out of date and left out; run the grid again", stacklevel=2)
        _check_alike(kept, self.runs)
        return kept

    def of(self, dataset: str, case: int | None = None, seed: int | None = None) -> list[dict]:
        """Records of a data set, one for each case, with the smallest seed unless one is named."""
        found: dict[int, dict] = {}
        for record in self.records + self.added:
            run = record["run"]
            if run["dataset"] == dataset and case in (None, run["case"]) and seed in (None, run["seed"]):
                found.setdefault(run["case"], record)
        return list(found.values())

    def values(
        self, dataset: str, case: int, name: str, measure: str, evaluation: str, share: float | None = None
    ) -> list[Value]:
        """One accuracy of one case: a value for each seed."""
        found = []
        for record in self.records + self.added:
            if (record["run"]["dataset"], record["run"]["case"]) == (dataset, case):
                for arm in record["arms"]:
                    if arm["arm"] == name and arm["memory_share"] == share:
                        found.append(accuracy(record, arm, evaluation, measure))
        return [value for value in found if value is not None]

    def only(self, wanted: Callable[[dict], bool]) -> Runs:
        """Those of these runs that are wanted."""
        some = Runs(self.profile, self.runs, cited=self.cited)
        some.records = [record for record in self.records if wanted(record)]
        some.added = [record for record in self.added if wanted(record)]
        return some

    def matched_with(self, others: Runs) -> Runs:
        """Those of these runs whose data set, case and seed `others` has too."""
        found = [record["run"] for record in others.records]
        return self.only(lambda record: record["run"] in found)

    @property
    def repeated_datasets(self) -> list[str]:
        """Data sets whose every case has two seeds or more. These alone have verdicts: a deviation is pooled over all cases."""
        seeds = Counter((record["run"]["dataset"], record["run"]["case"]) for record in self.records + self.added)
        cases = find_profile(self.profile).cases
        return [name for name in self.datasets if all(seeds[name, case] > 1 for case in cases)]

    @property
    def repeated(self) -> Runs:
        """The runs of these data sets; all runs if there is no such set. What is concluded rests on them."""
        names = self.repeated_datasets or self.datasets
        return self.only(lambda record: record["run"]["dataset"] in names)

    @property
    def expected(self) -> int:
        """How many runs the profile has when all are done."""
        return len(find_profile(self.profile).runs_of())

    @property
    def datasets(self) -> list[str]:
        """The profile's data sets, in the paper's order, then those that a user has added."""
        known = {*find_profile(self.profile).datasets, *(record["run"]["dataset"] for record in self.added)}
        return [name for name in catalogue.DATASETS if name in known]


# Profiles that are shown in the paper, and have no document of their own.
BEYOND = ("bounds", "closed-forms", "training", "bytes", "unlike", "longer", "gap")
if not find_profile(PROFILE).document:
    raise UsageError(f"profile {PROFILE} has no document of its own; its runs are shown in the document of `paper`")

ours = Runs(PROFILE)
# Compared with `ours` in the paper alone: a document of another profile shows that profile and no other.
literal = Runs("literal", cited=PROFILE == "paper")  # plain SGD
bf16 = Runs("bf16", cited=PROFILE == "paper")  # one case in bfloat16
choices = Runs("choices", cited=PROFILE == "paper")  # other readings of what is open
beyond = {name: Runs(name, cited=PROFILE == "paper") for name in BEYOND}
cited = tuple(runs for runs in (ours, literal, choices, bf16, *beyond.values()) if runs.cited)


def check_compared() -> None:
    """Refuse runs of different profiles that cannot be compared. `bf16` is there to be of another precision."""
    _check_alike((record for runs in cited if runs is not bf16 for record in runs.records), RUNS)


def cited_records() -> list[dict]:
    """The records of all runs that this document cites, in the order of its provenance table."""
    return [record for runs in cited for record in runs.records + runs.added]
