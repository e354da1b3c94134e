"""Learning curve: the budget where the fitted curves promise the largest drop of loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.measured import Point, minutes_per_reading, points
from strategies.budget.policy import Claim, check_floor, grants, ordered

_EXPONENTS = np.arange(1, 31) / 20
"""Exponents tried: 0.05 to 1.5."""

_HALVINGS = 80
"""Of the interval that holds the common level of the marginal gains."""

_FLAT = 1e-9
"""A fall up to this, in nats, is rounding: losses that stay as they are have one, too."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Losses e_k(n) = a_k * n ** -exponent + rest after n labels of site k.

    Attributes:
        a: by site, at least 0.
        exponent: shared by all sites, above 0.
        rest: the loss that no label removes, shared by all sites, at least 0.
        fall: how far the losses spread along n ** -exponent within the sites, each with a level
            of its own, in nats; below 0 where they rise with labels.
    """

    a: Mapping[str, float]
    exponent: float
    rest: float
    fall: float

    @property
    def falling(self) -> bool:
        """Whether the losses show learning: within the sites, not only between them."""
        return self.fall > _FLAT and any(self.a.values())


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The largest expected drop of loss per minute, by one learning curve for each site.

    Fits e_k(n) = a_k n^-beta + e_inf to the prequential losses of past cycles, n the site's own
    training labels, beta and e_inf shared by all sites, squares weighted by exploration labels,
    a_k and e_inf at least 0, beta the best of 0.05, 0.10, ... 1.50. The grants then fill up the
    marginal gains to one level: a_k beta (n_k + b_k)^-(beta + 1) / c_k is equal at all sites
    between floor and capacity, c_k the minutes of one reading. Every site's loss counts the same,
    whatever its size. A site without points takes the mean a_k. Equal shares until there are more
    points than the curves have parameters (one per site with points, and two), and where losses do
    not fall within the sites (no a_k above 0, or no fall over n^-beta once each site has a level of
    its own): a_k of losses that rise would tell a site's level alone. One unit of the budget reads
    one case: refused where `budget.unit` is "minutes", and where a case takes more than one
    reading.

    Attributes:
        floor: least grant of a site that can use it.

    Source: Hestness et al., arXiv 1712.00409, section 3 (power laws with an offset); filling up is
    the optimum of a separable concave sum (Boyd and Vandenberghe 2004, example 5.2).
    """

    by_exploration: ClassVar[bool] = True
    by_cases: ClassVar[bool] = True

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
        """Grants by expected gain; see `BudgetPolicy`."""
        reports = ordered(reports)
        measured = {s: [p for p in rows if p.labels] for s, rows in points(reports, past).items()}
        curves = fit(measured)
        if curves is None or not curves.falling:
            have = sum(len(rows) for rows in measured.values())
            words = f"equal shares for {len(reports)} sites: {have} losses {_why(curves)}"
            return grants(reports, [Claim(1.0, words)] * len(reports), self.floor, budget, rng)
        usual = math.fsum(curves.a.values()) / len(curves.a)
        a = [curves.a.get(r.site, usual) for r in reports]
        costs = minutes_per_reading(reports)
        power = 1 / (1 + curves.exponent)
        widths = [(x / c) ** power for x, c in zip(a, costs, strict=True)]
        filled = _fill(reports, widths, self.floor, budget)
        claims = [
            Claim(
                b,
                f"expected loss {x:.3g} n^-{curves.exponent:.2f} + {curves.rest:.3f} at "
                f"n = {r.labeled} labels, {len(measured[r.site])} losses, {c:.2f} minutes per "
                "reading",
            )
            for r, b, x, c in zip(reports, filled, a, costs, strict=True)
        ]
        return grants(reports, claims, self.floor, budget, rng)


def _why(curves: Curves | None) -> str:
    """Why losses say nothing of what labels are worth."""
    if curves is None:
        return "are too few for curves"
    if not any(curves.a.values()):
        return "show no site learning"
    return "do not fall within the sites, taken together"


def fit(measured: Mapping[str, Sequence[Point]]) -> Curves | None:
    """The curves of least weighted squares; None where the points are too few.

    Args:
        measured: by site, every point with at least one label.
    """
    sites = sorted(site for site, rows in measured.items() if rows)
    rows = [(column, p) for column, site in enumerate(sites) for p in measured[site]]
    if len(rows) <= len(sites) + 2:
        return None
    columns = np.array([column for column, _ in rows])
    labels = np.array([float(p.labels) for _, p in rows])
    losses = np.array([p.loss for _, p in rows])
    weights = np.sqrt([float(p.count) for _, p in rows])
    fits = [_fit_at(x, columns, labels, losses, weights) for x in _EXPONENTS]
    best = min(range(len(fits)), key=lambda i: fits[i][1])
    a, rest = fits[best][0][:-1].tolist(), float(fits[best][0][-1])
    exponent = float(_EXPONENTS[best])
    fall = _fall(columns, labels**-exponent, losses, weights**2)
    return Curves(dict(zip(sites, a, strict=True)), exponent, rest, fall)


def _fit_at(
    exponent: float,
    columns: NDArray[np.int64],
    labels: NDArray[np.float64],
    losses: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """(sites + 1,) the a_k and the rest at one exponent, and the root of the squared error."""
    from scipy.optimize import nnls  # late: short commands must answer fast

    design = np.zeros((len(labels), int(columns.max()) + 2))
    design[np.arange(len(labels)), columns] = labels**-exponent
    design[:, -1] = 1.0
    solution, error = nnls(design * weights[:, None], losses * weights)
    return np.asarray(solution, dtype=np.float64), float(error)


def _fall(
    columns: NDArray[np.int64],
    x: NDArray[np.float64],
    losses: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> float:
    """The slope of the losses over x within sites, times the deviation of x; 0 where that is 0."""

    def within(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means = np.bincount(columns, weights * values) / np.bincount(columns, weights)
        return np.asarray(values - means[columns], dtype=np.float64)

    over = within(x)
    if np.abs(over).max() < _FLAT * x.max():
        return 0.0
    size = np.sqrt(weights @ over**2 * weights.sum())
    return float((weights * over) @ within(losses) / size)


def _fill(
    reports: Sequence[SiteReport], widths: Sequence[float], floor: int, budget: int
) -> list[float]:
    """The weights clip(height * width - labels, 0, capacity) at the height of the budget.

    At one height all sites between their limits have the same marginal gain. The height is the
    largest at which the weights, raised to the floor, sum to no more than the budget.
    """
    caps = [r.capacity for r in reports]
    total = min(budget, sum(caps))

    def at(height: float, least: int = 0) -> list[float]:
        return [
            min(max(height * w - r.labeled, least), r.capacity)
            for r, w in zip(reports, widths, strict=True)
        ]

    low = 0.0
    high = max((r.labeled + r.capacity) / w for r, w in zip(reports, widths, strict=True) if w)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if math.fsum(at(middle, floor)) > total else (middle, high)
    return at(low)
