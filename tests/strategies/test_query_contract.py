"""What every query strategy of the table promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.build import build
from strategies.pool import MODELS, PER_CASE, MissingSignal, Needs, NotFinite, Pool, PoolTooSmall
from strategies.query import QUERY, SCORED, CostWeighted, QueryStrategy
from strategies.query.entropy import Entropy

N, M, D, C, MEMBERS = 60, 7, 6, 4, 5
NAMES = sorted(QUERY)
FOLLOWS_ROWS = [
    "bald",
    "coreset",
    "entropy",
    "fedal",
    "kafal",
    "least-confidence",
    "margin",
    "maxherding",
]


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def signals(multi_label: bool, seed: int = 3) -> Mapping[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)

    def probabilities(*size: int) -> NDArray[Any]:
        if multi_label:
            return rng.random((*size, C))
        return rng.dirichlet(np.ones(C), size=size)

    made = {"mc_probs": probabilities(N, MEMBERS), "ensemble_probs": probabilities(N, 3)}
    for before in MODELS:
        made |= {
            before + "probs": probabilities(N),
            before + "logits": 3 * rng.standard_normal((N, C)),
            before + "features": rng.standard_normal((N, D)),
            before + "labeled_probs": probabilities(M),
            before + "labeled_features": rng.standard_normal((M, D)),
        }
    made |= {
        "minutes": rng.uniform(0.5, 3, N),
        "looks": rng.random((N, 9)),
        "cluster_centres": rng.standard_normal((9, D)),
        "cluster_turns": rng.permutation(9).astype(np.float64),
        "threshold": np.array([0.6]),
        "labeled_targets": np.eye(C)[rng.integers(C, size=M)],
        "head_weights": rng.standard_normal((C, D)),
        "head_bias": rng.standard_normal(C),
    }
    return MappingProxyType({k: frozen(v) for k, v in made.items()})


@pytest.fixture(params=[False, True], ids=["single-label", "multi-label"])
def pool(request: pytest.FixtureRequest) -> Pool:
    return Pool(N, signals(request.param), multi_label=request.param)


@pytest.fixture(params=[*NAMES, "cost-weighted"])
def strategy(request: pytest.FixtureRequest) -> QueryStrategy:
    if request.param == "cost-weighted":
        return Weighted()
    return build(QUERY, request.param)


class Weighted:
    """Cost-weighted entropy with a cost matrix of the pool's own size."""

    needs = Needs(frozenset({"probs"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        n = 2 if pool.multi_label else C
        cost = tuple(tuple(float(2 * i + 1) * (i != j) for j in range(n)) for i in range(n))
        return CostWeighted(Entropy(), cost).select(pool, k, rng)


def only(pool: Pool, needs: Needs) -> Pool:
    return replace(pool, signals={k: v for k, v in pool.signals.items() if k in needs.signals})


@pytest.mark.parametrize("k", [0, 1, 13, N])
def test_k_distinct_rows_from_the_named_signals_alone(
    strategy: QueryStrategy, pool: Pool, k: int
) -> None:
    rows = strategy.select(only(pool, strategy.needs), k, np.random.default_rng(0))
    assert rows.dtype == np.int64
    assert rows.shape == (k,)
    assert len(set(rows.tolist())) == k
    assert set(rows.tolist()) <= set(range(N))


def test_same_seed_same_choice(strategy: QueryStrategy, pool: Pool) -> None:
    first, again = (strategy.select(pool, 20, np.random.default_rng(5)) for _ in range(2))
    assert first.tolist() == again.tolist()


@pytest.mark.parametrize("k", [N + 1, -1])
def test_refuses_a_count_the_pool_cannot_give(strategy: QueryStrategy, pool: Pool, k: int) -> None:
    refusal = PoolTooSmall if k > 0 else ValueError
    with pytest.raises(refusal, match=f"{k} cases asked for"):
        strategy.select(pool, k, np.random.default_rng(0))


def test_empty_pool_gives_an_empty_choice(strategy: QueryStrategy, pool: Pool) -> None:
    none = {k: v[:0] if k in PER_CASE else v for k, v in pool.signals.items()}
    empty = replace(pool, size=0, signals=none)
    assert strategy.select(empty, 0, np.random.default_rng(0)).shape == (0,)
    with pytest.raises(PoolTooSmall):
        strategy.select(empty, 1, np.random.default_rng(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_in_every_signal_needed(
    strategy: QueryStrategy, pool: Pool, bad: float
) -> None:
    for name in strategy.needs.signals:
        broken = pool.signals[name].copy()
        broken.flat[-1] = bad
        spoilt = replace(pool, signals={**pool.signals, name: broken})
        with pytest.raises(NotFinite, match=f"'{name}' holds 1"):
            strategy.select(spoilt, 3, np.random.default_rng(0))


def test_a_missing_signal_is_named(strategy: QueryStrategy, pool: Pool) -> None:
    for name in strategy.needs.signals:
        less = {k: v for k, v in pool.signals.items() if k != name}
        with pytest.raises(MissingSignal, match=f"'{name}'"):
            strategy.select(replace(pool, signals=less), 3, np.random.default_rng(0))


def test_rows_that_do_not_match_the_pool_are_refused(strategy: QueryStrategy, pool: Pool) -> None:
    for name in strategy.needs.signals & PER_CASE:
        short = {**pool.signals, name: pool.signals[name][:-1]}
        with pytest.raises(ValueError, match=f"'{name}' has shape"):
            strategy.select(replace(pool, signals=short), 3, np.random.default_rng(0))


@pytest.mark.parametrize("name", FOLLOWS_ROWS)
def test_a_permuted_pool_gives_the_permuted_choice(name: str, pool: Pool) -> None:
    order = np.random.default_rng(11).permutation(N)
    moved = {k: v[order] if k in PER_CASE else v for k, v in pool.signals.items()}
    strategy = build(QUERY, name)
    plain = strategy.select(pool, 15, np.random.default_rng(1))
    permuted = strategy.select(replace(pool, signals=moved), 15, np.random.default_rng(2))
    assert order[permuted].tolist() == plain.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_single_and_half_precision_signals_are_taken(
    strategy: QueryStrategy, pool: Pool, dtype: type[np.floating[Any]]
) -> None:
    narrow = {k: v.astype(dtype) for k, v in pool.signals.items()}
    rows = strategy.select(replace(pool, signals=narrow), N, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(N))


def test_arrays_that_are_not_contiguous_give_the_same_choice(
    strategy: QueryStrategy, pool: Pool
) -> None:
    spread = {k: np.asfortranarray(np.repeat(v, 2, axis=0))[::2] for k, v in pool.signals.items()}
    assert not any(v.flags.c_contiguous for v in spread.values() if v.size > 1)
    plain = strategy.select(pool, 20, np.random.default_rng(4))
    strided = strategy.select(replace(pool, signals=spread), 20, np.random.default_rng(4))
    assert plain.tolist() == strided.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_table_are_frozen_dataclasses_with_documented_arguments(name: str) -> None:
    row = QUERY[name]
    assert isinstance(row, type)
    assert is_dataclass(row)
    assert row.__doc__
    for argument in fields(row):
        assert f"{argument.name}:" in row.__doc__


@pytest.mark.parametrize("name", sorted(SCORED))
def test_scores_are_finite_and_at_least_0(name: str, pool: Pool) -> None:
    strategy: Any = build(QUERY, name)
    scores = strategy.scores(pool)
    assert scores.shape == (N,)
    assert scores.dtype == np.float64
    assert scores.min() >= 0
