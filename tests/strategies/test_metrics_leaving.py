"""What a site measures has the sizes that the gate lets through, in every kind of task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocol.egress import Asking, release
from protocol.measures import METRIC_NAMES, scored_classes, sums_length
from protocol.records import SiteEvaluation
from protocol.study import Study, parse
from strategies.metrics.measure import measure
from strategies.metrics.sums import layout
from strategies.metrics.table import METRICS


def study(classes: int, kind: str) -> Study:
    names = [{"name": f"c{i}", "definition": "d"} for i in range(classes)]
    return parse({"schema": 1, "name": "s", "task": {"kind": kind, "classes": names}})


TASKS = [(2, "single-label"), (3, "single-label"), (8, "single-label")]
TASKS += [(1, "multi-label"), (2, "multi-label"), (5, "multi-label")]


@pytest.mark.parametrize(("classes", "kind"), TASKS)
@pytest.mark.parametrize("cases", [0, 1, 60])
def test_a_measured_evaluation_leaves(classes: int, kind: str, cases: int) -> None:
    made, rng = study(classes, kind), np.random.default_rng(cases)
    where = layout(made.task)
    assert (where.size, len(where.scored)) == (sums_length(made.task), scored_classes(made.task))
    probs: Any = rng.dirichlet(np.ones(classes), cases)
    targets: Any = np.eye(classes, dtype=np.uint8)[rng.integers(classes, size=cases)]
    if kind == "multi-label":
        probs, targets = rng.random((cases, classes)), rng.integers(0, 2, (cases, classes))
    measured = measure(
        probs, targets, np.arange(cases) // 2, made.task, clustered=True, unsettled=1, rng=rng
    )
    release(SiteEvaluation("north", measured, measured), Asking("north", made))


def test_the_metrics_are_those_that_the_gate_names() -> None:
    assert tuple(METRICS) == METRIC_NAMES
