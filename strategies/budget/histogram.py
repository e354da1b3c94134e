"""What a site's uncertainty histogram says: mass, spread, and how many cases stand above a level.

Cases are spread evenly within their bin for counts above a level, and stand at its middle for the
mass and the spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.records import UNCERTAINTY_BINS, SiteReport

MIDDLES: NDArray[np.float64] = (2 * np.arange(UNCERTAINTY_BINS) + 1) / (2 * UNCERTAINTY_BINS)
"""(UNCERTAINTY_BINS,) normalised entropy in the middle of each bin."""

_HALVINGS = 50
"""Of the interval that holds a level: as fine as floats in [0, 1] are."""


def histogram(report: SiteReport) -> tuple[int, ...]:
    """(UNCERTAINTY_BINS,) counts, checked.

    Raises:
        ValueError: not UNCERTAINTY_BINS counts of at least 0.
    """
    bins = report.uncertainty
    if len(bins) != UNCERTAINTY_BINS or min(bins) < 0:
        raise ValueError(
            f"site '{report.site}' reports an uncertainty histogram of {len(bins)} bins with least "
            f"count {min(bins, default=0)}: accepted are {UNCERTAINTY_BINS} counts of 0 or more"
        )
    return bins


def mass(report: SiteReport) -> float:
    """The pool's summed normalised entropy.

    Raises:
        ValueError: not UNCERTAINTY_BINS counts of at least 0.
    """
    bins = histogram(report)
    return sum(n * (2 * i + 1) for i, n in enumerate(bins)) / (2 * UNCERTAINTY_BINS)


def spread(report: SiteReport) -> float:
    """Standard deviation of the pool's normalised entropy, 0 to 0.5; 0 for an empty pool.

    Raises:
        ValueError: not UNCERTAINTY_BINS counts of at least 0.
    """
    bins = histogram(report)
    total = sum(bins)
    if total == 0:
        return 0.0
    steps = [2 * i + 1 for i in range(UNCERTAINTY_BINS)]  # whole numbers: equal bins spread by 0
    first = sum(n * s for n, s in zip(bins, steps, strict=True))
    second = sum(n * s * s for n, s in zip(bins, steps, strict=True))
    return math.sqrt(total * second - first * first) / (total * 2 * UNCERTAINTY_BINS)


def above(bins: Sequence[int], level: float) -> float:
    """How many of a histogram's cases are more uncertain than a level in [0, 1]."""
    place = level * UNCERTAINTY_BINS
    whole = min(int(place), UNCERTAINTY_BINS - 1)
    return sum(bins[whole + 1 :]) + (whole + 1 - place) * bins[whole]


def level(
    bins: Sequence[Sequence[int]], lows: Sequence[int], highs: Sequence[int], total: int
) -> float:
    """The highest level above which the sites have a total of cases together.

    A site counts for the cases that it has above the level, but for no fewer than its low and no
    more than its high. 0 where all cases together are too few, 1 where the lows are enough.
    """

    def reached(x: float) -> bool:
        counts = (
            min(max(above(b, x), low), high) for b, low, high in zip(bins, lows, highs, strict=True)
        )
        return sum(counts) >= total

    if reached(1.0):
        return 1.0
    if not reached(0.0):
        return 0.0
    yes, no = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (yes + no) / 2
        yes, no = (middle, no) if reached(middle) else (yes, middle)
    return yes
