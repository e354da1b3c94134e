"""BatchBALD against the joint entropy written out, and where it could go wrong."""

from __future__ import annotations

from itertools import product
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.pool import Pool
from strategies.query.bald import Bald
from strategies.query.batchbald import Batch, BatchBald


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def information(p: NDArray[Any], rows: list[int]) -> float:
    """I(y_rows; member) by every joint outcome of every member, nats."""
    members, classes = p.shape[1:]
    total = 0.0
    for answers in product(range(classes), repeat=len(rows)):
        each = np.ones(members)
        for row, answer in zip(rows, answers, strict=True):
            each = each * p[row, :, answer]
        total -= each.mean() * log(max(each.mean(), 1e-300))
        total += sum(e * log(e) for e in each if e > 0) / members
    return total


def pool_of(p: NDArray[Any], multi_label: bool = False) -> Pool:
    return Pool(len(p), {"mc_probs": p}, multi_label=multi_label)


@settings(max_examples=20)
@given(n=st.integers(1, 7), m=st.integers(2, 4), c=st.integers(2, 3), seed=st.integers(0, 10**6))
def test_exact_picks_are_greedy_on_the_joint_information(n: int, m: int, c: int, seed: int) -> None:
    p = rng(seed).dirichlet(np.full(c, 0.5), (n, m))
    k = min(n, 3)
    rows = BatchBald(limit=c**k).select(pool_of(p), k, rng(seed)).tolist()
    for t in range(k):
        gains = [information(p, [*rows[:t], i]) for i in range(n) if i not in rows[:t]]
        assert information(p, rows[: t + 1]) == pytest.approx(max(gains), abs=1e-9)


def test_gains_add_up_to_the_joint_information_beyond_the_pool_of_one_block() -> None:
    p = rng(1).dirichlet(np.full(3, 0.5), (300, 4))
    batch, picks, total = Batch(p, 81, 10), [7, 250, 7, 31], 0.0
    for t, pick in enumerate(picks):
        total += float(batch.gains(np.array([pick]))[0])
        assert total == pytest.approx(information(p, picks[: t + 1]), abs=1e-9)
        batch.add(pick, rng())
    assert batch.exact
    assert len(batch.weights) == 81


def test_drawn_outcomes_estimate_the_exact_gain() -> None:
    samples = 4000
    p = rng(2).dirichlet(np.full(3, 0.5), (40, 6))
    exact, few = Batch(p, 3**5, 1), Batch(p, 9, samples)
    for pick in (3, 11, 25, 30):
        exact.add(pick, rng())
        few.add(pick, rng(5))
    assert exact.exact
    assert not few.exact
    rows = np.arange(40)
    assert few.gains(rows) == pytest.approx(exact.gains(rows), abs=0.02)
    assert few.posterior.sum(axis=1) == pytest.approx(np.ones(samples), abs=1e-5)


def test_it_asks_the_second_question_that_bald_would_not() -> None:
    # four members in two bits: rows 0 and 1 tell the same bit for sure, row 2 the other less so
    bit = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    other = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])
    pool = pool_of(np.stack([bit, bit, other, np.full((4, 2), 0.5)]))
    assert set(Bald(4).select(pool, 2, rng()).tolist()) == {0, 1}
    runs = [BatchBald(4).select(pool, 3, rng(s)).tolist() for s in range(12)]
    assert {r[0] for r in runs} == {0, 1}  # equals at random
    assert all(r[1] == 2 for r in runs)
    batch = Batch(pool.signals["mc_probs"], 100, 1)
    batch.add(0, rng())
    h = -(0.9 * log(0.9) + 0.1 * log(0.1))
    assert batch.gains(np.arange(4)) == pytest.approx([0, 0, log(2) - h, 0], abs=1e-12)


def test_several_labels_add_what_each_class_tells() -> None:
    mc = rng(3).random((6, 3, 2))
    rows = BatchBald(3, limit=8).select(pool_of(mc, multi_label=True), 3, rng()).tolist()
    yes_no = [np.stack([mc[..., c], 1 - mc[..., c]], axis=-1) for c in range(2)]
    for t in range(3):
        left = [i for i in range(6) if i not in rows[:t]]
        best = max(left, key=lambda i: sum(information(p, [*rows[:t], i]) for p in yes_no))
        assert rows[t] == best


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 1000])
def test_members_that_agree_or_are_sure_leave_it_to_chance(limit: int) -> None:
    same = np.tile(rng(4).dirichlet(np.ones(3)), (30, 5, 1))
    sure = np.tile(np.eye(3)[0], (30, 5, 1))
    for p in (same, sure):
        runs = [BatchBald(5, limit).select(pool_of(p), 30, rng(s)).tolist() for s in range(12)]
        assert all(sorted(r) == list(range(30)) for r in runs)
        assert len({r[0] for r in runs}) > 5


def test_a_whole_pool_of_contradicting_members_is_ranked() -> None:
    p = np.eye(4)[rng(5).integers(4, size=(150, 6))]  # every member is sure, and of its own
    rows = BatchBald(6, limit=16, samples=20).select(pool_of(p), 150, rng())
    assert sorted(rows.tolist()) == list(range(150))


@pytest.mark.parametrize("name", ["limit", "samples"])
def test_no_outcomes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"argument '{name}' is 0; accepted is 1 or more"):
        BatchBald(**{name: 0})
