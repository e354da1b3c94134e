"""What a query strategy is, and the refusals that all of them share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool, PoolTooSmall


class QueryStrategy(Protocol):
    """Chooses which cases of a site are worth a reading."""

    @property
    def needs(self) -> Needs:
        """The signals that the site must compute before it asks."""
        ...

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """Choose k distinct rows of the pool, most wanted first.

        Args:
            pool: the site's unlabeled cases, n rows.
            k: 0 <= k <= n; 0 gives an empty array.
            rng: the only source of chance.

        Raises:
            PoolTooSmall: k > n.
            NotFinite: a signal holds NaN or infinity.
        """
        ...


class Scored(QueryStrategy, Protocol):
    """A query strategy that ranks every case by a number of its own."""

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Score every row, (n,), at least 0; higher is more wanted."""
        ...


def check_count(k: int, n: int) -> None:
    """Refuse to choose k of n cases where that cannot be done.

    Raises:
        PoolTooSmall: k > n.
        ValueError: k < 0.
    """
    if k < 0:
        raise ValueError(f"{k} cases asked for; accepted is 0 or more")
    if k > n:
        raise PoolTooSmall(f"{k} cases asked for, {n} in the pool; accepted is at most {n}")


def checked(rows: object, k: int, n: int) -> Indices:
    """The rows that a strategy gave, once they are known to be what it was asked for.

    Args:
        rows: its answer.
        k: how many it was asked for.
        n: cases in the pool.

    Raises:
        ValueError: no array of whole numbers with one axis, not k of them, one outside the pool, or
            one twice; the sentence goes on from the strategy's name.
    """
    accepted = "accepted is a numpy array of whole numbers with one axis"
    if not isinstance(rows, np.ndarray):
        raise ValueError(f"its select gave {type(rows).__name__}; {accepted}")
    if rows.ndim != 1 or not (rows.dtype.kind in "iu" or rows.size == k == 0):
        raise ValueError(f"its select gave {rows.dtype} of shape {rows.shape}; {accepted}")
    if len(rows) != k:
        raise ValueError(f"its select gave {len(rows)} rows; accepted is {k}, as it was asked for")
    outside = rows[(rows < 0) | (rows >= n)]
    if len(outside):
        raise ValueError(f"its select gave row {outside[0]}; accepted is 0 to {n - 1}")
    if twice := k - len(np.unique(rows)):
        raise ValueError(f"its select gave {twice} of {k} rows again; accepted is each row once")
    return rows.astype(np.int64, copy=False)


def signal(pool: Pool, name: str, axes: int) -> NDArray[Any]:
    """The pool's signal of that name, with one row per case.

    Args:
        pool: the site's unlabeled cases.
        name: see `Needs`.
        axes: how many the array must have.

    Raises:
        MissingSignal: the site was not asked for it.
        NotFinite: it holds NaN or infinity.
        ValueError: it has another number of rows or axes.
    """
    array = pool.require(name)
    if array.ndim != axes or len(array) != pool.size:
        raise ValueError(
            f"signal '{name}' has shape {array.shape}; accepted is {pool.size} rows and {axes} axes"
        )
    return array


def probabilities(pool: Pool, name: str = "probs") -> NDArray[np.float64]:
    """The pool's probabilities of that name in double precision, classes on the last axis.

    Raises:
        MissingSignal: the site was not asked for them.
        NotFinite: they hold NaN or infinity.
        ValueError: a value outside [0, 1], or a single-label task with fewer than two classes.
    """
    members = name in ("mc_probs", "ensemble_probs")
    p = signal(pool, name, 3 if members else 2).astype(np.float64)
    if p.size and (p.min() < 0 or p.max() > 1):
        raise ValueError(
            f"signal '{name}' runs from {p.min():.3g} to {p.max():.3g}; accepted is 0 to 1"
        )
    if not pool.multi_label and p.shape[-1] < 2:
        raise ValueError(f"signal '{name}' has {p.shape[-1]} classes; accepted is 2 or more")
    return p


def same_shape(first: NDArray[Any], second: NDArray[Any], name: str, of: str) -> None:
    """Refuse two signals whose shapes differ.

    Raises:
        ValueError: the second, of that name, has another shape than the first.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"signal '{name}' has shape {second.shape}; accepted is {first.shape}, as '{of}'"
        )
