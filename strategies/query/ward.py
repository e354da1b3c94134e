"""Our own: what is doubtful in every part of what the images look like, fair to classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.class_balanced import fill, rarest
from strategies.query.coreset import farthest_first
from strategies.query.distances import Distances, features_of
from strategies.query.entropy import entropy
from strategies.query.fairfal import nearest_class
from strategies.query.kmeans import k_means
from strategies.query.logo import best_of_each, doubts, scaled
from strategies.query.refit import own_probabilities
from strategies.query.strategy import check_count, probabilities, same_shape, signal

_BLOCK = 4096
_FAR = 1e30
"""The squared distance from nothing."""


@dataclass(frozen=True, slots=True)
class Ward:
    """Of every part of what the images look like the case the model doubts most, in class quotas.

    Every pick has a class, by turns the one with the fewest labels and picks, and a phase: the
    share w of warm picks grows from 0 at the first of `warm` labels of the site to 1 at the second.
    With mix "split" a warm pick is the most doubtful of a cluster of its class's cases: of what the
    images look like from afar, space "looks"; of the own model's gradients, as in LoGo; or of both,
    each scaled to the same spread. A cold one is that of greedy k-center on the global model's
    features from all labels of the site. With "product" every pick is the largest
    d^2 ((1 - w) + w u): d the distance from all labels and picks before, u the doubt over its
    largest. It is for every cycle after the first, and costs O(k n d), with split O(20 n k d),
    beside the own model; by default that is a last layer, fitted in milliseconds.

    The default was chosen among variants on the validation splits of tracks A and B of
    `make bench-labels`, seeds 0-8. With two dozen labels the network's features and a site's own
    model are little but noise: k-center takes outliers, and gradients lie where the first labels
    happened to. Images tell parts of the pool apart before there is any label. Quotas for all picks
    served label skew and cost rare classes; half of them served both.

    Attributes:
        warm: labels of the site at which warm picks begin, and from which all are.
        mix: "split" or "product".
        own: the site's own model, "local" or "scratch"; with "head" the global one with its last
            layer fitted anew to the site's labels; with "none" the global one itself. For these
            two nothing is trained and the pool is looked at once.
        space: in which warm picks have clusters: "gradients", "looks" or "both".
        doubt: "global", the global model's entropy; "ensemble", that of both models' mean;
            or "disagreement", what remains of that less the mean of both entropies.
        classes: a case's class is that of both models' mean, "ensemble", or of the nearest mean
            direction of labeled features, "prototype".
        balance: share of the picks that have a class, rounded down; the others are of any, 0 to 1.
            Below 1 a single pick has none: by default a grant of one case asks by doubt alone.

    Source: ours; its parts are CoreSet, LoGo, FedAL and FairFAL, see there.
    """

    warm: tuple[float, float] = (0.0, 0.0)
    mix: Literal["split", "product"] = "split"
    own: Literal["local", "scratch", "head", "none"] = "head"
    space: Literal["gradients", "looks", "both"] = "looks"
    doubt: Literal["global", "ensemble", "disagreement"] = "global"
    classes: Literal["ensemble", "prototype"] = "ensemble"
    balance: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a hand-over that runs backwards, a share that is none, and unknown words."""
        for name, hint in get_type_hints(type(self)).items():
            value, known = getattr(self, name), get_args(hint)
            if get_origin(hint) is Literal and value not in known:
                raise ValueError(
                    f"argument '{name}' is {value!r}; accepted is one of {', '.join(known)}"
                )
        if len(self.warm) != 2 or not 0 <= self.warm[0] <= self.warm[1] < np.inf:
            raise ValueError(
                f"argument 'warm' is {list(self.warm)}; accepted is two finite numbers from 0, "
                "rising"
            )
        if not 0 <= self.balance <= 1:
            raise ValueError(f"argument 'balance' is {self.balance}; accepted is 0 to 1")

    @property
    def needs(self) -> Needs:
        """Both models' probabilities, features and labels; with split the own one's features."""
        names = {"probs", "features", "labeled_features", "labeled_targets", self._of_own("probs")}
        if self.mix == "split" and self.space != "looks":
            names.add(self._of_own("features"))
        if self.mix == "split" and self.space != "gradients":
            names.add("looks")
        if self.own == "head":
            names |= {"head_weights", "head_bias"}
        return Needs(frozenset(names))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows by turns of the classes, of both phases in any order."""
        site = self._seen(pool)
        check_count(k, pool.size)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        turns = turns_of(site.groups, site.have, k, self.balance, rng)
        w = handed_over(len(site.labeled), self.warm)
        if self.mix == "split":
            return _split(site, turns, w, rng)
        largest = site.doubt.max()
        weights = (1 - w) + w * site.doubt / (largest if largest > 0 else 1)
        return _product(site, turns, weights, rng)

    def _of_own(self, name: str) -> str:
        return name if self.own in ("none", "head") else f"{self.own}_{name}"

    def _said_by_own(self, pool: Pool) -> NDArray[np.float64]:
        if self.own == "head":
            return own_probabilities(pool)
        return probabilities(pool, self._of_own("probs"))

    def _space(self, pool: Pool, own: NDArray[np.float64]) -> NDArray[Any]:
        """Where warm picks have their clusters, (n, e)."""
        if self.mix != "split":
            return np.empty((pool.size, 0))
        parts = []
        if self.space != "looks":
            of_own = signal(pool, self._of_own("features"), 2)
            parts.append(scaled(of_own, doubts(own, pool.multi_label)))
        if self.space != "gradients":
            parts.append(scaled(signal(pool, "looks", 2), np.ones(pool.size)))
        return parts[0] if len(parts) == 1 else np.hstack([of_spread_1(part) for part in parts])

    def _seen(self, pool: Pool) -> _Seen:
        p, own = probabilities(pool), self._said_by_own(pool)
        same_shape(p, own, self._of_own("probs"), "probs")
        features, labeled = features_of(pool)
        present = pool.require("labeled_targets") >= 0.5
        wanted = np.empty((len(labeled), p.shape[1]))
        same_shape(wanted, present, "labeled_targets", "labeled_features' rows, probs' columns")
        both, have = (p + own) / 2, present.sum(axis=0)
        if self.classes == "prototype":
            groups = nearest_class(features, labeled, present)
        elif pool.multi_label:
            groups = rarest(both >= 0.5, have)
        else:
            groups = np.asarray(both.argmax(axis=1), dtype=np.int64)
        counts = np.bincount(rarest(present, have), minlength=p.shape[1] + 1)
        doubt = entropy(p if self.doubt == "global" else both, pool.multi_label)
        if self.doubt == "disagreement":
            each = entropy(p, pool.multi_label) + entropy(own, pool.multi_label)
            doubt = np.maximum(doubt - each / 2, 0)
        return _Seen(features, labeled, self._space(pool, own), doubt, groups, counts)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one choice is made from: n cases, m labeled ones.

    Attributes:
        features, labeled: (n, d) and (m, d) of the global model.
        space: (n, e) in which warm picks have clusters, e may be 0.
        doubt: (n,) at least 0.
        groups: (n,) each case's class; the number of classes where it shows none.
        have: (classes + 1,) labels of each.
    """

    features: NDArray[Any]
    labeled: NDArray[Any]
    space: NDArray[Any]
    doubt: NDArray[np.float64]
    groups: NDArray[np.int64]
    have: NDArray[np.int64]


def of_spread_1(x: NDArray[Any]) -> NDArray[Any]:
    """The rows less their mean, over the root of their mean squared length; zeros stay zeros."""
    if not len(x):
        return x
    x = x - x.mean(axis=0)
    spread = float(np.sqrt(np.einsum("ij,ij->", x, x) / len(x)))
    return np.asarray(x / x.dtype.type(spread if spread > 0 else 1))


def handed_over(labels: int, warm: tuple[float, float]) -> float:
    """The share of warm picks: 0 up to the first number of labels, 1 from the second."""
    first, last = warm
    if last <= first:
        return float(labels >= last)
    return float(np.clip((labels - first) / (last - first), 0, 1))


def turns_of(
    groups: NDArray[np.int64],
    have: NDArray[np.int64],
    k: int,
    balance: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The class of every pick, (k,), -1 for any; the share that has one is spread evenly.

    Args:
        groups: (n,) each case's class.
        have: (classes,) labels.
        k: at most n.
        balance: that share.
        rng: orders equal classes.
    """
    turns = np.full(k, -1, dtype=np.int64)
    steps = np.floor(np.arange(k + 1) * balance + 1e-9)
    of_class = np.flatnonzero(np.diff(steps))
    available = np.bincount(groups, minlength=len(have))
    turns[of_class] = fill(have, available, len(of_class), rng)
    return turns


def phases(count: int, w: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of so many picks are warm: a share w of them, evenly spread from a random start."""
    steps = np.floor(np.arange(count + 1) * w + rng.random())
    return np.asarray(np.diff(steps) > 0)


def _split(seen: _Seen, turns: NDArray[np.int64], w: float, rng: np.random.Generator) -> Indices:
    """Cold picks of k-center and warm ones of LoGo, class by class, those of any class last."""
    picks = np.full(len(turns), -1, dtype=np.int64)
    taken = np.zeros(len(seen.groups), dtype=bool)
    for c in [*range(len(seen.have)), -1]:
        places = np.flatnonzero(turns == c)
        if not len(places):
            continue
        rows = np.flatnonzero(~taken & ((seen.groups == c) | (c < 0)))
        warm = phases(len(places), w, rng)
        anchors = np.concatenate([seen.labeled, seen.features[taken]])
        cold = rows[farthest_first(seen.features[rows], anchors, int((~warm).sum()), rng)]
        rest = np.setdiff1d(rows, cold)
        count = int(warm.sum())
        picks[places[~warm]] = cold
        if count:
            clusters = k_means(seen.space[rest], count, rng, 20).assigned
            picks[places[warm]] = rest[best_of_each(clusters, seen.doubt[rest], count, rng)]
        taken[picks[places]] = True
    return picks


def _product(
    seen: _Seen, turns: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator
) -> Indices:
    """Each pick the largest weight times squared distance from labels and picks; equals by chance.

    A class that those of any class have used up gives its turn to any.
    """
    n = len(weights)
    distances = Distances(np.concatenate([seen.features, seen.labeled]))
    nearest = np.full(n, _FAR)
    for first in range(0, n if len(seen.labeled) else 0, _BLOCK):
        some = slice(first, min(first + _BLOCK, n))
        nearest[some] = distances.squared(some, slice(n, None)).min(axis=1)
    if not np.isfinite(nearest).all():
        raise NotFinite(f"squared distances between features overflow {seen.features.dtype}")
    chance = rng.permutation(n)
    left = np.ones(n, dtype=bool)
    picks = np.empty(len(turns), dtype=np.int64)
    for i, c in enumerate(turns.tolist()):
        rows = np.flatnonzero(left & ((seen.groups == c) | (c < 0)))
        if not len(rows):
            rows = np.flatnonzero(left)
        gains = nearest[rows] * weights[rows]
        best = rows[gains == gains.max()]
        picks[i] = best[chance[best].argmin()]
        left[picks[i]] = False
        np.minimum(nearest, distances.squared(picks[i : i + 1], slice(n))[0], out=nearest)
    return picks
