"""Aggregators whose next model is the weighted mean itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from protocol.records import GlobalState, SiteUpdate
from strategies.aggregation.average import average, cast


@dataclass(frozen=True, slots=True)
class FedAvg:
    """The mean of the sites' arrays, weighted by their training labels.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized
    Data, AISTATS 2017, algorithm 1.
    """

    streaming: ClassVar[bool] = True

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """1: any site that trained makes a mean."""
        return 1

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The weighted mean; see `Aggregator`."""
        return _mean_step(state, updates)


@dataclass(frozen=True, slots=True)
class FedProx:
    """FedAvg's mean of updates that were held near the global model.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020, equation 2;
    here the mean is weighted by training labels, as in FedAvg.

    Attributes:
        mu: strength of the proximal term in each site's loss, finite, at least 0.
    """

    mu: float = 0.01
    streaming: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not (math.isfinite(self.mu) and self.mu >= 0):
            raise ValueError(f"mu = {self.mu!r}: accepted is a finite number of at least 0")

    @property
    def proximal(self) -> float:
        """The strength mu."""
        return self.mu

    @property
    def least_sites(self) -> int:
        """1: any site that trained makes a mean."""
        return 1

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The weighted mean; see `Aggregator`."""
        return _mean_step(state, updates)


def _mean_step(state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
    """The state whose arrays are the weighted mean of the updates'."""
    means = average(state.arrays, updates)
    arrays = state.arrays if means is None else cast(means, state.arrays)
    return replace(state, arrays=arrays, round=state.round + 1)
