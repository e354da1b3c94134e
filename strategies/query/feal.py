"""Ask where both models see noise and the global one has seen little like it, and not twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.ranking import top_k
from strategies.query.strategy import check_count, same_shape, signal

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Feal:
    """Rank by evidential uncertainty of both models; pass over neighbours of what is taken.

    Logits are read as evidence e = relu(logit) of a Dirichlet distribution a = e + 1 with sum S.
    The score is u_epi (u_ale_global + u_ale_local): the aleatoric u_ale = sum_c a_c / S
    (digamma(S + 1) - digamma(a_c + 1)) of each model, calibrated by the global model's epistemic
    u_epi, the differential entropy of its Dirichlet, scaled to run from 0 to 1 over the pool. Down
    the ranking a case is taken unless it has that many neighbours, cases whose local features have
    a cosine above the threshold, and one of the nearest is already taken; what the walk leaves of
    k is filled up by the ranking. Multi-label: each class's Beta of relu(logit) and relu(-logit),
    summed, ours. Meant for a network trained with training.loss = "evidential"; `random` with that
    loss is its control. For any cycle after the first; O(n d) for each case tried, O(n) memory.

    Attributes:
        neighbours: nearest cases that are looked at, at least 1.
        cosine: above which a case is a neighbour, -1 to 1.

    Source: Chen et al. (FEAL), CVPR 2024, arXiv 2312.02567, calibrated evidential sampling and
    relaxation as in the authors' code; our re-implementation. They compare 3 x 3 pooled maps of
    the last block, here it is the input of the last layer.
    """

    neighbours: int = 5
    cosine: float = 0.85

    def __post_init__(self) -> None:
        """Refuse no neighbours and a cosine that is none."""
        if self.neighbours < 1:
            raise ValueError(f"argument 'neighbours' is {self.neighbours}; accepted is 1 or more")
        if not -1 <= self.cosine <= 1:
            raise ValueError(f"argument 'cosine' is {self.cosine}; accepted is -1 to 1")

    @property
    def needs(self) -> Needs:
        """Logits of the global and the local model, and the local model's features."""
        return Needs(frozenset({"logits", "local_logits", "local_features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows, those taken in the walk first, in the order of their scores."""
        logits = signal(pool, "logits", 2).astype(np.float64)
        local = signal(pool, "local_logits", 2).astype(np.float64)
        same_shape(logits, local, "local_logits", "logits")
        features = signal(pool, "local_features", 2)
        check_count(k, pool.size)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        order = top_k(calibrated(logits, local, pool.multi_label), pool.size, rng)
        return relaxed(order, directions(features), k, self.neighbours, self.cosine)


def calibrated(
    logits: NDArray[np.float64], local: NDArray[np.float64], multi_label: bool
) -> NDArray[np.float64]:
    """The score of every row, (n,), at least 0; 0 where the pool's u_epi are all the same.

    Args:
        logits: (n, classes) of the global model, n >= 1.
        local: (n, classes) of the local one.
        multi_label: see `Feal`.
    """
    alpha, beta = dirichlets(logits, multi_label), dirichlets(local, multi_label)
    epistemic = spreads(alpha).sum(axis=1)
    span = epistemic.max() - epistemic.min()
    scale = (epistemic - epistemic.min()) / (span if span > 0 else 1)
    return np.asarray(scale * (noises(alpha) + noises(beta)).sum(axis=1))


def dirichlets(logits: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """One plus the evidence: (n, 1, classes), or of each class's yes and no, (n, classes, 2)."""
    if multi_label:
        return np.maximum(np.stack([logits, -logits], axis=-1), 0) + 1
    return np.maximum(logits, 0)[:, None, :] + 1


def noises(alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """The entropy expected of an answer drawn from a Dirichlet, nats, over the last axis."""
    total = alpha.sum(axis=-1, keepdims=True)
    return np.asarray((alpha / total * (digamma(total + 1) - digamma(alpha + 1))).sum(axis=-1))


def spreads(alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """The differential entropy of a Dirichlet, nats, over the last axis; 0 or less."""
    total, classes = alpha.sum(axis=-1), alpha.shape[-1]
    scale = gammaln(alpha).sum(axis=-1) - gammaln(total) + (total - classes) * digamma(total)
    return np.asarray(scale - ((alpha - 1) * digamma(alpha)).sum(axis=-1))


def directions(features: NDArray[Any]) -> NDArray[Any]:
    """Rows of length 1, at least single precision; a row of zeros stays as it is.

    Raises:
        NotFinite: lengths overflow the features' precision.
    """
    x = np.ascontiguousarray(features, np.result_type(features.dtype, np.float32))
    with np.errstate(over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    if not np.isfinite(lengths).all():
        raise NotFinite(f"lengths of features overflow {x.dtype}")
    return np.asarray(x / np.where(lengths > 0, lengths, 1)[:, None])


def relaxed(order: Indices, x: NDArray[Any], k: int, neighbours: int, cosine: float) -> Indices:
    """Walk down a ranking past cases whose neighbourhood is full and holds one already taken.

    Args:
        order: (n,) every row once, best first.
        x: (n, d) of length 1.
        k: 0 <= k <= n.
        neighbours: nearest others that count.
        cosine: above which a case is one.

    Returns:
        (k,) rows: those taken, then those passed over, both in the order given.
    """
    taken = np.zeros(len(x), dtype=bool)
    picks: list[int] = []
    for first in range(0, len(order), _BLOCK):
        block = order[first : first + _BLOCK]
        near = x[block] @ x.T
        near[np.arange(len(block)), block] = -np.inf  # a case is no neighbour of its own
        for row, cosines in zip(block.tolist(), near, strict=True):
            if len(picks) == k:
                return np.array(picks, dtype=np.int64)
            if not _crowded(cosines, taken, neighbours, cosine):
                taken[row] = True
                picks.append(row)
    passed = [row for row in order.tolist() if not taken[row]]
    return np.array(picks + passed, dtype=np.int64)[:k]


def _crowded(
    cosines: NDArray[Any], taken: NDArray[np.bool_], neighbours: int, cosine: float
) -> bool:
    """Whether a row has that many neighbours and one of the nearest is taken."""
    near = np.flatnonzero(cosines > cosine)
    if len(near) < neighbours:
        return False
    nearest = near[np.argpartition(-cosines[near], neighbours - 1)[:neighbours]]
    return bool(taken[nearest].any())
