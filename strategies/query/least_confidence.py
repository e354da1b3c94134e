"""Ask where the likeliest class is least likely."""

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
class LeastConfidence:
    """Prefer the cases whose likeliest class has the least probability.

    The score is 1 - max_c p_c, 0 to 1 - 1/classes. Multi-label: the sum over classes of
    1 - max(p_c, 1 - p_c), half of the margin strategy's score. In two classes it ranks as
    entropy does.

    Attributes:
        temperature: the logits are divided by it first; fit it on labeled cases that the model was
            not trained on. With two classes it changes no choice, see `tempered`.

    Source: Settles, Active Learning Literature Survey (2009), section 3.1.
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
        """One less the confidence of every row, (n,)."""
        p = tempered(probabilities(pool), self.temperature, pool.multi_label)
        if pool.multi_label:
            return np.asarray((1 - np.maximum(p, 1 - p)).sum(axis=1))
        return np.asarray(1 - p.max(axis=1))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k least confident rows, least confident first."""
        return top_k(self.scores(pool), k, rng)
