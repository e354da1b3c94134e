"""Ask where the predicted distribution is flattest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.strategy import probabilities
from strategies.query.temperature import check_temperature, tempered


def entropy(p: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """Entropy in nats over the last axis; classes of probability 0 add nothing.

    Args:
        p: (..., classes).
        multi_label: sum the entropies of the classes' own yes-or-no instead.
    """
    total: NDArray[np.float64] = entr(p).sum(axis=-1)
    if multi_label:
        total = total + entr(1 - p).sum(axis=-1)
    return total


@dataclass(frozen=True, slots=True)
class Entropy:
    """Prefer the cases whose predicted distribution is flattest.

    The score is H(p) = -sum_c p_c ln p_c in nats, 0 to ln(classes). Multi-label: the sum over
    classes of the binary entropies of p_c.

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
        """Entropy of every row, (n,), nats."""
        p = tempered(probabilities(pool), self.temperature, pool.multi_label)
        return entropy(p, pool.multi_label)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the highest entropy, highest first."""
        return top_k(self.scores(pool), k, rng)
