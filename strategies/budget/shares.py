"""The budget policies: each is a rule of weights, all are rounded by `share`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.histogram import histogram, mass
from strategies.budget.policy import Claim, check_floor, grants, ordered


@dataclass(frozen=True, slots=True)
class Uniform:
    """The same for every site, as far as each can use it: the reference for every other policy.

    Attributes:
        floor: least grant of a site that can use it.
    """

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
        """Equal grants; see `BudgetPolicy`."""
        reports = ordered(reports)
        words = f"equal shares for {len(reports)} sites"
        return grants(reports, [Claim(1.0, words)] * len(reports), self.floor, budget, rng)


@dataclass(frozen=True, slots=True)
class Proportional:
    """In proportion to the pool size to a power: 1 follows the sizes, 0 is uniform.

    Attributes:
        power: of the pool size, finite, at least 0.
        floor: least grant of a site that can use it.
    """

    power: float = 1.0
    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        if not (math.isfinite(self.power) and self.power >= 0):
            raise ValueError(f"power = {self.power!r}: accepted is a finite number of at least 0")

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by pool size; see `BudgetPolicy`."""
        reports = ordered(reports)
        for r in reports:
            if r.pool < 0:
                raise ValueError(
                    f"site '{r.site}' reports a pool of {r.pool}: accepted is 0 or more"
                )
        total = sum(r.pool for r in reports)
        largest = max((r.pool for r in reports), default=0) or 1
        claims = [
            Claim(
                (r.pool / largest) ** self.power,
                f"in proportion to its {r.pool} of {total} unlabeled cases"
                + ("" if self.power == 1 else f", to the power {self.power:g}"),
            )
            for r in reports
        ]
        return grants(reports, claims, self.floor, budget, rng)


@dataclass(frozen=True, slots=True)
class UncertaintyMass:
    """In proportion to the summed normalised entropy of the pool, shrunk towards uniform.

    weight_k = (1 - trust) / K + trust * mass_k / sum(mass), where mass_k is the sum over the bins
    of site k's uncertainty histogram of count times bin midpoint. Sites say themselves how
    uncertain their cases are: so that none can draw the budget by saying too much, the mean of a
    site's cases counts as at most `span` times the median of the sites' means, and at least that
    median over `span`.

    Attributes:
        trust: share of the budget that follows the mass, 0 to 1; 0 is uniform.
        span: at least 1; with the defaults an exaggerating site of average size is granted at most
            a sixth more than an honest one.
        floor: least grant of a site that can use it.
    """

    trust: float = 0.5
    span: float = 1.15
    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        if not 0 <= self.trust <= 1:
            raise ValueError(f"trust = {self.trust!r}: accepted is a number from 0 to 1")
        if not self.span >= 1:
            raise ValueError(f"span = {self.span!r}: accepted is a number of at least 1")

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by uncertainty mass; see `BudgetPolicy`."""
        reports = ordered(reports)
        masses = self._believed(reports)
        total = sum(masses)
        claims = []
        for r, m in zip(reports, masses, strict=True):
            part = m / total if total > 0 else 1 / len(reports)
            told = mass(r)
            held = "" if abs(m - told) < 0.05 else f", {told:.1f} as told"
            claims.append(
                Claim(
                    (1 - self.trust) / len(reports) + self.trust * part,
                    f"uncertainty mass {m:.1f} of {total:.1f}{held} ({r.pool} unlabeled cases), "
                    f"trusted for {self.trust:.0%}, the rest equal for {len(reports)} sites",
                )
            )
        return grants(reports, claims, self.floor, budget, rng)

    def _believed(self, reports: Sequence[SiteReport]) -> list[float]:
        """Each site's mass, the mean of its cases held near that of other sites."""
        counts = [sum(histogram(r)) for r in reports]
        means = [mass(r) / n if n else 0.0 for r, n in zip(reports, counts, strict=True)]
        known = [mean for mean, n in zip(means, counts, strict=True) if n]
        middle = median(known) if known else 0.0
        low, high = middle / self.span, middle * self.span
        return [n * min(max(m, low), high) for m, n in zip(means, counts, strict=True)]
