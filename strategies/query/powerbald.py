"""Ask, by chance, where dropout's members disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.bald import Bald
from strategies.query.stochastic import check_power, drawn


@dataclass(frozen=True, slots=True)
class PowerBald:
    """Draw cases without replacement in proportion to a power of their BALD score.

    Much of what BatchBALD gives, at the cost of BALD. It is `stochastic` with inner "bald".

    Attributes:
        members: dropout passes over the pool, at least 2.
        power: beta; 0 draws evenly among scores above 0, large values take the best k.

    Source: Kirsch et al., TMLR 2023, section 3, PowerBALD.
    """

    members: int = 20
    power: float = 1.0

    def __post_init__(self) -> None:
        """Refuse fewer than two members, and a power below 0."""
        Bald(self.members)
        check_power(self.power)

    @property
    def needs(self) -> Needs:
        """Probabilities with dropout left on."""
        return Bald(self.members).needs

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are drawn."""
        return drawn(Bald(self.members).scores(pool), k, self.power, rng)
