"""Distances between the features of a site's cases, many at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.pool import NotFinite, Pool
from strategies.query.strategy import signal


def features_of(pool: Pool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features of the pool (n, d) and of the labeled cases (m, d), at least single precision.

    Raises:
        MissingSignal: the site was not asked for them.
        NotFinite: they hold NaN or infinity.
        ValueError: their widths differ.
    """
    features, labeled = signal(pool, "features", 2), pool.require("labeled_features")
    if labeled.ndim != 2 or labeled.shape[1] != features.shape[1]:
        raise ValueError(
            f"signal 'labeled_features' has shape {labeled.shape}; accepted is "
            f"any number of rows and {features.shape[1]} columns, as many as 'features'"
        )
    dtype = np.result_type(features.dtype, labeled.dtype, np.float32)
    # in rows: products of arrays in another order round otherwise
    return np.ascontiguousarray(features, dtype), np.ascontiguousarray(labeled, dtype)


def unit_cases(pool: Pool) -> tuple[NDArray[Any], int]:
    """Features of pool and labeled cases, each row of length 1; and n.

    Rows are (n + m, d), those of the pool first. A row of zeros stays as it is.

    Raises:
        NotFinite: lengths overflow the features' precision.
        ValueError: see `features_of`.
    """
    features, labeled = features_of(pool)
    x = np.vstack([features, labeled])
    with np.errstate(over="ignore"):  # refused in the next lines
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    if not np.isfinite(lengths).all():
        raise NotFinite(f"squared features overflow {x.dtype}")
    return x / np.where(lengths > 0, lengths, 1)[:, None], len(features)


class Distances:
    """Squared distances between the rows of one array, by one matrix product.

    Attributes:
        left, right: (n, d + 2), so that left_i . right_j = -||x_i - x_j||^2 / 2.
        noise: squared distances up to here are rounding.
    """

    def __init__(self, x: NDArray[Any]) -> None:
        self.noise = 0.0
        x = x - (x.mean(axis=0) if len(x) else 0)  # near 0 the product rounds least
        halves = np.einsum("ij,ij->i", x, x)[:, None] / 2
        ones = np.ones_like(halves)
        self.left = np.hstack([x, -halves, ones])
        self.right = np.hstack([x, ones, -halves])
        if len(x):
            self.noise = float(32 * np.finfo(x.dtype).eps * halves.max())

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.left)

    def squared(self, rows: Any, columns: Any = slice(None)) -> NDArray[Any]:
        """(rows, columns), at least 0; exactly 0 where rounding cannot tell two rows apart."""
        apart = self.left[rows] @ self.right[columns].T
        apart *= -2
        apart[apart <= self.noise] = 0
        return np.asarray(apart)
