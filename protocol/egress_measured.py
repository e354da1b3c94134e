"""What a site's measurement must add up to: counts that are of its cases, and no other numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.egress_fields import Taken, wrong
from protocol.egress_parts import Table, key
from protocol.measures import SCORE_BINS

_MOST = 20.0  # of any sum, for each case and class: a log-loss is at most 16.2
_NEAR, _NOTHING = 1e-4, 1e-3  # relative: float32's rounding; absolute: what cancelling leaves


@dataclass(frozen=True, slots=True)
class Measured:
    """A table of an `Evaluation`, whose arrays are sums over as many cases as it says.

    Types and shapes alone would let an image by in the place of sums or covariance.

    Attributes:
        table: its fields.
        scored: classes with score counts.
        classes: of the task.
    """

    table: Table
    scored: int
    classes: int

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        found = list(self.table.check(value, arrays, path))
        cases = value["cases"]
        sums, covariance, fine = (
            arrays[key(f"{path}.{name}")] for name in ("sums", "covariance", "fine")
        )
        if (fine.sum(axis=(1, 2)) != cases).any():
            raise wrong(f"{path}.fine", "counts that add up to the cases in every class")
        counts = sums[: 2 * SCORE_BINS * self.scored].reshape(2, self.scored, SCORE_BINS)
        if (counts.sum(axis=(0, 2)) != cases).any() or sums.max() > _MOST * self.classes * cases:
            raise wrong(f"{path}.sums", "sums that add up to the cases in every class")
        if not _is_covariance(covariance, len(sums)):
            raise wrong(f"{path}.covariance", "a covariance of the sums")
        return found

    @property
    def words(self) -> str:
        """See `Rule`."""
        return self.table.words

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return self.table.largest


@dataclass(frozen=True, slots=True)
class Crossed:
    """A table of a `Pair`: two measurements, and a covariance of the one's sums with the other's.

    Attributes:
        table: its fields.
    """

    table: Table

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        found = list(self.table.check(value, arrays, path))
        if value["random"]["cases"] != value["queried"]["cases"]:
            raise wrong(path, "two models on the same cases")
        spreads = [_spreads(arrays[key(f"{path}.{n}.covariance")]) for n in ("random", "queried")]
        across = np.abs(arrays[key(f"{path}.across")]).reshape(len(spreads[0]), len(spreads[1]))
        if (across > np.outer(*spreads) * (1 + _NEAR) + _NOTHING).any():
            raise wrong(f"{path}.across", "a covariance of the two models' sums")
        return found

    @property
    def words(self) -> str:
        """See `Rule`."""
        return self.table.words

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return self.table.largest


def _spreads(triangle: NDArray[Any]) -> NDArray[np.float64]:
    """(m,) standard deviations of the sums, from the triangle of their covariance by rows."""
    m = (math.isqrt(8 * len(triangle) + 1) - 1) // 2
    rows, columns = np.triu_indices(m)
    variances = triangle[rows == columns].astype(np.float64)
    spreads: NDArray[np.float64] = np.sqrt(np.maximum(variances, 0.0))
    return spreads


def _is_covariance(triangle: NDArray[Any], m: int) -> bool:
    """Whether no number of an upper triangle, by rows, is larger than its two variances allow."""
    rows, columns = np.triu_indices(m)
    variances = triangle[rows == columns].astype(np.float64)
    if (variances < -_NOTHING).any():
        return False
    spread = np.sqrt(np.maximum(variances, 0.0))
    bound = spread[rows] * spread[columns]
    return bool((np.abs(triangle) <= bound * (1 + _NEAR) + _NOTHING).all())
