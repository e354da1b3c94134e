"""What a running study tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that just happened.

    Attributes:
        step: "begin", "report", "select", "read", "train", "too-long", "evaluate", "compare",
            "not-compared", "measured" or "end".
        cycle: from 0.
        round: of "train" and "compare": how many rounds of the cycle are done.
        site: of "train": whose update has just been folded in; of "too-long": whose update is left
            out; else empty.
        spent: of the label budget so far, in its unit.
        value: of "measured": the pooled AUROC, where there is one.
    """

    step: str
    cycle: int
    round: int = 0
    site: str = ""
    spent: int = 0
    value: float | None = None


Notify: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """Tell nobody."""
