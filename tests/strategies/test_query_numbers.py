"""Scores that can be checked by hand, and the ranking of them."""

from __future__ import annotations

from collections import Counter
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.pool import NotFinite, Pool, PoolTooSmall
from strategies.query import CostWeighted, top_k
from strategies.query.bald import Bald
from strategies.query.entropy import Entropy
from strategies.query.least_confidence import LeastConfidence
from strategies.query.margin import Margin

THREE = [[0.5, 0.5, 0.0], [0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(probs: Any, multi_label: bool = False, name: str = "probs") -> Pool:
    return Pool(len(probs), {name: np.array(probs)}, multi_label=multi_label)


def test_entropy_in_nats_with_a_class_that_is_absent() -> None:
    h = -(0.7 * log(0.7) + 0.2 * log(0.2) + 0.1 * log(0.1))
    assert Entropy().scores(pool_of(THREE)) == pytest.approx([log(2), h, 0])
    assert Entropy().select(pool_of(THREE), 3, rng()).tolist() == [1, 0, 2]


def test_margin_and_least_confidence() -> None:
    assert Margin().scores(pool_of(THREE)) == pytest.approx([1.0, 0.5, 0.0])
    assert LeastConfidence().scores(pool_of(THREE)) == pytest.approx([0.5, 0.3, 0.0])


def test_multi_label_sums_over_classes() -> None:
    pool = pool_of([[0.5, 1.0], [0.9, 0.2]], multi_label=True)
    h = -(0.9 * log(0.9) + 0.1 * log(0.1) + 0.2 * log(0.2) + 0.8 * log(0.8))
    assert Entropy().scores(pool) == pytest.approx([log(2), h])
    assert Margin().scores(pool) == pytest.approx([1.0, 0.2 + 0.4])
    assert LeastConfidence().scores(pool) == pytest.approx([0.5, 0.1 + 0.2])


def test_two_classes_rank_alike() -> None:
    positive = rng(1).random(200)
    pool = pool_of(np.stack([1 - positive, positive], axis=1))
    choices = [s.select(pool, 50, rng()).tolist() for s in (Entropy(), Margin(), LeastConfidence())]
    assert choices[0] == choices[1] == choices[2]


def test_bald_is_ln_2_for_members_that_are_sure_of_opposites_and_0_for_those_that_agree() -> None:
    opposite, agreed, unsure = [[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1]] * 2, [[0.5, 0.5]] * 2
    pool = pool_of([agreed, opposite, unsure], name="mc_probs")
    assert Bald(members=2).scores(pool) == pytest.approx([0, log(2), 0], abs=1e-12)
    both = pool_of([agreed, opposite, unsure], multi_label=True, name="mc_probs")
    assert Bald(members=2).scores(both) == pytest.approx([0, 2 * log(2), 0], abs=1e-12)


def test_bald_of_the_three_models_asks_for_them_and_for_no_dropout() -> None:
    strategy = Bald(of="models")
    assert strategy.needs.signals == {"ensemble_probs"}
    assert strategy.needs.models == {"global", "local", "scratch"}
    torn, agreed = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], [[0.9, 0.1]] * 3
    pool = pool_of([agreed, torn], name="ensemble_probs")
    assert strategy.scores(pool) == pytest.approx([0, log(2) * 2 / 3], abs=1e-12)


def test_bald_refuses_one_member() -> None:
    with pytest.raises(ValueError, match="accepted is 2 or more"):
        Bald(members=1)
    with pytest.raises(ValueError, match="has 1 members"):
        Bald().scores(pool_of([[[0.5, 0.5]]], name="mc_probs"))


def test_bald_says_how_many_members_the_site_must_draw() -> None:
    assert Bald(members=7).needs.members == 7


def test_cost_weighting_multiplies_by_the_cheapest_decisions_expected_cost() -> None:
    cost = ((0.0, 1.0), (10.0, 0.0))  # a missed disease costs ten
    pool = pool_of([[0.5, 0.5], [0.9, 0.1], [0.99, 0.01]])
    weighted = CostWeighted(LeastConfidence(), cost).scores(pool)
    # deciding 0 costs 10 p_1, deciding 1 costs p_0
    assert weighted == pytest.approx([0.5 * 0.5, 0.1 * 0.9, 0.01 * 0.1])


def test_cost_weighting_of_several_labels_sums_their_risks() -> None:
    cost = ((0.0, 1.0), (4.0, 0.0))
    pool = pool_of([[0.5, 0.1], [0.0, 1.0]], multi_label=True)
    inner = LeastConfidence().scores(pool)
    # min(4 p, 1 - p) per class: 0.5 + 0.4, and 0 + 0
    assert CostWeighted(LeastConfidence(), cost).scores(pool) == pytest.approx(inner * [0.9, 0.0])


def test_cost_weighting_asks_for_what_the_inner_strategy_asks_for_and_probs() -> None:
    needs = CostWeighted(Bald(members=4), ((0.0, 1.0), (1.0, 0.0))).needs
    assert needs.signals == {"mc_probs", "probs"}
    assert needs.members == 4


@pytest.mark.parametrize(
    "cost", [(), ((0.0, 1.0),), ((0.0, -1.0), (1.0, 0.0)), ((0.0, np.nan), (1.0, 0.0))]
)
def test_a_cost_matrix_that_is_none_is_refused(cost: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ValueError, match="as many columns as rows"):
        CostWeighted(Entropy(), cost)


def test_a_cost_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="accepted is 3 for this pool"):
        CostWeighted(Entropy(), ((0.0, 1.0), (1.0, 0.0))).scores(pool_of(THREE))


def test_values_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"runs from -0\.1 to 1\.1"):
        Entropy().scores(pool_of([[1.1, -0.1]]))
    with pytest.raises(ValueError, match="accepted is 2 or more"):
        Margin().scores(pool_of([[1.0]]))


def test_top_k_is_highest_first() -> None:
    assert top_k(np.array([0.1, 3.0, -2.0, 0.5]), 3, rng()).tolist() == [1, 3, 0]


@given(
    st.lists(st.integers(0, 5), max_size=30).flatmap(
        lambda v: st.tuples(st.just(v), st.integers(0, len(v)), st.integers(0, 99))
    )
)
def test_top_k_holds_the_k_largest_scores_in_order(case: tuple[list[int], int, int]) -> None:
    values, k, seed = case
    rows = top_k(np.array(values, dtype=np.float64), k, rng(seed)).tolist()
    assert len(set(rows)) == k
    assert [values[r] for r in rows] == sorted(values, reverse=True)[:k]


def test_ties_at_the_cut_and_in_the_order_favor_no_row() -> None:
    scores = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 0.0])
    source = rng(8)
    chosen = [tuple(top_k(scores, 3, source).tolist()) for _ in range(6000)]
    assert all(c[0] == 2 for c in chosen)
    pairs = Counter(c[1:] for c in chosen)
    assert len(pairs) == 12  # every ordered pair of the four that tie
    # expected 500 each, sd 21.4; five of them on either side
    assert max(abs(v - 500) for v in pairs.values()) < 107


def test_ties_above_the_cut_stand_in_random_order() -> None:
    firsts = {int(top_k(np.array([2.0, 2.0, 1.0, 0.0]), 3, rng(s))[0]) for s in range(20)}
    assert firsts == {0, 1}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_top_k_refuses_scores_that_are_not_finite(bad: float) -> None:
    with pytest.raises(NotFinite, match="1 of 3 scores"):
        top_k(np.array([0.0, bad, 1.0]), 1, rng())


def test_top_k_refuses_more_than_there_are() -> None:
    with pytest.raises(PoolTooSmall, match="3 cases asked for, 2 in the pool"):
        top_k(np.zeros(2), 3, rng())
