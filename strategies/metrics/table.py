"""The metrics that are reported, by name, with the words that people see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is shown.

    Attributes:
        label: for people.
        higher_is_better: the worst site is the one with the smallest value.
        explanation: one line.
        counts: it needs enough cases of every class; NaN where there are fewer.
    """

    label: str
    higher_is_better: bool
    explanation: str
    counts: bool


METRICS: Mapping[str, Metric] = {
    "auroc": Metric(
        "AUROC",
        True,
        "chance that a case of the class scores above one that is not; mean over the classes",
        True,
    ),
    "auprc": Metric(
        "AUPRC",
        True,
        "average precision over all thresholds; mean over the classes; depends on prevalence",
        True,
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        True,
        "share decided rightly within each class, mean over the classes",
        True,
    ),
    "brier": Metric(
        "Brier score",
        False,
        "mean squared error of the probabilities, 0 (sure and right) to 1 (sure and wrong)",
        False,
    ),
    "log_loss": Metric(
        "Log-loss",
        False,
        "mean negative logarithm of the true class's probability, in nats",
        False,
    ),
    "ece": Metric(
        "ECE",
        False,
        "gap between confidence and accuracy in 15 bins; looks too large where cases are few",
        True,
    ),
    "sensitivity": Metric(
        "Sensitivity",
        True,
        "share of the class found at the study's set specificity; mean over the classes",
        True,
    ),
    "expected_cost": Metric(
        "Expected cost",
        False,
        "mean cost per case of the decisions that the study's cost matrix asks for",
        True,
    ),
}

FEWEST_CASES = 20
FEWEST_OF_A_CLASS = 5
"""Under these, metrics with `counts` are not estimable: NaN, shown as such."""
