"""The additive sums that leave a site: what stands where, and how a decision is made.

Binary single-label tasks score the last class alone; all others score every class against the
rest. Sums of several sites add up to the sums of their cases together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.measures import CALIBRATION_BINS, FINE_BINS, SCORE_BINS

if TYPE_CHECKING:
    from protocol.sections import Task

Float: TypeAlias = NDArray[np.float64]

BINS = SCORE_BINS
"""Score bins per class: 62 on the logit scale from -16 to 16, and two open ends.

Equal in asinh(logit): 0.11 wide around 0, where a young model's scores lie, 1.8 at the ends, where
a sure one's do. 40 equal ones from -8 to 8 change the AUROC by up to 0.05 (a sharp model, 5 %
positive); a test holds these, with `curves.binned_auroc`, under 0.002.
"""

EDGES: Float = 1 / (1 + np.exp(-np.sinh(np.linspace(-1.0, 1.0, BINS - 1) * np.arcsinh(16.0))))
"""(BINS - 1,) probabilities between the bins, ascending; a score on an edge is in the upper bin."""

FINE_EDGES: Float = 1 / (
    1 + np.exp(-0.05 * np.sinh(np.linspace(-1.0, 1.0, FINE_BINS - 1) * np.arcsinh(16.0 / 0.05)))
)
"""(FINE_BINS - 1,) probabilities between the fine bins, ascending; see `EDGES`, but 0.0016 wide
around 0.

These counts have no covariance: (m, m) of so many would be megabytes for each site.
"""

LEAST_PROBABILITY = 1e-7
"""Probabilities are clipped here, at both ends, before a logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each number stands in a sums vector.

    Attributes:
        scored: the classes with score counts, K of them.
        confusion: shape of the counts by truth and decision: (classes, classes), and in a
            multi-label task (classes, 2, 2).
    """

    scored: tuple[int, ...]
    confusion: tuple[int, ...]

    @property
    def starts(self) -> tuple[int, int, int, int, int]:
        """Where negatives, confusion, totals and calibration begin, and the vector's length m."""
        counts = len(self.scored) * BINS
        confusion = 2 * counts
        totals = confusion + int(np.prod(self.confusion))
        calibration = totals + 3
        return counts, confusion, totals, calibration, calibration + 3 * CALIBRATION_BINS

    @property
    def size(self) -> int:
        """m, the length of the vector."""
        return self.starts[-1]


def triangle(covariance: Float) -> NDArray[np.float32]:
    """(m (m + 1) / 2,) the upper triangle of a symmetric (m, m), row by row: how it travels.

    Rounding to float32 moves the intervals' ends by under 1e-5 of themselves; a test holds that.
    """
    return covariance[np.triu_indices(len(covariance))].astype(np.float32)


def square(upper: NDArray[np.float32]) -> Float:
    """The symmetric (m, m) of such a triangle."""
    m = (math.isqrt(8 * len(upper) + 1) - 1) // 2
    whole = np.zeros((m, m))
    whole[np.triu_indices(m)] = upper
    return whole + np.triu(whole, 1).T


def layout(task: Task) -> Layout:
    """The layout of a task's sums."""
    n = len(task.classes)
    if task.multi_label:
        return Layout(tuple(range(n)), (n, 2, 2))
    return Layout((1,) if n == 2 else tuple(range(n)), (n, n))


def positives(sums: Float, where: Layout) -> Float:
    """Positives by scored class and score bin, lowest scores first, (..., K, BINS)."""
    return _shaped(sums[..., : where.starts[0]], (len(where.scored), BINS))


def negatives(sums: Float, where: Layout) -> Float:
    """Negatives by scored class and score bin, lowest scores first, (..., K, BINS)."""
    return _shaped(sums[..., where.starts[0] : where.starts[1]], (len(where.scored), BINS))


def confusion(sums: Float, where: Layout) -> Float:
    """Cases by true (row) and decided (column) class, (..., C, C); multi-label (..., C, 2, 2)."""
    return _shaped(sums[..., where.starts[1] : where.starts[2]], where.confusion)


def totals(sums: Float, where: Layout) -> Float:
    """Number of cases, summed Brier score, summed log-loss, (..., 3)."""
    return sums[..., where.starts[2] : where.starts[3]]


def calibration(sums: Float, where: Layout) -> Float:
    """By bin of confidence: count, summed confidence, number right, (..., 15, 3)."""
    return _shaped(sums[..., where.starts[3] :], (CALIBRATION_BINS, 3))


def decide(probs: Float, task: Task) -> NDArray[np.int64]:
    """The decision of least expected cost; of equal ones the first class, or absent.

    Args:
        probs: (n, classes).
        task: its cost matrix decides.
    Returns:
        (n,) classes; in a multi-label task (n, classes) of 0 and 1.
    """
    cost = np.asarray(task.costs)
    if task.multi_label:
        both = np.stack([1 - probs, probs], axis=-1)  # (n, classes, 2)
        return np.asarray((both @ cost).argmin(axis=-1), dtype=np.int64)
    return np.asarray((probs @ cost).argmin(axis=1), dtype=np.int64)


def _shaped(part: Float, shape: tuple[int, ...]) -> Float:
    return part.reshape(*part.shape[:-1], *shape)
