"""Ask for the cases that stand for most of the pool, near cases more than far ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.distances import Distances, unit_cases
from strategies.query.strategy import check_count

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class MaxHerding:
    """Pick the case that adds most to sum_i max_s exp(-||x_i - x_s||^2 / width^2).

    The sum is over all cases, the maximum over the labeled and picked ones: ProbCover with a ball
    that fades. Features are scaled to length 1. Once nothing can be added the rest is drawn at
    random. For few labels or none. It costs O(n^2 d) time once and O(n d) per case that could
    win a pick, O(n) memory beside the features.

    Attributes:
        width: of the kernel; without it the root of the mean squared distance to the mean, so
            that the kernel of a typical pair is exp(-2), as with width 1 where features are
            orthogonal.

    Source: Bae, Noh and Sutherland, ECCV 2024, greedy generalized coverage (with width 1).
    """

    width: float | None = None

    def __post_init__(self) -> None:
        """Refuse a width of 0 or less."""
        if self.width is not None and not self.width > 0:
            raise ValueError(f"argument 'width' is {self.width}; accepted is above 0")

    @property
    def needs(self) -> Needs:
        """Features of the pool and of the labeled cases."""
        return Needs(frozenset({"features", "labeled_features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are picked."""
        x, n = unit_cases(pool)
        check_count(k, n)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        width = self.width
        if width is None:
            width = float(np.sqrt(x.var(axis=0, dtype=np.float64).sum()))
        return herd(x, n, width, k, rng)


def herd(x: NDArray[Any], n: int, width: float, k: int, rng: np.random.Generator) -> Indices:
    """Greedy picks of the largest kernel coverage; equals at random.

    What a case adds only falls, so one is measured again only while its last gain is above the
    best of this pick: the picks of plain greedy search, up to rounding.

    Args:
        x: (n + m, d), the n cases of the pool first, then the m labeled ones.
        n: see x.
        width: of the kernel, at least 0.
        k: 0 <= k <= n.
        rng: breaks ties, and orders the rest once nothing can be added.

    Returns:
        (k,) rows below n.
    """
    kernel = _Kernel(x, width)
    covered = np.zeros(len(x), dtype=x.dtype)
    for first in range(n, len(x), _BLOCK):
        rows = slice(first, min(first + _BLOCK, len(x)))
        np.maximum(covered, kernel.of(rows).max(axis=0), out=covered)
    order = rng.permutation(n)
    bounds = np.full(n, np.inf)
    picks: list[int] = []
    while len(picks) < k:
        order = order[np.argsort(-bounds[order], kind="stable")]
        pick = _best(kernel, covered, order, bounds)
        if bounds[pick] <= kernel.noise:
            break
        picks.append(pick)
        np.maximum(covered, kernel.of([pick])[0], out=covered)
        order = order[order != pick]
    rest = rng.permutation(np.setdiff1d(np.arange(n), picks))[: k - len(picks)]
    return np.concatenate([np.array(picks, dtype=np.int64), rest])


def _best(
    kernel: _Kernel, covered: NDArray[Any], order: Indices, bounds: NDArray[np.float64]
) -> int:
    """The case that adds most, of those in the order of their bounds, which are brought to date."""
    best, pick = -np.inf, -1
    for first in range(0, len(order), _BLOCK):
        block = order[first : first + _BLOCK]
        if bounds[block[0]] <= best:
            break
        more = kernel.of(block)
        more -= covered
        gains = np.maximum(more, 0, out=more).sum(axis=1, dtype=np.float64)
        bounds[block] = gains
        if gains.max() > best:
            best, pick = float(gains.max()), int(block[gains.argmax()])
    return pick


class _Kernel:
    """exp(-||x_i - x_j||^2 / width^2); where width is 0, 1 for equal rows and 0 for others.

    Attributes:
        noise: gains up to here are rounding.
    """

    def __init__(self, x: NDArray[Any], width: float) -> None:
        self.distances = Distances(x)
        self.scale = x.dtype.type(-1 / max(width**2, np.finfo(x.dtype).tiny))
        self.noise = 1e-6

    def of(self, rows: Any) -> NDArray[Any]:
        """(rows, n + m)."""
        apart = self.distances.squared(rows)
        apart *= self.scale
        return np.asarray(np.exp(apart, out=apart))
