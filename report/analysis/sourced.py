"""Numbers that remember the arms they were computed from."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from lr_lab.runs.record import RunId


class Value(float):
    """A number and the arms that it was computed from, each as "profile/run/place of the arm"."""

    sources: frozenset[str]

    def __new__(cls, value: float, sources: Iterable[str] = ()) -> Value:
        """The number itself, and where it comes from."""
        made = super().__new__(cls, value)
        made.sources = frozenset(sources)
        return made

    def __sub__(self, other: float) -> Value:
        return Value(float(self) - float(other), self.sources | sources_of(other))

    def __abs__(self) -> Value:
        return Value(abs(float(self)), self.sources)


def sources_of(value: float) -> frozenset[str]:
    """The arms of a `Value`; no arms for a plain number."""
    return getattr(value, "sources", frozenset())


def run_id(record: dict) -> RunId:
    """The run that a record is of."""
    return RunId(record["profile"], **record["run"])


def run_name(record: dict) -> str:
    """A run as it is named in sources: "profile/run"."""
    return f"{record['profile']}/{run_id(record).stem}"


def source(record: dict, arm: dict) -> str:
    """An arm as it is named in sources: "profile/run/place of the arm"."""
    return f"{run_name(record)}/{record['arms'].index(arm)}"


def accuracy(record: dict, arm: dict, evaluation: str, measure: str) -> Value | None:
    """One accuracy of an arm; None if the arm has no such value."""
    found = arm["accuracy"][evaluation][measure]
    return None if found is None else Value(found, [source(record, arm)])


def mean(values: Iterable[float | None]) -> Value | None:
    """Mean of the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return Value(statistics.fmean(known), frozenset().union(*map(sources_of, known))) if known else None
