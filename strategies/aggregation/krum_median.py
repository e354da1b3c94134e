"""Multi-Krum's choice of updates, then the middle of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from protocol.records import GlobalState, SiteUpdate
from strategies.aggregation.average import cast
from strategies.aggregation.robust import MultiKrum
from strategies.aggregation.stacked import stacked


@dataclass(frozen=True, slots=True)
class KrumMedian:
    """The coordinate-wise median of the updates that have the nearest neighbours.

    Multi-Krum leaves out what lies far from the others, such as an update stretched for a
    backdoor; a turned update may lie nearer than that of an honest site that differs, and the
    median of the rest bounds what it does.

    Source: the two steps of Bulyan (El Mhamdi et al., The Hidden Vulnerability of Distributed
    Learning in Byzantium, ICML 2018), with Multi-Krum's whole choice in the first and the median
    in the second, so that 2 f + 3 sites will do; Bulyan's proof, which asks for 4 f + 3, does not
    cover it. O(n^2 d) for n sites and d parameters.

    Attributes:
        f: how many sites may be dishonest, at least 1; it asks for 2 f + 3 sites.
    """

    f: int = 1
    streaming: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if self.f < 1:
            raise ValueError(f"f = {self.f!r}: accepted is 1 or more")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """2 f + 3, as Multi-Krum."""
        return MultiKrum(f=self.f).least_sites

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The median of the chosen updates; see `Aggregator`."""
        stack = stacked(state, updates, self.least_sites)
        if stack is None:
            return replace(state, round=state.round + 1)
        chosen = MultiKrum(f=self.f).chosen(stack.changes(state.arrays))
        arrays = {n: np.asarray(np.median(v[chosen], axis=0)) for n, v in stack.arrays.items()}
        return replace(state, arrays=cast(arrays, state.arrays), round=state.round + 1)
