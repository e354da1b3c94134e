"""Paired differences between two arms over seeds: exact tests, robust and plain intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Below it a test rejects; intervals cover 1 - LEVEL."""
_DECIMALS = 12
"""Differences equal to so many decimals are tied."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Arm minus reference, seed by seed.

    Attributes:
        arm, reference: names of the arms.
        measure: what was compared, such as "aubc".
        seeds: of the pairs.
        differences: by seed, in the measure's unit.
        wins, losses: pairs in which the arm was better, worse.
        zeros: pairs without a difference; both tests leave them out.
        ties: some differences are equally large; ranks are then shared, the test stays exact.
        mean: of the differences.
        mean_interval: Student's 95 % interval; None with one pair.
        shift: Hodges-Lehmann estimate, the median of all means of two differences.
        shift_interval: its interval by inverting the Wilcoxon test.
        shift_coverage: what that interval covers; below 0.95 with fewer than six pairs.
        sign_p, wilcoxon_p: exact and two-sided; 1 where no pair differs.
        smallest_p: the smallest p that either test can give with so many differing pairs.
        exploratory: smallest_p is above 0.05: no result could have rejected.
        holm_p: the Wilcoxon p corrected for the number of arms compared (Holm).
        seeds_needed: pairs from which on so many arms can reject after that correction.
    """

    arm: str
    reference: str
    measure: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    wins: int
    losses: int
    zeros: int
    ties: bool
    mean: float
    mean_interval: tuple[float, float] | None
    shift: float
    shift_interval: tuple[float, float]
    shift_coverage: float
    sign_p: float
    wilcoxon_p: float
    smallest_p: float
    exploratory: bool
    holm_p: float = 1.0
    seeds_needed: int = 6


def sign_test(differences: Sequence[float]) -> float:
    """Two-sided exact p that positive and negative differences are equally likely, zeros left out.

    Returns:
        In (0, 1]; 1 where no difference is left.
    """
    from scipy.stats import binomtest

    kept = _differing(differences)
    if not kept.size:
        return 1.0
    return float(binomtest(int((kept > 0).sum()), int(kept.size), 0.5).pvalue)


def wilcoxon_test(differences: Sequence[float]) -> float:
    """Two-sided exact p of the signed-rank test, also with ties; zeros left out.

    The null distribution is counted over all 2^n signs of the ranks at hand, equal sizes sharing
    their mean rank, so no normal approximation enters.

    Returns:
        In (0, 1]; 1 where no difference is left.
    Source: Wilcoxon, Biometrics Bulletin 1945; ties as in Pratt, JASA 1959, section 4.
    """
    from scipy.stats import rankdata

    kept = _differing(differences)
    if not kept.size:
        return 1.0
    doubled = np.rint(2 * rankdata(np.abs(kept))).astype(np.int64)  # mean ranks are halves
    chance = _sums(doubled)
    observed = int(doubled[kept > 0].sum())
    lower, upper = chance[: observed + 1].sum(), chance[observed:].sum()
    return float(min(1.0, 2 * min(lower, upper)))


def _sums(weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each sum 0, 1, ... when every weight enters with probability one half."""
    chance = np.zeros(int(weights.sum()) + 1)
    chance[0] = 1.0
    for weight in weights:
        shifted = np.zeros_like(chance)
        shifted[weight:] = chance[: chance.size - weight]
        chance = (chance + shifted) / 2
    return chance


def hodges_lehmann(differences: Sequence[float]) -> tuple[float, tuple[float, float], float]:
    """The median of all pairwise means, an interval for it, and what that interval covers.

    The interval runs between two ordered pairwise means, chosen from the exact signed-rank
    distribution to cover at least 0.95, or as much as so few pairs allow.

    Source: Hodges and Lehmann, Ann. Math. Stat. 1963; Hollander and Wolfe (1999), section 3.3.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = values.size
    i, j = np.triu_indices(n)
    means = np.sort((values[i] + values[j]) / 2)
    tail = np.cumsum(_sums(np.arange(1, n + 1)))  # chance of a rank sum of at most 0, 1, ...
    cut = max(0, int(np.searchsorted(tail, LEVEL / 2, side="right")) - 1)
    interval = (float(means[cut]), float(means[means.size - 1 - cut]))
    return float(np.median(means)), interval, float(1 - 2 * tail[cut])


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of a mean; None with one value."""
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    if x.size < 2:
        return None
    half = float(t.ppf(1 - LEVEL / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
    return float(x.mean()) - half, float(x.mean()) + half


def pair(
    names: tuple[str, str],
    measure: str,
    arm: dict[int, float],
    reference: dict[int, float],
    lower_is_better: bool = False,
) -> Paired | None:
    """Compare two arms over the seeds that both have; None where they share none.

    Args:
        names: of the arm and of the reference.
        measure: what the values are.
        arm: value by seed.
        reference: value by seed.
        lower_is_better: decides what counts as a win; differences keep their sign.
    """
    seeds = tuple(sorted(arm.keys() & reference.keys()))
    if not seeds:
        return None
    found = tuple(round(arm[s] - reference[s], _DECIMALS) for s in seeds)
    kept = _differing(found)
    higher = int((kept > 0).sum())
    wins = kept.size - higher if lower_is_better else higher
    shift, interval, coverage = hodges_lehmann(found)
    smallest = smallest_p(kept.size)
    return Paired(
        arm=names[0],
        reference=names[1],
        measure=measure,
        seeds=seeds,
        differences=found,
        wins=wins,
        losses=kept.size - wins,
        zeros=len(found) - kept.size,
        ties=np.unique(np.abs(kept)).size < kept.size,
        mean=float(np.mean(found)),
        mean_interval=mean_interval(found),
        shift=shift,
        shift_interval=interval,
        shift_coverage=coverage,
        sign_p=sign_test(found),
        wilcoxon_p=wilcoxon_test(found),
        smallest_p=smallest,
        exploratory=smallest > LEVEL,
    )


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p of either test with so many differing pairs: 2 * 0.5^n."""
    return min(1.0, 2 * 0.5**pairs)


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down corrected p values, in the order given.

    Source: Holm, Scand. J. Stat. 1979.
    """
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=lambda k: values[k])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        corrected[i] = largest
    return tuple(corrected)


def correct(pairs: Sequence[Paired]) -> tuple[Paired, ...]:
    """Comparisons of one measure with `holm_p` and `seeds_needed` for their number."""
    needed = next(n for n in range(1, 64) if len(pairs) * smallest_p(n) <= LEVEL)
    return tuple(
        replace(p, holm_p=value, seeds_needed=needed)
        for p, value in zip(pairs, holm([p.wilcoxon_p for p in pairs]), strict=True)
    )


def _differing(differences: Sequence[float]) -> NDArray[np.float64]:
    """The differences that are not zero, rounded so that equal ones are equal."""
    values = np.round(np.asarray(differences, dtype=np.float64), _DECIMALS)
    kept: NDArray[np.float64] = values[values != 0]
    return kept
