"""Aggregators with an optimizer on the server."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocol.records import GlobalState, SiteUpdate
from strategies.aggregation.average import average, cast


@dataclass(frozen=True, slots=True)
class FedAdam:
    """Adam on the server, with the mean change of the sites' arrays as its gradient.

    The momenta are kept in the state's memory as float64 arrays "m/NAME" and "v/NAME". Before the
    first round m is 0 and v is tau^2. Arrays of whole numbers have no gradient: they take the mean.

    Source: Reddi et al., Adaptive Federated Optimization, ICLR 2021, algorithm 2 (FedAdam); here
    the mean change is weighted by training labels, as in FedAvg. There is no bias correction.

    Attributes:
        server_learning_rate: eta of the paper, above 0.
        beta1: decay of m, in [0, 1).
        beta2: decay of v, in [0, 1).
        tau: degree of adaptivity, above 0.
    """

    server_learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3
    streaming: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        for name in ("server_learning_rate", "tau"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value!r}: accepted is a finite number above 0")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} = {value!r}: accepted is a number in [0, 1)")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """1: any site that trained makes a mean."""
        return 1

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """One Adam step; see `Aggregator`.

        Raises:
            ValueError: also where the memory does not fit the arrays.
        """
        means = average(state.arrays, updates)
        if means is None:
            return replace(state, round=state.round + 1)
        memory = dict(state.memory)
        for name in [n for n, a in state.arrays.items() if a.dtype.kind == "f"]:
            old = np.asarray(state.arrays[name], dtype=np.float64)
            change = means[name] - old
            m = self.beta1 * _remembered(state, "m", name, 0.0) + (1 - self.beta1) * change
            v = self.beta2 * _remembered(state, "v", name, self.tau**2)
            v = v + (1 - self.beta2) * change**2
            memory[f"m/{name}"], memory[f"v/{name}"] = np.asarray(m), np.asarray(v)
            new = old + self.server_learning_rate * m / (np.sqrt(v) + self.tau)
            means[name] = np.asarray(new, dtype=np.float64)
        return GlobalState(cast(means, state.arrays), memory, state.round + 1)


def _remembered(state: GlobalState, kind: str, name: str, first: float) -> NDArray[np.float64]:
    """One momentum of an array, or its first value."""
    shape = state.arrays[name].shape
    kept = state.memory.get(f"{kind}/{name}")
    if kept is None:
        return np.full(shape, first)
    if kept.shape != shape or not np.isfinite(kept).all():
        raise ValueError(
            f"memory '{kind}/{name}' has shape {kept.shape} or values that are not finite: "
            f"accepted are finite numbers of shape {shape}"
        )
    return np.asarray(kept, dtype=np.float64)
