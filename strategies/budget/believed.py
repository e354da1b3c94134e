"""What may be believed of the sites' gains: slopes of losses, shrunk to the common one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import chdtri

from strategies.budget.measured import Point

MEMORY = 6
"""Losses of a site that count, the latest: older ones tell of a model that learned faster."""

WRONG = math.log(100)
"""What one label is taken to cost at most: the log-loss of a class that the model gave 1 %."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Gains in log-loss per training label, by site.

    Attributes:
        gains: the measured gain of every site with losses at two different numbers of labels.
        errors: their standard errors.
        shrunk: of every site, at least 0: what the allocation goes by.
        common: the mean of the gains, weighted by 1 / error^2; 0 without gains.
        common_error: its standard error; infinite without gains.
        q: how much the gains differ, in units of their errors: sum of squares.
        quantile: what q would not exceed, at the confidence asked, were all gains equal.
    """

    gains: Mapping[str, float]
    errors: Mapping[str, float]
    shrunk: Mapping[str, float]
    common: float
    common_error: float
    q: float
    quantile: float


def believe(measured: Mapping[str, Sequence[Point]], confidence: float) -> Belief:
    """Measured and shrunk gains; the rule is in `Safe`.

    Args:
        measured: by site, its losses, oldest first.
        confidence: of the quantile, in (0, 1).
    """
    recent = {site: rows[-MEMORY:] for site, rows in sorted(measured.items())}
    squares = {site: _squares(rows) for site, rows in recent.items()}
    gains = {site: 0.0 - _slope(recent[site]) for site, s in squares.items() if s > 0}
    noise = _noise(recent, gains)
    if not gains or noise == 0:
        none = dict.fromkeys(recent, 0.0)
        return Belief({}, {}, none, 0.0, math.inf, 0.0, math.inf)
    precision = {site: squares[site] / noise for site in gains}
    total = math.fsum(precision.values())
    common = math.fsum(precision[s] * g for s, g in gains.items()) / total
    q = math.fsum(precision[s] * (g - common) ** 2 for s, g in gains.items())
    quantile = _quantile(len(gains) - 1, confidence)
    between = 0.0
    if q > quantile:
        between = (q - quantile) / (total - math.fsum(p * p for p in precision.values()) / total)
    shrunk = {
        site: common + (g - common) * between / (between + 1 / precision[site])
        for site, g in gains.items()
    }
    return Belief(
        gains=gains,
        errors={site: 1 / math.sqrt(p) for site, p in precision.items()},
        shrunk={site: max(0.0, shrunk.get(site, common)) for site in recent},
        common=common,
        common_error=1 / math.sqrt(total),
        q=q,
        quantile=quantile,
    )


def _centre(rows: Sequence[Point]) -> tuple[float, float]:
    """Mean number of labels and mean loss, weighted by exploration labels."""
    count = sum(p.count for p in rows)
    labels = math.fsum(p.count * p.labels for p in rows) / count
    return labels, math.fsum(p.count * p.loss for p in rows) / count


def _squares(rows: Sequence[Point]) -> float:
    """Weighted squares of the labels about their mean; 0 where they are all the same."""
    if len({p.labels for p in rows}) < 2:
        return 0.0
    labels, _ = _centre(rows)
    return math.fsum(p.count * (p.labels - labels) ** 2 for p in rows)


def _slope(rows: Sequence[Point]) -> float:
    labels, loss = _centre(rows)
    products = math.fsum(p.count * (p.labels - labels) * (p.loss - loss) for p in rows)
    return products / _squares(rows)


def _noise(recent: Mapping[str, Sequence[Point]], gains: Mapping[str, float]) -> float:
    """Variance of one label's loss, rather too large than too small.

    Most labels cost next to nothing and a few cost much: a handful of them shows too little of
    that, and its residual variance alone would take noise for a difference of gain. Losses between
    0 and W of mean m have a variance of at most m (W - m) (Bhatia and Davis, 2000); W is `WRONG`.
    Where the mean is beyond W / 2, its square is taken, and the residual variance where larger.
    """
    every = [p for rows in recent.values() for p in rows]
    if not every:
        return 0.0
    mean = math.fsum(p.count * p.loss for p in every) / sum(p.count for p in every)
    bound = mean * max(mean, WRONG - mean)
    freedom = sum(len(recent[site]) - 2 for site in gains)
    if freedom < 1:
        return bound
    errors = []
    for site, gain in gains.items():
        labels, loss = _centre(recent[site])
        errors += [
            p.count * (p.loss - loss + gain * (p.labels - labels)) ** 2 for p in recent[site]
        ]
    return max(bound, math.fsum(errors) / freedom)


def _quantile(freedom: int, confidence: float) -> float:
    """Of the chi-square law; infinite without a degree of freedom."""
    return float(chdtri(freedom, 1 - confidence)) if freedom else math.inf
