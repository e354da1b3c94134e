from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import UNCERTAINTY_BINS, SiteReport
from strategies.budget import BUDGET, BudgetPolicy, Proportional, UncertaintyMass, Uniform
from strategies.budget.histogram import mass
from strategies.budget.rounding import share


def report(site: str, pool: int, capacity: int, bins: dict[int, int] | None = None) -> SiteReport:
    histogram = [0] * UNCERTAINTY_BINS
    for i, n in (bins or {}).items():
        histogram[i] = n
    return SiteReport(
        site=site,
        pool=pool,
        labeled=0,
        audit_left=0,
        capacity=capacity,
        seconds_per_reading=0.0,
        uncertainty=tuple(histogram),
        predicted=(pool, 0),
        labels=(0, 0),
        kept=((0, 0), (0, 0)),
    )


@st.composite
def site_reports(draw: st.DrawFn) -> list[SiteReport]:
    names = draw(st.lists(st.text("abcdef", min_size=1, max_size=4), max_size=9, unique=True))
    small = st.integers(0, 60)
    return [
        report(n, draw(small), draw(small), {draw(st.integers(0, 31)): draw(small)}) for n in names
    ]


def counts_of(
    policy: BudgetPolicy, reports: list[SiteReport], budget: int, seed: int = 0
) -> dict[str, int]:
    granted = policy.allocate(reports, [], budget, np.random.default_rng(seed))
    return {site: g.count for site, g in granted.items()}


@pytest.mark.parametrize("name", sorted(BUDGET))
@settings(deadline=None, max_examples=20)
@given(
    reports=site_reports(),
    budget=st.integers(0, 300),
    floor=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_every_policy_sums_exactly_within_floors_and_caps(
    name: str, reports: list[SiteReport], budget: int, floor: int, seed: int
) -> None:
    policy = BUDGET[name](floor=floor)
    counts = counts_of(policy, reports, budget, seed)
    caps = {r.site: r.capacity for r in reports}
    lows = {site: min(floor, cap) for site, cap in caps.items()}
    assert counts.keys() == caps.keys()
    assert sum(counts.values()) == min(budget, sum(caps.values()))
    assert all(0 <= counts[s] <= caps[s] for s in caps)
    if sum(lows.values()) <= budget:
        assert all(counts[s] >= lows[s] for s in caps)
    else:
        open_ = [counts[s] for s in caps if counts[s] < lows[s]]
        assert max(counts.values()) - min(open_) <= 1  # as even as possible
    assert counts == counts_of(policy, reports, budget, seed)
    assert counts == counts_of(policy, reports[::-1], budget, seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    weights=st.lists(
        st.one_of(st.just(0.0), st.floats(0, allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=8,
    ),
    budget=st.integers(0, 200),
)
def test_share_is_within_one_of_the_exact_share_when_nothing_limits(
    weights: list[float], budget: int
) -> None:
    n = len(weights)
    scaled = [w / 2**10 for w in weights]  # so that their sum is finite
    counts = share(weights, [budget] * n, [0] * n, budget, np.random.default_rng(0))
    whole = sum(scaled)
    exact = [budget * w / whole if whole else budget / n for w in scaled]
    assert sum(counts) == budget
    assert all(abs(c - e) < 1 + 1e-6 for c, e in zip(counts, exact, strict=True))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    weights=st.lists(st.floats(0, 1e6), min_size=2, max_size=8),
    cap=st.integers(0, 50),
    budget=st.integers(0, 300),
)
def test_a_larger_claim_never_gets_less_than_a_smaller_one(
    weights: list[float], cap: int, budget: int
) -> None:
    n = len(weights)
    lows_fit = min(1, cap) * n <= budget
    counts = share(weights, [cap] * n, [1] * n, budget, np.random.default_rng(3))
    by_weight = sorted(zip(weights, counts, strict=True))
    larger_first_ok = all(c1 <= c2 for (w1, c1), (w2, c2) in pairwise(by_weight) if w1 < w2)
    assert larger_first_ok or not lows_fit


@pytest.mark.parametrize(
    ("weights", "caps", "floors", "budget", "expected"),
    [
        ([1, 1, 1, 1], [99] * 4, [0] * 4, 48, [12, 12, 12, 12]),
        ([5, 3, 2], [99] * 3, [0] * 3, 7, [4, 2, 1]),  # 3.5, 2.1, 1.4: the half is the largest
        ([8, 1, 1], [5, 99, 99], [0] * 3, 11, [5, 3, 3]),  # the cap's overflow by weight
        ([98, 1, 1], [99] * 3, [2] * 3, 10, [6, 2, 2]),  # raised to the floor, the rest pays
        ([98, 1, 1], [99, 1, 99], [2] * 3, 10, [7, 1, 2]),  # a floor above the cap is the cap
        ([0, 1, 1], [9, 2, 2], [0] * 3, 9, [5, 2, 2]),  # weight 0 takes what others cannot use
        ([0, 0], [9, 9], [0, 0], 6, [3, 3]),
        ([1, 1], [2, 3], [0, 0], 100, [2, 3]),
        ([9, 1, 1], [9, 1, 9], [4] * 3, 5, [2, 1, 2]),  # less than the floors: even
        ([1, 1], [9, 9], [6, 1], 4, [3, 1]),  # and no more than each floor
        ([], [], [], 5, []),
    ],
)
def test_share_by_hand(
    weights: list[float], caps: list[int], floors: list[int], budget: int, expected: list[int]
) -> None:
    assert share(weights, caps, floors, budget, np.random.default_rng(0)) == expected


def test_ties_favour_nobody() -> None:
    rng = np.random.default_rng(0)
    extra = Counter(share([1, 1, 1], [9] * 3, [0] * 3, 4, rng).index(2) for _ in range(600))
    assert all(150 < extra[i] < 250 for i in range(3))


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -0.1])
def test_impossible_weights_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"weight = .*accepted is a finite number"):
        share([1.0, weight], [1, 1], [0, 0], 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("caps", "floors", "budget", "word"),
    [([-1], [0], 1, "cap = -1"), ([1], [-2], 1, "floor = -2"), ([1], [0], -3, "budget = -3")],
)
def test_negative_counts_are_refused(
    caps: list[int], floors: list[int], budget: int, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        share([1.0], caps, floors, budget, np.random.default_rng(0))


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="2 weights, 1 caps and 1 floors"):
        share([1.0, 1.0], [1], [0], 1, np.random.default_rng(0))


def test_proportional_by_hand() -> None:
    reports = [report("a", 300, 99), report("b", 100, 99), report("c", 0, 0)]
    assert counts_of(Proportional(), reports, 40) == {"a": 30, "b": 10, "c": 0}
    assert counts_of(Proportional(power=0.0), reports, 40) == {"a": 20, "b": 20, "c": 0}
    assert counts_of(Proportional(power=2.0), reports, 40) == {"a": 36, "b": 4, "c": 0}


def test_a_large_power_stays_finite() -> None:
    reports = [report("a", 90_000, 99), report("b", 100, 99)]
    assert counts_of(Proportional(power=200.0), reports, 40) == {"a": 40, "b": 0}


def test_uncertainty_mass_by_hand() -> None:
    top, bottom = report("top", 10, 99, {31: 10}), report("low", 10, 99, {0: 10})
    assert mass(top) == pytest.approx(10 * 63 / 64)
    assert mass(bottom) == pytest.approx(10 / 64)
    # masses 63 : 1, so 64 readings by mass alone, 32 + 31.5 and 0.5 + 16 of 64 when half trusted
    every, half = UncertaintyMass(trust=1.0, span=1e9), UncertaintyMass(trust=0.5, span=1e9)
    assert counts_of(every, [top, bottom], 64) == {"top": 63, "low": 1}
    assert counts_of(UncertaintyMass(trust=0.0), [top, bottom], 64) == {"top": 32, "low": 32}
    assert counts_of(half, [top, bottom], 128) == {"top": 95, "low": 33}


def test_attack_that_inflates_uncertainty_draws_at_most_a_fifth_more() -> None:
    """Whatever one of six sites really has, and whatever it says."""
    for honest in range(32):
        others = [report(f"s{i}", 500, 9999, {12 + i: 500}) for i in range(5)]
        fair = counts_of(UncertaintyMass(), [*others, report("x", 500, 9999, {honest: 500})], 6000)
        evil = counts_of(UncertaintyMass(), [*others, report("x", 500, 9999, {31: 500})], 6000)
        assert evil["x"] <= 1.2 * fair["x"]
    naive = UncertaintyMass(trust=1.0, span=1e9)
    fair = counts_of(naive, [*others, report("x", 500, 9999, {4: 500})], 6000)
    evil = counts_of(naive, [*others, report("x", 500, 9999, {31: 500})], 6000)
    assert evil["x"] > 3 * fair["x"]


def test_no_uncertainty_anywhere_is_uniform() -> None:
    reports = [report("a", 0, 10), report("b", 0, 10)]
    assert counts_of(UncertaintyMass(), reports, 8) == {"a": 4, "b": 4}


def test_reasons_state_the_statistics_and_the_limit() -> None:
    reports = [report("a", 300, 99, {31: 300}), report("b", 100, 2, {0: 64})]
    rng = np.random.default_rng(0)
    uniform = Uniform().allocate(reports, [], 10, rng)
    less = "; others take less than their share"
    assert uniform["a"].reason == f"8 of 10: equal shares for 2 sites{less}"
    assert uniform["b"].reason == "2 of 10: equal shares for 2 sites; 2 is all that it can use"
    proportional = Proportional(power=0.5, floor=3).allocate(reports, [], 10, rng)["a"].reason
    assert (
        proportional
        == f"8 of 10: in proportion to its 300 of 400 unlabeled cases, to the power 0.5{less}"
    )
    by_mass = UncertaintyMass().allocate(reports, [], 10, rng)["a"].reason
    assert by_mass == (
        "8 of 10: uncertainty mass 172.5 of 200.3, 295.3 as told (300 unlabeled cases), "
        f"trusted for 50%, the rest equal for 2 sites{less}"
    )
    floored = Proportional(floor=3).allocate([report("a", 97, 99), report("b", 3, 9)], [], 20, rng)
    assert floored["b"].reason.endswith("; the floor is 3")
    even = Uniform(floor=3).allocate([report("a", 9, 99), report("b", 9, 99)], [], 6, rng)
    assert even["a"].reason == "3 of 6: equal shares for 2 sites"  # the floor is met, not felt
    short = Uniform(floor=3).allocate([report("a", 9, 99), report("b", 9, 99)], [], 4, rng)
    words = "2 of 4: equal shares for 2 sites; 4 is too little for every site's floor of 3"
    assert short["a"].reason == words
    one = Uniform(floor=1).allocate([report(s, 9, 99) for s in "abcd"], [], 1, rng)
    assert sorted(g.count for g in one.values()) == [0, 0, 0, 1]  # by chance, not by a floor
    assert all(
        g.reason.endswith("; 1 is too little for every site's floor of 1") for g in one.values()
    )
    none = Proportional().allocate([report("a", 9, 99), report("b", 0, 99)], [], 6, rng)
    assert none["b"].reason == "0 of 6: in proportion to its 0 of 9 unlabeled cases"


@pytest.mark.parametrize("name", sorted(BUDGET))
def test_two_reports_of_one_site_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="two reports of site 'a'"):
        counts_of(BUDGET[name](), [report("a", 1, 1), report("a", 2, 2)], 2)


def test_a_histogram_of_other_bins_is_refused() -> None:
    wrong = replace(report("a", 1, 1), uncertainty=(1, 2))
    with pytest.raises(ValueError, match="site 'a' reports an uncertainty histogram of 2 bins"):
        counts_of(UncertaintyMass(), [wrong], 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("uniform", {"floor": -1}),
        ("proportional", {"power": -1.0}),
        ("proportional", {"power": float("inf")}),
        ("uncertainty-mass", {"trust": 1.1}),
        ("uncertainty-mass", {"span": 0.9}),
        ("uncertainty-mass", {"span": float("nan")}),
        ("uncertainty-mass", {"trust": float("nan")}),
    ],
)
def test_arguments_out_of_range_are_refused(name: str, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="accepted is"):
        BUDGET[name](**arguments)
