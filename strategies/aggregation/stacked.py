"""The updates of one round side by side: what aggregators see that compare sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocol.records import Arrays, GlobalState, SiteUpdate
from strategies.aggregation.aggregator import TooFewUpdates
from strategies.aggregation.average import cast, check


@dataclass(frozen=True, slots=True)
class Stacked:
    """The updates that have weight, all in memory.

    Attributes:
        sites: their names, in the order in which they came.
        weights: (n,) training labels.
        arrays: (n, ...) float64, by name.
    """

    sites: tuple[str, ...]
    weights: NDArray[np.float64]
    arrays: dict[str, NDArray[np.float64]]

    def changes(self, arrays: Arrays) -> NDArray[np.float64]:
        """(n, parameters) what each site changed of the global arrays of fractions."""
        moved = [
            (stack - np.asarray(arrays[name], dtype=np.float64)).reshape(len(self.sites), -1)
            for name, stack in self.arrays.items()
            if arrays[name].dtype.kind == "f"
        ]
        return np.concatenate([np.empty((len(self.sites), 0)), *moved], axis=1)


def stacked(state: GlobalState, updates: Iterable[SiteUpdate], least: int) -> Stacked | None:
    """The round's updates that have weight; None where none has.

    Raises:
        TooFewUpdates: some have weight, fewer than `least`.
        ValueError: an update that cannot be averaged; see `Aggregator.step`.
    """
    seen, kept = set[str](), list[SiteUpdate]()
    for update in updates:
        check(state.arrays, update, seen)
        seen.add(update.site)
        if update.weight > 0:
            kept.append(update)
    if not kept:
        return None
    if len(kept) < least:
        raise TooFewUpdates(
            f"{len(kept)} sites have trained; accepted are {least} or more, since fewer cannot "
            "be told from each other"
        )
    arrays = {
        name: np.stack([np.asarray(u.arrays[name], dtype=np.float64) for u in kept])
        for name in state.arrays
    }
    return Stacked(tuple(u.site for u in kept), np.array([u.weight for u in kept]), arrays)


def stepped(
    state: GlobalState,
    stack: Stacked | None,
    middle: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> GlobalState:
    """The state whose arrays are the middle of the stacked ones."""
    if stack is None:
        return replace(state, round=state.round + 1)
    arrays = {name: np.asarray(middle(values)) for name, values in stack.arrays.items()}
    return replace(state, arrays=cast(arrays, state.arrays), round=state.round + 1)


def mean(
    stack: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The mean over the first axis, around its first row: equal rows give exactly their values."""
    shares = np.full(len(stack), 1 / len(stack)) if weights is None else weights / weights.sum()
    found: NDArray[np.float64] = stack[0] + np.tensordot(shares, stack - stack[0], axes=1)
    return found
