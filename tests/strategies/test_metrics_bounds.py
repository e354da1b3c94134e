"""Decisions with the cases that readers left open: the ends by hand, and that they hold."""

from __future__ import annotations

import json
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.records import Evaluation
from protocol.sections import Task
from strategies.metrics import bounds as there
from strategies.metrics.bounds import LABELS, share
from strategies.metrics.combine import as_json, combine, from_json
from strategies.metrics.measure import measure


def task_of(kind: str, classes: int = 2) -> Task:
    named = [{"name": f"c{i}", "definition": "d"} for i in range(classes)]
    return Task.model_validate(
        {"kind": kind, "image": (1, 8, 8), "classes": tuple(named)}, strict=False
    )


BINARY = task_of("single-label")


def bounds(sums: NDArray[np.float64], left: int, task: Task) -> dict[str, tuple[float, ...]]:
    """Estimate, low and high of each."""
    return {name: astuple(found) for name, found in there.bounds(sums, left, task).items()}


def evaluation(
    probs: list[float], truth: list[int], unsettled: int, task: Task = BINARY
) -> Evaluation:
    p = np.array(probs, dtype=np.float64)
    targets = np.eye(2)[np.array(truth, dtype=int)] if len(truth) else np.zeros((0, 2))
    both = np.stack([1 - p, p], axis=1)
    rng, patients = np.random.default_rng(0), np.arange(len(p))
    return measure(both, targets, patients, task, clustered=True, unsettled=unsettled, rng=rng)


def test_by_hand() -> None:
    """Of 5 settled cases 3 are right: of 3 positives 2, of 2 negatives 1; 5 are open."""
    found = bounds(evaluation([0.9, 0.8, 0.1, 0.2, 0.7], [1, 1, 1, 0, 0], 5).sums, 5, BINARY)
    assert found.keys() == LABELS.keys()
    assert found["accuracy"] == (3 / 5, 3 / 10, 8 / 10)
    assert found["sensitivity"] == pytest.approx((2 / 3, 2 / 8, 7 / 8))
    assert found["specificity"] == pytest.approx((1 / 2, 1 / 7, 6 / 7))
    assert share(5, 5) == 0.5


def test_without_open_cases_there_is_nothing_between() -> None:
    found = bounds(evaluation([0.9, 0.1], [1, 1], 0).sums, 0, BINARY)
    assert found["accuracy"] == (0.5, 0.5, 0.5)
    assert all(np.isnan(v) for v in found["specificity"])
    assert share(2, 0) == share(0, 0) == 0


def test_all_open_is_between_nothing_and_all() -> None:
    found = bounds(evaluation([], [], 4).sums, 4, BINARY)
    for name in LABELS:
        estimate, low, high = found[name]
        assert np.isnan(estimate)
        assert (low, high) == (0, 1)


def test_in_many_classes_accuracy_alone_and_in_several_labels_each_class_is_a_decision() -> None:
    three = task_of("single-label", 3)
    rng = np.random.default_rng(0)
    probs = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1]])
    made = measure(
        probs, np.eye(3)[[0, 2]], np.arange(2), three, clustered=True, unsettled=2, rng=rng
    )
    assert bounds(made.sums, 2, three) == {"accuracy": (0.5, 0.25, 0.75)}
    several = task_of("multi-label", 3)
    made = measure(
        np.array([[0.9, 0.2, 0.2]]), np.array([[1, 1, 0]]), np.arange(1), several,
        clustered=True, unsettled=1, rng=rng,
    )  # fmt: skip
    found = bounds(made.sums, 1, several)
    assert found["accuracy"] == pytest.approx((2 / 3, 2 / 6, 5 / 6))
    assert found["sensitivity"] == pytest.approx((1 / 2, 1 / 5, 4 / 5))


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12),
)
def test_whatever_the_open_cases_are_the_numbers_lie_between(
    settled: list[tuple[bool, bool]], still_open: list[tuple[bool, bool]]
) -> None:
    def of(cases: list[tuple[bool, bool]], left: int) -> dict[str, tuple[float, ...]]:
        probs, truth = [0.8 if said else 0.2 for _, said in cases], [int(t) for t, _ in cases]
        sums = evaluation(probs, truth, left).sums
        return bounds(sums, left, BINARY)

    told = of(settled, len(still_open))
    for name, (real, _, _) in of(settled + still_open, 0).items():
        _, low, high = told[name]
        if not np.isnan(real):
            assert low - 1e-9 <= real <= high + 1e-9


def test_results_hold_the_bounds_over_all_sites_and_those_of_before_none() -> None:
    sites = {"a": evaluation([0.9, 0.8], [1, 0], 1), "b": evaluation([0.3], [0], 0)}
    plain = as_json(combine(sites, BINARY))
    assert plain["unsettled"] == 1
    assert plain["bounds"]["accuracy"] == pytest.approx([2 / 3, 2 / 4, 3 / 4])
    again = from_json(json.loads(json.dumps(plain)))
    assert as_json(again) == plain
    plain.pop("bounds")
    assert from_json(plain).bounds == {}
