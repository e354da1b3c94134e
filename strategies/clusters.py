"""Clusters of all sites' cases, found from sums and counts of clusters at each.

A site clusters its own cases and tells of every cluster that is large enough the mean of its
features, how many cases it holds and how many of them have a label. The server clusters these
means, and from them alone says which of its clusters each site should ask about first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.query.badge import draw
from strategies.query.kmeans import k_means

ROUNDS = 20
"""Of k-means at most, at a site and at the server."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What one site tells of its clusters; row i of every array is the same one.

    Attributes:
        means: (c, d) float32 of the features, scaled to length 1, of its cases.
        cases: (c,) how many, labeled ones included.
        labels: (c,) how many of them have a label.
    """

    means: NDArray[np.float32]
    cases: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The federation's clusters.

    Attributes:
        centres: (clusters, d).
        turns: (sites, clusters) of each site the clusters in the order in which it should ask.
        cases: (sites, clusters) that each site has told of in each.
        labels: (sites, clusters) how many of these have one.
    """

    centres: NDArray[np.float32]
    turns: NDArray[np.int64]
    cases: NDArray[np.int64]
    labels: NDArray[np.int64]


def cells(
    x: NDArray[np.float32], labeled: int, most: int, least: int, rng: np.random.Generator
) -> Cells:
    """A site's clusters of at least so many cases; what is in smaller ones is not told.

    Args:
        x: (n, d) rows of length 1; the last so many are labeled.
        labeled: 0 to n.
        most: clusters at most; fewer where they would not hold twice the least on average.
        least: cases that a cluster must hold to be told of, at least 1.
        rng: of the seeding.
    """
    count = min(most, len(x) // (2 * least))
    if count == 0:
        none = np.empty(0, dtype=np.int64)
        return Cells(np.empty((0, x.shape[1]), dtype=np.float32), none, none)
    assigned = k_means(x, count, rng, ROUNDS).assigned
    cases = np.bincount(assigned, minlength=count)
    labels = np.bincount(assigned[len(x) - labeled :], minlength=count)
    told = np.flatnonzero(cases >= least)
    means = np.array([x[assigned == c].mean(axis=0) for c in told], dtype=np.float32)
    return Cells(means.reshape(len(told), x.shape[1]), cases[told], labels[told])


def shared(told: Sequence[Cells], clusters: int, rng: np.random.Generator) -> Shared:
    """The federation's clusters, and of every site the order in which it should ask about them.

    Clusters come with the fewest labels first, of these the largest. Each goes to the site that has
    cases there and has got the fewest so far, of these the one with most cases there; a site asks
    about its own first, then about the others where it has cases, then about all.

    Args:
        told: by every site, in site order; there must be one cell at least.
        clusters: at most.
        rng: of the seeding.
    """
    means = np.concatenate([site.means for site in told]).astype(np.float64)
    weights = np.concatenate([site.cases for site in told])
    assigned, centres = _merged(means, weights, clusters, rng)
    of_site = np.repeat(np.arange(len(told)), [len(site.cases) for site in told])
    cases = np.zeros((len(told), len(centres)), dtype=np.int64)
    np.add.at(cases, (of_site, assigned), weights)
    labels = np.zeros_like(cases)
    np.add.at(labels, (of_site, assigned), np.concatenate([site.labels for site in told]))
    turns = _turns(cases, labels.sum(axis=0))
    return Shared(centres.astype(np.float32), turns, cases, labels)


def _turns(cases: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(sites, clusters), from (sites, clusters) cases and (clusters,) labels."""
    order = np.lexsort((-cases.sum(axis=0), labels))
    got = np.zeros(len(cases), dtype=np.int64)
    owner = np.empty(len(labels), dtype=np.int64)
    for c in order:
        here = np.flatnonzero(cases[:, c])
        owner[c] = here[np.lexsort((-cases[here, c], got[here]))[0]]
        got[owner[c]] += 1
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(order))
    others = owner[None, :] != np.arange(len(cases))[:, None]
    return np.array(
        [np.lexsort((rank, cases[s] == 0, others[s])) for s in range(len(cases))], dtype=np.int64
    )


def _merged(
    x: NDArray[np.float64], weights: NDArray[np.int64], k: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """k-means of weighted rows: each row's cluster, and the centres of those that have rows."""
    centres = x[_seeds(x, weights, k, rng)]
    assigned = np.full(len(x), -1)
    for _ in range(ROUNDS):
        before, assigned = assigned, _apart(x, centres).argmin(axis=1)
        if np.array_equal(before, assigned):
            break
        for c in np.unique(assigned):
            rows = assigned == c
            centres[c] = np.average(x[rows], axis=0, weights=weights[rows])
    there, assigned = np.unique(_apart(x, centres).argmin(axis=1), return_inverse=True)
    return assigned, centres[there]


def _seeds(
    x: NDArray[np.float64], weights: NDArray[np.int64], k: int, rng: np.random.Generator
) -> list[int]:
    """k rows, fewer where there are fewer distinct ones; k-means++ with weights."""
    first = draw(weights.astype(np.float64), rng)
    seeds = [0 if first is None else first]
    while len(seeds) < k:
        row = draw(weights * _apart(x, x[seeds]).min(axis=1), rng)
        if row is None:
            break
        seeds.append(row)
    return seeds


def _apart(x: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, centres) squared distances, exactly 0 between equal ones."""
    return np.asarray(((x[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))
