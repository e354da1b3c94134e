"""Ask at random among the cases that the model is unsure enough of, case by case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.entropy import entropy
from strategies.query.strategy import check_count, probabilities


@dataclass(frozen=True, slots=True)
class ThresholdRandom:
    """Draw at random among the cases whose uncertainty reaches a threshold, then among the others.

    The uncertainty is the entropy over its largest value; the threshold is what about a share of
    the pool reaches. A case's turn depends on the model, the threshold and a number drawn for it
    alone, so one more patient displaces one other at most: with `privacy.querying = "covered"`
    one epsilon covers training and querying, and the threshold is told with noise. It costs O(n).

    Attributes:
        share: of the pool that shall reach the threshold, in (0, 1).

    Source: ours; the threshold by the exponential mechanism on ranks (Smith, STOC 2011).
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        """Refuse a share that leaves nothing to choose from, or everything."""
        if not 0 < self.share < 1:
            raise ValueError(f"share {self.share}: accepted is above 0 and below 1")

    @property
    def needs(self) -> Needs:
        """The global model's probabilities, and the threshold."""
        return Needs(frozenset({"probs", "threshold"}), share=self.share)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """k rows in random order, those that reach the threshold before the others."""
        check_count(k, pool.size)
        p = probabilities(pool)
        most = p.shape[1] * np.log(2) if pool.multi_label else np.log(p.shape[1])
        below = entropy(p, pool.multi_label) / most < float(pool.require("threshold")[0])
        order = np.lexsort((rng.random(pool.size), below))
        return order[:k].astype(np.int64)
