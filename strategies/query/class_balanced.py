"""Ask most about the classes that have fewest labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.coreset import CoreSet, farthest_first
from strategies.query.distances import features_of
from strategies.query.ranking import top_k
from strategies.query.scores import SCORED, check_scores, scored
from strategies.query.strategy import check_count, probabilities


@dataclass(frozen=True, slots=True)
class ClassBalanced:
    """Fill up the classes that have fewest labels, by what the model takes the cases for.

    Every pick goes to the class with the fewest labels and picks together that still has cases
    predicted to be of it; equals at random. Within a class another strategy chooses, of scores or
    "coreset", which starts from that class's labeled cases. Multi-label: a case stands for the
    class with fewest labels among those predicted present, and with none present for a class of
    its own. It costs O(n classes + k log classes) beside the inner strategy.

    Attributes:
        inner: "coreset", or the name of a strategy that scores every case.
        inner_arguments: its arguments.

    Source: FairFAL, CVPR 2026 (arXiv 2603.10341), equal quotas per pseudo-class; filling deficits
    instead is ours.
    """

    inner: str = "coreset"
    inner_arguments: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an inner strategy that is unknown or cannot rank a class's cases."""
        if self.inner == "coreset":
            if self.inner_arguments:
                raise ValueError("argument 'inner_arguments' of coreset is given; accepted is none")
        elif self.inner not in SCORED:
            raise ValueError(
                f"argument 'inner' is '{self.inner}'; "
                f"accepted is one of {', '.join(sorted([*SCORED, 'coreset']))}"
            )
        else:
            scored(self.inner, self.inner_arguments)

    @property
    def needs(self) -> Needs:
        """What the inner strategy needs, probabilities and the labels so far."""
        inner = CoreSet() if self.inner == "coreset" else scored(self.inner, self.inner_arguments)
        return Needs(inner.needs.signals | {"probs", "labeled_targets"}, inner.needs.members)

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows, each the best left of the class whose turn it is."""
        probs = probabilities(pool)
        present = pool.require("labeled_targets") >= 0.5
        check_count(k, pool.size)
        if present.ndim != 2 or present.shape[1] != probs.shape[1]:
            raise ValueError(
                f"signal 'labeled_targets' has shape {present.shape}; accepted is any number of "
                f"rows and {probs.shape[1]} columns, as many as 'probs'"
            )
        predicted = probs >= 0.5
        if not pool.multi_label:
            predicted = np.eye(probs.shape[1], dtype=bool)[probs.argmax(axis=1)]
        have = present.sum(axis=0)
        groups, labels = rarest(predicted, have), rarest(present, have)
        classes = probs.shape[1] + 1  # the last: nothing is present
        have = np.bincount(labels, minlength=classes)
        turns = fill(have, np.bincount(groups, minlength=classes), k, rng)
        picks = np.empty(k, dtype=np.int64)
        for c, quota in enumerate(np.bincount(turns, minlength=classes)):
            picks[turns == c] = self._within(pool, groups == c, labels == c, int(quota), rng)
        return picks

    def _within(
        self,
        pool: Pool,
        group: NDArray[np.bool_],
        labels: NDArray[np.bool_],
        quota: int,
        rng: np.random.Generator,
    ) -> Indices:
        """The quota of one class, best first."""
        rows = np.flatnonzero(group)
        if self.inner == "coreset":
            features, labeled = features_of(pool)
            return rows[farthest_first(features[rows], labeled[labels], quota, rng)]
        scores = scored(self.inner, self.inner_arguments).scores(pool)
        check_scores(scores)
        return rows[top_k(scores[rows], quota, rng)]


def rarest(present: NDArray[np.bool_], have: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each case with the fewest labels; the number of classes where it has none.

    Args:
        present: (n, classes).
        have: (classes,) labels of each; of equals the first counts.
    """
    order = np.argsort(have, kind="stable")
    found = order[present[:, order].argmax(axis=1)]
    return np.asarray(np.where(present.any(axis=1), found, present.shape[1]), dtype=np.int64)


def fill(
    have: NDArray[np.int64], available: NDArray[np.int64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The class of every pick, (k,): each time the one with the fewest labels and picks so far.

    Args:
        have: (classes,) labels.
        available: (classes,) cases; no class gets more.
        k: 0 <= k <= sum of available.
        rng: orders the classes once, for equals.
    """
    chance = rng.permutation(len(have))
    left = available.copy()
    heap = [(int(have[c]), int(chance[c]), int(c)) for c in np.flatnonzero(left)]
    heapify(heap)
    turns = np.empty(k, dtype=np.int64)
    for i in range(k):
        count, tie, c = heap[0]
        turns[i] = c
        left[c] -= 1
        if left[c]:
            heapreplace(heap, (count + 1, tie, c))
        else:
            heappop(heap)
    return turns
