"""Ask where the members of an ensemble disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.entropy import entropy
from strategies.query.ranking import top_k
from strategies.query.strategy import probabilities


@dataclass(frozen=True, slots=True)
class Bald:
    """Prefer the cases about whose class the members of an ensemble disagree.

    The members are dropout passes of the global model, or the global, local and scratch models. The
    score is the mutual information H(mean_m p_m) - mean_m H(p_m) in nats, at least 0.
    Multi-label: summed over the classes' own yes-or-no.

    Attributes:
        members: dropout passes over the pool, at least 2 (one member cannot disagree).
        of: "dropout", or "models" for the three models, which needs labels.

    Source: Gal, Islam and Ghahramani, ICML 2017, section 4; Houlsby et al. 2011, equation 2.
    """

    members: int = 20
    of: Literal["dropout", "models"] = "dropout"

    def __post_init__(self) -> None:
        """Refuse fewer than two members."""
        if self.members < 2:
            raise ValueError(f"argument 'members' is {self.members}; accepted is 2 or more")

    @property
    def needs(self) -> Needs:
        """Probabilities of every member."""
        if self.of == "models":
            return Needs(frozenset({"ensemble_probs"}))
        return Needs(frozenset({"mc_probs"}), members=self.members)

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Mutual information of every row, (n,), nats."""
        (name,) = self.needs.signals
        p = probabilities(pool, name)  # (n, members, classes)
        if p.shape[1] < 2:
            raise ValueError(f"signal '{name}' has {p.shape[1]} members; accepted is 2 or more")
        each = entropy(p, pool.multi_label).mean(axis=1)
        disagreement = entropy(p.mean(axis=1), pool.multi_label) - each
        # rounding may fall just below the 0 that Jensen allows
        return np.asarray(np.maximum(disagreement, 0))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the largest mutual information, largest first."""
        return top_k(self.scores(pool), k, rng)
