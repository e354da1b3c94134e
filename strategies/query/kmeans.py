"""Clusters of cases: k-means, seeded by chance in proportion to squared distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from strategies.query.badge import draw

_CHUNK = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What k-means found.

    Attributes:
        centres: (c, d), c <= the k asked for: no more than there are distinct rows.
        assigned: (n,) the nearest centre of every row.
        apart: (n,) squared distance to it.
    """

    centres: NDArray[Any]
    assigned: NDArray[np.int64]
    apart: NDArray[Any]


def k_means(x: NDArray[Any], k: int, rng: np.random.Generator, rounds: int = 10) -> Clusters:
    """k-means++ seeding and at most that many rounds of Lloyd's algorithm, O(rounds n k d).

    A cluster that loses its rows keeps its centre.

    Args:
        x: (n, d), finite, at least single precision, n >= 1.
        k: at least 1; may be above the number of distinct rows.
        rng: one number per seed, none after.
        rounds: 0 gives the seeds and what is nearest to them.

    Source: Arthur and Vassilvitskii, SODA 2007, section 2.2; Lloyd, 1982.
    """
    mean = x.mean(axis=0)
    x = x - mean  # near 0 the product rounds least
    norms = np.einsum("ij,ij->i", x, x)
    centres = x[_seeds(x, norms, k, rng)]
    assigned, apart = _nearest(x, norms, centres)
    for _ in range(rounds):
        before = assigned
        counts = np.bincount(assigned, minlength=len(centres))
        member = csr_array(
            (np.ones(len(x), dtype=x.dtype), (assigned, np.arange(len(x)))),
            shape=(len(centres), len(x)),
        )
        sums = member @ x
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        centres = centres.astype(x.dtype, copy=False)
        assigned, apart = _nearest(x, norms, centres)
        if np.array_equal(before, assigned):
            break
    return Clusters(centres + mean, assigned, apart)


def _seeds(x: NDArray[Any], norms: NDArray[Any], k: int, rng: np.random.Generator) -> list[int]:
    """k rows, fewer where there are fewer distinct ones."""
    seeds = [int(rng.integers(len(x)))]
    nearest = np.full(len(x), np.inf)
    tiny = 8 * np.finfo(x.dtype).eps
    while len(seeds) < k:
        last = seeds[-1]
        sums = norms + norms[last]
        apart = sums - 2 * (x @ x[last])
        apart[apart < tiny * sums] = 0
        np.minimum(nearest, apart, out=nearest)
        nearest[last] = 0
        row = draw(nearest, rng)
        if row is None:
            break
        seeds.append(row)
    return seeds


def _nearest(
    x: NDArray[Any], norms: NDArray[Any], centres: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The nearest centre of every row, and its squared distance."""
    lengths = np.einsum("ij,ij->i", centres, centres) / 2
    assigned = np.empty(len(x), dtype=np.int64)
    apart = np.empty(len(x), dtype=x.dtype)
    for rows in (slice(i, i + _CHUNK) for i in range(0, len(x), _CHUNK)):
        closeness = x[rows] @ centres.T - lengths
        assigned[rows] = closeness.argmax(axis=1)
        best = np.take_along_axis(closeness, assigned[rows, None], axis=1)[:, 0]
        apart[rows] = np.maximum(norms[rows] - 2 * best, 0)
    return assigned, apart
