"""k-means, TypiClust and MaxHerding against brute force, and what they and ProbCover promise."""

from __future__ import annotations

from math import dist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.build import build
from strategies.pool import NotFinite, Pool
from strategies.query import QUERY
from strategies.query.distances import Distances, unit_cases
from strategies.query.kmeans import k_means
from strategies.query.maxherding import herd
from strategies.query.typiclust import TypiClust, spread

Floats = NDArray[Any]
COVERING = ["typiclust", "probcover", "maxherding"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(x: Floats, labeled: Floats | None = None, classes: int = 2) -> Pool:
    labeled = x[:0] if labeled is None else labeled
    signals = {"features": x, "labeled_features": labeled}
    return Pool(len(x), {**signals, "labeled_targets": np.zeros((len(labeled), classes))})


def squares(x: Floats, y: Floats) -> Floats:
    return np.asarray(((x[:, None] - y[None]) ** 2).sum(axis=-1))


def groups(seed: int = 0, size: int = 20) -> Floats:
    """Four far groups around the axes, of 20 rows each."""
    return np.asarray(np.repeat(np.eye(4), size, axis=0) + 0.01 * rng(seed).random((4 * size, 4)))


@given(st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=20)
def test_distances_are_those_written_out(seed: int, dtype: type[Any]) -> None:
    x = (5 + rng(seed).standard_normal((12, 3))).astype(dtype)
    x[7] = x[2]
    found = Distances(x).squared(slice(3, 9), np.arange(12))
    wanted = squares(x.astype(np.float64), x.astype(np.float64))[3:9]
    assert found == pytest.approx(wanted, abs=2e-4 if dtype is np.float32 else 1e-12)
    assert found[4, 2] == 0


def test_rows_of_length_1_and_a_row_of_zeros() -> None:
    x, n = unit_cases(pool_of(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.0, 2.0]])))
    assert n == 2
    assert x == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, 1]]))


@pytest.mark.parametrize("name", COVERING)
def test_features_whose_squares_overflow_are_refused(name: str) -> None:
    with pytest.raises(NotFinite, match="overflow float32"):
        build(QUERY, name).select(pool_of(np.full((4, 2), 1e30, np.float32)), 2, rng())


@pytest.mark.parametrize("name", COVERING)
def test_labeled_features_of_another_width_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="and 4 columns"):
        build(QUERY, name).select(pool_of(np.ones((3, 4)), np.ones((2, 5))), 1, rng())


# ---- k-means


@given(n=st.integers(1, 30), k=st.integers(1, 12), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_every_row_is_with_its_nearest_centre_which_is_its_rows_mean(
    n: int, k: int, seed: int
) -> None:
    x = rng(seed).standard_normal((n, 3))
    found = k_means(x, k, rng(seed), rounds=100)
    apart = squares(x, found.centres)
    assert found.apart == pytest.approx(apart.min(axis=1), abs=1e-9)
    assert apart[np.arange(n), found.assigned] == pytest.approx(apart.min(axis=1), abs=1e-9)
    for c in np.unique(found.assigned):
        assert found.centres[c] == pytest.approx(x[found.assigned == c].mean(axis=0), abs=1e-9)


def test_k_means_on_a_line() -> None:
    found = k_means(np.array([[0.0], [1.0], [10.0], [12.0]]), 2, rng())
    assert sorted(found.centres[:, 0].tolist()) == pytest.approx([0.5, 11.0])
    assert sorted(found.apart.tolist()) == pytest.approx([0.25, 0.25, 1.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_are_no_more_clusters_than_distinct_rows(dtype: type[Any]) -> None:
    x = np.repeat((1000 + rng(1).standard_normal((3, 50))).astype(dtype), 8, axis=0)
    found = k_means(x, 10, rng())
    assert len(found.centres) == 3
    assert [len(set(part.tolist())) for part in found.assigned.reshape(3, 8)] == [1, 1, 1]
    assert len(k_means(x[:1], 5, rng()).centres) == 1


def test_k_means_is_of_its_seed() -> None:
    x = rng(2).standard_normal((100, 4))
    one, same, other = (k_means(x, 9, rng(s)).centres for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


# ---- what all three promise


@pytest.mark.parametrize("name", COVERING)
def test_one_of_each_group_before_a_second(name: str) -> None:
    for seed in range(5):
        rows = build(QUERY, name).select(pool_of(groups(seed), classes=4), 4, rng(seed))
        assert {r // 20 for r in rows.tolist()} == {0, 1, 2, 3}


@pytest.mark.parametrize("name", COVERING)
def test_groups_with_a_label_come_after_those_without(name: str) -> None:
    x = groups(1)
    rows = build(QUERY, name).select(pool_of(x, x[[3, 45]], classes=4), 2, rng())
    assert {r // 20 for r in rows.tolist()} == {1, 3}


@pytest.mark.parametrize("labeled", [0, 1, 5])
@pytest.mark.parametrize("name", COVERING)
def test_duplicates_are_picked_once_each_and_none_by_its_place(name: str, labeled: int) -> None:
    x = np.tile(np.array([0.5, 2.0, -3.25], dtype=np.float32), (30, 1))
    runs = [build(QUERY, name).select(pool_of(x, x[:labeled]), 30, rng(s)) for s in range(12)]
    assert all(sorted(r.tolist()) == list(range(30)) for r in runs)
    assert len({int(r[0]) for r in runs}) > 5


@pytest.mark.parametrize("name", COVERING)
def test_one_case_and_a_case_of_zeros(name: str) -> None:
    assert build(QUERY, name).select(pool_of(np.ones((1, 2))), 1, rng()).tolist() == [0]
    zeros = np.vstack([np.zeros((2, 3)), np.eye(3)])
    assert len(set(build(QUERY, name).select(pool_of(zeros), 5, rng()).tolist())) == 5


# ---- TypiClust


@given(n=st.integers(1, 25), neighbours=st.integers(1, 30), seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_spread_is_the_mean_distance_to_the_nearest(n: int, neighbours: int, seed: int) -> None:
    x = rng(seed).standard_normal((n, 3))
    apart = np.sort(np.sqrt(squares(x, x)), axis=1)[:, 1 : neighbours + 1]
    wanted = apart.mean(axis=1) if n > 1 else np.zeros(1)
    assert spread(x, neighbours, block=7) == pytest.approx(wanted, abs=1e-6)


@given(
    n=st.integers(1, 18),
    m=st.integers(0, 5),
    clusters=st.integers(1, 5),
    neighbours=st.integers(1, 4),
    least=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=50)
def test_typiclust_of_given_clusters_is_its_plain_loop(
    n: int, m: int, clusters: int, neighbours: int, least: int, seed: int
) -> None:
    source = rng(seed)
    x, assigned = source.standard_normal((n + m, 2)), source.integers(clusters, size=n + m)
    picks = TypiClust(neighbours, least=least).of_clusters(x, n, assigned, n, source).tolist()
    assert sorted(picks) == list(range(n))
    of = assigned.tolist()

    def apart(i: int) -> float:
        """Mean distance to the nearest others of the cluster, labeled or picked ones included."""
        others = [j for j in range(n + m) if of[j] == of[i] and j != i]
        near = sorted(dist(x[i].tolist(), x[j].tolist()) for j in others)[:neighbours]
        return sum(near) / len(near) if near else 0.0

    for t, row in enumerate(picks):
        known, left = [*range(n, n + m), *picks[:t]], [i for i in range(n) if i not in picks[:t]]
        turns = {
            c: (of.count(c) < least, sum(of[i] == c for i in known), -of.count(c))
            for c in {of[i] for i in left}
        }
        assert turns[of[row]] == min(turns.values())
        assert apart(row) == pytest.approx(min(apart(i) for i in left if of[i] == of[row]))


def test_typiclust_takes_the_most_typical_of_the_largest_cluster() -> None:
    line = np.array([[0.0], [1.0], [2.0], [4.0], [50.0], [51.0], [80.0], [0.9]])
    # mean distances to two neighbours: 0: 0.95; 1: 0.55; 2: 1.05; 4: 2.5; 0.9: 0.5, and labeled
    assigned = np.array([0, 0, 0, 0, 1, 1, 2, 0])
    strategy = TypiClust(neighbours=2, least=2)
    rows = strategy.of_clusters(line, 7, assigned, 7, rng()).tolist()
    assert set(rows[:1]) <= {4, 5}  # the largest without a label; the single row is too small
    assert rows[1] == 1  # then both have one, and the other is larger
    assert rows[2:] == [9 - rows[0], 0, 2, 3, 6]


def test_typiclust_with_fewer_clusters_than_picks_goes_around() -> None:
    rows = TypiClust(most=4).select(pool_of(groups(2)), 12, rng())
    for first in range(0, 12, 4):
        assert {r // 20 for r in rows[first : first + 4].tolist()} == {0, 1, 2, 3}


def test_one_cluster_gives_its_cases_by_typicality() -> None:
    x = groups(3)
    rows = TypiClust(most=1, neighbours=5).select(pool_of(x), 80, rng())
    unit, _ = unit_cases(pool_of(x))
    assert np.all(np.diff(spread(unit, 5)[rows]) >= 0)


# ---- MaxHerding


def assert_greedy(x: Floats, n: int, width: float, rows: list[int]) -> None:
    """Each pick adds most to the kernel coverage, computed anew; two mutual cases may tie."""
    kernel = np.exp(-squares(x, x) / width**2)
    best = kernel[n:].max(axis=0, initial=0)
    for t, row in enumerate(rows):
        more = np.maximum(kernel[:n] - best, 0).sum(axis=1)
        more[rows[:t]] = 0
        assert more[row] == pytest.approx(more.max(), abs=1e-5)
        best = np.maximum(best, kernel[row])


@given(n=st.integers(1, 90), m=st.integers(0, 3), seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_herding_is_greedy(n: int, m: int, seed: int) -> None:
    x, k = rng(seed).standard_normal((n + m, 4)), min(n, 10)
    rows = herd(x, n, 1.5, k, rng(seed)).tolist()
    assert len(set(rows)) == k
    assert_greedy(x, n, 1.5, rows)


def test_herding_on_a_line() -> None:
    x = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [30.0]])
    # of width 1 with e = exp(-1): 1 + 2e + ..., then 1 + e, and 30 is labeled
    rows = herd(x, 5, 1.0, 2, rng())
    assert rows[0] == 1
    assert rows[1] in (3, 4)


def test_the_width_follows_the_spread_of_the_features() -> None:
    x = 1000 + rng(6).random((60, 5))  # nearly one direction
    close = build(QUERY, "maxherding").select(pool_of(x), 5, rng())
    unit, n = unit_cases(pool_of(x))
    wide = float(np.sqrt(squares(unit, unit).mean() / 2))
    assert_greedy(unit, n, wide, close.tolist())
    with pytest.raises(ValueError, match="'width' is 0; accepted is above 0"):
        build(QUERY, "maxherding", width=0)
