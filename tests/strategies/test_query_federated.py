"""Federated strategies against numbers by hand, plain loops on small pools, and their papers."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from strategies.pool import PER_CASE, Pool
from strategies.query import QUERY
from strategies.query.cost_aware import CostAware
from strategies.query.entropy import Entropy
from strategies.query.fairfal import FairFal
from strategies.query.feal import Feal
from strategies.query.fedal import FedAl
from strategies.query.kafal import Kafal
from strategies.query.kmeans import k_means
from strategies.query.logo import LoGo, best_of_each, doubts

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(multi_label: bool = False, **signals: Any) -> Pool:
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in signals.items()}
    per_case = [len(a) for name, a in arrays.items() if name in PER_CASE]
    return Pool(per_case[0], arrays, multi_label)


def drawn(seed: int, n: int = 40, m: int = 6, c: int = 3, d: int = 5) -> dict[str, NDArray[Any]]:
    """Every signal of a random pool."""
    r = rng(seed)
    signals: dict[str, NDArray[Any]] = {"labeled_targets": np.eye(c)[r.integers(c, size=m)]}
    for before in ("", "local_", "scratch_"):
        for among, rows in (("", n), ("labeled_", m)):
            logits = 3 * r.standard_normal((rows, c))
            signals[f"{before}{among}probs"] = softmax(logits, axis=1)
            signals[f"{before}{among}features"] = r.standard_normal((rows, d))
            if not among:
                signals[f"{before}logits"] = logits
    return signals


# ---- FedAL


def test_fedal_is_unsure_of_opposite_certainties() -> None:
    pool = pool_of(probs=[[1, 0], [0.9, 0.1]], local_probs=[[0, 1], [0.9, 0.1]])
    h = -(0.9 * log(0.9) + 0.1 * log(0.1))
    assert FedAl().scores(pool) == pytest.approx([log(2), h])
    several = pool_of(True, probs=[[1, 0.5]], local_probs=[[0, 0.5]])
    assert FedAl().scores(several) == pytest.approx([2 * log(2)])


# ---- LoGo


@few
@given(SEEDS, st.integers(1, 12))
def test_logo_takes_the_least_sure_of_every_cluster_then_the_second(seed: int, k: int) -> None:
    signals = drawn(seed)
    picks = LoGo().select(pool_of(**signals), k, rng(seed))
    doubt = 1 - signals["scratch_probs"].max(axis=1)
    embedded = signals["scratch_features"] * doubt[:, None]
    assigned = k_means(embedded, k, rng(seed), 20).assigned
    scores = Entropy().scores(pool_of(probs=signals["probs"]))
    left = {c: sorted(np.flatnonzero(assigned == c), key=lambda i: scores[i]) for c in range(k)}
    wanted: list[int] = []
    while len(wanted) < k:
        turn = [rows.pop() for rows in left.values() if rows]
        wanted += sorted(turn, key=lambda i: -scores[i])
    assert picks.tolist() == wanted[:k]


def test_logo_refills_where_duplicates_leave_fewer_clusters_than_picks() -> None:
    pool = pool_of(
        probs=[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.5, 0.5]],
        scratch_probs=[[0.5, 0.5]] * 4,
        scratch_features=[[1.0], [1.0], [-1.0], [-1.0]],
    )
    assert LoGo().select(pool, 3, rng()).tolist() == [3, 1, 2]


def test_equals_within_a_cluster_come_by_chance() -> None:
    first = {int(best_of_each(np.zeros(5, int), np.ones(5), 1, rng(s))[0]) for s in range(60)}
    assert first == set(range(5))


def test_the_doubt_of_several_labels_is_the_sum_of_each_one_s() -> None:
    assert doubts(np.array([[0.9, 0.5]]), True) == pytest.approx([0.6])
    assert doubts(np.array([[0.7, 0.2, 0.1]]), False) == pytest.approx([0.3])


# ---- KAFAL


def published(logits: Any, local: Any, counts: Any) -> NDArray[Any]:
    """The score as the authors' code computes it, counts as they are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        raised = [x + np.log(counts) for x in (logits, local)]
        a, b = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in raised)
        one, two = ((np.exp(x) * (x - y)).sum(axis=1) for x, y in ((a, b), (b, a)))
    return np.asarray((one + two) / 2)


def test_kafal_by_hand() -> None:
    # three labels of class 0, one of class 1: odds 3 and 1/3 * 3 = 1, so a = (3/4, 1/4), b = 1/2
    pool = pool_of(
        logits=[[0, 0]], local_logits=[[0, log(3)]], labeled_targets=np.eye(2)[[0, 0, 0, 1]]
    )
    assert Kafal().scores(pool) == pytest.approx([log(3) / 8])


@few
@given(SEEDS)
def test_kafal_is_the_published_score_where_every_class_has_labels(seed: int) -> None:
    signals = drawn(seed)
    targets = np.eye(3)[[0, 1, 2, 2, 1, 2]]
    pool = pool_of(**(signals | {"labeled_targets": targets}))
    wanted = published(signals["logits"], signals["local_logits"], targets.sum(axis=0))
    np.testing.assert_allclose(Kafal().scores(pool), wanted, rtol=1e-9, atol=1e-12)


def test_an_absent_class_makes_the_published_score_nan_for_every_case_and_ours_for_none() -> None:
    signals = drawn(1)
    targets = np.eye(3)[[0, 0, 1, 1, 1, 0]]
    theirs = published(signals["logits"], signals["local_logits"], targets.sum(axis=0))
    assert np.isnan(theirs).all()
    pool = pool_of(**(signals | {"labeled_targets": targets}))
    ours = Kafal().scores(pool)
    assert np.isfinite(ours).all()
    assert len(set(ours.tolist())) == len(ours)
    counted = published(signals["logits"], signals["local_logits"], np.array([3, 3, 1]))
    np.testing.assert_allclose(ours, counted, rtol=1e-9)
    none = pool_of(**(signals | {"labeled_targets": np.zeros((0, 3))}))
    assert np.isfinite(Kafal().scores(none)).all()


def test_kafal_of_several_labels_looks_at_each_class_s_yes_and_no() -> None:
    targets = [[1, 0], [1, 0], [1, 0], [0, 0]]  # three with and one without; none with, four
    pool = pool_of(True, logits=[[0, 0]], local_logits=[[-log(3), 0]], labeled_targets=targets)
    assert Kafal().scores(pool) == pytest.approx([log(3) / 8])


# ---- cost-aware


def test_gain_per_minute_by_hand() -> None:
    pool = pool_of(probs=[[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]], minutes=[2, 0.5, 4])
    h = -(0.9 * log(0.9) + 0.1 * log(0.1))
    assert CostAware().scores(pool) == pytest.approx([log(2) / 2, 2 * h, log(2) / 4])
    assert CostAware().select(pool, 3, rng()).tolist() == [1, 0, 2]
    assert CostAware(power=0).scores(pool) == pytest.approx([log(2), h, log(2)])
    wrong = pool_of(probs=[[0.5, 0.5]], minutes=[0])
    with pytest.raises(ValueError, match="'minutes' falls to 0; accepted is above 0"):
        CostAware().scores(wrong)


# ---- invariances


@pytest.mark.parametrize("name", ["fedal", "kafal", "feal", "fairfal"])
@few
@given(SEEDS)
def test_permuted_rows_give_the_permuted_choice(name: str, seed: int) -> None:
    signals = drawn(seed) | {"labeled_targets": np.eye(3)[[0, 1, 2] * 2]}
    signals["logits"] = abs(signals["logits"])  # two cases without evidence tie
    order = rng(seed + 1).permutation(40)
    moved = {n: a[order] if n in PER_CASE else a for n, a in signals.items()}
    strategy = QUERY[name]()
    plain = strategy.select(pool_of(**signals), 10, rng(1))
    permuted = strategy.select(pool_of(**moved), 10, rng(2))
    assert order[permuted].tolist() == plain.tolist()


@pytest.mark.parametrize(
    ("row", "arguments", "sentence"),
    [
        (LoGo, {"rounds": 0}, "'rounds' is 0; accepted is 1 or more"),
        (Kafal, {"least": 0.0}, "'least' is 0.0; accepted is above 0"),
        (Feal, {"neighbours": 0}, "'neighbours' is 0; accepted is 1 or more"),
        (Feal, {"cosine": 1.5}, "'cosine' is 1.5; accepted is -1 to 1"),
        (FairFal, {"threshold": -0.1}, "'threshold' is -0.1; accepted is 0 to 1"),
        (FairFal, {"gamma": 2.0}, "'gamma' is 2.0; accepted is 0 to 1"),
        (FairFal, {"over": 0}, "'over' is 0; accepted is 1 or more"),
        (CostAware, {"inner": "coreset"}, "unknown query strategy 'coreset'"),
        (CostAware, {"power": -1.0}, "'power' is -1.0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(row: Any, arguments: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        row(**arguments)
