"""Ask where being wrong would be expensive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.strategy import Scored, probabilities


@dataclass(frozen=True, slots=True)
class CostWeighted:
    """The score of another strategy times the expected cost of the cheapest decision.

    The factor is the Bayes risk min_j sum_i p_i C[i][j]. Multi-label: the sum over classes of
    the same for that class's absent and present.

    Attributes:
        inner: a strategy with scores of at least 0.
        cost: cost of deciding column j when row i is true; (classes, classes), or in a
            multi-label task (2, 2), absent and present, for every class.

    Source: Elkan, IJCAI 2001, equation 1, for the risk.
    """

    inner: Scored
    cost: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a cost matrix that is not square, finite and at least 0."""
        n = len(self.cost)
        square = n > 0 and all(len(row) == n for row in self.cost)
        if not square or not all(np.isfinite(v) and v >= 0 for row in self.cost for v in row):
            raise ValueError(
                f"cost is {[list(row) for row in self.cost]}; "
                "accepted is as many columns as rows, of finite numbers from 0"
            )

    @property
    def needs(self) -> Needs:
        """What the inner strategy needs, and the global model's probabilities."""
        inner = self.inner.needs
        return Needs(inner.signals | {"probs"}, members=inner.members)

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Inner score times Bayes risk of every row, (n,)."""
        p = probabilities(pool)
        cost = np.asarray(self.cost, dtype=np.float64)
        outcomes = 2 if pool.multi_label else p.shape[1]
        if len(cost) != outcomes:
            raise ValueError(f"cost has {len(cost)} rows; accepted is {outcomes} for this pool")
        if pool.multi_label:
            both = np.stack([1 - p, p], axis=-1)  # (n, classes, 2): absent, present
            risk = (both @ cost).min(axis=-1).sum(axis=-1)
        else:
            risk = (p @ cost).min(axis=1)
        return np.asarray(self.inner.scores(pool) * risk)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the highest weighted score, highest first."""
        return top_k(self.scores(pool), k, rng)
