"""Aggregators that one broken or dishonest site in several cannot move far.

They compare the sites' updates, so all of them are in memory at once, and a sum that hides each
site's own update from the server does not do for them. Labels are told by the sites themselves, so
they weigh nothing here except under norm bounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocol.records import GlobalState, SiteUpdate
from strategies.aggregation.average import cast
from strategies.aggregation.stacked import mean, stacked, stepped


@dataclass(frozen=True, slots=True)
class Median:
    """The median of the sites' values, coordinate by coordinate.

    Fewer than half of the sites can move no coordinate beyond what another site sent. Where sites
    differ by nature it moves slower than the mean.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates,
    ICML 2018, definition 1. O(n log n) per parameter for n sites.
    """

    streaming: ClassVar[bool] = False

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """3: the median of two is their mean."""
        return 3

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The coordinate-wise median; see `Aggregator`."""
        return stepped(state, stacked(state, updates, self.least_sites), _median)


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """The mean of the sites' values without the largest and the smallest, by coordinate.

    Source: Yin et al., ICML 2018, definition 2. O(n log n) per parameter for n sites.

    Attributes:
        share: of the sites that is cut off at each end, rounded up, in (0, 0.5).
    """

    share: float = 0.2
    streaming: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not 0 < self.share < 0.5:
            raise ValueError(f"share = {self.share!r}: accepted is a number above 0 and below 0.5")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """So many that one is left of them."""
        return next(n for n in range(3, 1_000_000) if n > 2 * self._cut(n))

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The trimmed mean; see `Aggregator`."""
        return stepped(state, stacked(state, updates, self.least_sites), self._mean)

    def _cut(self, sites: int) -> int:
        return math.ceil(self.share * sites - 1e-9)

    def _mean(self, stack: NDArray[np.float64]) -> NDArray[np.float64]:
        cut = self._cut(len(stack))
        if len(stack) <= 2 * cut:  # more sites than `least_sites` may be too few again
            cut = (len(stack) - 1) // 2
        inner: NDArray[np.float64] = np.sort(stack, axis=0)[cut : len(stack) - cut].mean(axis=0)
        return inner


@dataclass(frozen=True, slots=True)
class NormBound:
    """The mean, weighted by labels, of updates none of which is longer than the others'.

    Each site's change of the global arrays is shortened to at most `times` the median length of
    the round's changes; no site weighs more than `times` the median weight.

    Source: Sun et al., Can You Really Backdoor Federated Learning?, 2019, section 4 (norm
    thresholding); here the threshold is the round's own median instead of a constant.

    Attributes:
        times: of the median, finite, at least 1.
    """

    times: float = 1.0
    streaming: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not (math.isfinite(self.times) and self.times >= 1):
            raise ValueError(f"times = {self.times!r}: accepted is a finite number of at least 1")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """3: the median of two follows the longer one."""
        return 3

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The mean of the shortened updates; see `Aggregator`."""
        stack = stacked(state, updates, self.least_sites)
        if stack is None:
            return replace(state, round=state.round + 1)
        lengths = np.sqrt((stack.changes(state.arrays) ** 2).sum(axis=1))
        bound = self.times * np.median(lengths)
        shrink = np.minimum(1.0, bound / np.maximum(lengths, 1e-300))
        weights = np.minimum(stack.weights, self.times * np.median(stack.weights))
        arrays = {}
        for name, values in stack.arrays.items():
            old = np.asarray(state.arrays[name], dtype=np.float64)
            each = (-1,) + (1,) * old.ndim
            whole = state.arrays[name].dtype.kind != "f"
            moved = (values - old) * (1.0 if whole else shrink.reshape(each))
            arrays[name] = old + mean(moved, weights)
        return replace(state, arrays=cast(arrays, state.arrays), round=state.round + 1)


def _median(stack: NDArray[np.float64]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = np.median(stack, axis=0)
    return middle
