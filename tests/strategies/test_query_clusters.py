"""Clusters from sums and counts: by hand, against loops, and what a site never tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.clusters import Cells, cells, shared
from strategies.pool import Pool
from strategies.query.federated_typiclust import FederatedTypiClust
from strategies.query.typiclust import TypiClust

Floats = NDArray[Any]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unit(x: Floats) -> Floats:
    return np.asarray((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))


def told(*rows: tuple[tuple[float, ...], int, int]) -> Cells:
    """Cells written as (mean, cases, labels)."""
    return Cells(
        np.array([r[0] for r in rows], np.float32).reshape(len(rows), -1),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.int64),
    )


def pool_of(x: Floats, labeled: Floats, centres: Floats, turns: list[int]) -> Pool:
    own = {"features": x, "labeled_features": labeled}
    return Pool(
        len(x), {**own, "cluster_centres": centres, "cluster_turns": np.array(turns, np.float64)}
    )


# ---- what a site tells


@given(n=st.integers(0, 60), least=st.integers(2, 7), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_site_tells_of_large_clusters_alone_their_means_and_counts(
    n: int, least: int, seed: int
) -> None:
    drawn = rng(seed)
    x = unit(drawn.standard_normal((n, 3))) if n else np.empty((0, 3), np.float32)
    labeled = int(drawn.integers(n + 1))
    found = cells(x, labeled, 9, least, drawn)
    assert len(found.means) == len(found.cases) == len(found.labels) <= 9
    assert (found.cases >= least).all()
    assert found.cases.sum() <= n
    assert (found.labels <= found.cases).all()
    assert found.labels.sum() <= labeled
    assert found.means.dtype == np.float32
    if len(found.cases) and found.cases.sum() == n:  # then the sums are those of all cases
        assert found.cases @ found.means == pytest.approx(x.sum(axis=0), abs=1e-4)


def test_a_cluster_of_few_cases_is_kept_back_with_its_labels() -> None:
    x = unit(np.repeat(np.eye(3), (4, 30, 36), axis=0))
    found = cells(x[::-1].copy(), 4, 3, 5, rng())
    assert sorted(found.cases.tolist()) == [30, 36]
    assert found.labels.sum() == 0  # the four that are labeled are the small cluster
    assert cells(x[:9], 0, 3, 5, rng()).means.shape == (0, 3)


# ---- what the server makes of it


def test_turns_by_hand() -> None:
    first = told(((1, 0), 10, 2), ((0, 1), 30, 0))
    second = told(((1, 0), 40, 0), ((0, 1), 5, 0), ((-1, 0), 8, 0))
    found = shared([first, second], 9, rng())
    by_place = {tuple(np.round(c).astype(int).tolist()): i for i, c in enumerate(found.centres)}
    right, up, left = by_place[1, 0], by_place[0, 1], by_place[-1, 0]
    # no labels: up (35 cases) before left (8); right has two labels and comes last.
    # up goes to the first site, which has more there; left to the second, alone there; of right the
    # second has more, and each has got one.
    assert found.turns[0].tolist() == [up, right, left]
    assert found.turns[1].tolist() == [left, right, up]
    assert found.cases[:, [right, up, left]].tolist() == [[10, 30, 0], [40, 5, 8]]
    assert found.labels[:, [right, up, left]].tolist() == [[2, 0, 0], [0, 0, 0]]


@given(seed=st.integers(0, 10**6), clusters=st.integers(1, 6))
@settings(max_examples=30)
def test_every_cluster_has_a_turn_at_every_site_and_lies_in_the_mean_of_its_cells(
    seed: int, clusters: int
) -> None:
    drawn = rng(seed)
    sites = []
    for size in [*drawn.integers(0, 6, 3).tolist(), 2]:
        cases = drawn.integers(5, 50, size)
        sites.append(
            Cells(unit(drawn.standard_normal((size, 3))), cases, drawn.integers(0, cases + 1))
        )
    found = shared(sites, clusters, drawn)
    count = len(found.centres)
    assert 1 <= count <= clusters
    assert all(sorted(turns.tolist()) == list(range(count)) for turns in found.turns)
    means = np.concatenate([s.means for s in sites]).astype(np.float64)
    weights = np.concatenate([s.cases for s in sites])
    nearest = [int(np.argmin([((m - c) ** 2).sum() for c in found.centres])) for m in means]
    for c in set(nearest):
        rows = [i for i, near in enumerate(nearest) if near == c]
        mean = sum(weights[i] * means[i] for i in rows) / sum(weights[i] for i in rows)
        assert found.centres[c] == pytest.approx(mean, abs=1e-5)


# ---- what a site asks for


@given(seed=st.integers(0, 10**6), k=st.integers(1, 12))
@settings(max_examples=30)
def test_picks_are_those_of_plain_loops(seed: int, k: int) -> None:
    drawn = rng(seed)
    x, labeled = drawn.standard_normal((12, 3)), drawn.standard_normal((4, 3))
    centres, turns = drawn.standard_normal((4, 3)), drawn.permutation(4).tolist()
    picked = FederatedTypiClust(neighbours=3).select(pool_of(x, labeled, centres, turns), k, drawn)
    both = np.vstack([x, labeled])
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    cluster = [int(np.argmin([((row - c) ** 2).sum() for c in centres])) for row in both]
    queues, mean = [], {}
    for c in turns:
        members = [i for i in range(16) if cluster[i] == c]
        for i in members:
            far = sorted(float(np.linalg.norm(both[i] - both[j])) for j in members if j != i)[:3]
            mean[i] = sum(far) / len(far) if far else 0.0
        queues.append(sorted((i for i in members if i < 12), key=lambda i: mean[i]))
    wanted = [q[place] for place in range(12) for q in queues if len(q) > place][:k]
    assert [cluster[i] for i in picked] == [cluster[i] for i in wanted]
    assert [mean[i] for i in picked] == pytest.approx([mean[i] for i in wanted])  # pairs are alike


def test_without_clusters_it_is_typiclust() -> None:
    x, labeled = rng(1).standard_normal((40, 5)), rng(2).standard_normal((3, 5))
    found = FederatedTypiClust().select(pool_of(x, labeled, np.empty((0, 5)), []), 7, rng(4))
    own = TypiClust().select(pool_of(x, labeled, np.empty((0, 5)), []), 7, rng(4))
    assert found.tolist() == own.tolist()


@pytest.mark.parametrize("turns", [[0], [0, 0], [0, 2]])
def test_turns_that_are_no_order_of_the_clusters_are_refused(turns: list[int]) -> None:
    x = rng().standard_normal((6, 2))
    with pytest.raises(ValueError, match="'cluster_turns' names"):
        FederatedTypiClust().select(pool_of(x, x[:0], np.eye(2), turns), 2, rng())


@pytest.mark.parametrize(("name", "value"), [("clusters", 0), ("neighbours", 0), ("least", 1)])
def test_numbers_too_small_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"argument '{name}' is {value}"):
        FederatedTypiClust(**{name: value})
