"""Every rule's advice, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.records import CycleRecord
from strategies.stopping.gain_per_hour import GainPerHour
from strategies.stopping.rule import Stopping
from strategies.stopping.stabilised import Stabilised
from strategies.stopping.uncertainty import OverallUncertainty

_RULES: tuple[Stopping, ...] = (Stabilised(), OverallUncertainty(), GainPerHour())


@dataclass(frozen=True, slots=True)
class Several:
    """Tell what each of the other rules advises, and how many of them do.

    Each rule is blind to something: predictions may be stable and wrong, a sure model wrong, a
    curve of few losses bent. Where they agree there is more to it.

    The rules are stabilised, overall-uncertainty and gain-per-hour with their default arguments.

    Attributes:
        least: how many of the three rules must advise before anything is said, 1 to 3.
    """

    least: int = 1

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if isinstance(self.least, bool) or self.least not in (1, 2, 3):
            raise ValueError(f"least = {self.least!r}: accepted is 1, 2 or 3")

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """The rules' advice after the last cycle of `past`; see `Stopping`."""
        said = [words for rule in _RULES if (words := rule.advise(past))]
        if len(said) < self.least:
            return ""
        return f"{len(said)} of {len(_RULES)} rules advise it. {' '.join(said)}"
