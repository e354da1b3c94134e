"""Ask for the most typical case of every part of the pool that has no label yet."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.distances import Distances, unit_cases
from strategies.query.kmeans import k_means
from strategies.query.strategy import check_count


@dataclass(frozen=True, slots=True)
class TypiClust:
    """Pick the most typical case of the largest cluster with the fewest labeled or picked cases.

    There are as many clusters as labeled cases and picks together. Typical is the case with the
    smallest mean distance to its nearest neighbours in the cluster. For few labels or none.
    Features are scaled to length 1. It costs O(n clusters d) and O(d size^2) per cluster asked.

    Attributes:
        neighbours: of a case, at least 1.
        most: clusters at most, at least 1.
        least: a cluster of fewer cases waits until the larger ones are used up.

    Source: Hacohen, Dekel and Weinshall, ICML 2022, algorithm 1.
    """

    neighbours: int = 20
    most: int = 500
    least: int = 5

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        for name in ("neighbours", "most", "least"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"argument '{name}' is {value}; accepted is 1 or more")

    @property
    def needs(self) -> Needs:
        """Features of the pool and of the labeled cases."""
        return Needs(frozenset({"features", "labeled_features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are picked."""
        x, n = unit_cases(pool)
        check_count(k, n)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        assigned = k_means(x, min(len(x) - n + k, self.most), rng).assigned
        return self.of_clusters(x, n, assigned, k, rng)

    def of_clusters(
        self,
        x: NDArray[Any],
        n: int,
        assigned: NDArray[np.int64],
        k: int,
        rng: np.random.Generator,
    ) -> Indices:
        """The k rows, where the clusters are given.

        Args:
            x: (n + m, d), the n cases of the pool first, then the m labeled ones.
            n: see x.
            assigned: (n + m,) numbers of clusters.
            k: 1 <= k <= n.
            rng: equals at random.
        """
        sizes = np.bincount(assigned)
        covered = np.bincount(assigned[n:], minlength=len(sizes))
        left = np.bincount(assigned[:n], minlength=len(sizes))
        chance = rng.permutation(len(sizes))
        heap = [
            (bool(sizes[c] < self.least), int(covered[c]), -int(sizes[c]), int(chance[c]), int(c))
            for c in np.flatnonzero(left)
        ]
        heapify(heap)
        waiting: dict[int, list[int]] = {}
        picks: list[int] = []
        while len(picks) < k:
            small, count, size, tie, c = heap[0]
            if c not in waiting:
                members = rng.permutation(np.flatnonzero(assigned == c))
                order = np.argsort(spread(x[members], self.neighbours), kind="stable")
                waiting[c] = [i for i in members[order][::-1].tolist() if i < n]
            picks.append(waiting[c].pop())
            if waiting[c]:
                heapreplace(heap, (small, count + 1, size, tie, c))
            else:
                heappop(heap)
        return np.array(picks, dtype=np.int64)


def spread(x: NDArray[Any], neighbours: int, block: int = 1024) -> NDArray[Any]:
    """Mean distance of every row to its nearest others, (n,): one over the typicality.

    Args:
        x: (n, d).
        neighbours: how many of the others; all of them where there are fewer. Of a row that is
            alone the distance is 0.
        block: rows measured together.
    """
    take = min(neighbours, len(x) - 1)
    out = np.zeros(len(x), dtype=x.dtype)
    if take == 0:
        return out
    distances = Distances(x)
    for first in range(0, len(x), block):
        rows = np.arange(first, min(first + block, len(x)))
        apart = distances.squared(rows)
        apart[np.arange(len(rows)), rows] = np.inf
        out[rows] = np.sqrt(np.partition(apart, take - 1, axis=1)[:, :take]).mean(axis=1)
    return out
