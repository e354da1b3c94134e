"""Worst site: multiplicative weights on the prequential losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.measured import Point, points
from strategies.budget.policy import Claim, check_floor, check_range, grants, ordered


@dataclass(frozen=True, slots=True)
class WorstSite:
    """More for the sites that the model serves worst, by multiplicative weights.

    weight_k = exp(rate * sum over past cycles of (loss_k - mean loss of the sites measured)), the
    losses prequential log-losses in nats. Equal shares before the first measured loss; a site adds
    nothing in a cycle without one. No gain is asked for: a site whose cases cannot be told apart
    keeps drawing budget, so set a floor.

    Attributes:
        rate: learning rate, finite, at least 0; 0 is uniform.
        floor: least grant of a site that can use it.

    Source: Mohri, Sivek and Suresh, Agnostic Federated Learning, ICML 2019, by the multiplicative
    weights of Freund and Schapire, JCSS 55 (1997); here they share labels instead of losses.
    """

    by_exploration: ClassVar[bool] = True

    rate: float = 0.5
    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        check_range("rate", self.rate, 0)

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by accumulated loss; see `BudgetPolicy`."""
        reports = ordered(reports)
        measured = points(reports, past)
        excess = _excess(measured)
        worst = max(excess.values(), default=0.0)
        claims = []
        for r in reports:
            losses = measured[r.site]
            words = (
                f"prequential loss {losses[-1].loss:.3f} on {losses[-1].count} labels, "
                f"{excess[r.site]:+.3f} against the mean site summed over {len(losses)} cycles"
                if losses
                else "no prequential loss yet, so it counts as the mean site"
            )
            claims.append(Claim(math.exp(self.rate * (excess[r.site] - worst)), words))
        return grants(reports, claims, self.floor, budget, rng)


def _excess(measured: Mapping[str, Sequence[Point]]) -> dict[str, float]:
    """The sum over cycles of each site's loss less the mean loss of the sites measured then."""
    by_cycle: dict[int, list[float]] = {}
    for losses in measured.values():
        for p in losses:
            by_cycle.setdefault(p.cycle, []).append(p.loss)
    mean = {cycle: math.fsum(losses) / len(losses) for cycle, losses in by_cycle.items()}
    return {
        site: math.fsum(p.loss - mean[p.cycle] for p in losses) for site, losses in measured.items()
    }
