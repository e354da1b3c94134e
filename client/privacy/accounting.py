"""Rényi differential privacy of Gaussian noise: what one release costs, and what costs sum up to.

Pure and light: no torch, no opacus, no numpy, so that `wardround-site privacy` answers at once. The
neighbours are two sites that differ by all that one of them has of one patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

ORDERS = (*(1 + x / 4 for x in range(1, 28)), *(float(a) for a in range(8, 65)), 96.0, 128.0, 256.0)
"""Rényi orders an account may be kept at."""

_ENOUGH = 40.0  # in nats below the sum: terms that no longer count


Mechanism = Literal["dp-sgd", "dp-sgd-swap", "gaussian"]


@dataclass(frozen=True, slots=True)
class Cost:
    """One charge: Gaussian noise, once or in several steps.

    Attributes:
        mechanism: "dp-sgd" is Gaussian noise on the sum over a Poisson sample of the patients;
            "gaussian" the same on all of them, discrete where whole numbers are told;
            "dp-sgd-swap" is "dp-sgd" where a patient more displaces another from those trained on.
        noise: standard deviation over the most that one patient changes; above 0.
        share: probability with which a patient is in a step's sample, in (0, 1].
        steps: how often.
    """

    mechanism: Mechanism
    noise: float
    share: float = 1.0
    steps: int = 1

    def rdp(self, order: float) -> float:
        """The Rényi divergence of that order that it adds, in nats."""
        one = swapped if self.mechanism == "dp-sgd-swap" else subsampled
        return self.steps * one(self.share, self.noise, order)


def gaussian(noise: float, order: float) -> float:
    """Of the Gaussian mechanism (Mironov, CSF 2017, proposition 7), order / (2 noise^2).

    The discrete Gaussian on whole numbers obeys it, too (Canonne, Kamath and Steinke, NeurIPS 2020,
    theorem 14).
    """
    return order / (2 * noise**2)


def subsampled(share: float, noise: float, order: float) -> float:
    """Of the Gaussian mechanism on a Poisson sample, one step.

    Mironov, Talwar and Zhang 2019 (arXiv 1908.10530), section 3.3: exact, for whole orders as a
    finite sum, for others as two series.

    Args:
        share: probability of being sampled; 0 costs nothing, 1 is `gaussian`.
        noise: multiplier of the sensitivity.
        order: above 1.
    """
    if share <= 0:
        return 0.0
    if share >= 1:
        return gaussian(noise, order)
    terms = _whole(share, noise, int(order)) if order.is_integer() else None
    moment = _sum(terms) if terms is not None else _fractional(share, noise, order)
    return max(0.0, moment) / (order - 1)


def swapped(share: float, noise: float, order: float) -> float:
    """Of one step where the neighbours differ by one patient in the other's place.

    By way of the sample with neither: the weak triangle inequality (Mironov, CSF 2017, proposition
    11, with p = q = 2).
    """
    there = subsampled(share, noise, 2 * order)
    return (order - 0.5) / (order - 1) * there + subsampled(share, noise, 2 * order - 1)


def epsilon(rdp: float, order: float, delta: float) -> float:
    """The epsilon that a Rényi divergence means at a delta; 0 where nothing was spent.

    Canonne, Kamath and Steinke, NeurIPS 2020, proposition 12.
    """
    return max(0.0, rdp + _toll(order, delta)) if rdp > 0 else 0.0


def room(budget: float, order: float, delta: float) -> float:
    """The Rényi divergence of that order whose epsilon is the budget; below 0: there is none."""
    return budget - _toll(order, delta)


def best_order(budget: float, delta: float) -> float:
    """The order at which a budget leaves most room for Gaussian noise.

    It is fixed when an account is opened, from public numbers alone: the filter for schedules that
    are chosen on the way (Feldman and Zrnic, NeurIPS 2021, theorem 4.3) is one of a single order.
    """
    return max(ORDERS, key=lambda order: room(budget, order, delta) / order)


def noise_for(
    target: float, share: float, steps: int, order: float, mechanism: Mechanism = "dp-sgd"
) -> float:
    """The least noise multiplier, to three decimals, whose steps cost at most the target.

    Raises:
        ValueError: the target is not above 0, or no noise up to 10,000 is enough.
    """
    low, high = 0, 10_000_000
    if target <= 0 or Cost(mechanism, high / 1000, share, steps).rdp(order) > target:
        raise ValueError(f"a target of {target:.3g} nats: accepted is one that noise can meet")
    while high - low > 1:
        middle = (low + high) // 2
        cost = Cost(mechanism, middle / 1000, share, steps).rdp(order)
        low, high = (low, middle) if cost <= target else (middle, high)
    return high / 1000


def _toll(order: float, delta: float) -> float:
    """What is added to a Rényi divergence to make it an epsilon."""
    return math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def _whole(share: float, noise: float, order: int) -> Iterable[float]:
    """Logarithms of the terms of the moment, for a whole order."""
    for k in range(order + 1):
        ways = math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
        weight = k * math.log(share) + (order - k) * math.log1p(-share)
        yield ways + weight + (k * k - k) / (2 * noise**2)


def _fractional(share: float, noise: float, order: float) -> float:
    """The logarithm of the moment, for an order between whole ones."""
    edge = noise**2 * math.log(1 / share - 1) + 0.5
    sums = {1: -math.inf, -1: -math.inf}
    for k, ways, sign in _binomials(order):
        rest = order - k
        here = _half(share, noise, (k, rest), k - edge)
        there = _half(share, noise, (rest, k), edge - rest)
        term = ways + _sum((here, there))
        sums[sign] = _sum((sums[sign], term))
        if k > order and term < sums[1] - _ENOUGH:
            break
    high, low = sums[1], sums[-1]
    return high + math.log1p(-math.exp(low - high)) if low > -math.inf else high


def _half(share: float, noise: float, powers: tuple[float, float], beyond: float) -> float:
    """The logarithm of one term's integral over its half of the line.

    Args:
        share: see `subsampled`, as noise.
        powers: of the share, and of 1 - share.
        beyond: how far the term's mean lies beyond the edge between the halves, cut there.
    """
    k, rest = powers
    weight = k * math.log(share) + rest * math.log1p(-share) + (k * k - k) / (2 * noise**2)
    return weight + math.log(0.5) + _log_erfc(beyond / (math.sqrt(2) * noise))


def _binomials(order: float) -> Iterator[tuple[int, float, int]]:
    """k, log |binomial(order, k)| and its sign, for k from 0 on."""
    size, sign = 0.0, 1
    for k in count():
        yield k, size, sign
        factor = (order - k) / (k + 1)
        size += math.log(abs(factor))
        sign = sign if factor > 0 else -sign


def _log_erfc(x: float) -> float:
    """log(erfc(x)), also where erfc is 0 in double precision."""
    if x < 20:
        return math.log(math.erfc(x))
    return -x * x - math.log(x * math.sqrt(math.pi)) + math.log1p(-1 / (2 * x * x))


def _sum(logs: Iterable[float]) -> float:
    """The logarithm of the sum of what these are the logarithms of."""
    found = list(logs)
    top = max(found, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(v - top) for v in found))
