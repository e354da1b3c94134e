"""What a comparison is: arms held against each other, and what was measured between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulations.results.curves import Range, Scope
from simulations.results.outcomes import Arm, Choice
from simulations.results.paired import Paired
from simulations.results.records import Runs

MEASURES: Mapping[str, str] = {
    "aubc": "area under the budget curve",
    "final": "value at the end",
    "worst_final": "worst site at the end",
}
"""What is compared between arms, the first one in the headline."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All arms of some simulations, held against each other.

    Attributes:
        runs: what was compared.
        choice: what was asked for.
        scope: the scope used.
        metric: the metric's name.
        between: readings over which areas are taken; None where arms share no range.
        arms: in the order they were asked for, the bound last.
        reference: the arm that others are compared with; None with one arm.
        paired: for each of MEASURES, every other arm against the reference.
        notes: what a reader must know about these numbers, one sentence each.
    """

    runs: Runs
    choice: Choice
    scope: Scope
    between: Range | None
    arms: tuple[Arm, ...]
    reference: str | None
    paired: tuple[Paired, ...]
    notes: tuple[str, ...]

    @property
    def bound(self) -> Arm | None:
        """The supervised bound, where it was run."""
        return next((a for a in self.arms if a.is_bound), None)

    def against(self, measure: str) -> tuple[Paired, ...]:
        """The paired differences of one measure."""
        return tuple(p for p in self.paired if p.measure == measure)
