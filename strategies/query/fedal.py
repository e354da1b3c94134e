"""Ask where the global and the site's own model are unsure together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.entropy import entropy
from strategies.query.ranking import top_k
from strategies.query.strategy import probabilities, same_shape


@dataclass(frozen=True, slots=True)
class FedAl:
    """Prefer the cases for which the mean prediction of the global and local model is flattest.

    The score is H((p_g + p_l) / 2) in nats. Multi-label: summed over the classes' own yes-or-no.
    For any cycle after the first; it costs O(n classes) beside the local model's pass.

    Source: Deng, Yang and Suzuki (FedAL), SMC 2022, arXiv 2406.11310; our re-implementation, of
    the selection alone.
    """

    @property
    def needs(self) -> Needs:
        """Probabilities of the global and the local model."""
        return Needs(frozenset({"probs", "local_probs"}))

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Entropy of the mean prediction of every row, (n,), nats."""
        p, local = probabilities(pool), probabilities(pool, "local_probs")
        same_shape(p, local, "local_probs", "probs")
        return entropy((p + local) / 2, pool.multi_label)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the highest entropy, highest first."""
        return top_k(self.scores(pool), k, rng)
