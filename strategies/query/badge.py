"""Ask for cases whose gradients are large and unlike each other: k-means++ seeding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.strategy import check_count, probabilities, signal


@dataclass(frozen=True, slots=True)
class Badge:
    """Draw cases by k-means++ seeding on the last layer's gradient at the predicted label.

    A case's gradient is the outer product of q = p - onehot(argmax p) and its features z.
    Multi-label: q = p - round(p), the gradient of the summed binary losses. The first pick has
    the largest gradient, equals at random.

    Source: Ash et al., ICLR 2020, algorithm 1 and equation 1.
    """

    @property
    def needs(self) -> Needs:
        """The global model's probabilities and the features of its last layer."""
        return Needs(frozenset({"probs", "features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are drawn."""
        p = probabilities(pool)
        if pool.multi_label:
            q = p - np.round(p)
        else:
            q = p.copy()
            q[np.arange(len(p)), p.argmax(axis=1)] -= 1
        return seed_gradients(q, signal(pool, "features", 2), k, rng)


def seed_gradients(
    q: NDArray[np.float64],
    z: NDArray[Any],
    k: int,
    rng: np.random.Generator,
    origin: bool = False,
) -> Indices:
    """k-means++ seeding of the outer products q_i z_i without forming them.

    Distances come from <g_i, g_j> = (q_i . q_j)(z_i . z_j): O(n (c + d)) per pick, O(n) memory
    beside the inputs, exact. A squared distance below what rounding can tell from 0 counts as
    0. Where every case left coincides with a pick, the rest is drawn at random.

    Args:
        q: (n, c) derivatives of the loss by the logits.
        z: (n, d) features, finite, any float type.
        k: 0 <= k <= n.
        rng: one uniform number per pick after the first; more only where cases tie.
        origin: the zero gradient counts as a centre from the second pick on, the rule of some
            other implementations, to compare with them.

    Raises:
        PoolTooSmall: k > n.
        NotFinite: gradients overflow the features' precision.
    """
    check_count(k, len(q))
    if k == 0:
        return np.empty(0, dtype=np.int64)
    z = z.astype(np.result_type(z.dtype, np.float32), copy=False)
    norms = _squared(q) * _squared(z)
    if not np.isfinite(norms).all():
        raise NotFinite(f"squared gradients overflow {z.dtype}")
    largest = np.flatnonzero(norms == norms.max())
    picks = [int(rng.choice(largest) if len(largest) > 1 else largest[0])]
    nearest = norms.copy() if origin else np.full(len(q), np.inf)
    while len(picks) < k:
        np.minimum(nearest, _distances(q, z, norms, picks[-1]), out=nearest)
        nearest[picks[-1]] = 0
        row = draw(nearest, rng)
        if row is None:
            left = np.setdiff1d(np.arange(len(q)), picks)
            picks.extend(rng.permutation(left)[: k - len(picks)].tolist())
        else:
            picks.append(row)
    return np.array(picks, dtype=np.int64)


def draw(mass: NDArray[np.float64], rng: np.random.Generator) -> int | None:
    """One row with probability in proportion to its mass; None where all mass is 0."""
    total = np.cumsum(mass)
    if total[-1] <= 0:
        return None
    row = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
    if row == len(mass):  # the product rounded up to the total
        row = int(np.flatnonzero(mass)[-1])
    return row


def _distances(
    q: NDArray[np.float64], z: NDArray[Any], norms: NDArray[np.float64], j: int
) -> NDArray[np.float64]:
    """Squared distance of every gradient to gradient j, (n,)."""
    sums = norms + norms[j]
    apart = sums - 2 * (q @ q[j]) * (z @ z[j])
    apart[apart < 8 * np.finfo(z.dtype).eps * sums] = 0
    return np.asarray(apart)


def _squared(x: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # the caller refuses what overflowed
        return np.asarray(np.einsum("ij,ij->i", x, x), dtype=np.float64)
