"""Which cases a site asks its readers about: one file per strategy, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.query.alfa_mix import AlfaMix
from strategies.query.at_random import Random
from strategies.query.badge import Badge
from strategies.query.batchbald import BatchBald
from strategies.query.class_balanced import ClassBalanced
from strategies.query.coreset import CoreSet
from strategies.query.cost_aware import CostAware
from strategies.query.cost_weighted import CostWeighted
from strategies.query.fairfal import FairFal
from strategies.query.feal import Feal
from strategies.query.federated_typiclust import FederatedTypiClust
from strategies.query.logo import LoGo
from strategies.query.maxherding import MaxHerding
from strategies.query.powerbald import PowerBald
from strategies.query.probcover import ProbCover
from strategies.query.ranking import top_k
from strategies.query.scores import SCORED
from strategies.query.stochastic import Stochastic
from strategies.query.strategy import QueryStrategy, Scored
from strategies.query.threshold_random import ThresholdRandom
from strategies.query.typiclust import TypiClust
from strategies.query.ward import Ward

QUERY: Mapping[str, Callable[..., QueryStrategy]] = {
    "random": Random,
    **SCORED,
    "batchbald": BatchBald,
    "powerbald": PowerBald,
    "stochastic": Stochastic,
    "threshold-random": ThresholdRandom,
    "coreset": CoreSet,
    "badge": Badge,
    "typiclust": TypiClust,
    "federated-typiclust": FederatedTypiClust,
    "probcover": ProbCover,
    "maxherding": MaxHerding,
    "alfa-mix": AlfaMix,
    "class-balanced": ClassBalanced,
    "cost-aware": CostAware,
    "logo": LoGo,
    "feal": Feal,
    "fairfal": FairFal,
    "ward": Ward,
}

__all__ = ["QUERY", "SCORED", "CostWeighted", "QueryStrategy", "Scored", "top_k"]
