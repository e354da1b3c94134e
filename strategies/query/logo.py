"""Ask in every part of what the site alone does not know, where the federation is least sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.entropy import entropy
from strategies.query.kmeans import k_means
from strategies.query.strategy import check_count, probabilities, signal


@dataclass(frozen=True, slots=True)
class LoGo:
    """Cluster the cases by the scratch model's gradients; ask the global model within a cluster.

    A case's gradient is that of the row of the last layer that belongs to its predicted class:
    the scratch model's features times 1 - max p, D numbers. There are as many clusters as picks,
    and of each the case with the largest entropy under the global model is taken; where k-means
    finds fewer, the second of each, and so on. Multi-label: times the sum over the classes of
    min(p, 1 - p), ours. For any cycle after the first; O(rounds n k d) beside the scratch model.

    Attributes:
        rounds: of k-means at most, at least 1.

    Source: Kim, Bae, Song and Yun (LoGo), CVPR 2023, section 4, arXiv 2303.12317; our
    re-implementation. Ties at random and clusters from one seeding are ours.
    """

    rounds: int = 20

    def __post_init__(self) -> None:
        """Refuse fewer than one round."""
        if self.rounds < 1:
            raise ValueError(f"argument 'rounds' is {self.rounds}; accepted is 1 or more")

    @property
    def needs(self) -> Needs:
        """The global model's probabilities, the scratch model's and its features."""
        return Needs(frozenset({"probs", "scratch_probs", "scratch_features"}))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows: the best of every cluster by their entropy, then the second best."""
        scores = entropy(probabilities(pool), pool.multi_label)
        doubt = doubts(probabilities(pool, "scratch_probs"), pool.multi_label)
        gradients = scaled(signal(pool, "scratch_features", 2), doubt)
        check_count(k, pool.size)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        return best_of_each(k_means(gradients, k, rng, self.rounds).assigned, scores, k, rng)


def doubts(p: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """1 - max p of every row, (n,); multi-label: the sum over classes of min(p, 1 - p)."""
    return np.asarray(np.minimum(p, 1 - p).sum(axis=1) if multi_label else 1 - p.max(axis=1))


def scaled(features: NDArray[Any], doubt: NDArray[np.float64]) -> NDArray[Any]:
    """The features times a number for each row, in rows, at least single precision.

    Raises:
        NotFinite: squared lengths overflow the features' precision.
    """
    dtype = np.result_type(features.dtype, np.float32)
    rows = np.ascontiguousarray(features, dtype) * doubt[:, None].astype(dtype)
    with np.errstate(over="ignore"):
        if not np.isfinite(np.einsum("ij,ij->", rows, rows)):
            raise NotFinite(f"squared gradients overflow {dtype}")
    return np.asarray(rows)


def best_of_each(
    assigned: NDArray[np.int64], scores: NDArray[np.float64], k: int, rng: np.random.Generator
) -> Indices:
    """k rows: the best of every cluster, best first, then every second best, and so on.

    Args:
        assigned: (n,) numbers of clusters.
        scores: (n,) higher is better.
        k: 0 <= k <= n.
        rng: orders equals.
    """
    order = np.lexsort((rng.random(len(scores)), -scores, assigned))
    starts = np.searchsorted(assigned[order], assigned[order], side="left")
    place = np.empty(len(scores), dtype=np.int64)
    place[order] = np.arange(len(scores)) - starts
    return np.lexsort((rng.random(len(scores)), -scores, place))[:k].astype(np.int64)
