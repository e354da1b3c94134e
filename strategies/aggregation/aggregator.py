"""What an aggregator is: it makes the next global model of the sites' updates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from protocol.records import GlobalState, SiteUpdate


class TooFewUpdates(ValueError):
    """A round that fewer sites trained in than the aggregator can judge."""


class Aggregator(Protocol):
    """Average one round's updates into the next global state."""

    streaming: ClassVar[bool]
    """Whether each update is dropped once folded in: memory does not grow with the sites. It then
    needs no more of the updates than their weighted sum."""

    @property
    def proximal(self) -> float:
        """mu of the term mu/2 * ||w - w_t||^2 that a site adds to its loss; 0 adds nothing."""
        ...

    @property
    def least_sites(self) -> int:
        """The fewest updates with weight from which it makes a model; 1 where any will do."""
        ...

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The state after one more round; its arrays keep their names, shapes and dtypes.

        Updates of weight 0 count for nothing; where no update has weight, the arrays and the
        memory stay as they are. The order of the updates moves results by rounding only.

        Args:
            state: before the round.
            updates: one per site, folded in the order given; an iterator is read once.
        Raises:
            TooFewUpdates: some have weight, and they are fewer than `least_sites`.
            ValueError: two updates of one site; a weight that is negative or not finite; arrays
                with other names or shapes than the state's, or with values that are not finite.
        """
        ...
