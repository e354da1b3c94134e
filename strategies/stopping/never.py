"""No advice: the budget alone ends the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.records import CycleRecord


@dataclass(frozen=True, slots=True)
class Never:
    """Read the whole budget."""

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """Always empty."""
        return ""
