"""Ask where the two likeliest classes are closest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.strategy import probabilities
from strategies.query.temperature import check_temperature, tempered


@dataclass(frozen=True, slots=True)
class Margin:
    """Prefer the cases whose two likeliest classes are closest.

    The score is 1 - (p_1 - p_2) of the sorted probabilities, 0 to 1. Multi-label: the sum over
    classes of 1 - |p_c - (1 - p_c)|, 0 to classes. In two classes it ranks as entropy does.

    Attributes:
        temperature: the logits are divided by it first; fit it on labeled cases that the model was
            not trained on. With two classes it changes no choice, see `tempered`.

    Source: Scheffer et al., IDA 2001, section 3.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a temperature of 0 or less."""
        check_temperature(self.temperature)

    @property
    def needs(self) -> Needs:
        """The global model's probabilities."""
        return Needs(frozenset({"probs"}))

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """One less the margin of every row, (n,)."""
        p = tempered(probabilities(pool), self.temperature, pool.multi_label)
        if pool.multi_label:
            return np.asarray((1 - np.abs(2 * p - 1)).sum(axis=1))
        two = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]  # (n, 2), the likeliest last
        return np.asarray(1 - (two[:, 1] - two[:, 0]))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the smallest margin, smallest first."""
        return top_k(self.scores(pool), k, rng)
