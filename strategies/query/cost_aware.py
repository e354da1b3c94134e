"""Ask for what tells most for the minutes that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.scores import check_scores, scored
from strategies.query.stochastic import check_power
from strategies.query.strategy import signal


@dataclass(frozen=True, slots=True)
class CostAware:
    """Divide another strategy's score by the minutes that a reading is expected to take.

    The score is s / minutes ** power: what is hoped to be learnt per minute of a physician. The
    minutes come from the site's own readings of cases of the same kind; where all cases are of
    one kind it is the inner strategy. It costs O(n) beside that. For a budget of minutes.

    Attributes:
        inner: the name of a strategy that scores every case.
        inner_arguments: its arguments.
        power: of the minutes; 0 leaves them out, 1 is gain per minute.

    Source: Haertel, Seppi, Ringger and Carroll, "Return on investment for active learning", NIPS
    2008 workshop on cost-sensitive learning, the ratio; minutes from logged reading times are ours.
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
        """What the inner strategy needs, and minutes."""
        inner = scored(self.inner, self.inner_arguments).needs
        return Needs(inner.signals | {"minutes"}, inner.members)

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Inner score per minute of every row, (n,)."""
        found = scored(self.inner, self.inner_arguments).scores(pool)
        check_scores(found)
        minutes = signal(pool, "minutes", 1).astype(np.float64)
        if minutes.size and minutes.min() <= 0:
            raise ValueError(f"signal 'minutes' falls to {minutes.min():.3g}; accepted is above 0")
        return np.asarray(found / minutes**self.power)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the highest score per minute, highest first."""
        return top_k(self.scores(pool), k, rng)
