"""Draw cases by their scores, where taking the best k would take k of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.scores import check_scores, scored
from strategies.query.strategy import check_count


@dataclass(frozen=True, slots=True)
class Stochastic:
    """Draw cases without replacement, each in proportion to a power of another strategy's score.

    It costs O(n) beside the score, and a case like one already drawn is no more likely for it.

    Attributes:
        inner: the name of a strategy that scores every case.
        inner_arguments: its arguments.
        power: beta; 0 draws evenly among scores above 0, large values take the best k.

    Source: Kirsch et al., TMLR 2023, section 3, power acquisition.
    """

    inner: str = "entropy"
    inner_arguments: Mapping[str, object] = field(default_factory=dict)
    power: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an inner strategy that is unknown or scores nothing, and a bad power."""
        scored(self.inner, self.inner_arguments)
        check_power(self.power)

    @property
    def needs(self) -> Needs:
        """What the inner strategy needs."""
        return scored(self.inner, self.inner_arguments).needs

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are drawn."""
        inner = scored(self.inner, self.inner_arguments)
        return drawn(inner.scores(pool), k, self.power, rng)


def check_power(power: float) -> None:
    """Refuse a power below 0.

    Raises:
        ValueError: not finite, or below 0.
    """
    if not (np.isfinite(power) and power >= 0):
        raise ValueError(f"argument 'power' is {power}; accepted is a finite number from 0")


def drawn(scores: NDArray[np.float64], k: int, power: float, rng: np.random.Generator) -> Indices:
    """k rows without replacement, each draw in proportion to score ** power of the rows left.

    The k largest of power * ln s + Gumbel noise are such draws, in O(n). Rows of score 0 come
    last, in random order.

    Args:
        scores: (n,), finite, at least 0.
        k: 0 <= k <= n.
        power: at least 0.
        rng: one number per row of a score above 0, and the order of the rest.

    Raises:
        PoolTooSmall: k > n.
        NotFinite: a score is NaN or infinite.
        ValueError: a score below 0.

    Source: Kool, van Hoof and Welling, ICML 2019, for the equivalence.
    """
    check_count(k, len(scores))
    check_scores(scores)
    likely = np.flatnonzero(scores > 0)
    keys = power * np.log(scores[likely]) + rng.gumbel(size=len(likely))
    first = likely[top_k(keys, min(k, len(likely)), rng)]
    rest = rng.permutation(np.flatnonzero(scores == 0))[: k - len(first)]
    return np.concatenate([first, rest]).astype(np.int64)
