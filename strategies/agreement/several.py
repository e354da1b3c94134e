"""Agreement of two readers or more, of whom each may have left cases out: Fleiss' and Gwet's.

Both hold the mean share of a case's pairs of answers that agree against what chance would give, and
differ in what they take chance for. Missing answers as in Gwet, Handbook of Inter-Rater Reliability
(4th edition, 2014): agreement rests on cases with two answers or more, the categories'
shares on all cases with one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.agreement.answers import Answers
from strategies.agreement.estimate import Estimate, spread, undefined, within


@dataclass(frozen=True, slots=True)
class _Shares:
    """What both coefficients are made of, over n cases with an answer.

    Attributes:
        agreed: (n,) share of a case's pairs of answers that agree; 0 for cases of one answer.
        several: (n,) 1 for a case with two answers or more, else 0.
        of_case: (n, q) share of a case's answers that name a category.
        overall: (q,) mean of that over the cases.
    """

    agreed: NDArray[np.float64]
    several: NDArray[np.float64]
    of_case: NDArray[np.float64]
    overall: NDArray[np.float64]

    @property
    def observed(self) -> float:
        """Mean share of agreeing pairs."""
        return float(self.agreed.sum() / self.several.sum())


def fleiss(answers: Answers) -> Estimate:
    """Fleiss' kappa: chance is two answers drawn from all, p_e = sum of the shares squared.

    kappa = (p_o - p_e) / (1 - p_e), p_o the mean share of a case's pairs of answers that agree.

    Source: Fleiss, Measuring Nominal Scale Agreement among Many Raters, Psychological Bulletin 76
    (1971). Interval: the linearised variance over cases of Gwet (2014; see above), which holds
    for any kappa and not at 0 alone, with Student's t, n - 1.
    """
    shares = _shares(answers)
    if shares is None:
        return undefined(0)
    return _coefficient(shares, float(shares.overall @ shares.overall), shares.overall)


def gwet(answers: Answers) -> Estimate:
    """Gwet's AC1, which keeps its value where nearly all answers name one category.

    AC1 = (p_o - p_e) / (1 - p_e), p_e = sum over the categories of share (1 - share) / (q - 1).
    With one category, 1.

    Source: Gwet, Computing inter-rater reliability and its variance in the presence of high
    agreement, British Journal of Mathematical and Statistical Psychology 61 (2008): AC1 of several
    raters and its variance over cases, here with Student's t, n - 1.
    """
    shares, q = _shares(answers), answers.categories
    if shares is None:
        return undefined(0)
    if q < 2:
        return Estimate(1.0, np.nan, np.nan, int(shares.several.sum()))
    expected = float((shares.overall * (1 - shares.overall)).sum()) / (q - 1)
    return _coefficient(shares, expected, (1 - shares.overall) / (q - 1))


def percent(answers: Answers) -> Estimate:
    """Mean share of a case's pairs of answers that agree, chance included.

    Interval: Wilson's where every case has two answers (Wilson, JASA 22, 1927), so that it also
    says something where all agree; else the mean's over cases with Student's t, cut at 0 and 1.
    """
    shares = _shares(answers)
    if shares is None:
        return undefined(0)
    agreed = shares.agreed[shares.several > 0]
    n, value = len(agreed), float(agreed.mean())
    if (answers.shared.counts.sum(axis=1) == 2).all():
        return _wilson(value, n)
    found = within(value, spread(agreed, value), n, freedom=n - 1)
    low = found.low if np.isnan(found.low) else max(0.0, found.low)
    return Estimate(value, low, found.high, n)


def _wilson(share: float, n: int) -> Estimate:
    z = 1.959963984540054
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    width = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    return Estimate(share, max(0.0, middle - width), min(1.0, middle + width), n)


def _shares(answers: Answers) -> _Shares | None:
    """None where no case has two answers."""
    counts = answers.counts
    counts = counts[counts.sum(axis=1) > 0]
    total = counts.sum(axis=1)
    several = (total >= 2).astype(np.float64)
    if not several.any():
        return None
    pairs = np.maximum(total * (total - 1), 1)
    agreed = (counts * (counts - 1)).sum(axis=1) / pairs
    of_case = counts / total[:, None]
    return _Shares(agreed, several, of_case, of_case.mean(axis=0))


def _coefficient(shares: _Shares, expected: float, weight: NDArray[np.float64]) -> Estimate:
    """(p_o - p_e) / (1 - p_e) and its interval.

    Args:
        shares: of the answers.
        expected: p_e, the mean over cases of `of_case @ weight`.
        weight: (q,).
    """
    n, several = len(shares.agreed), int(shares.several.sum())
    if expected > 1 - 1e-12:
        return undefined(several)
    value = (shares.observed - expected) / (1 - expected)
    own = n / several * (shares.agreed - expected * shares.several) / (1 - expected)
    chance = (shares.of_case @ weight - expected) / (1 - expected)
    error = spread(own - 2 * (1 - value) * chance, value)
    return within(value, error, several, freedom=n - 1)
