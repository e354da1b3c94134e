"""Metrics as functions of the sums, for one vector or a stack of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from strategies.metrics import curves, sums
from strategies.metrics.curves import ratio
from strategies.metrics.sums import Float, Layout
from strategies.metrics.table import FEWEST_CASES, FEWEST_OF_A_CLASS, METRICS

if TYPE_CHECKING:
    from protocol.sections import Task


def from_sums(vector: Float, where: Layout, task: Task) -> dict[str, Float]:
    """Every metric from sums alone, NaN where a class or all cases are absent.

    Args:
        vector: (..., m).
        where: the task's layout.
        task: for its cost matrix and specificity.
    Returns:
        Metric name to (...,).
    """
    pos = sums.positives(vector, where)[..., ::-1]  # highest scores first
    groups = curves.ranking(pos, sums.negatives(vector, where)[..., ::-1])
    return {
        "auroc": curves.binned_auroc(groups).mean(axis=-1),
        "auprc": curves.mixed_average_precision(groups).mean(axis=-1),
        "sensitivity": curves.sensitivity_at(groups, task.specificity).mean(axis=-1),
        **without_ranks(vector, where, task),
    }


def without_ranks(vector: Float, where: Layout, task: Task) -> dict[str, Float]:
    """The metrics that sums hold exactly: those that no score bin blurs. As `from_sums`."""
    total = sums.totals(vector, where)
    cases = total[..., 0]
    table = sums.confusion(vector, where)
    right = np.diagonal(table, axis1=-2, axis2=-1)  # (..., C), multi-label (..., C, 2)
    recall = ratio(right, table.sum(axis=-1))
    inner = tuple(range(vector.ndim - 1, recall.ndim))
    whole = tuple(range(vector.ndim - 1, table.ndim))
    spent = (table * np.asarray(task.costs)).sum(axis=whole)
    bins = sums.calibration(vector, where)
    return {
        "balanced_accuracy": recall.mean(axis=inner),
        "brier": ratio(total[..., 1], cases),
        "log_loss": ratio(total[..., 2], cases),
        "ece": ratio(np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1), bins[..., 0].sum(axis=-1)),
        "expected_cost": ratio(spent, cases),
    }


def class_counts(vector: Float, where: Layout) -> tuple[Float, Float]:
    """Positives and negatives of every scored class, each (..., K)."""
    return (
        sums.positives(vector, where).sum(axis=-1),
        sums.negatives(vector, where).sum(axis=-1),
    )


def estimable(vector: Float, where: Layout) -> dict[str, bool]:
    """Whether each metric can be estimated from so many cases.

    Brier score and log-loss need one case. The others need 20 cases, and 5 positives and 5
    negatives of *every* scored class: a mean over the classes that happen to be frequent would be
    another quantity at each site and in each cycle.
    """
    cases = round(float(sums.totals(vector, where)[0]))
    fewest = min(round(float(c.min())) for c in class_counts(vector, where))
    enough = cases >= FEWEST_CASES and fewest >= FEWEST_OF_A_CLASS
    return {name: enough if metric.counts else cases > 0 for name, metric in METRICS.items()}
