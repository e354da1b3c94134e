"""Aggregators: how the server makes the next global model of the sites' updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.aggregation.adaptive import FedAdam
from strategies.aggregation.aggregator import Aggregator, TooFewUpdates
from strategies.aggregation.averaging import FedAvg, FedProx
from strategies.aggregation.krum import MultiKrum, MultiKrumHistory
from strategies.aggregation.robust import Median, NormBound, TrimmedMean

AGGREGATION: Mapping[str, Callable[..., Aggregator]] = {
    "fedadam": FedAdam,
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "median": Median,
    "multi-krum": MultiKrum,
    "multi-krum-history": MultiKrumHistory,
    "norm-bound": NormBound,
    "trimmed-mean": TrimmedMean,
}

__all__ = [
    "AGGREGATION",
    "Aggregator",
    "FedAdam",
    "FedAvg",
    "FedProx",
    "Median",
    "MultiKrum",
    "MultiKrumHistory",
    "NormBound",
    "TooFewUpdates",
    "TrimmedMean",
]
