"""The sizes of what a site's evaluation holds, which `egress.py` lets through and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.sections import Task

SCORE_BINS = 64
"""Score bins per scored class in the additive sums."""

FINE_BINS = 512
"""Score bins per scored class in the counts that estimates rest on."""

CALIBRATION_BINS = 15
"""Bins of confidence: the usual number for the expected calibration error."""

METRIC_NAMES = (
    *("auroc", "auprc", "balanced_accuracy", "brier", "log_loss", "ece"),
    *("sensitivity", "expected_cost"),
)
"""What a site estimates; `strategies/metrics/table.py` says how each is shown."""


def scored_classes(task: Task) -> int:
    """Classes with score counts: one of two in a single-label task, else all."""
    n = len(task.classes)
    return 1 if n == 2 and not task.multi_label else n


def sums_length(task: Task) -> int:
    """Numbers in the additive sums; `strategies/metrics/sums.py` says what stands where."""
    n = len(task.classes)
    confusion = 4 * n if task.multi_label else n * n
    return 2 * SCORE_BINS * scored_classes(task) + confusion + 3 + 3 * CALIBRATION_BINS
