"""Hours: a linear programme over the bins of the uncertainty histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from scipy.sparse import coo_array

from protocol.records import UNCERTAINTY_BINS, CycleRecord, Grant, SiteReport
from strategies.budget.histogram import MIDDLES, histogram
from strategies.budget.measured import minutes_per_reading
from strategies.budget.policy import Claim, check_floor, check_range, grants, ordered

_TIE = 1e-6
"""Two gains closer than this are equal; those of two bins differ by 1/32. A reading that lacks less
than this share of itself has its time."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The largest summed uncertainty that the budget and the physicians' hours can read.

    Maximises sum over sites k and bins j of g_j x_kj, g_j the middle of bin j, subject to
    sum x_kj = budget, 0 <= x_kj <= cases of site k in bin j, and
    floor <= sum_j x_kj <= min(capacity, 60 hours / c_k), c_k the minutes of one reading (the mean
    of the other sites where a site has read none). Capacity beyond the histogram gains nothing.
    Among equal optima the grants are the most even. Where the hours are short, the grants sum to
    what they allow. One unit of the budget reads one case: refused where `budget.unit` is
    "minutes", and where a case takes more than one reading.

    Attributes:
        hours: of reading per site and cycle, finite, at least 0; 0 for no limit.
        site_hours: hours of single sites that differ: [["site-01", 3.0]]; here 0 is no reading. A
            site is named once; where a study begins, a name of none of its sites is refused.
        floor: least grant of a site that can use it.
        seconds: of one reading, above 0, while no site has read any.

    Source: HiGHS (Huangfu and Hall, Mathematical Programming Computation 10, 2018) by scipy.
    """

    by_cases: ClassVar[bool] = True

    hours: float = 0.0
    site_hours: tuple[tuple[str, float], ...] = field(
        default=(), metadata={"example": '[["site-01", 3.0]]'}
    )
    floor: int = 0
    seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        check_range("hours", self.hours, 0)
        for site, hours in self.site_hours:
            check_range(f"site_hours of '{site}'", hours, 0)
        if twice := next((site for site in self.named if self.named.count(site) > 1), None):
            raise ValueError(
                f"site_hours names '{twice}' {self.named.count(twice)} times: accepted is once "
                "per site"
            )

    @property
    def named(self) -> tuple[str, ...]:
        """The sites that have hours of their own."""
        return tuple(site for site, _ in self.site_hours)

    def after(self, reports: Sequence[SiteReport], granted: Mapping[str, int]) -> Hours:
        """The policy for a further share of a cycle: with the hours that its grants have left.

        Args:
            reports: of every site that was granted something, as the cycle was shared by them.
            granted: readings by site name.
        """
        left = dict(self.site_hours)
        for r, minutes in zip(reports, minutes_per_reading(reports, self.seconds), strict=True):
            hours = self._hours(r.site)
            if hours is not None:
                left[r.site] = max(hours - granted.get(r.site, 0) * minutes / 60, 0.0)
        return replace(self, site_hours=tuple(left.items()))

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by the linear programme; see `BudgetPolicy`."""
        reports = ordered(reports)
        bins = [histogram(r) for r in reports]
        costs = minutes_per_reading(reports, self.seconds)
        caps = [self._cap(r, cost) for r, cost in zip(reports, costs, strict=True)]
        lows = [min(self.floor, cap) for cap in caps]
        price = dual_price(bins, lows, caps, min(budget, sum(caps)))
        claims = []
        for r, b, cost, cap, low in zip(reports, bins, costs, caps, lows, strict=True):
            more, same = _cases(b, price + _TIE), _cases(b, price - _TIE)
            may = min(max(same, low), cap) if price > _TIE else cap
            words = (
                f"{more} of its {sum(b)} unlabeled cases gain more than the programme's price "
                f"{max(price, 0.0):.3f} and {same - more} as much, {cost:.2f} minutes per reading"
            )
            bound = f"the floor is {self.floor}" if same < low else ""
            hours = self._hours(r.site)
            if hours is not None and may == cap:
                bound = _in_words(hours, cap, cost)
            given = "no limit of hours" if hours is None else f"{hours:g} hours"
            claims.append(Claim(1.0, f"{words}, {given}", min(more, cap), may, bound=bound))
        return grants(reports, claims, self.floor, budget, rng)

    def _hours(self, site: str) -> float | None:
        """A site's hours; None for no limit."""
        return dict(self.site_hours).get(site, self.hours or None)

    def _cap(self, report: SiteReport, minutes: float) -> int:
        hours = self._hours(report.site)
        if hours is None:
            return report.capacity
        return min(report.capacity, math.floor(60 * hours / minutes + _TIE))


def _in_words(hours: float, cap: int, minutes: float) -> str:
    """That so many hours are so many readings."""
    readings = "reading" if cap == 1 else "readings"
    return f"{hours:g} hours are {cap} {readings} of {minutes:.2f} minutes"


def dual_price(
    bins: Sequence[Sequence[int]], lows: Sequence[int], caps: Sequence[int], total: int
) -> float:
    """What one more unit of the budget would gain at the optimum of the linear programme.

    By complementary slackness an allocation within the limits that sums to the total is an optimum
    exactly where it takes every case of more gain than this and no case of less.

    Args:
        bins: (sites, UNCERTAINTY_BINS) cases.
        lows: (sites,) least grants, at most the caps.
        caps: (sites,) largest grants.
        total: at most the caps together. One that the lows exhaust has the price 0.
    """
    if sum(lows) >= total:
        return 0.0
    from scipy.optimize import linprog  # late: short commands must answer fast

    cells, width = len(bins) * (UNCERTAINTY_BINS + 1), UNCERTAINTY_BINS + 1
    gains = np.tile([*MIDDLES, 0.0], len(bins))  # the last cell of a site: beyond its histogram
    most = [float(n) for b, cap in zip(bins, caps, strict=True) for n in (*b, cap)]
    site, cell = np.arange(cells) // width, np.arange(cells)
    limits = coo_array(  # rows: sums of the sites, then their negatives
        (np.repeat([1.0, -1.0], cells), (np.append(site, site + len(bins)), np.append(cell, cell)))
    )
    answer = linprog(
        -gains,
        A_ub=limits.tocsr(),
        b_ub=[*caps, *(-low for low in lows)],
        A_eq=np.ones((1, cells)),
        b_eq=[total],
        bounds=np.stack([np.zeros(cells), most], axis=1),
        method="highs",
    )
    if answer.status != 0:
        raise ArithmeticError(f"the programme has no optimum: {answer.message}")
    return -float(answer.eqlin.marginals[0])


def _cases(bins: Sequence[int], gain: float) -> int:
    """How many cases gain more."""
    first = int(np.searchsorted(MIDDLES, gain, side="right"))
    return sum(bins[first:])
