"""Safe: uniform, until measured gain per reading differs between the sites by more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import ClassVar, Literal

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.believed import Belief, believe
from strategies.budget.measured import minutes_per_reading, points
from strategies.budget.policy import Claim, check_floor, check_range, grants, ordered
from strategies.budget.rounding import exact_share


@dataclass(frozen=True, slots=True)
class Safe:
    """Uniform, moved within bounds where prequential losses have measured a difference of gain.

    The rule, every cycle, over the sites' last six prequential losses (of exploration labels before
    they are trained on, the untrained model left out; never of audit labels):

    1. The gain of site k is g_k = -slope of its loss over its training labels, by least squares
       weighted by exploration labels. Its variance v_k takes for that of one label's loss the
       most that losses of mean m between 0 and W = log 100 can have, m (W - m); the square of m
       beyond W / 2; the residual variance of all sites where that is larger.
    2. The common gain g is the mean of the g_k weighted by 1 / v_k. The sites' gains truly differ
       by the variance t = max(0, Q - q) / (S1 - S2 / S1): Q = sum (g_k - g)^2 / v_k, q the
       `confidence` quantile of its chi-square law were all gains equal, S1 and S2 the sums of
       1 / v_k and 1 / v_k^2. Unless Q exceeds q, t is 0 and all gains count as equal.
    3. Each gain is shrunk to g~_k = g + t / (t + v_k) * (g_k - g), at least 0; a site with fewer
       than two losses takes g.
    4. The site's uniform grant is multiplied by (g~_k / c_k) ** power, c_k the minutes of one
       reading where `minutes` lets them count, else 1. (A power of 1/2 equalises the marginal gain
       per minute of losses that fall as 1 / labels and of no other site's.) Where no g~_k is above
       0, all count as equal.
    5. Every site keeps between 1 - reach and 1 + reach of its uniform grant, both rounded outwards
       to whole readings: 1 - reach of the budget is always shared equally and goes on exploring.

    Without a measured difference the grants are exactly those of `uniform`; a study without an
    exploration share could never measure one, and is refused unless `minutes` is "always".
    Exploration labels are few: at a share of 0.1 and 8 readings per site and cycle there is about
    one, and only a large difference or a long study moves anything. Of drawn studies of six sites
    and five cycles with equal gains none showed a difference where the model was calibrated, and
    one in ten where its log odds were twice too large. A site's loss falls by the labels of all
    sites, so its gain says where the model still learns, not whose label did it. One unit of the
    budget is one reading: refused where `budget.unit` is "minutes", whatever its own `minutes` are.

    Attributes:
        reach: largest move, as a share of the uniform grant, 0 to 1; 0 is uniform.
        confidence: asked of a difference before it moves anything, 0.5 to 0.999.
        minutes: when a cheaper reading draws budget: "certain" once the lower `confidence` bound
            of g is above 0, "always" from the first measured times on, or "never".
        floor: least grant of a site that can use it.
        power: of the gain per minute, 0 to 1: how far it moves a grant.

    Source: ours. Steps 2 and 3 are the empirical Bayes shrinkage of James and Stein (1961) with the
    variance of DerSimonian and Laird (1986), its expectation under equal gains replaced by a
    quantile.
    """

    by_readings: ClassVar[bool] = True

    reach: float = 0.5
    confidence: float = 0.95
    minutes: Literal["always", "certain", "never"] = "certain"
    floor: int = 0
    power: float = 0.5

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        check_range("reach", self.reach, 0, 1)
        check_range("power", self.power, 0, 1)
        check_range("confidence", self.confidence, 0.5, 0.999)
        if self.minutes not in ("always", "certain", "never"):
            raise ValueError(
                f"minutes = {self.minutes!r}: accepted is 'always', 'certain' or 'never'"
            )

    @property
    def by_exploration(self) -> bool:
        """Whether nothing moves without exploration labels."""
        return self.minutes != "always"

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Uniform grants, moved by measured gain; see `BudgetPolicy`."""
        reports = ordered(reports)
        n = len(reports)
        even = exact_share([1.0] * n, [r.capacity for r in reports], [self.floor] * n, budget)
        belief = believe(points(reports, past), self.confidence)
        counted = self._counts_minutes(belief)
        costs = minutes_per_reading(reports) if counted else [1.0] * n
        gains = [belief.shrunk[r.site] for r in reports]
        tilts = _tilts(gains, costs, self.power) if self.reach else [1.0] * n
        reach = Fraction(str(self.reach))  # as it is written: 1.1 * 50 as a float is above 55
        claims = [
            Claim(
                float(u) * tilt,
                _words(belief, r.site, float(u), tilt, cost if counted else None),
                math.floor((1 - reach) * u),
                math.ceil((1 + reach) * u),
            )
            for r, u, tilt, cost in zip(reports, even, tilts, costs, strict=True)
        ]
        return grants(reports, claims, self.floor, budget, rng)

    def _counts_minutes(self, belief: Belief) -> bool:
        if self.minutes != "certain":
            return self.minutes == "always"
        return belief.common > NormalDist().inv_cdf(self.confidence) * belief.common_error


def _tilts(gains: Sequence[float], costs: Sequence[float], power: float) -> list[float]:
    """(sites,) multipliers of the uniform grants; all 1 where no gain is above 0."""
    if not any(gains):
        gains = [1.0] * len(gains)
    worths = [(g / c) ** power for g, c in zip(gains, costs, strict=True)]
    if len(set(worths)) <= 1:
        return [1.0] * len(worths)
    mean = math.fsum(worths) / len(worths)
    return [worth / mean for worth in worths]


def _words(belief: Belief, site: str, even: float, tilt: float, minutes: float | None) -> str:
    """The statistics behind one site's grant."""
    spent = "" if minutes is None else f", {minutes:.2f} minutes per reading"
    if not belief.gains:
        moved = f" times {tilt:.2f} within bounds" if spent else ""
        return f"equal share {even:.1f}{moved}, no gain is measured yet{spent}"
    measured = (
        f"its loss fell by {belief.gains[site]:.2g} ± {belief.errors[site]:.2g} per label"
        if site in belief.gains
        else "it has fewer than two prequential losses"
    )
    return (
        f"equal share {even:.1f} times {tilt:.2f} within bounds: {measured}, "
        f"the sites' common {belief.common:.2g} ± {belief.common_error:.2g}, "
        f"they differ by {belief.q:.1f} where noise reaches {belief.quantile:.1f}, "
        f"so {belief.shrunk[site]:.2g} is believed{spent}"
    )
