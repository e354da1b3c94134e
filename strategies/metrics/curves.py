"""Rank metrics of weighted score groups: distinct scores at a site, fixed bins at the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Groups of equal scores, highest first along the last axis; other axes are replicates.

    Attributes:
        pos: (..., groups), the weight of the positives in each group.
        neg: (..., groups), the weight of the negatives in each group.
        found: (..., groups), of the positives in this group and those above.
        false: (..., groups), of the negatives in this group and those above.
    """

    pos: Float
    neg: Float
    found: Float
    false: Float


def ranking(pos: Float, neg: Float) -> Ranking:
    """The groups with their running sums."""
    return Ranking(pos, neg, np.cumsum(pos, axis=-1), np.cumsum(neg, axis=-1))


def auroc(groups: Ranking) -> Float:
    """The area under the ROC curve, ties counted half (midranks), (...,); NaN without a side."""
    won = np.einsum("...g,...g->...", groups.found, groups.neg)
    tied = np.einsum("...g,...g->...", groups.pos, groups.neg)
    return ratio(won - tied / 2, groups.found[..., -1] * groups.false[..., -1])


def binned_auroc(groups: Ranking) -> Float:
    """The area under the ROC from bins equally wide on some smooth scale, (...,), at most 1.

    Midranks suppose that positives and negatives lie alike within a bin, which comes out low. Here
    both densities are straight lines in each bin, with the slope between the bins at either side;
    the integral of one against the other then adds a twelfth of n[b] p[b + 1] - n[b + 1] p[b], b
    counted upwards.
    """
    pos, neg = groups.pos, groups.neg
    higher = np.einsum("...g,...g->...", pos[..., :-1], neg[..., 1:])
    lower = np.einsum("...g,...g->...", pos[..., 1:], neg[..., :-1])
    pairs = groups.found[..., -1] * groups.false[..., -1]
    return np.clip(auroc(groups) + ratio(higher - lower, 12 * pairs), 0, 1)


def average_precision(groups: Ranking) -> Float:
    """Precision averaged over the positives, each with its whole group counted, (...,)."""
    precision = groups.found + groups.false  # one array, reused: this is a site's slowest step
    np.maximum(precision, 1e-300, out=precision)  # 0 / 0 is 0: nothing found yet
    np.divide(groups.found, precision, out=precision)
    total = np.einsum("...g,...g->...", precision, groups.pos)
    return ratio(total, groups.found[..., -1])


def mixed_average_precision(groups: Ranking) -> Float:
    """Average precision of wide bins, positives and negatives evenly mixed in each, (...,).

    The s-th of a bin's p positives has n s / (p + 1) of its n negatives above it; the sum over s is
    taken as the integral from 1/2 to p + 1/2, which is smooth in p and n. Counting whole bins
    instead, as `average_precision` does, comes out low.
    """
    pos, neg = groups.pos, groups.neg
    found = groups.found - pos  # positives in the bins above
    asked = found + groups.false - neg
    slope = 1 + neg / (pos + 1)
    spread = np.log((asked + slope * (pos + 0.5)) / (asked + slope * 0.5))
    area = pos / slope + (found - asked / slope) / slope * spread
    total = groups.found[..., -1]
    return ratio(np.minimum(area.sum(axis=-1), total), total)  # rounding can exceed 1


def sensitivity_at(groups: Ranking, specificity: float) -> Float:
    """The share of positives found at that specificity, (...,); NaN without a side.

    Read off the ROC curve, straight between thresholds and topmost where it is vertical.
    """
    all_false = groups.false[..., -1:]
    allowed = (1 - specificity) * all_false
    slack = 1e-9 * all_false  # 1 - 0.9 is not quite 0.1
    passed = (groups.false <= allowed + slack).sum(axis=-1, keepdims=True)
    before, after = passed - 1, np.minimum(passed, groups.pos.shape[-1] - 1)
    low, high = _at(groups.false, before), _at(groups.false, after)
    part = np.clip(
        np.where(high > low, (allowed - low) / np.where(high > low, high - low, 1), 0), 0, 1
    )
    here, there = _at(groups.found, before), _at(groups.found, after)
    share = ratio((here + part * (there - here))[..., 0], groups.found[..., -1])
    return np.where(all_false[..., 0] > 0, share, np.nan)


def ratio(top: Float, bottom: Float) -> Float:
    """top / bottom, NaN where the bottom is not positive."""
    there = bottom > 0
    return np.where(there, top / np.where(there, bottom, 1), np.nan)


def _at(running: Float, index: NDArray[np.int64]) -> Float:
    """The running sum up to a group, 0 before the first."""
    value = np.take_along_axis(running, np.maximum(index, 0), axis=-1)
    return np.where(index >= 0, value, 0.0)
