"""From scores to the k most wanted cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import NotFinite
from strategies.query.strategy import check_count


def top_k(scores: NDArray[np.float64], k: int, rng: np.random.Generator) -> Indices:
    """The rows of the k highest scores, highest first, in O(n).

    Equal scores are ordered at random, also across the cut: each of the cases that tie for the
    last places is as likely to be among them as the others, wherever it stands in the pool.

    Args:
        scores: (n,), finite; higher is more wanted.
        k: 0 <= k <= n.
        rng: breaks ties, and is drawn from whether or not there are any.

    Raises:
        NotFinite: a score is NaN or infinite.
        PoolTooSmall: k > n.
    """
    check_count(k, len(scores))
    bad = len(scores) - np.count_nonzero(np.isfinite(scores))
    if bad:
        raise NotFinite(f"{bad} of {len(scores)} scores are not finite; accepted is finite scores")
    if k == 0:
        return np.empty(0, dtype=np.int64)
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > last)
    tied = rng.permutation(np.flatnonzero(scores == last))[: k - len(above)]
    rows = np.concatenate([above, tied])
    return rows[np.lexsort((rng.random(k), -scores[rows]))].astype(np.int64)
