"""Threshold against the global top B: every case of every site in one list, where B can be read."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import UNCERTAINTY_BINS, SiteReport
from strategies.budget import Threshold

Sites = dict[str, list[float]]
SEEDS = st.integers(0, 10**6)


def drawn(seed: int, sites: int) -> tuple[Sites, dict[str, int]]:
    """Each site's uncertainties, most uncertain first, and how many of them it can read."""
    rng = np.random.default_rng(seed)
    cases, caps = {}, {}
    for name in "abcdef"[:sites]:
        n = int(rng.integers(0, 30))
        most = rng.choice([0.4, 1.0])  # a site that the model is sure of has its floor alone
        cases[name] = sorted((most * rng.beta(2, 1, n)).tolist(), reverse=True)
        caps[name] = n if rng.random() < 0.5 else int(rng.integers(n + 1))
    return cases, caps


def bin_of(u: float) -> int:
    return min(int(u * UNCERTAINTY_BINS), UNCERTAINTY_BINS - 1)


def granted(cases: Sites, caps: dict[str, int], floor: int, budget: int) -> dict[str, int]:
    reports = []
    for name, row in cases.items():
        places = [bin_of(u) for u in row]
        bins = tuple(places.count(i) for i in range(UNCERTAINTY_BINS))
        zeros = ((0, 0), (0, 0))
        reports.append(
            SiteReport(name, len(row), 0, 0, caps[name], 0.0, bins, (0, 0), (0, 0), zeros)
        )
    grants = Threshold(floor).allocate(reports, [], budget, np.random.default_rng(0))
    return {name: grant.count for name, grant in grants.items()}


def top(cases: Sites, caps: dict[str, int], floor: int, budget: int) -> dict[str, int]:
    """Each site's first cases up to its floor, then the most uncertain of all that can be read."""
    counts = {name: min(floor, caps[name]) for name in cases}
    ranked = sorted(
        ((u, name) for name, row in cases.items() for u in row[counts[name] : caps[name]]),
        reverse=True,
    )
    for _, name in ranked[: budget - sum(counts.values())]:
        counts[name] += 1
    return counts


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 6), st.integers(0, 4), st.integers(0, UNCERTAINTY_BINS))
def test_a_budget_that_ends_where_a_bin_does_buys_the_most_uncertain_cases_of_all(
    seed: int, sites: int, floor: int, edge: int
) -> None:
    cases, caps = drawn(seed, sites)
    budget = 0
    for name, row in cases.items():
        beyond = sum(bin_of(u) >= edge for u in row)
        budget += min(max(beyond, min(floor, caps[name])), caps[name])
    assert granted(cases, caps, floor, budget) == top(cases, caps, floor, budget)


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 6), st.integers(0, 120))
def test_of_the_bin_in_which_the_budget_ends_every_site_gets_an_equal_part(
    seed: int, sites: int, budget: int
) -> None:
    cases, _ = drawn(seed, sites)
    caps = {name: len(row) for name, row in cases.items()}
    found = granted(cases, caps, 0, budget)
    budget = min(budget, sum(caps.values()))
    assert sum(found.values()) == budget
    left, last = budget, UNCERTAINTY_BINS - 1
    places = {name: [bin_of(u) for u in row] for name, row in cases.items()}
    while last > 0 and left > (n := sum(row.count(last) for row in places.values())):
        left, last = left - n, last - 1
    inside = sum(row.count(last) for row in places.values())
    for name, row in places.items():
        part = Fraction(left, inside) * row.count(last) if inside else Fraction(0)
        wanted = sum(place > last for place in row) + part
        assert abs(found[name] - wanted) < 1 + 1e-6
