"""What a consensus is: it makes one label of a case's readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from protocol.records import Label, Reading


class Consensus(Protocol):
    """Settle what the readers of one site said about its cases."""

    def settle(self, readings: Sequence[Reading]) -> Mapping[str, Label]:
        """A label for every case with at least one answered reading, by case key.

        Only answered readings count: "unsure" and "unreadable" change nothing. Where a reader
        answered a case more than once, the latest answer counts. The names of readers play no part.
        Where an adjudicating reading answered, its value is the label; of several, the latest.

        Raises:
            ValueError: an answered reading whose value does not fit the task, or whose time is not
                ISO 8601.
        """
        ...
