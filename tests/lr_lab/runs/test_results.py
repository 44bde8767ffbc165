"""Measures that are read from records: kinds of errors, and sequences of tasks."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_core import metrics
from lr_lab.runs import results


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=30, max_size=60), st.lists(st.integers(0, 9), min_size=60, max_size=60))
def test_errors_are_of_the_wrong_task_or_of_the_wrong_class(predicted, labels):
    labels = torch.tensor(labels[: len(predicted)])
    first, second = range(5), range(5, 10)
    of_first = labels < 5
    if not of_first.any():
        return
    wrong_task, wrong_class = results.error_kinds(metrics.confusion(torch.tensor(predicted), labels), first, second)
    right = metrics.accuracy(torch.tensor(predicted)[of_first], labels[of_first])
    assert wrong_task + wrong_class == pytest.approx(1 - right)
    assert wrong_task == pytest.approx((torch.tensor(predicted)[of_first] >= 5).double().mean().item())


@pytest.mark.parametrize(
    ("matrix", "accuracy", "learned", "forgetting"),
    [([[1.0], [0.0, 0.5]], 0.25, 0.75, 1.0), ([[1.0], [0.5, 0.75], [0.25, 0.25, 1.0]], 0.5, 2.75 / 3, 0.625)],
)
def test_measures_of_a_sequence(matrix, accuracy, learned, forgetting):
    assert results.sequence_measures(matrix) == {
        "accuracy": accuracy, "learned": pytest.approx(learned), "forgetting": forgetting,
    }  # fmt: skip


def test_the_examples_in_docstrings_hold():
    assert doctest.testmod(results) == doctest.TestResults(failed=0, attempted=2)
