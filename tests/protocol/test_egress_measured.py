"""What a measurement holds adds up; an image of the right size in its place does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from protocol.egress import Asking, KeptBack, admitted, release
from protocol.records import Evaluation, SiteEvaluation
from protocol.study import Study, parse
from strategies.metrics.measure import measure


def study_of(kind: str, classes: int) -> Study:
    named = [{"name": f"c{n}", "definition": "d"} for n in range(classes)]
    task = {"kind": kind, "image": [1, 8, 8], "classes": named}
    return parse({"schema": 1, "name": "s", "task": task, "budget": {"total": 9, "per_cycle": 9}})


def measured(study: Study, cases: int, sharp: float = 1.0) -> Evaluation:
    rng, task = np.random.default_rng(cases), study.task
    classes = len(task.classes)
    logits = sharp * rng.normal(size=(cases, classes))
    if task.multi_label:
        probs = 1 / (1 + np.exp(-logits))
        targets = rng.integers(0, 2, (cases, classes))
    else:
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        targets = np.eye(classes, dtype=np.int64)[rng.integers(0, classes, cases)]
    patients = rng.integers(0, max(cases // 2, 1), cases)
    return measure(probs, targets, patients, task, clustered=True, unsettled=0, rng=rng)


STUDIES = [study_of("single-label", 2), study_of("single-label", 5), study_of("multi-label", 3)]


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("cases", [0, 1, 2, 30, 3000])
@pytest.mark.parametrize("sharp", [0.1, 40.0])
def test_what_is_measured_leaves(study: Study, cases: int, sharp: float) -> None:
    found = measured(study, cases, sharp)
    release(SiteEvaluation("north", found, None), Asking("north", study))


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("field", ["sums", "covariance", "fine"])
def test_pixels_in_the_place_of_sums_stay(study: Study, field: str) -> None:
    found = measured(study, 30)
    true: Any = getattr(found, field)
    pixels = np.random.default_rng(0).integers(0, 256, true.shape).astype(true.dtype)
    for image in (pixels, (pixels > 127).astype(true.dtype), pixels / true.dtype.type(255)):
        lying = dataclasses.replace(found, **{field: image})
        with pytest.raises(KeptBack, match=f"audit.{field}"):
            release(SiteEvaluation("north", lying, None), Asking("north", study))
        assert not admitted(SiteEvaluation("north", lying, None), Asking("north", study))
