"""Draws by score, and temperatures: numbers by hand, and what no temperature changes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.build import build
from strategies.pool import NotFinite, Pool, PoolTooSmall
from strategies.query import QUERY, Scored
from strategies.query.bald import Bald
from strategies.query.entropy import Entropy
from strategies.query.least_confidence import LeastConfidence
from strategies.query.margin import Margin
from strategies.query.powerbald import PowerBald
from strategies.query.stochastic import Stochastic, drawn
from strategies.query.temperature import tempered


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(probs: Any, multi_label: bool = False) -> Pool:
    return Pool(len(probs), {"probs": np.array(probs)}, multi_label=multi_label)


def test_draws_without_replacement_in_proportion_to_the_score() -> None:
    scores, source = np.array([1.0, 2.0, 5.0, 0.0]), rng(3)
    seen = Counter(tuple(drawn(scores, 2, 1.0, source).tolist()) for _ in range(2000))
    # 5/8 then 2/3; 5/8 then 1/3; 1/4 then 5/6; 1/4 then 1/6; 1/8 then 5/7; 1/8 then 2/7
    wanted = {(2, 1): 10 / 24, (2, 0): 5 / 24, (1, 2): 5 / 24, (1, 0): 1 / 24}
    wanted |= {(0, 2): 5 / 56, (0, 1): 2 / 56}
    assert set(seen) == set(wanted)
    for pair, share in wanted.items():
        assert seen[pair] / 2000 == pytest.approx(share, abs=0.055)  # five standard errors


def test_the_power_is_of_the_score() -> None:
    source = rng(4)
    firsts = [int(drawn(np.array([1.0, 3.0]), 1, 2.0, source)[0]) for _ in range(1000)]
    assert np.mean(firsts) == pytest.approx(0.9, abs=0.047)
    even = [int(drawn(np.array([1.0, 3.0]), 1, 0.0, source)[0]) for _ in range(1000)]
    assert np.mean(even) == pytest.approx(0.5, abs=0.08)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=20).flatmap(
        lambda v: st.tuples(st.just(v), st.integers(0, len(v)), st.integers(0, 99))
    )
)
def test_rows_of_score_0_come_last(case: tuple[list[int], int, int]) -> None:
    values, k, seed = case
    rows = drawn(np.array(values, dtype=np.float64), k, 1.0, rng(seed)).tolist()
    assert len(set(rows)) == k
    likely = sum(v > 0 for v in values)
    assert [values[r] > 0 for r in rows] == [i < likely for i in range(k)]


def test_scores_of_0_are_drawn_evenly() -> None:
    firsts = Counter(int(drawn(np.zeros(4), 2, 1.0, rng(s))[0]) for s in range(400))
    assert min(firsts[i] for i in range(4)) > 55


def test_a_large_power_takes_the_best() -> None:
    scores = np.exp(rng(5).standard_normal(50))
    best = np.argsort(-scores)[:10]
    assert drawn(scores, 10, 1e6, rng()).tolist() == best.tolist()


def test_scores_that_break_the_contract_are_refused() -> None:
    with pytest.raises(NotFinite, match="1 of 2 scores"):
        drawn(np.array([np.nan, 1.0]), 1, 1.0, rng())
    with pytest.raises(ValueError, match=r"lowest score is -1; accepted is 0 or more"):
        drawn(np.array([-1.0, 1.0]), 1, 1.0, rng())
    with pytest.raises(PoolTooSmall):
        drawn(np.ones(2), 3, 1.0, rng())


@pytest.mark.parametrize("inner", ["entropy", "margin", "least-confidence", "bald"])
def test_any_scored_strategy_can_be_drawn_from(inner: str) -> None:
    source = rng(6)
    probs, mc = source.dirichlet(np.ones(3), 30), source.dirichlet(np.ones(3), (30, 4))
    pool = Pool(30, {"probs": probs, "mc_probs": mc})
    plain: Any = build(QUERY, inner)
    rows = Stochastic(inner, power=2).select(pool, 9, rng(7))
    assert rows.tolist() == drawn(plain.scores(pool), 9, 2, rng(7)).tolist()
    assert Stochastic(inner).needs == plain.needs
    assert not hasattr(Stochastic(inner), "scores")  # cost weighting would take its best


def test_power_bald_is_stochastic_bald() -> None:
    mc = rng(8).dirichlet(np.ones(3), (40, 5))
    pool = Pool(40, {"mc_probs": mc})
    one = PowerBald(members=5, power=1.5)
    same = Stochastic("bald", {"members": 5}, 1.5)
    assert one.select(pool, 12, rng(1)).tolist() == same.select(pool, 12, rng(1)).tolist()
    assert one.needs == same.needs == Bald(5).needs


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inner": "coreset"}, "unknown query strategy 'coreset'; known: bald, .*entropy, .*least"),
        ({"inner_arguments": {"heat": 1}}, "'entropy' has no argument 'heat'"),
        ({"power": -0.5}, "argument 'power' is -0.5; accepted is a finite number from 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(QUERY, "stochastic", **arguments)


def test_tempering_is_dividing_logits() -> None:
    p = np.array([[0.7, 0.2, 0.1]])
    squares = np.array([[0.49, 0.04, 0.01]]) / 0.54
    assert tempered(p, 0.5, multi_label=False) == pytest.approx(squares)
    assert tempered(p, 1e9, multi_label=False) == pytest.approx(np.full((1, 3), 1 / 3))
    # 0.8 has odds 4, of which the root is 2
    assert tempered(np.array([[0.8]]), 2.0, multi_label=True) == pytest.approx(np.array([[2 / 3]]))


def test_tempering_keeps_zeros_ones_and_tiny_numbers_finite() -> None:
    p = np.array([[1.0, 0.0], [1e-300, 1.0], [0.5, 0.5]])
    for multi_label in (False, True):
        for temperature in (0.01, 1.0, 100.0):
            assert np.isfinite(tempered(p, temperature, multi_label)).all()
    assert tempered(p, 1.0, multi_label=False) is p


@settings(max_examples=30)
@given(st.floats(0.05, 20), st.integers(0, 10**6))
def test_with_two_classes_no_temperature_changes_an_order(temperature: float, seed: int) -> None:
    positive = rng(seed).uniform(0.3, 0.7, 40)
    pool = pool_of(np.stack([1 - positive, positive], axis=1))
    scored: list[tuple[Scored, Scored]] = [
        (Entropy(), Entropy(temperature)),
        (Margin(), Margin(temperature)),
        (LeastConfidence(), LeastConfidence(temperature)),
    ]
    for plain, other in scored:
        assert plain.select(pool, 3, rng()).tolist() == other.select(pool, 3, rng()).tolist()


def test_with_three_classes_a_temperature_can_change_the_order() -> None:
    # the likeliest class has 0.5 and 0.49; at T = 1/2 it has 25/50 and 24.01/37.015
    pool = pool_of([[0.5, 0.5, 0.0], [0.49, 0.255, 0.255]])
    assert LeastConfidence().select(pool, 1, rng()).tolist() == [1]
    assert LeastConfidence(temperature=0.5).select(pool, 1, rng()).tolist() == [0]


@pytest.mark.parametrize("name", ["entropy", "margin", "least-confidence"])
def test_a_temperature_of_0_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"argument 'temperature' is 0\.0; accepted is a finite"):
        build(QUERY, name, temperature=0.0)
