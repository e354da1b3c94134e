"""What a budget policy is, and the frame that turns its weights into grants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Protocol

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.rounding import exact_share, share


class BudgetPolicy(Protocol):
    """Share one cycle's label budget between the sites."""

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """A grant for every report, by site name.

        The counts are whole and sum exactly to the budget, or to all capacities where those are
        smaller. No count exceeds its site's capacity. The order of the reports plays no part.

        Args:
            reports: one per site.
            past: the finished cycles, oldest first.
            budget: what this cycle may spend over all sites, in the budget's unit, at least 0.
            rng: breaks ties between sites of equal claim.
        Raises:
            ValueError: two reports of one site, or a report with impossible numbers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What one site may ask for by a policy's rule.

    Attributes:
        weight: its relative share before floors and capacities, at least 0.
        words: the statistics behind the weight, in words.
        least: what the rule gives it whatever its weight, at least 0; the floor holds too.
        most: what the rule gives it at most; its capacity where None.
        threshold: how uncertain the cases are that it counts, where the rule says so.
        bound: why it gets no more than `most`, in words.
    """

    weight: float
    words: str
    least: int = 0
    most: int | None = None
    threshold: float | None = None
    bound: str = ""


def grants(
    reports: Sequence[SiteReport],
    claims: Sequence[Claim],
    floor: int,
    budget: int,
    rng: np.random.Generator,
) -> dict[str, Grant]:
    """The grants that follow from the claims of the sites, every one with its reason.

    Args:
        reports: in the order of `ordered`.
        claims: one per report.
        floor: least grant of a site that can use it and where the budget reaches, at least 0.
        budget: what this cycle may spend over all sites.
        rng: breaks ties.
    """
    caps = [
        r.capacity if c.most is None else min(r.capacity, c.most)
        for r, c in zip(reports, claims, strict=True)
    ]
    weights, floors = [c.weight for c in claims], [max(floor, c.least) for c in claims]
    counts = share(weights, caps, floors, budget, rng)
    found = _Shared(claims, [r.capacity for r in reports], caps, floor, budget, counts)
    equal = found.equal()
    return {
        r.site: Grant(n, f"{n} of {budget}: {c.words}{equal}{found.limit(i)}", c.threshold)
        for i, (r, c, n) in enumerate(zip(reports, claims, counts, strict=True))
    }


@dataclass(frozen=True, slots=True)
class _Shared:
    """How a budget was shared, to be told in words.

    Attributes:
        claims, capacities, caps, counts: one of each per site.
        floor, budget: as `grants` takes them.
    """

    claims: Sequence[Claim]
    capacities: Sequence[int]
    caps: Sequence[int]
    floor: int
    budget: int
    counts: Sequence[int]

    def equal(self) -> str:
        """That no weight told the sites apart, where weights were to decide; else empty."""
        decide = len(self.claims) > 1 and sum(self._lows()) < self.budget < sum(self.caps)
        alike = decide and not any(c.weight for c in self.claims)
        return ", all weights are 0, so shares are equal" if alike else ""

    def limit(self, i: int) -> str:
        """Which limit has decided a site's count; empty where none."""
        if self.counts[i] == self.capacities[i]:
            return f"; {self.counts[i]} is all that it can use"
        if sum(min(self.floor, cap) for cap in self.caps) > self.budget:
            return f"; {self.budget} is too little for every site's floor of {self.floor}"
        if self.counts[i] == self.claims[i].most and self.claims[i].bound:
            return f"; {self.claims[i].bound}"
        if self._raised(i):
            return f"; the floor is {self.floor}"
        return "; others take less than their share" if self.counts[i] > self._own(i) else ""

    def _raised(self, i: int) -> bool:
        """Whether the floor alone gives a site what it gets."""
        if self.counts[i] != self.floor or self.floor == 0:
            return False
        floors = [max(self.floor, c.least) for c in self.claims]
        without = [*floors[:i], self.claims[i].least, *floors[i + 1 :]]
        return self._exact(self.caps, without)[i] < self.floor

    def _own(self, i: int) -> int:
        """A site's share, rounded up, could every site use what it claims."""
        most = [self.budget if c.most is None else c.most for c in self.claims]
        return math.ceil(self._exact(most, self._lows())[i])

    def _exact(self, caps: Sequence[int], floors: Sequence[int]) -> list[Fraction]:
        return exact_share([c.weight for c in self.claims], caps, floors, self.budget)

    def _lows(self) -> list[int]:
        pairs = zip(self.claims, self.caps, strict=True)
        return [min(max(self.floor, claim.least), cap) for claim, cap in pairs]


def ordered(reports: Sequence[SiteReport]) -> list[SiteReport]:
    """The reports by site name, so that the order of arrival decides nothing.

    Raises:
        ValueError: two reports of one site.
    """
    by_name = sorted(reports, key=lambda r: r.site)
    for one, next_ in pairwise(by_name):
        if one.site == next_.site:
            raise ValueError(f"two reports of site '{one.site}': accepted is one per site")
    return by_name


def check_floor(floor: int) -> None:
    """Refuse a floor that is not a whole number of at least 0."""
    if isinstance(floor, bool) or not isinstance(floor, int) or floor < 0:
        raise ValueError(f"floor = {floor!r}: accepted is a whole number of at least 0")


def check_range(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Refuse an argument outside its range, both ends included."""
    if not (math.isfinite(value) and least <= value <= most):
        reach = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
        raise ValueError(f"{name} = {value!r}: accepted is a finite number {reach}")
