"""Ask for the cases whose neighbourhoods cover most of the pool."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.distances import Distances, unit_cases
from strategies.query.kmeans import k_means
from strategies.query.strategy import check_count

_BLOCK = 512
_SAMPLE = 1000
"""Cases whose purity is measured: the share's standard error is then 0.007."""


@dataclass(frozen=True, slots=True)
class ProbCover:
    """Pick the case with the most cases within delta that no labeled or picked case is near to.

    Near is closer than delta, beyond rounding. Delta is the largest radius at which the given share
    of cases has only cases of its own cluster near; there are as many clusters as classes. Features
    are scaled to length 1. Once every case is covered the rest is drawn at random. For few labels
    or none. All distances are exact, measured in blocks and not kept: O(n^2 d) time, O(n) memory
    beside the features.

    Attributes:
        purity: that share, above 0 to below 1.
        delta: the radius, 0 to 2; without it by purity.

    Source: Yehuda et al., NeurIPS 2022, algorithm 1 and its choice of delta by purity; near as in
    the authors' code (prob_cover.py), which joins two cases where they are closer than delta.
    """

    purity: float = 0.95
    delta: float | None = None

    def __post_init__(self) -> None:
        """Refuse a share or radius that is none."""
        if not 0 < self.purity < 1:
            raise ValueError(f"argument 'purity' is {self.purity}; accepted is between 0 and 1")
        if self.delta is not None and not 0 < self.delta <= 2:
            raise ValueError(f"argument 'delta' is {self.delta}; accepted is above 0, at most 2")

    @property
    def needs(self) -> Needs:
        """Features of the pool and of the labeled cases, whose labels say how many classes."""
        return Needs(frozenset({"features", "labeled_features", "labeled_targets"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are picked."""
        x, n = unit_cases(pool)
        classes = pool.require("labeled_targets").shape[-1]
        check_count(k, n)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        delta = self.delta
        if delta is None:
            delta = pure_radius(x, k_means(x, max(2, classes), rng).assigned, self.purity, rng)
        return cover(x, n, delta, k, rng)


def pure_radius(
    x: NDArray[Any], assigned: NDArray[np.int64], purity: float, rng: np.random.Generator
) -> float:
    """The largest radius at which at least that share of rows has only its own cluster near.

    A row's ball, in which are the rows closer than the radius, is pure up to its distance to the
    nearest row of another cluster. So the radius is the least of as many of the largest of those
    distances as make up the share. With one cluster it is infinite.

    Args:
        x: (n, d), n >= 1.
        assigned: (n,) numbers of clusters.
        purity: see `ProbCover`.
        rng: draws the rows that are measured where there are more than a thousand.
    """
    if (assigned == assigned[0]).all():
        return np.inf
    distances = Distances(x)
    rows = np.arange(len(x))
    if len(rows) > _SAMPLE:
        rows = rng.choice(len(x), _SAMPLE, replace=False)
    nearest = np.empty(len(rows))
    for first in range(0, len(rows), _BLOCK):
        some = rows[first : first + _BLOCK]
        apart = distances.squared(some)
        apart[assigned[some, None] == assigned] = np.inf
        nearest[first : first + _BLOCK] = apart.min(axis=1)
    pure = max(1, math.ceil(purity * len(rows) - 1e-9))  # 0.55 of 100 rows are 55, not 56
    return math.sqrt(np.partition(nearest, -pure)[-pure])


def cover(x: NDArray[Any], n: int, delta: float, k: int, rng: np.random.Generator) -> Indices:
    """Greedy maximum coverage by balls of one radius; equals at random.

    How many a case would cover falls by those that a pick has covered: each row is taken off
    its neighbours once, so all picks together cost what the first count does.

    Args:
        x: (n + m, d), the n cases of the pool first, then the m labeled ones.
        n: see x.
        delta: rows closer than this, by more than rounding can tell, are covered.
        k: 0 <= k <= n.
        rng: breaks ties, and orders the rest once all is covered.

    Returns:
        (k,) rows below n.
    """
    distances = Distances(x)
    uncovered = np.ones(n, dtype=bool)
    for first in range(n, len(x), _BLOCK):
        rows = slice(first, min(first + _BLOCK, len(x)))
        uncovered &= ~_within(distances, rows, slice(n), delta).any(axis=0)
    gains = np.zeros(n, dtype=np.int64)
    _count(distances, np.flatnonzero(uncovered), delta, gains, 1)
    chance = rng.permutation(n)  # of two equal gains, whose number is lower
    picks: list[int] = []
    while len(picks) < k and uncovered.any():
        best = np.flatnonzero(gains == gains.max())
        pick = int(best[chance[best].argmin()])
        picks.append(pick)
        fresh = uncovered & _within(distances, [pick], slice(n), delta)[0]
        fresh[pick] = uncovered[pick]
        uncovered &= ~fresh
        _count(distances, np.flatnonzero(fresh), delta, gains, -1)
        gains[pick] = -n - 1
    rest = rng.permutation(np.setdiff1d(np.arange(n), picks))[: k - len(picks)]
    return np.concatenate([np.array(picks, dtype=np.int64), rest])


def _within(distances: Distances, rows: Any, columns: Any, delta: float) -> NDArray[np.bool_]:
    # less the noise: a row at delta, where a ball is still pure, stays out however it is rounded
    reach = max(delta**2 - distances.noise, 0)
    return np.asarray(distances.squared(rows, columns) <= reach)


def _count(
    distances: Distances, rows: Indices, delta: float, gains: NDArray[np.int64], sign: int
) -> None:
    """Add, or take off, every one of these rows to the cases it is within delta of."""
    n = len(gains)
    for first in range(0, len(rows), _BLOCK):
        near = _within(distances, rows[first : first + _BLOCK], slice(n), delta)
        gains += sign * np.count_nonzero(near, axis=0)
