"""The reference that every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.strategy import check_count


@dataclass(frozen=True, slots=True)
class Random:
    """Every case is as likely as any other.

    So is every set of k cases, in every order. It costs O(n).

    Source: simple random sampling without replacement.
    """

    @property
    def needs(self) -> Needs:
        """Nothing is computed for it."""
        return Needs()

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """Draw k distinct rows without replacement."""
        check_count(k, pool.size)
        return rng.permutation(pool.size)[:k].astype(np.int64)
