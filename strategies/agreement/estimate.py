"""A coefficient of agreement, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval.

    Attributes:
        value: at most 1; NaN where it is not defined, as for a kappa where all chose one category.
        low: of the 95 % interval; NaN where the interval is not estimable: under two cases, or
            where the cases show no variance at all, which tells nothing of the next case.
        high: likewise.
        cases: that it rests on: those with at least two answers.
    """

    value: float
    low: float
    high: float
    cases: int


def undefined(cases: int) -> Estimate:
    """No number."""
    return Estimate(math.nan, math.nan, math.nan, cases)


def within(value: float, error: float, cases: int, *, freedom: int | None = None) -> Estimate:
    """The value with a symmetric interval, cut at 1, and at -1 where the value is not below it.

    A kappa is where answers are missing: agreement and chance then rest on other cases.

    Args:
        value: of the coefficient.
        error: its standard error.
        cases: that it rests on.
        freedom: degrees of freedom of Student's t; without them the normal distribution.
    """
    tail = (1 + LEVEL) / 2
    if not math.isfinite(value):
        return undefined(cases)
    if cases < 2 or not math.isfinite(error) or error < 1e-12 or freedom == 0:
        return Estimate(value, math.nan, math.nan, cases)
    width = error * float(stats.norm.ppf(tail) if freedom is None else stats.t.ppf(tail, freedom))
    low = value - width if value < -1 else max(-1.0, value - width)
    return Estimate(value, low, min(1.0, value + width), cases)


def spread(per_case: NDArray[np.float64], value: float) -> float:
    """Standard error of a mean over cases about a value: the per-case parts sum to it."""
    n = len(per_case)
    if n < 2:
        return math.nan
    return math.sqrt(float(((per_case - value) ** 2).sum()) / (n * (n - 1)))
