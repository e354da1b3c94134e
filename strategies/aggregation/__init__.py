"""Aggregators: how the server makes the next global model of the sites' updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.aggregation.adaptive import FedAdam
from strategies.aggregation.aggregator import Aggregator
from strategies.aggregation.averaging import FedAvg, FedProx

AGGREGATION: Mapping[str, Callable[..., Aggregator]] = {
    "fedadam": FedAdam,
    "fedavg": FedAvg,
    "fedprox": FedProx,
}

__all__ = ["AGGREGATION", "Aggregator", "FedAdam", "FedAvg", "FedProx"]
