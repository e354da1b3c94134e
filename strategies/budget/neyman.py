"""Neyman: more where a large pool is uneven and a reading is cheap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.histogram import histogram, spread
from strategies.budget.measured import minutes_per_reading
from strategies.budget.policy import Claim, check_floor, grants, ordered


@dataclass(frozen=True, slots=True)
class Neyman:
    """In proportion to W_k S_k / sqrt(c_k), the allocation of stratified sampling with costs.

    W_k is the site's share of all unlabeled cases, S_k the standard deviation of their normalised
    entropy, from the histogram, and c_k the minutes of one reading (the mean of the other sites
    where a site has read none, 1 where no site has). One unit of the budget is one reading: refused
    where `budget.unit` is "minutes", whose grants would count c_k twice.

    Attributes:
        floor: least grant of a site that can use it.

    Source: Neyman, JRSS 97 (1934); with costs: Cochran, Sampling Techniques (1977), equation 5.23.
    """

    by_readings: ClassVar[bool] = True

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
        """Grants by size, spread and cost; see `BudgetPolicy`."""
        reports = ordered(reports)
        total = sum(sum(histogram(r)) for r in reports) or 1
        claims = []
        for r, minutes in zip(reports, minutes_per_reading(reports), strict=True):
            part, sd = sum(r.uncertainty) / total, spread(r)
            words = (
                f"{part:.1%} of the unlabeled cases, their uncertainty spread by {sd:.3f}, "
                f"{minutes:.2f} minutes per reading"
            )
            claims.append(Claim(part * sd / math.sqrt(minutes), words))
        return grants(reports, claims, self.floor, budget, rng)
