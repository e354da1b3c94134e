"""Threshold: as many as a site has of the most uncertain cases, from histograms alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.histogram import above, histogram, level
from strategies.budget.policy import Claim, check_floor, grants, ordered


@dataclass(frozen=True, slots=True)
class Threshold:
    """The budget goes where the most uncertain cases of all sites together are.

    One threshold tau is the level of normalised entropy at which the sites have as many cases
    above it as the budget pays, each counted for at least its floor and at most its capacity. A
    site gets as many as it has above tau. Cases are spread evenly within their bin. It follows one
    noisy site wherever that leads: measured worse than uniform without a floor.

    The grant tells tau, or the lower level at which a site that was raised to its floor has that
    many, as a part of its reason: no site goes by it. Which cases fill a grant is the query
    strategy's choice, and only where `query.strategy` is "entropy" do the grants' queried cases
    come near the most uncertain of all sites together.

    One unit of the budget reads one case: refused where `budget.unit` is "minutes", and where a
    case takes more than one reading.

    Attributes:
        floor: least grant of a site that can use it.
    """

    by_cases: ClassVar[bool] = True

    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by cases above the threshold; see `BudgetPolicy`."""
        reports = ordered(reports)
        bins = [histogram(r) for r in reports]
        caps = [r.capacity for r in reports]
        lows = [min(self.floor, cap) for cap in caps]
        tau = level(bins, lows, caps, min(budget, sum(caps)))
        claims = []
        for b, low, cap in zip(bins, lows, caps, strict=True):
            n = above(b, tau)
            own = tau if n >= low else level([b], [0], [cap], low)
            words = (
                f"about {n:.1f} of its {sum(b)} unlabeled cases are more uncertain than "
                f"{_digits(tau)}"
            )
            claims.append(Claim(min(n, cap), words, threshold=own))
        return grants(reports, claims, self.floor, budget, rng)


def _digits(tau: float) -> str:
    """Three decimals, or as many as tell a level below 1 from 1."""
    places = 3 if tau == 1 else max(3, 1 - math.floor(math.log10(1 - tau)))
    return f"{tau:.{places}f}"
