"""Lower confidence bounds on epsilon, from how often an attacker guessed right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit found.

    Attributes:
        claimed: epsilon that the account says was spent, at `delta`.
        delta: of both.
        canaries: fair coins, each of which put one patient in or left it out.
        right: how many of them were guessed right, guessing half of them in.
        gaussian: 95 % lower bound on epsilon, where the mechanism's trade-off is a Gaussian's.
        general: one without that assumption, from the surest tenth of the guesses; far looser.
    """

    claimed: float
    delta: float
    canaries: int
    right: int
    gaussian: float
    general: float

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the account."""
        return max(self.gaussian, self.general) <= self.claimed


_SUREST = 0.1  # of the guesses, for the general bound; fixed beforehand


def judged(
    scores: NDArray[np.float64], inside: NDArray[np.bool_], claimed: float, delta: float
) -> Found:
    """Guess the half of the canaries with the largest scores in, the others out, and bound epsilon.

    Args:
        scores: (n,) larger where a canary seems to be in.
        inside: (n,) how the coins fell.
        claimed: see `Found`, as delta.
    """
    order = np.argsort(scores, kind="stable")
    n, few = len(order), int(_SUREST * len(order) / 2)
    right = int((~inside[order[: n // 2]]).sum() + inside[order[n // 2 :]].sum())
    sure = int((~inside[order[:few]]).sum() + inside[order[n - few :]].sum())
    return Found(
        claimed,
        delta,
        n,
        right,
        gaussian_bound(right, n, delta),
        general_bound(sure, 2 * few, n, delta),
    )


def gaussian_bound(right: int, guesses: int, delta: float) -> float:
    """95 % lower bound on epsilon of a mechanism whose trade-off curve is a Gaussian's.

    Of two normal distributions mu apart nobody tells a fair coin with more than Phi(mu / 2); the
    share of right guesses is bounded as Clopper and Pearson do. The assumption is that of Nasr et
    al., USENIX Security 2023 (Tight Auditing, section 4.2); it is exact for sums of all patients
    with Gaussian noise, and near for many steps on samples (Dong, Roth and Su, JRSS B 2022, section
    5). That the guesses are independent is assumed, too: canaries hardly overlap.
    """
    share = float(beta.ppf(1 - CONFIDENCE, right, guesses - right + 1)) if right else 0.0
    return epsilon_of(2 * float(norm.ppf(max(share, 0.5))), delta)


def general_bound(right: int, guesses: int, canaries: int, delta: float) -> float:
    """95 % lower bound on epsilon of any mechanism, with many canaries in one run.

    Steinke, Nasr and Jagielski, NeurIPS 2023 (Privacy auditing with one (1) training run), theorem
    3.1 and the algorithm of its appendix D: nothing is assumed but that the coins are fair.

    Args:
        right: guesses that were right.
        guesses: made, the number fixed beforehand.
        canaries: coins in all.
        delta: of the claim.
    """

    def refuted(epsilon: float) -> bool:
        return _chance_of(right, guesses, canaries, epsilon, delta) < 1 - CONFIDENCE

    return _largest(refuted)


def _chance_of(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Most probability of so many right guesses under (epsilon, delta)."""
    if not right:
        return 1.0
    each = 1 / (1 + exp(-epsilon))
    tail = np.cumsum(binom.pmf(right - np.arange(1, right + 1), guesses, each))
    slope = float((tail / np.arange(1, right + 1)).max())
    return float(binom.sf(right - 1, guesses, each)) + 2 * canaries * delta * slope


def epsilon_of(mu: float, delta: float) -> float:
    """The epsilon at a delta of two normal distributions mu apart, exactly.

    Balle and Wang, ICML 2018, theorem 8; Dong, Roth and Su 2022, corollary 2.13.
    """

    def larger(epsilon: float) -> bool:
        lost = norm.cdf(mu / 2 - epsilon / mu) - np.exp(
            epsilon + norm.logcdf(-mu / 2 - epsilon / mu)
        )
        return bool(lost > delta)

    return _largest(larger) if mu > 0 else 0.0


def _largest(holds: Callable[[float], bool]) -> float:
    """Where something that holds from 0 on ends holding, up to 64; 0 where it never holds."""
    low, high = 0.0, 64.0
    if not holds(low):
        return 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
