"""Ask for cases whose prediction changes when a little of a labeled case is mixed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.distances import features_of
from strategies.query.feal import directions
from strategies.query.kmeans import k_means
from strategies.query.strategy import check_count


@dataclass(frozen=True, slots=True)
class AlfaMix:
    """Pick unlike cases among those whose prediction flips under the smallest interpolation.

    A case's features z move towards the anchor z_c of each class c, the mean features of the
    class's labeled cases and, where it has none, of all labeled cases, the way that raises the
    case's own loss most: z + a (z_c - z) with a = t ||z_c - z|| g / (||g|| (z_c - z)) and g the
    loss's gradient by z at the predicted label. The size t is a multiple of step / sqrt(d), the
    smallest at which more than k cases have flipped, and at most the first that is 1 / sqrt(d) or
    more. Those that flipped are clustered into k by their features at length 1, and of each
    cluster, the largest first, the case nearest to its centre is picked. Where fewer flip the rest
    is drawn at random, as all are where nothing is labeled. The t at which a case flips is found
    in closed form, in O(n classes^2 d). Multi-label: any class's yes or no flips, ours.

    Attributes:
        step: the first t and that by which it grows, times sqrt(d); above 0.

    Source: Parvaneh et al., CVPR 2022, section 3, equation 5 for a; the multiples up to
    1 / sqrt(d), the anchor of a class without labels and the length of 1 as in the authors' code
    (alpha_mix_sampling.py). Theirs runs the k-means of scikit-learn, ours has one seeding and at
    most ten rounds; theirs picks the clusters in no order, and may draw a case of the rest twice.
    """

    step: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a step of 0 or less."""
        if not self.step > 0:
            raise ValueError(f"argument 'step' is {self.step}; accepted is above 0")

    @property
    def needs(self) -> Needs:
        """Features of pool and labeled cases, their labels, and the last layer."""
        return Needs(
            frozenset(
                {"features", "labeled_features", "labeled_targets", "head_weights", "head_bias"}
            )
        )

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are picked."""
        z, labeled = features_of(pool)
        weights, bias = _head(pool, z.shape[1])
        anchors = anchors_of(labeled, pool.require("labeled_targets"))
        check_count(k, len(z))
        if k == 0:
            return np.empty(0, dtype=np.int64)
        flips = flip_steps(z.astype(np.float64), anchors, weights, bias, pool.multi_label)
        rows = flipped(flips, k, self.step, z.shape[1])
        return unlike(z, rows, k, rng)


def _head(pool: Pool, d: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (classes, d) and bias (classes,) of the last layer."""
    weights, bias = pool.require("head_weights"), pool.require("head_bias")
    if weights.ndim != 2 or weights.shape[1] != d or bias.shape != weights.shape[:1]:
        raise ValueError(
            f"signals 'head_weights' and 'head_bias' have shapes {weights.shape} and {bias.shape}; "
            f"accepted is (classes, {d}) and (classes,)"
        )
    return weights.astype(np.float64), bias.astype(np.float64)


def anchors_of(labeled: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Mean features of every class's labeled cases, of all where it has none, (classes, d).

    Nothing labeled gives no anchor, (0, d).

    Args:
        labeled: (m, d).
        targets: (m, classes); at least one half is the class.

    Raises:
        ValueError: other numbers of rows.
    """
    if targets.ndim != 2 or len(targets) != len(labeled):
        raise ValueError(
            f"signal 'labeled_targets' has shape {targets.shape}; accepted is {len(labeled)} rows, "
            "as many as 'labeled_features', and 2 axes"
        )
    if not len(labeled):
        return np.empty(labeled.shape)
    member = (targets >= 0.5).T  # (classes, m)
    member = (member | ~member.any(axis=1, keepdims=True)).astype(np.float64)
    return np.asarray(member @ labeled.astype(np.float64) / member.sum(axis=1, keepdims=True))


def flip_steps(
    z: NDArray[np.float64],
    anchors: NDArray[np.float64],
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    multi_label: bool,
) -> NDArray[np.float64]:
    """The smallest t > 0 at which some anchor flips each case's prediction, (n,); inf for never.

    Logits are linear in t, so t is where the predicted one meets another. A coordinate in which a
    case equals the anchor cannot be mixed and stays.

    Args:
        z: (n, d).
        anchors: (a, d), a may be 0.
        weights: (classes, d).
        bias: (classes,).
        multi_label: a logit flips where it crosses 0.
    """
    logits = z @ weights.T + bias  # (n, classes)
    if multi_label:
        error = expit(logits) - (logits >= 0)
    else:
        error = softmax(logits, axis=1)
        error[np.arange(len(z)), logits.argmax(axis=1)] -= 1
    gradient = error @ weights  # (n, d)
    length = np.linalg.norm(gradient, axis=1)
    gradient /= np.where(length > 0, length, 1)[:, None]
    best = np.full(len(z), np.inf)
    for anchor in anchors:
        apart = anchor - z
        move = np.where(apart != 0, gradient, 0) * np.linalg.norm(apart, axis=1)[:, None]
        np.minimum(best, _crossing(logits, move @ weights.T, multi_label), out=best)
    return best


def _crossing(
    logits: NDArray[np.float64], slopes: NDArray[np.float64], multi_label: bool
) -> NDArray[np.float64]:
    """The first t at which logits + t slopes predict otherwise, (n,)."""
    if multi_label:
        lead = np.abs(logits)
        loss = np.where(logits >= 0, -slopes, slopes)
    else:
        own = logits.argmax(axis=1)[:, None]
        lead = np.take_along_axis(logits, own, axis=1) - logits
        loss = slopes - np.take_along_axis(slopes, own, axis=1)
    meets = np.divide(lead, loss, out=np.full_like(lead, np.inf), where=loss > 0)
    return np.asarray(meets.min(axis=1))


def flipped(flips: NDArray[np.float64], k: int, step: float, d: int) -> Indices:
    """The rows that flip by the first multiple of step / sqrt(d) at which more than k do.

    Where no multiple reaches so many they are those of the first that is 1 / sqrt(d) or more.
    """
    each = step / np.sqrt(d)
    multiple = np.ceil(1 / step)
    if k < len(flips):
        wanted = np.ceil(float(np.partition(flips, k)[k]) / each)
        multiple = min(multiple, max(1, wanted))
    return np.flatnonzero(flips <= multiple * each)


def unlike(z: NDArray[Any], rows: Indices, k: int, rng: np.random.Generator) -> Indices:
    """k rows: of k clusters of the given rows the most central, then others of them, then any.

    Clusters are of directions, the rows at length 1.

    Raises:
        NotFinite: lengths overflow the features' precision.
    """
    picks: NDArray[np.int64] = rng.permutation(rows)
    if len(rows) > k:
        found = k_means(directions(z[rows]), k, rng)
        order = np.lexsort((rng.random(len(rows)), found.apart))
        clusters, first = np.unique(found.assigned[order], return_index=True)
        sizes = np.bincount(found.assigned)[clusters]
        central = rows[order[first[np.argsort(-sizes, kind="stable")]]]
        picks = np.concatenate([central, rng.permutation(np.setdiff1d(rows, central))])[:k]
    rest = rng.permutation(np.setdiff1d(np.arange(len(z)), picks))
    return np.concatenate([picks, rest])[:k].astype(np.int64)
