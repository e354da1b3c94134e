"""The safe policy: uniform under noise, moved by a true difference, never out of bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import CycleRecord, SiteReport
from strategies.budget import Safe, Uniform
from strategies.budget.believed import believe
from strategies.budget.measured import Point

Course = tuple[list[SiteReport], list[CycleRecord]]
Tell = Callable[..., Course]

SITES = "abcdef"
EACH = 8


def counts(policy: Safe | Uniform, told: Course, budget: int, seed: int = 0) -> list[int]:
    granted = policy.allocate(*told, budget, np.random.default_rng(seed))
    return [granted[s].count for s in sorted(granted)]


def noisy(tell: Tell, seed: int, cycles: int, count: int, drop: float = 0.0) -> Course:
    """Six sites of mean loss 0.5, one of which falls to it by a drop.

    A label costs 4 nats or nothing: a model that is sure of itself, and sometimes wrong.
    """
    rng = np.random.default_rng(seed)
    truth = {
        s: [0.5 + (drop * (1 - t / (cycles - 1)) if s == "a" else 0) for t in range(cycles)]
        for s in SITES
    }
    dear = {s: [rng.binomial(count, m / 4) for m in row] for s, row in truth.items()}
    return tell(
        {s: [4 * float(n) / count for n in row] for s, row in dear.items()},
        count=count,
        labels=EACH,
    )


@pytest.mark.slow
@pytest.mark.parametrize("cycles", [2, 3, 4, 6])
@pytest.mark.parametrize("count", [1, 4])
def test_pure_noise_moves_less_than_a_fiftieth_of_a_grant(
    tell: Tell, cycles: int, count: int
) -> None:
    moved = [
        np.abs(np.array(counts(Safe(), noisy(tell, seed, cycles, count), 48, seed)) - EACH).mean()
        for seed in range(200)
    ]
    assert np.mean(moved) < 0.02 * EACH
    assert np.mean(np.array(moved) > 0) < 0.1  # most seeds move nothing at all


@pytest.mark.parametrize(("too_sure", "false"), [(1.0, 0.0), (2.0, 0.15)])
def test_the_losses_of_a_classifier_that_gains_alike_everywhere_rarely_differ(
    too_sure: float, false: float
) -> None:
    """Six sites, a label of each in each of five cycles; a study errs if any cycle's look does."""
    rng = np.random.default_rng(0)

    def loss() -> float:
        sure = float(np.clip(rng.beta(10, 1), 0.5, 0.999))
        odds = too_sure * np.log(sure / (1 - sure))
        return float(np.logaddexp(0, -odds if rng.random() < sure else odds))

    def differs() -> bool:
        rows = {s: [Point(c, 4 + 8 * c, loss(), 1) for c in range(5)] for s in SITES}
        looks = [believe({s: row[:n] for s, row in rows.items()}, 0.95) for n in (2, 3, 4, 5)]
        return any(look.q > look.quantile for look in looks)

    assert np.mean([differs() for _ in range(200)]) <= false


def test_a_site_that_truly_gains_more_draws_budget(tell: Tell) -> None:
    runs = [counts(Safe(), noisy(tell, seed, 7, 80, drop=1.5), 48, seed) for seed in range(50)]
    first = [run[0] for run in runs]
    assert np.mean(first) > 1.4 * EACH
    assert max(first) <= 1.5 * EACH  # reach
    assert np.mean([run[1] for run in runs]) < EACH


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    budget=st.integers(0, 200),
    reach=st.floats(0, 1),
    capacity=st.integers(0, 40),
)
def test_no_grant_leaves_its_bounds(
    tell: Tell, seed: int, budget: int, reach: float, capacity: int
) -> None:
    reports, past = noisy(tell, seed, 5, 30, drop=2.0)
    reports[0] = replace(reports[0], capacity=capacity)
    told: Course = reports, past
    for safe, even in zip(
        counts(Safe(reach=reach, floor=2), told, budget),
        counts(Uniform(floor=2), told, budget),
        strict=True,
    ):
        # of the exact uniform share, less than 1 from its rounding, then rounded outwards
        assert (1 - reach) * (even - 1) - 1 < safe < (1 + reach) * (even + 1) + 1
    assert counts(Safe(reach=0.0, floor=2), told, budget) == counts(Uniform(floor=2), told, budget)


@pytest.mark.parametrize(
    ("reach", "budget", "least", "most"),
    [(0.1, 100, 45, 55), (0.9, 30, 1, 19), (0.7, 30, 3, 17), (1, 30, 0, 20), (0.25, 6, 1, 3)],
)
def test_bounds_are_of_the_reach_as_it_is_written_and_rounded_outwards(
    tell: Tell, reach: float, budget: int, least: int, most: int
) -> None:
    sites = "ab" if budget == 100 else "abc"
    for cheap in (True, False):  # one site that draws as much as it may, or one that may keep least
        pace = dict.fromkeys(sites, 1.0) | {"a": 1e-4 if cheap else 1e4}
        told = tell({s: [1.0] for s in sites}, minutes=pace)
        policy = Safe(reach=reach, minutes="always", power=1.0)
        assert counts(policy, told, budget)[0] == (most if cheap else least)


@pytest.mark.parametrize("cycles", [0, 1, 2])
def test_it_starts_as_uniform_does_and_says_so(tell: Tell, cycles: int) -> None:
    told = tell({"a": [0.9, 0.1][:cycles], "b": [0.9, 0.9][:cycles], "c": [0.9] * cycles})
    for seed in range(20):
        assert counts(Safe(), told, 31, seed) == counts(Uniform(), told, 31, seed)
    reason = Safe().allocate(*told, 30, np.random.default_rng(0))["a"].reason
    assert reason == "10 of 30: equal share 10.0, no gain is measured yet"


def test_a_cheap_reading_draws_budget_only_once_learning_is_certain(tell: Tell) -> None:
    minutes = {"a": 0.5, "b": 1.0, "c": 2.0}
    learning = tell({s: [1.0, 0.8, 0.6, 0.4] for s in "abc"}, count=40, minutes=minutes)
    # 1/sqrt(0.5) : 1 : 1/sqrt(2) = 2 : 1.41 : 1 of 66
    assert counts(Safe(), learning, 66) == [30, 21, 15]
    assert counts(Safe(minutes="never"), learning, 66) == [22, 22, 22]
    standing = tell({s: [1.0, 0.8, 0.8, 0.8] for s in "abc"}, count=40, minutes=minutes)
    assert counts(Safe(), standing, 66) == [22, 22, 22]
    assert counts(Safe(minutes="always"), standing, 66) == [30, 21, 15]
    # 4 : 2 : 1 of 66, and at most 33, at least 11
    assert counts(Safe(minutes="always", power=1.0), standing, 66) == [33, 22, 11]
    assert counts(Safe(minutes="always", power=0.0), standing, 66) == [22, 22, 22]
    once = tell({s: [1.0] for s in "abc"}, minutes=minutes)
    granted = Safe(minutes="always").allocate(*once, 66, np.random.default_rng(0))
    assert granted["a"].reason == (
        "30 of 66: equal share 22.0 times 1.36 within bounds, no gain is measured yet, "
        "0.50 minutes per reading"
    )


def test_belief_by_hand() -> None:
    def losses(first: float, second: float) -> list[Point]:
        return [Point(1, 10, first, 20), Point(2, 20, second, 20)]

    belief = believe({"a": losses(1.5, 0.5), "b": losses(1.0, 1.0), "c": []}, 0.5)
    # weighted squares of the labels 2 * 25 * 20 = 1,000, mean loss 1: variances 3.60517 / 1,000
    error = np.sqrt(0.00360517)  # log 100 - 1 = 3.60517
    assert belief.gains == {"a": pytest.approx(0.1), "b": pytest.approx(0.0)}
    assert belief.errors == {"a": pytest.approx(error), "b": pytest.approx(error)}
    assert belief.common == pytest.approx(0.05)
    assert belief.common_error == pytest.approx(error / np.sqrt(2))
    assert belief.q == pytest.approx(1.386896)  # 2 * 0.05 ** 2 / 0.00360517
    assert belief.quantile == pytest.approx(0.4549, abs=1e-4)  # median of chi-square, 1 freedom
    between = (1.386896 - 0.4549364) * 0.00360517  # over S1 - S2 / S1 = 2 / v - 1 / v
    part = between / (between + 0.00360517)
    assert belief.shrunk["a"] == pytest.approx(0.05 + 0.05 * part)
    assert belief.shrunk["c"] == pytest.approx(0.05)
    sure = believe({"a": losses(1.5, 0.5), "b": losses(1.0, 1.0)}, 0.95)
    assert sure.shrunk == {"a": pytest.approx(0.05), "b": pytest.approx(0.05)}


def test_the_reason_tells_the_statistics(tell: Tell) -> None:
    told = tell({"a": [0.9, 0.9, 0.7, 0.5, 0.3], "b": [0.5] * 5, "c": [0.5] * 5}, count=400)
    granted = Safe().allocate(*told, 30, np.random.default_rng(0))
    assert granted["a"].count == 15
    assert granted["a"].reason == (
        "15 of 30: equal share 10.0 times 2.19 within bounds: its loss fell by 0.02 ± 0.0033 per "
        "label, the sites' common 0.0067 ± 0.0019, they differ by 24.6 where noise reaches 6.0, "
        "so 0.019 is believed, 1.00 minutes per reading"
    )
