"""The one rounding of every budget policy: whole counts, exact sums, floors and caps.

The arithmetic is in whole numbers and fractions: sums are exact, ties are true ties, and the
order in which sites are added up cannot change a count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def share(
    weights: Sequence[float],
    caps: Sequence[int],
    floors: Sequence[int],
    budget: int,
    rng: np.random.Generator,
) -> list[int]:
    """Whole counts in proportion to the weights, within floors and caps, that sum exactly.

    The sum is min(budget, sum of caps). Before rounding, a count is `weight * rate`, raised to
    its floor or cut to its cap, with one rate for all. Largest remainders are rounded up, at most
    once each. Where the budget is smaller than the floors together, the floors become caps and the
    budget is spread as evenly as they allow. What weighted entries cannot use goes to those of
    weight 0 in equal parts; all weights 0 means equal weights.

    Args:
        weights: (n,), at least 0, finite; only their ratios matter.
        caps: (n,), at least 0.
        floors: (n,), at least 0; a floor above its cap counts as the cap.
        budget: at least 0.
        rng: decides which of equal remainders is rounded up.
    Returns:
        (n,) counts in the order of the weights.
    Raises:
        ValueError: a weight is negative or not finite; a cap, a floor or the budget is negative;
            the lengths differ.
    Source: the largest remainder method (Hamilton), with lower and upper quotas.
    """
    exact = exact_share(weights, caps, floors, budget)
    rank = rng.permutation(len(caps))
    total = min(budget, sum(caps))
    counts = [math.floor(x) for x in exact]
    remainder_first = sorted(range(len(counts)), key=lambda i: (counts[i] - exact[i], rank[i]))
    for i in remainder_first[: total - sum(counts)]:
        counts[i] += 1
    return counts


def exact_share(
    weights: Sequence[float], caps: Sequence[int], floors: Sequence[int], budget: int
) -> list[Fraction]:
    """The shares before `share` rounds them: fractions that sum exactly; see there."""
    _check(weights, caps, floors, budget)
    total = min(budget, sum(caps))
    lows = [min(f, c) for f, c in zip(floors, caps, strict=True)]
    if sum(lows) >= total:
        return _level([1] * len(lows), [0] * len(lows), lows, total)
    return _proportional(_whole(weights), lows, caps, total)


def _proportional(
    weights: Sequence[int], lows: Sequence[int], highs: Sequence[int], total: int
) -> list[Fraction]:
    """Exact shares by weight; what the weighted cannot hold goes evenly to those of weight 0."""
    reach = [h if w else low for w, low, h in zip(weights, lows, highs, strict=True)]
    if total <= sum(reach):
        return _level(weights, lows, highs, total)
    return _level([1] * len(reach), reach, highs, total)


def _level(
    weights: Sequence[int], lows: Sequence[int], highs: Sequence[int], total: int
) -> list[Fraction]:
    """The shares clip(rate * weight, low, high) at the rate where they sum to the total.

    Walks the rates at which a share leaves its low or meets its high; between two of them the sum
    is a straight line. Needs sum(lows) <= total <= what the positive weights can reach.
    """
    bends: list[tuple[Fraction, int, int]] = []
    for w, low, high in zip(weights, lows, highs, strict=True):
        if w:
            bends += [(Fraction(low, w), w, -low), (Fraction(high, w), -w, high)]
    rate, slope, fixed = Fraction(0), 0, sum(lows)
    for bend, more_slope, more_fixed in sorted(bends):
        rate = bend
        if fixed + slope * bend >= total:
            break
        slope, fixed = slope + more_slope, fixed + more_fixed
    if slope:
        rate = Fraction(total - fixed, slope)
    return [
        min(max(rate * w, Fraction(low)), Fraction(high))
        for w, low, high in zip(weights, lows, highs, strict=True)
    ]


def _whole(weights: Sequence[float]) -> list[int]:
    """Whole numbers in exactly the ratios of the weights: a float is a whole number over 2^k."""
    exact = [Fraction(w) for w in weights]
    scale = max((x.denominator for x in exact), default=1)
    return [int(x * scale) for x in exact]


def _check(
    weights: Sequence[float], caps: Sequence[int], floors: Sequence[int], budget: int
) -> None:
    """Refuse what cannot be shared by, naming the worst number and what is accepted."""
    if not len(weights) == len(caps) == len(floors):
        raise ValueError(
            f"{len(weights)} weights, {len(caps)} caps and {len(floors)} floors: "
            "accepted is one of each per site"
        )
    for weight in weights:
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(f"weight = {weight}: accepted is a finite number of at least 0")
    for word, counts in (("cap", caps), ("floor", floors), ("budget", (budget,))):
        if counts and min(counts) < 0:
            raise ValueError(f"{word} = {min(counts)}: accepted is at least 0")
