"""Bandits: discounted UCB and Gaussian Thompson sampling on the measured reward per minute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.measured import Reward, rewards
from strategies.budget.policy import Claim, check_floor, check_range, grants, ordered

_MOST_DRAWS = 2000
"""Draws of the posterior per allocation: enough for every budget that people read."""


@dataclass(frozen=True, slots=True)
class UCB:
    """In proportion to the upper confidence bound of the discounted reward per minute.

    A reward is the drop of a site's prequential loss over one cycle, divided by the minutes that
    its readers spent in it. With d = discount ** age, N_k = sum of d, N = sum of N_k,
    index_k = max(0, sum of d * reward / N_k + confidence * R * sqrt(max(0, ln N) / N_k)), where R
    is the largest absolute reward. A site without a reward takes the largest index; equal shares
    before the first reward.

    Attributes:
        discount: of a reward per cycle of age, 0.01 to 1.
        confidence: width of the bound, finite, at least 0.
        floor: least grant of a site that can use it.

    Source: Garivier and Moulines, ALT 2011, section 3 (discounted UCB); here the budget is split
    by the index instead of spent at its largest.
    """

    by_exploration: ClassVar[bool] = True

    discount: float = 0.8
    confidence: float = 0.5
    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        check_range("discount", self.discount, 0.01, 1)
        check_range("confidence", self.confidence, 0)

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by index; see `BudgetPolicy`."""
        reports = ordered(reports)
        earned = rewards(reports, past)
        if not any(earned.values()):
            return _equal(reports, self.floor, budget, rng)
        means, sizes = _discounted(reports, earned, self.discount)
        largest = max(abs(e.per_minute) for rows in earned.values() for e in rows)
        spread = largest * math.sqrt(max(0.0, math.log(math.fsum(sizes))))
        index = [
            max(0.0, m + self.confidence * spread / math.sqrt(n)) if n else -1.0
            for m, n in zip(means, sizes, strict=True)
        ]
        best = max(index)
        claims = [
            Claim(best if i < 0 else i, _words(m, len(earned[r.site]), i, best))
            for r, m, i in zip(reports, means, index, strict=True)
        ]
        return grants(reports, claims, self.floor, budget, rng)


@dataclass(frozen=True, slots=True)
class Thompson:
    """In proportion to how often a draw of the site's reward per minute is the largest.

    Rewards and their discount are those of `ucb`. The posterior of site k is Gaussian with mean
    (N_k mean_k + m) / (N_k + 1) and standard deviation s / sqrt(N_k + 1): m and s are those of all
    rewards, the prior weighs as one cycle. One draw per unit of the budget, at most 2,000; sites
    of equal posteriors share their wins. Equal shares before the second reward, and while all
    rewards are the same.

    Attributes:
        discount: of a reward per cycle of age, 0.01 to 1.
        floor: least grant of a site that can use it.

    Source: Thompson, Biometrika 25 (1933); Gaussian: Agrawal and Goyal, AISTATS 2013, section 2.
    """

    by_exploration: ClassVar[bool] = True

    discount: float = 0.8
    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)
        check_range("discount", self.discount, 0.01, 1)

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by wins; see `BudgetPolicy`."""
        reports = ordered(reports)
        earned = rewards(reports, past)
        every = np.array([e.per_minute for rows in earned.values() for e in rows])
        if len(every) < 2 or every.min() == every.max():
            return _equal(reports, self.floor, budget, rng)
        means, sizes = _discounted(reports, earned, self.discount)
        n = np.array(sizes)
        centre = (n * np.array(means) + every.mean()) / (n + 1)
        width = every.std() / np.sqrt(n + 1)
        wins = _wins(centre, width, min(max(budget, 1), _MOST_DRAWS), rng)
        claims = [
            Claim(
                float(w),
                f"the best of {min(max(budget, 1), _MOST_DRAWS)} draws {w:.1f} times: "
                f"{c:.2g} ± {s:.2g} less loss per minute, {len(earned[r.site])} rewards",
            )
            for r, w, c, s in zip(reports, wins, centre, width, strict=True)
        ]
        return grants(reports, claims, self.floor, budget, rng)


def _discounted(
    reports: Sequence[SiteReport], earned: Mapping[str, Sequence[Reward]], discount: float
) -> tuple[list[float], list[float]]:
    """Mean reward and effective number of rewards of each site; 0 and 0 where it has none."""
    latest = max(e.cycle for rows in earned.values() for e in rows)
    means, sizes = [], []
    for r in reports:
        d = [discount ** (latest - e.cycle) for e in earned[r.site]]
        total = math.fsum(w * e.per_minute for w, e in zip(d, earned[r.site], strict=True))
        sizes.append(math.fsum(d))
        means.append(total / sizes[-1] if d else 0.0)
    return means, sizes


def _wins(
    centre: NDArray[np.float64], width: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(sites,) how often each site's draw is the largest, even between equal posteriors."""
    drawn = centre + width * rng.standard_normal((draws, len(centre)))
    wins = np.bincount(drawn.argmax(axis=1), minlength=len(centre)).astype(np.float64)
    _, kind, size = np.unique(
        np.stack([centre, width]), axis=1, return_inverse=True, return_counts=True
    )
    kind = kind.reshape(-1)
    shared: NDArray[np.float64] = (np.bincount(kind, wins) / size)[kind]
    return shared


def _equal(
    reports: Sequence[SiteReport], floor: int, budget: int, rng: np.random.Generator
) -> Mapping[str, Grant]:
    words = f"equal shares for {len(reports)} sites until rewards are measured"
    return grants(reports, [Claim(1.0, words)] * len(reports), floor, budget, rng)


def _words(mean: float, count: int, index: float, best: float) -> str:
    if index < 0:
        return f"no reward yet, so it counts as the best index {best:.2g}"
    return f"{mean:.2g} less loss per minute over {count} rewards, at most {index:.2g}"
