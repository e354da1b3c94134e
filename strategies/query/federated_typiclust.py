"""Ask for the most typical case of clusters that the whole federation has asked least about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.clusters import CLUSTERS, LEAST
from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.distances import unit_cases
from strategies.query.strategy import check_count
from strategies.query.typiclust import TypiClust, spread


@dataclass(frozen=True, slots=True)
class FederatedTypiClust:
    """Pick the most typical case of each of the site's clusters of the federation in turn.

    Each site clusters its features and tells of every cluster with `least` cases or more the mean,
    the number of cases and of labels, once a cycle. The server clusters these means, weighted, and
    hands its clusters out: the one with the fewest labels first, of these the largest, to the site
    that has cases there and has got the fewest. A case belongs to the nearest centre; typical is
    the one with the smallest mean distance to its nearest neighbours in the cluster. A site goes
    through its own clusters, then those it shares, then again. Where nothing was told it is
    `typiclust`. Features are scaled to length 1. For few labels or none; O(n clusters d) and
    O(d size^2) per cluster asked. Means of features leave a site: not for a private study.

    Attributes:
        clusters: of the federation at most, at least 1.
        neighbours: of a case, at least 1.
        least: cases of which a site tells together at least, at least 2.

    Source: FederatedTypiClust of Mohr and Weinshall, arXiv 2608.18634; clusters in one exchange as
    in Dennis, Li and Smith (k-FED), ICML 2021; our re-implementation. The least and the handing
    out, before the budget is shared, are ours.
    """

    clusters: int = CLUSTERS
    neighbours: int = 20
    least: int = LEAST

    def __post_init__(self) -> None:
        """Refuse numbers that are too small."""
        for name, lowest in (("clusters", 1), ("neighbours", 1), ("least", 2)):
            value = getattr(self, name)
            if value < lowest:
                raise ValueError(f"argument '{name}' is {value}; accepted is {lowest} or more")

    @property
    def needs(self) -> Needs:
        """Features of the pool and of the labeled cases, and the federation's clusters."""
        own = {"features", "labeled_features"}
        return Needs(frozenset(own | {"cluster_centres", "cluster_turns"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows: the first of every cluster in its turn, then the second."""
        x, n = unit_cases(pool)
        centres, turns = pool.require("cluster_centres"), pool.require("cluster_turns")
        if sorted(turns.tolist()) != list(range(len(centres))):
            raise ValueError(
                f"signal 'cluster_turns' names {len(turns)} clusters; accepted is each of the "
                f"{len(centres)} of 'cluster_centres' once"
            )
        check_count(k, n)
        if not len(centres):
            return TypiClust(self.neighbours).select(pool, k, rng)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        assigned = _nearest(x, centres.astype(x.dtype))
        rows = self._by_place(x, n, assigned, turns.astype(np.int64), k, rng)
        return rows[:k]

    def _by_place(
        self,
        x: NDArray[Any],
        n: int,
        assigned: NDArray[np.int64],
        turns: NDArray[np.int64],
        k: int,
        rng: np.random.Generator,
    ) -> Indices:
        """k rows or more: the most typical of every cluster in their turn, then the second."""
        found: list[tuple[int, int, int]] = []
        for turn, c in enumerate(turns.tolist()):
            members = rng.permutation(np.flatnonzero(assigned == c))
            if not (members < n).any():
                continue
            order = np.argsort(spread(x[members], self.neighbours), kind="stable")
            typical = [int(row) for row in members[order] if row < n][:k]
            found += [(place, turn, row) for place, row in enumerate(typical)]
        return np.array([row for *_, row in sorted(found)], dtype=np.int64)


def _nearest(x: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.int64]:
    """The nearest centre of every row, (n,)."""
    lengths = np.einsum("ij,ij->i", centres, centres) / 2
    return np.asarray((x @ centres.T - lengths).argmax(axis=1), dtype=np.int64)
