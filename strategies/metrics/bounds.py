"""What decisions would be worth had readers settled the cases that they left open.

A case that stays unsure or unreadable has no answer to measure against, and leaving it out flatters
a model that fails where people do. Counted all right and all wrong, such cases give the ends
between which the number lies, whatever their answers are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from strategies.metrics.intervals import Interval
from strategies.metrics.sums import Float, confusion, layout

if TYPE_CHECKING:
    from protocol.sections import Task

LABELS = {
    "accuracy": "accuracy of the decisions",
    "sensitivity": "sensitivity of the decisions",
    "specificity": "specificity of the decisions",
}


def share(cases: int, unsettled: int) -> float:
    """The part of the cases read that has no answer, 0 where none was read."""
    return unsettled / (cases + unsettled) if unsettled else 0.0


def bounds(sums: Float, unsettled: int, task: Task) -> dict[str, Interval]:
    """Accuracy, and with two outcomes sensitivity and specificity, of the least costly decision.

    The estimate is over the settled cases, NaN where there are none; low and high count the
    unsettled ones with them: for accuracy all decided wrong or all right, for sensitivity all
    positive, for specificity all negative, and again all wrong or all right. In a multi-label task
    each class of a case is a decision, and the classes are taken together.

    Args:
        sums: (m,), of all sites together.
        unsettled: cases that were read and have no answer.
        task: the study's.
    """
    counts = confusion(sums, layout(task))
    if task.multi_label:
        counts, open_ = counts.sum(axis=0), unsettled * len(task.classes)
    else:
        open_ = unsettled
    right = np.diag(counts)
    found = {"accuracy": _between(right.sum(), counts.sum(), open_)}
    if counts.shape == (2, 2):
        found["sensitivity"] = _between(right[1], counts[1].sum(), open_)
        found["specificity"] = _between(right[0], counts[0].sum(), open_)
    return found


def _between(right: float, of: float, open_: int) -> Interval:
    if of + open_ == 0:
        return Interval(math.nan, math.nan, math.nan)
    estimate = float(right / of) if of else math.nan
    low, high = right / (of + open_), (right + open_) / (of + open_)
    return Interval(estimate, float(low), float(high))
