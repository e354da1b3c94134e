"""ProbCover against brute force: its cover, its radius, and what lies on the radius."""

from __future__ import annotations

from fractions import Fraction
from math import dist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.build import build
from strategies.pool import Pool
from strategies.query import QUERY
from strategies.query.probcover import ProbCover, cover, pure_radius

Floats = NDArray[Any]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def squares(x: Floats, y: Floats) -> Floats:
    return np.asarray(((x[:, None] - y[None]) ** 2).sum(axis=-1))


@given(n=st.integers(1, 25), m=st.integers(0, 3), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_cover_is_greedy_with_equals_at_random(n: int, m: int, seed: int) -> None:
    x, delta = rng(seed).standard_normal((n + m, 2)), 0.8
    rows = cover(x, n, delta, n, rng(seed)).tolist()
    assert sorted(rows) == list(range(n))
    near = squares(x, x) < delta**2
    open_ = ~near[n:, :n].any(axis=0)
    for t, row in enumerate(rows):
        if not open_.any():
            break
        counts = (near[:n, :n] & open_).sum(axis=1)
        counts[rows[:t]] = -1
        assert counts[row] == counts.max()
        open_ &= ~near[row, :n]


def test_cover_on_a_line() -> None:
    x = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [20.0], [30.0]])
    # 1 covers three, 3 or 4 cover two, 5 itself; 30 is labeled
    rows = cover(x, 6, 1.5, 6, rng()).tolist()
    assert rows[0] == 1
    assert rows[1] in (3, 4)
    assert rows[2] == 5
    assert set(rows[3:]) == {0, 2, 3, 4} - {rows[1]}


def test_cover_counts_alike_in_blocks() -> None:
    x = rng(4).standard_normal((1500, 3))
    gains, near = [], squares(x, x) < 0.25
    open_ = np.ones(1500, dtype=bool)
    for row in cover(x, 1500, 0.5, 20, rng()):
        counts = (near & open_).sum(axis=1)
        gains.append(counts[row] == counts.max())
        open_ &= ~near[row]
    assert all(gains)


def test_the_pure_radius_is_where_the_share_of_pure_balls_falls() -> None:
    x, assigned = np.array([[0.0], [1.0], [2.0], [5.0], [9.0]]), np.array([0, 0, 0, 1, 1])
    # distances to the other cluster: 5, 4, 3, 3, 7
    assert pure_radius(x, assigned, 0.9, rng()) == pytest.approx(3)
    assert pure_radius(x, assigned, 0.6, rng()) == pytest.approx(4)
    assert pure_radius(x, assigned, 0.4, rng()) == pytest.approx(5)
    assert pure_radius(x, assigned, 0.2, rng()) == pytest.approx(7)
    assert pure_radius(x, np.zeros(5, dtype=int), 0.9, rng()) == np.inf
    # one row and those at 1 to 99 from it: 0.55 of 100 are 55, however 0.55 * 100 is rounded
    line, one = np.arange(100.0)[:, None], np.array([0] + [1] * 99)
    assert pure_radius(line, one, 0.55, rng()) == pytest.approx(45)


@given(
    n=st.integers(2, 20),
    clusters=st.integers(2, 4),
    purity=st.sampled_from([0.05, 0.3, 0.5, 0.55, 0.7, 0.95]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_no_larger_radius_leaves_the_share_of_pure_balls(
    n: int, clusters: int, purity: float, seed: int
) -> None:
    x = rng(seed).standard_normal((n, 2))
    of = np.append(rng(seed + 1).integers(clusters, size=n - 2), [0, 1])
    apart = [[dist(p, q) for q in x.tolist()] for p in x.tolist()]

    def pure(radius: float) -> int:
        """Rows with only rows of their own cluster closer than the radius."""
        return sum(all(of[i] == of[j] or apart[i][j] >= radius for j in range(n)) for i in range(n))

    radii = {apart[i][j] for i in range(n) for j in range(n) if of[i] != of[j]}
    wanted = max(r for r in radii if pure(r) >= Fraction(str(purity)) * n)
    assert pure_radius(x, of, purity, rng()) == pytest.approx(wanted)


def test_of_more_than_a_thousand_rows_a_sample_is_measured() -> None:
    x = np.repeat([[0.0], [1.0], [5.0]], 500, axis=0)
    of = np.repeat([0, 1, 1], 500)
    # two thirds at distance 1, one third at 5, a standard error of 0.015
    assert pure_radius(x, of, 0.42, rng()) == pytest.approx(1)
    assert pure_radius(x, of, 0.25, rng()) == pytest.approx(5)


def test_a_row_at_the_radius_is_not_covered() -> None:
    x = np.array([[2.0], [7.0], [7.5], [0.0]])  # the last is labeled
    for seed in range(20):
        rows = cover(x, 3, 2.0, 3, rng(seed)).tolist()
        assert rows[0] in (1, 2)
        assert rows[1] == 0  # 2 from the labeled one, and no other is left uncovered
        assert cover(x, 3, 2.001, 1, rng(seed))[0] in (1, 2)
    nearer = {int(cover(x, 3, 2.001, 3, rng(s))[1]) for s in range(20)}
    assert nearer == {0, 1, 2}  # all is covered by then, so the rest is drawn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_the_pure_radius_no_rounding_covers_a_row_of_another_cluster(dtype: type[Any]) -> None:
    for seed in range(60):
        p, other = rng(seed).standard_normal((2, 8))
        x = np.array([p, -p, -p, p + 0.5 * other])  # a row, two alike far off, and a labeled one
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)
        delta = pure_radius(x, np.array([0, 0, 0, 1]), 0.99, rng())
        assert delta == pytest.approx(dist(x[0].tolist(), x[3].tolist()), rel=1e-4)
        rows = cover(x, 3, delta, 2, rng(seed)).tolist()
        assert rows[0] in (1, 2)
        assert rows[1] == 0


def test_duplicates_cover_each_other_at_any_radius() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    for seed in range(10):
        rows = cover(x, 4, 1e-12, 3, rng(seed)).tolist()
        assert rows[0] in (1, 2)
        assert set(rows[1:]) == {0, 3}


def test_a_given_radius_is_taken_and_nonsense_refused() -> None:
    x = rng(5).random((80, 4))
    signals = {"features": x, "labeled_features": x[:0], "labeled_targets": np.zeros((0, 2))}
    wide = ProbCover(delta=2.0).select(Pool(80, signals), 80, rng())
    assert sorted(wide.tolist()) == list(range(80))
    with pytest.raises(ValueError, match="'delta' is 3; accepted is above 0, at most 2"):
        build(QUERY, "probcover", delta=3)
    with pytest.raises(ValueError, match="'purity' is 1; accepted is between 0 and 1"):
        build(QUERY, "probcover", purity=1)
