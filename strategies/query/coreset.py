"""Ask for cases far from everything that is labeled: greedy k-center."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.strategy import check_count, signal

_CENTRES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class CoreSet:
    """Each pick is the case farthest from its nearest labeled or already picked case.

    Without labeled cases the first pick is drawn at random. Once every case left is a duplicate
    of a centre, the rest is drawn at random. Picks are those of exact greedy k-center up to
    rounding in the features' own precision, at least single.

    Source: Sener and Savarese, ICLR 2018, algorithm 1, started from the labeled set.
    """

    @property
    def needs(self) -> Needs:
        """Features of the pool and of the labeled cases."""
        return Needs(frozenset({"features", "labeled_features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of greedy k-center, in the order they are picked."""
        features = signal(pool, "features", 2)
        labeled = pool.require("labeled_features")
        if labeled.ndim != 2 or labeled.shape[1] != features.shape[1]:
            raise ValueError(
                f"signal 'labeled_features' has shape {labeled.shape}; accepted is "
                f"any number of rows and {features.shape[1]} columns, as many as 'features'"
            )
        return farthest_first(features, labeled, k, rng)


def farthest_first(
    features: NDArray[Any],
    centres: NDArray[Any],
    k: int,
    rng: np.random.Generator,
    block: int = 256,
) -> Indices:
    """Greedy k-center: k distinct rows, each the farthest from all centres before it.

    Memory beside the features is O(n + (m + k) d + block * d); they are never copied whole. A
    block of rows is measured against new centres only when its old bound is the largest of
    all: distances to a growing set only fall, so the other blocks cannot hold the farthest row.

    Args:
        features: (n, d), finite, any float type and memory order.
        centres: (m, d), m may be 0.
        k: 0 <= k <= n.
        rng: draws the first centre where m is 0, and the rest once every distance is 0.
        block: rows measured together; picks do not depend on it but for rounding.

    Raises:
        PoolTooSmall: k > n.
        NotFinite: distances overflow the features' precision.
    """
    check_count(k, len(features))
    if k == 0:
        return np.empty(0, dtype=np.int64)
    distances = _Distances.start(features, centres, k, block)
    picks: list[int] = []
    if len(centres) == 0:
        picks.append(int(rng.integers(len(features))))
        distances.add(picks[0])
    while len(picks) < k:
        row, distance = distances.farthest()
        if distance <= 0:
            left = np.setdiff1d(np.arange(len(features)), picks)
            picks.extend(rng.permutation(left)[: k - len(picks)].tolist())
        else:
            picks.append(row)
            distances.add(row)
    return np.array(picks, dtype=np.int64)


@dataclass(slots=True)
class _Distances:
    """Upper bounds of every row's squared distance to its nearest centre, tightened on demand.

    Coordinates are taken from the pool's mean, since ||x||^2 + ||c||^2 - 2 x.c loses its digits
    where the features' offset is large against their spread.
    """

    features: NDArray[Any]
    mean: NDArray[Any]  # (d,) in the working precision
    norms: NDArray[Any]  # (n,) squared, from the mean
    centres: NDArray[Any]  # (m + k, d) from the mean, `count` of them in use
    lengths: NDArray[Any]  # (m + k,) their squared norms
    count: int
    block: int
    nearest: NDArray[Any] = field(init=False)  # (n,) bounds; -inf where picked
    bound: NDArray[Any] = field(init=False)  # (blocks,) the largest of each
    seen: NDArray[np.int64] = field(init=False)  # (blocks,) centres each was measured against

    def __post_init__(self) -> None:
        """Every bound starts at infinity."""
        blocks = -(-len(self.features) // self.block)
        self.nearest = np.full(len(self.features), np.inf, dtype=self.norms.dtype)
        self.bound = np.full(blocks, np.inf, dtype=self.norms.dtype)
        self.seen = np.zeros(blocks, dtype=np.int64)

    @classmethod
    def start(cls, features: NDArray[Any], given: NDArray[Any], k: int, block: int) -> _Distances:
        """Nothing measured yet; `given` are the first centres, k more will come."""
        dtype = np.result_type(features.dtype, np.float32)
        mean = features.mean(axis=0, dtype=np.float64).astype(dtype)
        norms = np.empty(len(features), dtype=dtype)
        for first in range(0, len(features), block):
            rows = np.subtract(features[first : first + block], mean, dtype=dtype)
            norms[first : first + block] = _squared(rows)
        centres = np.empty((len(given) + k, features.shape[1]), dtype=dtype)
        centres[: len(given)] = np.subtract(given, mean, dtype=dtype)
        lengths = _squared(centres[: len(given)])
        largest = max(norms.max(), lengths.max(initial=0))
        lengths = np.append(lengths, np.empty(k, dtype=dtype))
        if not largest < np.finfo(dtype).max / 4:
            raise NotFinite(f"squared distances between features overflow {dtype}")
        return cls(features, mean, norms, centres, lengths, len(given), block)

    def add(self, row: int) -> None:
        """Make a row of the pool a centre; it cannot be the farthest again."""
        np.subtract(self.features[row], self.mean, out=self.centres[self.count])
        self.lengths[self.count] = self.norms[row]
        self.count += 1
        self.nearest[row] = -np.inf
        self.bound[row // self.block] = self.nearest[self._rows(row // self.block)].max()

    def farthest(self) -> tuple[int, float]:
        """The row farthest from its nearest centre, and its squared distance."""
        while self.seen[b := int(self.bound.argmax())] < self.count:
            self._measure(b)
        rows = self._rows(b)
        return rows.start + int(self.nearest[rows].argmax()), float(self.bound[b])

    def _rows(self, b: int) -> slice:
        return slice(b * self.block, min((b + 1) * self.block, len(self.features)))

    def _measure(self, b: int) -> None:
        """Bring one block up to date with the centres it has not seen."""
        rows = self._rows(b)
        x = np.subtract(self.mean, self.features[rows], dtype=self.norms.dtype)
        x *= 2  # so that the product is -2 x.c
        nearest = self.nearest[rows]
        for first in range(int(self.seen[b]), self.count, _CENTRES_AT_ONCE):
            new = slice(first, min(first + _CENTRES_AT_ONCE, self.count))
            apart = x @ self.centres[new].T + self.lengths[new]  # (rows, new), less ||x||^2
            np.minimum(nearest, np.maximum(apart.min(axis=1) + self.norms[rows], 0), out=nearest)
        self.bound[b] = nearest.max()
        self.seen[b] = self.count


def _squared(x: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # the caller refuses what overflowed
        return np.asarray(np.einsum("ij,ij->i", x, x))
