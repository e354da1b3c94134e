"""A query strategy and a budget policy of one's own, as docs/strategies.md prints them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.records import CycleRecord, Grant, Indices, SiteReport
from strategies.budget.policy import Claim, grants, ordered
from strategies.pool import Needs, Pool
from strategies.query import top_k


@dataclass(frozen=True, slots=True)
class Novelty:
    """Prefer the cases farthest from the pool's mean."""

    needs = Needs(frozenset({"features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k most wanted rows first."""
        z = pool.require("features")
        return top_k(((z - z.mean(axis=0)) ** 2).sum(axis=1), k, rng)


@dataclass(frozen=True, slots=True)
class FewestLabels:
    """More for the sites that have fewer labels."""

    floor: int = 0

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants with their reasons; the rounding, floors and capacities are everybody's."""
        sites = ordered(reports)
        claims = [Claim(1 / (1 + r.labeled), f"{r.labeled} labels here so far") for r in sites]
        return grants(sites, claims, self.floor, budget, rng)
