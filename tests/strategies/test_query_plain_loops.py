"""The strategies that score a case from probabilities alone, each against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.pool import Pool
from strategies.query import Scored
from strategies.query.cost_aware import CostAware
from strategies.query.entropy import Entropy
from strategies.query.fedal import FedAl
from strategies.query.least_confidence import LeastConfidence
from strategies.query.margin import Margin

Row = list[float]
Loop = Callable[[Row, Row, float, bool], float]
"""A case's score from both models' probabilities, its minutes, and whether several may hold."""


def flatness(p: Row, multi_label: bool) -> float:
    both = [(q, 1 - q) for q in p] if multi_label else [tuple(p)]
    return -sum(x * log(x) for answers in both for x in answers if x > 0)


def entropy(p: Row, _local: Row, _minutes: float, multi_label: bool) -> float:
    return flatness(p, multi_label)


def margin(p: Row, _local: Row, _minutes: float, multi_label: bool) -> float:
    if multi_label:
        return sum(1 - abs(q - (1 - q)) for q in p)
    first, second, *_ = sorted(p, reverse=True)
    return 1 - (first - second)


def least_confidence(p: Row, _local: Row, _minutes: float, multi_label: bool) -> float:
    return sum(1 - max(q, 1 - q) for q in p) if multi_label else 1 - max(p)


def fedal(p: Row, local: Row, _minutes: float, multi_label: bool) -> float:
    return flatness([(a + b) / 2 for a, b in zip(p, local, strict=True)], multi_label)


def per_minute(p: Row, local: Row, minutes: float, multi_label: bool) -> float:
    return flatness(p, multi_label) / minutes


def margin_per_root_minute(p: Row, local: Row, minutes: float, multi_label: bool) -> float:
    return margin(p, local, minutes, multi_label) / sqrt(minutes)


@pytest.mark.parametrize(
    ("strategy", "loop"),
    [
        (Entropy(), entropy),
        (Margin(), margin),
        (LeastConfidence(), least_confidence),
        (FedAl(), fedal),
        (CostAware(), per_minute),
        (CostAware("fedal"), lambda p, q, m, several: fedal(p, q, m, several) / m),
        (CostAware("margin", power=0.5), margin_per_root_minute),
    ],
    ids=["entropy", "margin", "least-confidence", "fedal", "cost", "cost-fedal", "cost-margin"],
)
@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 9),
    classes=st.integers(2, 5),
    several=st.booleans(),
)
def test_scores_and_picks_are_those_of_a_plain_loop(
    strategy: Scored, loop: Loop, seed: int, n: int, classes: int, several: bool
) -> None:
    rng = np.random.default_rng(seed)
    if several:
        probs, local = rng.random((2, n, classes))
        probs[0, 0], probs[-1, -1] = 0, 1
    else:
        probs, local = rng.dirichlet(np.full(classes, 0.5), (2, n))
        probs[0] = np.eye(classes)[0]
    minutes = rng.uniform(0.2, 5, n)
    pool = Pool(n, {"probs": probs, "local_probs": local, "minutes": minutes}, several)
    cases = zip(probs.tolist(), local.tolist(), minutes.tolist(), strict=True)
    wanted = [loop(p, q, m, several) for p, q, m in cases]
    assert strategy.scores(pool) == pytest.approx(wanted, abs=1e-12)
    for k in range(n + 1):
        picks = strategy.select(pool, k, rng).tolist()
        assert len(set(picks)) == k
        best = sorted(wanted, reverse=True)[:k]
        assert [wanted[i] for i in picks] == pytest.approx(best, abs=1e-12)
