"""What a stopping rule is: it advises, and people decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocol.records import CycleRecord


class Stopping(Protocol):
    """Say when more readings would hardly change the model. Nothing stops by itself."""

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """One sentence of advice with its numbers; empty where there is none.

        Args:
            past: the finished cycles, oldest first.
        Raises:
            ValueError: reports that do not fit each other.
        """
        ...
