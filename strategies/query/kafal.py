"""Ask where the global and the local model disagree about the classes that the site knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.ranking import top_k
from strategies.query.strategy import same_shape, signal


@dataclass(frozen=True, slots=True)
class Kafal:
    """Prefer the cases on which the two models differ, in the classes with many labels here.

    Both models' logits are raised by ln n_c, n_c the site's labels of class c, and the score is
    the symmetric Kullback-Leibler divergence of the distributions a and b they then give,
    (KL(a || b) + KL(b || a)) / 2 = sum_c (a_c - b_c)(ln a_c - ln b_c) / 2, in nats. A class
    without labels counts as `least`: with ln 0 the published score is not a number as soon as one
    is absent. Multi-label: each class's own yes and no, raised by the labels with it and without
    it, summed. The counts stay at the site. For any cycle after the first; O(n classes) beside
    the local model's pass.

    Attributes:
        least: labels that a class with fewer is counted as, above 0.

    Source: Cao et al. (KAFAL), ICCV 2023, arXiv 2211.13579, knowledge-specialized sampling; our
    re-implementation, without its compensatory training.
    """

    least: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a count of 0 or less."""
        if not (np.isfinite(self.least) and self.least > 0):
            raise ValueError(f"argument 'least' is {self.least}; accepted is above 0")

    @property
    def needs(self) -> Needs:
        """Logits of the global and the local model, and the labels so far."""
        return Needs(frozenset({"logits", "local_logits", "labeled_targets"}))

    def scores(self, pool: Pool) -> NDArray[np.float64]:
        """Symmetric divergence of every row, (n,), nats."""
        logits = signal(pool, "logits", 2).astype(np.float64)
        local = signal(pool, "local_logits", 2).astype(np.float64)
        same_shape(logits, local, "local_logits", "logits")
        targets = pool.require("labeled_targets")
        if targets.ndim != 2 or targets.shape[1] != logits.shape[1]:
            raise ValueError(
                f"signal 'labeled_targets' has shape {targets.shape}; accepted is any number of "
                f"rows and {logits.shape[1]} columns, as many as 'logits'"
            )
        counts = self._counted(targets.sum(axis=0))
        if pool.multi_label:
            shift = np.log(counts) - np.log(self._counted(len(targets) - targets.sum(axis=0)))
            a, b = logits + shift, local + shift
            each = (expit(a) - expit(b)) * (a - b)
        else:
            a = log_softmax(logits + np.log(counts), axis=1)
            b = log_softmax(local + np.log(counts), axis=1)
            each = (np.exp(a) - np.exp(b)) * (a - b)
        return np.asarray(np.maximum(each, 0).sum(axis=1) / 2)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows of the largest divergence, largest first."""
        return top_k(self.scores(pool), k, rng)

    def _counted(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.maximum(counts, self.least), dtype=np.float64)
