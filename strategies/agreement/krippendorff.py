"""Agreement of any number of readers with any number of missing answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.agreement.answers import Answers
from strategies.agreement.estimate import LEVEL, Estimate, undefined

DRAWS = 2000


def krippendorff(answers: Answers, rng: np.random.Generator, draws: int = DRAWS) -> Estimate:
    """Krippendorff's alpha for nominal categories, 1 - D_o / D_e.

    Only cases with two answers or more are pairable. With n_uc answers of case u in category c,
    m_u answers of the case and n.. pairable answers in all,
    D_o = 1/n.. sum over u of sum over c != k of n_uc n_uk / (m_u - 1), and
    D_e = sum over c != k of n_c n_k / (n.. (n.. - 1)).

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), nominal data
    with missing answers. Interval: percentiles of a bootstrap that draws whole cases.

    Args:
        answers: of the readers.
        rng: for the bootstrap.
        draws: of the bootstrap.
    """
    counts = answers.shared.counts
    if not len(counts):
        return undefined(0)
    total = counts.sum(axis=1)
    apart = (total**2 - (counts**2).sum(axis=1)) / (total - 1)
    once = np.ones((1, len(counts)))
    value = float(_alpha(once, apart, counts)[0])
    if not np.isfinite(value):
        return undefined(len(counts))
    if len(counts) < 2 or not apart.any():
        return Estimate(value, np.nan, np.nan, len(counts))
    even = np.full(len(counts), 1 / len(counts))
    times = rng.multinomial(len(counts), even, size=draws).astype(np.float64)
    found = _alpha(times, apart, counts)
    found = found[np.isfinite(found)]  # a draw of one category alone has no alpha
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), len(counts))


def _alpha(
    times: NDArray[np.float64], apart: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(b,) alphas of samples in which each case stands so many times; NaN where undefined.

    Args:
        times: (b, n).
        apart: (n,) disagreement of each case.
        counts: (n, q).
    """
    of_category = times @ counts
    total = of_category.sum(axis=1)
    observed = times @ apart / total
    expected = (total**2 - (of_category**2).sum(axis=1)) / (total * (total - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha: NDArray[np.float64] = 1 - observed / expected
    alpha[expected < 1e-12] = np.nan
    return alpha
