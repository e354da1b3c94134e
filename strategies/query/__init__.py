"""Which cases a site asks its readers about: one file per strategy, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.query.at_random import Random
from strategies.query.badge import Badge
from strategies.query.bald import Bald
from strategies.query.coreset import CoreSet
from strategies.query.cost_weighted import CostWeighted
from strategies.query.entropy import Entropy
from strategies.query.least_confidence import LeastConfidence
from strategies.query.margin import Margin
from strategies.query.ranking import top_k
from strategies.query.strategy import QueryStrategy, Scored

QUERY: Mapping[str, Callable[..., QueryStrategy]] = {
    "random": Random,
    "entropy": Entropy,
    "margin": Margin,
    "least-confidence": LeastConfidence,
    "bald": Bald,
    "coreset": CoreSet,
    "badge": Badge,
}

__all__ = ["QUERY", "CostWeighted", "QueryStrategy", "Scored", "top_k"]
