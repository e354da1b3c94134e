"""Numbers of the budget policies that a reader can check by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import UNCERTAINTY_BINS, CycleRecord, Grant, SiteReport
from strategies.budget import (
    UCB,
    BudgetPolicy,
    ClassDeficit,
    Hours,
    LearningCurve,
    Neyman,
    Thompson,
    Threshold,
    WorstSite,
)
from strategies.budget.histogram import MIDDLES
from strategies.budget.learning_curve import fit
from strategies.budget.measured import Point, points, rewards

Course = tuple[list[SiteReport], list[CycleRecord]]
Tell = Callable[..., Course]


def site(name: str, bins: Mapping[int, int], seconds: float = 0.0, cap: int = 999) -> SiteReport:
    counts = tuple(bins.get(i, 0) for i in range(UNCERTAINTY_BINS))
    zeros = ((0, 0), (0, 0))
    return SiteReport(name, sum(counts), 0, 0, cap, seconds, counts, (0, 0), (0, 0), zeros)


def granted(policy: BudgetPolicy, told: Course, budget: int) -> Mapping[str, Grant]:
    return policy.allocate(*told, budget, np.random.default_rng(0))


def counts(policy: BudgetPolicy, told: Course, budget: int) -> dict[str, int]:
    return {name: g.count for name, g in granted(policy, told, budget).items()}


def test_losses_belong_to_the_labels_of_the_cycle_before(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.8, 0.5], "b": [0.9, 0.6, 0.5]})
    assert points(*told)["a"] == [Point(1, 10, 0.8, 8), Point(2, 20, 0.5, 8)]  # 0.9: untrained
    earned = rewards(*told)
    assert [(e.cycle, e.per_minute) for e in earned["a"]] == [(1, pytest.approx(0.03))]
    assert [e.per_minute for e in earned["b"]] == [pytest.approx(0.01)]


def test_a_silent_cycle_breaks_the_row_of_rewards(tell: Tell) -> None:
    reports, past = tell({"a": [0.9, 0.8, 0.5, 0.4]})
    past[2] = replace(past[2], reports={})
    assert points(reports, past)["a"] == [Point(3, 30, 0.4, 8)]
    assert rewards(reports, past)["a"] == []
    reports, past = tell({"a": [0.9, 0.8, 0.5, 0.4]})
    nothing = replace(past[3].reports["a"], prequential_count=0)
    past[3] = replace(past[3], reports={"a": nothing})
    assert [p.cycle for p in points(reports, past)["a"]] == [1, 3]
    assert rewards(reports, past)["a"] == []


def test_threshold_takes_the_most_uncertain_of_all_sites() -> None:
    told: Course = [site("a", {31: 10}), site("b", {31: 10, 30: 20}), site("c", {0: 10})], []
    grants = granted(Threshold(), told, 30)  # 20 cases of bin 31 and half of the 20 of bin 30
    assert {s: g.count for s, g in grants.items()} == {"a": 10, "b": 20, "c": 0}
    assert grants["a"].threshold == pytest.approx(30.5 / 32)
    floored = granted(Threshold(floor=4), told, 34)
    assert {s: g.count for s, g in floored.items()} == {"a": 10, "b": 20, "c": 4}
    assert floored["a"].threshold == pytest.approx(30.5 / 32)
    assert floored["c"].threshold == pytest.approx(0.6 / 32)  # its four most uncertain of ten
    words = "about 20.0 of its 30 unlabeled cases are more uncertain than 0.953"
    assert floored["b"].reason == f"20 of 34: {words}"
    sure = granted(Threshold(), ([site("a", {31: 333}), site("b", {31: 333})], []), 8)
    assert (
        sure["a"].reason == "4 of 8: about 4.0 of its 333 unlabeled cases are more uncertain "
        "than 0.99962"
    )


def test_threshold_counts_a_capped_site_for_what_it_can_read() -> None:
    told: Course = [site("a", {31: 10}, cap=2), site("b", {31: 4, 30: 20})], []
    grants = granted(Threshold(), told, 16)
    assert {s: g.count for s, g in grants.items()} == {"a": 2, "b": 14}
    assert grants["b"].threshold == pytest.approx(30.5 / 32)


def test_neyman_weighs_size_spread_and_cost() -> None:
    wide, narrow = {0: 50, 20: 50}, {0: 50, 10: 50}  # spread 20/64 and 10/64
    assert counts(Neyman(), ([site("a", wide), site("b", narrow)], []), 30) == {"a": 20, "b": 10}
    twice = {0: 100, 10: 100}
    assert counts(Neyman(), ([site("a", wide), site("b", twice)], []), 30) == {"a": 15, "b": 15}
    slow = [site("a", wide, 240.0), site("b", narrow, 60.0)]  # a costs 4 times as much: half
    assert counts(Neyman(), (slow, []), 30) == {"a": 15, "b": 15}
    assert (
        "their uncertainty spread by 0.312, 4.00 minutes"
        in granted(Neyman(), (slow, []), 30)["a"].reason
    )


def test_learning_curves_are_found_again_and_filled_to_one_marginal_gain(tell: Tell) -> None:
    losses = {
        name: [1.0, *(a * (10 * t) ** -0.5 + 0.1 for t in (1, 2, 3))]
        for name, a in (("a", 2.0), ("b", 1.0))
    }
    told = tell(losses)
    curves = fit(points(*told))
    assert curves is not None
    assert (curves.exponent, curves.rest) == (pytest.approx(0.5), pytest.approx(0.1))
    assert curves.a == {"a": pytest.approx(2.0), "b": pytest.approx(1.0)}
    # (40 + b_a) / (40 + b_b) = 2 ** (2/3) and b_a + b_b = 80: 58.2 and 21.8
    assert counts(LearningCurve(), told, 80) == {"a": 58, "b": 22}
    floored = granted(LearningCurve(floor=1), told, 9)  # at b the ninth label gains less
    assert {name: g.count for name, g in floored.items()} == {"a": 8, "b": 1}
    assert floored["b"].reason.endswith("1.00 minutes per reading; the floor is 1")
    assert granted(LearningCurve(floor=4), told, 8)["a"].reason.endswith("minutes per reading")


def test_few_or_flat_losses_share_equally(tell: Tell) -> None:
    few = granted(LearningCurve(), tell({"a": [1.0, 0.9], "b": [1.0, 0.1]}), 10)
    assert few["a"].reason == "5 of 10: equal shares for 2 sites: 2 losses are too few for curves"
    flat = granted(LearningCurve(), tell({"a": [0.0] * 5, "b": [0.0] * 5}), 10)
    assert flat["a"].reason == "5 of 10: equal shares for 2 sites: 8 losses show no site learning"


def test_losses_that_rise_within_the_sites_share_equally(tell: Tell) -> None:
    said = "5 of 10: equal shares for 2 sites: {} losses do not fall within the sites, taken "
    rising = {"a": [0.9, 0.6, 0.7, 0.8], "b": [0.9, 0.7, 0.9, 1.1]}  # b's level is higher
    steady = {"a": [0.9, *[0.5] * 4], "b": [0.9, *[0.7] * 4]}
    for losses, count in ((rising, 6), (steady, 8)):
        found = granted(LearningCurve(), tell(losses), 10)
        assert {s: g.count for s, g in found.items()} == {"a": 5, "b": 5}
        assert found["b"].reason.startswith(said.format(count))
    falling = {"a": [0.9, 0.8, 0.7, 0.6], "b": [0.9, 1.1, 0.9, 0.7]}
    assert counts(LearningCurve(), tell(falling), 10) == {"a": 0, "b": 10}


def test_ucb_by_hand(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.8, 0.5], "b": [0.9, 0.6, 0.5]})  # 0.03 and 0.01 per minute
    # bonus 0.5 * 0.03 * sqrt(ln 2) = 0.0125: 0.0425 to 0.0225
    assert counts(UCB(), told, 100) == {"a": 65, "b": 35}
    assert counts(UCB(confidence=0.0), told, 100) == {"a": 75, "b": 25}
    assert "until rewards are measured" in granted(UCB(), tell({"a": [0.9, 0.8]}), 9)["a"].reason


def test_ucb_forgets_at_the_discount(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.9, 0.5, 0.5], "b": [0.9, 0.9, 0.9, 0.7]})
    # a: 0.04 then 0, b: 0 then 0.02; the older counts half: 0.0133 each
    assert counts(UCB(discount=0.5, confidence=0.0), told, 100) == {"a": 50, "b": 50}
    assert counts(UCB(discount=1.0, confidence=0.0), told, 99) == {"a": 66, "b": 33}


def test_thompson_wins_as_often_as_the_normal_law_says(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.8, 0.5], "b": [0.9, 0.6, 0.5]}, capacity=2000)
    # rewards d apart: posterior means d/2 apart, and their draws' difference spread by d/2: Phi(1)
    assert 0.81 < counts(Thompson(), told, 2000)["a"] / 2000 < 0.87


def test_worst_site_by_hand(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.8, 0.5], "b": [0.2, 0.6, 0.5]})
    # 0.1 over and under the mean: exp(5 * 0.2) = 2.718 to 1
    assert counts(WorstSite(rate=5.0), told, 100) == {"a": 73, "b": 27}
    assert counts(WorstSite(rate=0.0), told, 100) == {"a": 50, "b": 50}


def test_class_deficit_by_hand() -> None:
    one = replace(site("a", {}), labels=(8, 0), predicted=(10, 5))
    two = replace(site("b", {}), labels=(0, 2), predicted=(0, 15))
    assert counts(ClassDeficit(), ([one, two], []), 20) == {"a": 5, "b": 15}  # class 1 lacks 0.3
    reason = granted(ClassDeficit(), ([one, two], []), 20)["b"].reason
    assert (
        "15 cases are predicted as classes short of labels (1), deficit times cases 4.5" in reason
    )
    even = [replace(one, labels=(5, 0)), replace(two, labels=(0, 5))]
    assert counts(ClassDeficit(), (even, []), 20) == {"a": 10, "b": 10}
    assert granted(ClassDeficit(), (even, []), 20)["a"].reason.endswith(
        "deficit times cases 0.0, all weights are 0, so shares are equal"
    )


def test_hours_limit_the_grant_of_a_site() -> None:
    told: Course = [site("a", {31: 90}, seconds=120.0), site("b", {0: 90}, seconds=30.0)], []
    assert counts(Hours(), told, 40) == {"a": 40, "b": 0}
    assert counts(Hours(hours=0.5), told, 40) == {"a": 15, "b": 25}
    assert counts(Hours(hours=0.5, site_hours=(("b", 0.1),)), told, 40) == {"a": 15, "b": 12}
    assert granted(Hours(hours=0.5), told, 40)["a"].reason == (
        "15 of 40: 90 of its 90 unlabeled cases gain more than the programme's price 0.016 and 0 "
        "as much, 2.00 minutes per reading, 0.5 hours; 0.5 hours are 15 readings of 2.00 minutes"
    )


def test_a_reason_names_the_hours_where_they_are_the_bound() -> None:
    told: Course = [site("a", {31: 90}, seconds=180.0), site("b", {0: 90}, seconds=30.0)], []
    bound = granted(Hours(hours=0.05, floor=1), told, 40)
    assert bound["a"].reason.endswith("0.05 hours; 0.05 hours are 1 reading of 3.00 minutes")
    assert bound["b"].reason.endswith("0.05 hours; 0.05 hours are 6 readings of 0.50 minutes")
    priced = granted(Hours(hours=9.0, floor=2), told, 40)
    assert priced["b"].count == 2
    assert priced["b"].reason.endswith("9 hours; the floor is 2")
    assert priced["a"].reason.endswith("3.00 minutes per reading, 9 hours")


def test_no_hours_at_a_single_site_are_no_reading() -> None:
    told: Course = [site("a", {31: 90}, seconds=120.0), site("b", {0: 90}, seconds=30.0)], []
    shut = Hours(site_hours=(("a", 0.0), ("elsewhere", 2.0)), floor=3)
    assert counts(shut, told, 40) == {"a": 0, "b": 40}
    reasons = {name: g.reason for name, g in granted(shut, told, 40).items()}
    assert reasons["a"].endswith(
        "2.00 minutes per reading, 0 hours; 0 hours are 0 readings of 2.00 minutes"
    )
    assert reasons["b"].endswith("no limit of hours")
    assert counts(Hours(hours=0.5, site_hours=(("a", 0.0),)), told, 80) == {"a": 0, "b": 60}


def test_hours_take_the_studys_seconds_until_a_site_has_its_own() -> None:
    told: Course = [site("a", {31: 90}), site("b", {0: 90})], []
    assert counts(Hours(hours=0.1, seconds=180.0), told, 40) == {"a": 2, "b": 2}
    measured: Course = [site("a", {31: 90}, seconds=90.0), site("b", {0: 90})], []
    assert counts(Hours(hours=0.1, seconds=180.0), measured, 40) == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("hours", "seconds", "readings"), [(1.0, 14.4, 250), (2.0, 57.6, 125), (0.25, 60.1, 14)]
)
def test_hours_that_are_whole_readings_are_so_many(
    hours: float, seconds: float, readings: int
) -> None:
    told: Course = [site("a", {31: 400}, seconds=seconds)], []
    assert counts(Hours(hours=hours), told, 999) == {"a": readings}


def test_hours_of_a_further_share_are_what_the_grants_left() -> None:
    told = [site("a", {31: 90}, seconds=120.0), site("b", {0: 90}, seconds=30.0)]
    policy = Hours(hours=0.5, site_hours=(("c", 2.0),)).after(told, {"a": 15, "b": 20})
    assert counts(policy, (told, []), 80) == {"a": 0, "b": 40}
    assert dict(policy.site_hours)["c"] == 2.0
    assert Hours().after(told, {"a": 15}) == Hours()


def test_a_site_has_its_hours_once() -> None:
    with pytest.raises(ValueError, match="site_hours names 'a' 2 times: accepted is once per site"):
        Hours(site_hours=(("a", 1.0), ("b", 1.0), ("a", 2.0)))


def test_among_equal_optima_hours_is_even() -> None:
    told: Course = [site("a", {31: 100}), site("b", {31: 101, 3: 7}), site("c", {30: 900})], []
    assert counts(Hours(), told, 10) == {"a": 5, "b": 5, "c": 0}


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(data=st.data(), budget=st.integers(1, 9), floor=st.integers(0, 2))
def test_hours_is_the_best_of_all_allocations(data: st.DataObject, budget: int, floor: int) -> None:
    few = st.dictionaries(st.integers(27, 31), st.integers(1, 3), max_size=3)
    times, caps = st.sampled_from([60.0, 150.0, 400.0]), st.integers(0, 6)
    reports = [site(s, data.draw(few), data.draw(times), data.draw(caps)) for s in "abc"]
    most = [min(r.capacity, int(0.2 * 3600 // r.seconds_per_reading)) for r in reports]
    least = [min(floor, m) for m in most]
    total = min(budget, sum(most))
    if sum(least) > total:
        return

    def gain(allocation: tuple[int, ...]) -> float:
        cases = [np.repeat(MIDDLES, r.uncertainty)[::-1] for r in reports]
        return float(sum(c[:n].sum() for c, n in zip(cases, allocation, strict=True)))

    within = product(*(range(low, high + 1) for low, high in zip(least, most, strict=True)))
    best = max(gain(a) for a in within if sum(a) == total)
    chosen = counts(Hours(hours=0.2, floor=floor), (reports, []), budget)
    assert gain(tuple(chosen[s] for s in "abc")) == pytest.approx(best)


def test_fifty_sites_take_a_third_of_a_second() -> None:
    rng = np.random.default_rng(0)
    reports = [
        site(f"s{k:02}", dict(enumerate(rng.integers(0, 40, UNCERTAINTY_BINS).tolist())), 60.0)
        for k in range(50)
    ]
    policy = Hours(hours=0.5, floor=3)
    counts(policy, (reports, []), 1000)  # imports
    started = time.process_time()
    assert sum(counts(policy, (reports, []), 1000).values()) == 1000
    assert time.process_time() - started < 0.3
