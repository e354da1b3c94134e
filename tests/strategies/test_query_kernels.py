"""k-center and k-means++ seeding against brute force, and where they could go wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.pool import NotFinite, Pool
from strategies.query.badge import Badge, draw, seed_gradients
from strategies.query.coreset import CoreSet, farthest_first

Floats = NDArray[Any]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def brute_k_center(x: Floats, centres: Floats, k: int) -> list[int]:
    """Every distance anew for every pick, in double precision."""
    kept, picks = list(centres.astype(np.float64)), []
    x = x.astype(np.float64)
    for _ in range(k):
        apart = np.array([min(((row - c) ** 2).sum() for c in kept) for row in x])
        apart[picks] = -1
        picks.append(int(apart.argmax()))
        kept.append(x[picks[-1]])
    return picks


def brute_seeding(g: Floats, uniforms: Floats, k: int) -> list[int]:
    """k-means++ on gradients written out, with the given uniform draws."""
    picks = [int((g**2).sum(axis=1).argmax())]
    for u in uniforms[: k - 1]:
        mass = np.min([((g - g[p]) ** 2).sum(axis=1) for p in picks], axis=0)
        mass[picks] = 0
        share = np.cumsum(mass) / mass.sum()
        picks.append(int((share <= u).sum()))
    return picks


def gradients(q: Floats, z: Floats) -> Floats:
    return np.asarray((q[:, :, None] * z[:, None, :]).reshape(len(q), -1))


@pytest.mark.slow
@given(
    n=st.integers(1, 25),
    m=st.integers(1, 6),
    d=st.integers(1, 5),
    block=st.integers(1, 30),
    seed=st.integers(0, 10**6),
)
def test_k_center_is_exact_greedy(n: int, m: int, d: int, block: int, seed: int) -> None:
    source = rng(seed)
    x, centres = source.standard_normal((n, d)), source.standard_normal((m, d))
    assert farthest_first(x, centres, n, rng(), block).tolist() == brute_k_center(x, centres, n)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_k_center_is_exact_greedy_of_clusters_in_every_precision(dtype: type[Any]) -> None:
    source = rng(2)
    where = source.integers(12, size=150)
    x = (8 * source.standard_normal((12, 8))[where] + source.standard_normal((150, 8))).astype(
        dtype
    )
    centres = x[:4].copy()
    assert farthest_first(x, centres, 20, rng()).tolist() == brute_k_center(x, centres, 20)


@pytest.mark.slow
def test_k_center_does_not_drift_where_the_offset_is_large_against_the_spread() -> None:
    x = (1000 + rng(3).standard_normal((200, 6))).astype(np.float32)
    assert farthest_first(x, x[:3], 30, rng()).tolist() == brute_k_center(x, x[:3], 30)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_k_center_does_not_depend_on_the_block(block: int) -> None:
    source = rng(4)
    x = source.standard_normal((500, 16)).astype(np.float32)
    centres = source.standard_normal((1500, 16)).astype(np.float32)  # more than are taken at once
    whole = farthest_first(x, centres, 60, rng(), block=500)
    assert farthest_first(x, centres, 60, rng(), block=block).tolist() == whole.tolist()


def test_k_center_on_a_line() -> None:
    x = np.array([[0.0], [1.0], [4.0], [9.0], [10.0]])
    pool = Pool(5, {"features": x, "labeled_features": np.array([[0.0]])})
    # 10 is farthest from 0; then 4 (4 from 0); then 1, 9 tie at 1 and 0 lies on the centre
    assert CoreSet().select(pool, 2, rng()).tolist() == [4, 2]
    assert set(CoreSet().select(pool, 4, rng())[2:].tolist()) == {1, 3}


def test_k_center_without_labeled_cases_starts_at_random() -> None:
    x = rng(5).standard_normal((40, 3))
    pool = Pool(40, {"features": x, "labeled_features": np.empty((0, 3))})
    runs = [CoreSet().select(pool, 6, rng(s)).tolist() for s in range(12)]
    assert len({r[0] for r in runs}) > 3
    for run in runs:
        assert run[1:] == brute_k_center(x, x[run[:1]], 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_center_of_duplicates_picks_each_row_once_and_none_by_its_place(
    dtype: type[Any],
) -> None:
    x = np.tile(np.array([0.5, 2.0, -3.25], dtype=dtype), (30, 1))
    runs = [farthest_first(x, x[:1], 5, rng(s)).tolist() for s in range(20)]
    assert all(len(set(r)) == 5 for r in runs)
    assert len({r[0] for r in runs}) > 5
    assert sorted(farthest_first(x, x[:1], 30, rng()).tolist()) == list(range(30))


def test_k_center_takes_one_of_each_before_a_duplicate() -> None:
    sites = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 7.0], [9.0, 9.0]], dtype=np.float32)
    x = np.repeat(sites, 25, axis=0)
    rows = farthest_first(x, sites[:1], 100, rng())
    assert {r // 25 for r in rows[:3].tolist()} == {1, 2, 3}
    assert sorted(rows.tolist()) == list(range(100))


@pytest.mark.parametrize("seed", range(6))
def test_k_center_picks_no_row_twice_where_rounding_leaves_duplicates_apart(seed: int) -> None:
    sites = 100 * rng(seed).standard_normal((3, 333)).astype(np.float32)
    x = np.repeat(sites, 40, axis=0)
    rows = farthest_first(x, sites[:1], 120, rng(), block=7)
    assert {r // 40 for r in rows[:2].tolist()} == {1, 2}
    assert sorted(rows.tolist()) == list(range(120))


def test_k_center_refuses_features_whose_squares_overflow() -> None:
    x = np.full((4, 2), 1e30, dtype=np.float32)
    x[0] *= -1
    with pytest.raises(NotFinite, match="overflow float32"):
        farthest_first(x, x[:1], 2, rng())


def test_k_center_refuses_labeled_features_of_another_width() -> None:
    pool = Pool(3, {"features": np.zeros((3, 4)), "labeled_features": np.zeros((2, 5))})
    with pytest.raises(ValueError, match="and 4 columns"):
        CoreSet().select(pool, 1, rng())


@pytest.mark.slow
@given(n=st.integers(2, 25), c=st.integers(2, 4), d=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_seeding_is_k_means_plus_plus_on_the_gradients(n: int, c: int, d: int, seed: int) -> None:
    source = rng(seed)
    q, z = source.standard_normal((n, c)), source.standard_normal((n, d))
    k = min(n, 8)
    uniforms = rng(seed + 1).random(k)
    picked = seed_gradients(q, z, k, rng(seed + 1)).tolist()
    assert picked == brute_seeding(gradients(q, z), uniforms, k)


@pytest.mark.slow
def test_badge_draws_in_proportion_to_squared_distance() -> None:
    # one feature of 1: the gradient is q, which is p less the predicted class's 1
    p = np.array([[0.5, 0.5], [0.6, 0.4], [0.8, 0.2], [0.9, 0.1]])
    pool = Pool(4, {"probs": p, "features": np.ones((4, 1))})
    source = rng(6)
    second = [int(Badge().select(pool, 2, source)[1]) for _ in range(8000)]
    assert 0 not in second  # the first pick, of the largest gradient
    mass = np.array([0.1, 0.3, 0.4]) ** 2
    seen = np.array([second.count(i) for i in (1, 2, 3)]) / 8000
    assert seen == pytest.approx(mass / mass.sum(), abs=0.028)  # five standard errors


def test_badge_begins_with_the_largest_gradient_wherever_it_stands() -> None:
    source = rng(7)
    p, z = source.dirichlet(np.ones(5), size=80), source.standard_normal((80, 4))
    order = source.permutation(80)
    plain = Badge().select(Pool(80, {"probs": p, "features": z}), 1, rng())
    moved = Badge().select(Pool(80, {"probs": p[order], "features": z[order]}), 1, rng())
    q = p - np.eye(5)[p.argmax(axis=1)]
    assert plain[0] == (gradients(q, z) ** 2).sum(axis=1).argmax()
    assert order[moved[0]] == plain[0]


def test_badge_of_several_labels_takes_p_less_its_rounding() -> None:
    p = np.array([[0.9, 0.4], [0.1, 0.1], [0.5, 0.6]])
    z = np.array([[1.0], [2.0], [1.0]])
    q = np.array([[-0.1, 0.4], [0.1, 0.1], [0.5, -0.4]])
    pool = Pool(3, {"probs": p, "features": z}, multi_label=True)
    uniforms = rng(1).random(2)
    picked = Badge().select(pool, 3, rng(1)).tolist()
    assert picked == brute_seeding(gradients(q, z), uniforms, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_badge_of_duplicates_picks_each_row_once_and_none_by_its_place(dtype: type[Any]) -> None:
    z = np.tile(rng(9).standard_normal(33).astype(dtype), (30, 1))
    pool = Pool(30, {"probs": np.tile([0.6, 0.3, 0.1], (30, 1)), "features": z})
    runs = [Badge().select(pool, 5, rng(s)).tolist() for s in range(20)]
    assert all(len(set(r)) == 5 for r in runs)
    assert len({r[0] for r in runs}) > 5
    assert len({r[1] for r in runs}) > 5
    assert sorted(Badge().select(pool, 30, rng()).tolist()) == list(range(30))


@pytest.mark.parametrize("seed", range(6))
def test_rounding_between_duplicates_is_no_distance(seed: int) -> None:
    z = np.tile(1000 + rng(seed).standard_normal(333).astype(np.float32), (40, 1))
    q = np.tile([-0.4, 0.3, 0.1], (40, 1))
    source = rng(13)
    first = int(source.choice(40))
    left = source.permutation([i for i in range(40) if i != first])
    assert seed_gradients(q, z, 40, rng(13)).tolist() == [first, *left.tolist()]


def test_badge_of_a_model_that_is_sure_of_every_case_is_random() -> None:
    pool = Pool(30, {"probs": np.eye(3)[np.arange(30) % 3], "features": rng().random((30, 4))})
    firsts = {int(Badge().select(pool, 30, rng(s))[0]) for s in range(20)}
    assert len(firsts) > 5


def test_badge_takes_one_of_each_before_a_duplicate() -> None:
    source = rng(10)
    p, z = source.dirichlet(np.ones(3), size=4), source.standard_normal((4, 9))
    pool = Pool(
        100, {"probs": np.repeat(p, 25, axis=0), "features": np.repeat(z, 25, axis=0).astype("f4")}
    )
    for seed in range(10):
        rows = Badge().select(pool, 100, rng(seed)).tolist()
        assert {r // 25 for r in rows[:4]} == {0, 1, 2, 3}
        assert sorted(rows) == list(range(100))


def test_badge_refuses_gradients_that_overflow() -> None:
    with pytest.raises(NotFinite, match="overflow float32"):
        seed_gradients(np.ones((2, 2)), np.full((2, 2), 1e30, dtype=np.float32), 1, rng())


def test_the_origin_counts_as_a_centre_where_asked() -> None:
    q, z = np.ones((3, 1)), np.array([[10.0], [0.0], [9.0]])
    uniforms = rng(3)
    # squared distances to {10}: 0, 100, 1; to {10, 0}: 0, 0, 1
    assert seed_gradients(q, z, 2, uniforms, origin=True).tolist() == [0, 2]


class Fixed(np.random.Generator):
    """A generator of one uniform number."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64())
        self.number = number

    def random(self, *args: Any, **kwargs: Any) -> Any:
        return self.number


def test_a_draw_at_either_end_never_lands_on_a_row_without_mass() -> None:
    assert draw(np.array([0.0, 5e-324, 0.0]), Fixed(np.nextafter(1.0, 0.0))) == 1
    assert draw(np.array([0.0, 0.0, 1.0, 1.0]), Fixed(0.0)) == 2
    assert draw(np.zeros(3), rng()) is None
