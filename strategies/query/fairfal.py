"""Ask as much of every class, by the model that suits the site, of doubtful cases unlike others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices
from strategies.pool import Needs, NotFinite, Pool
from strategies.query.coreset import farthest_first
from strategies.query.distances import features_of
from strategies.query.entropy import entropy
from strategies.query.feal import directions
from strategies.query.ranking import top_k
from strategies.query.strategy import check_count, probabilities, same_shape


@dataclass(frozen=True, slots=True)
class FairFal:
    """Give every class an equal share of the picks, and within it spread out doubtful cases.

    From the mean predictions p_g and p_s of the global and the scratch model over the labeled
    cases, every class weighing the same: gamma = min p_g / max p_g over the classes that have
    labels tells how balanced the federation is, d = mean |p_g - p_s| / (p_g + p_s) how far the
    site is from it. The global model is asked where 1 - (d + gamma) / 2 is above the threshold,
    else the scratch model. A case belongs to the class whose labeled cases have the mean direction
    of global features nearest to its own. Of each class's quota the `over` times as many with the
    largest entropy are kept, and of these greedy k-center picks, in the gradients (p - onehot) x
    features, starting from the class's labeled cases; the p there is the global model's where
    gamma is below one half. O(n classes d), and O(over k classes d) memory for the gradients.

    The published gamma is the mean over the sites, each of which sends its own once. Here none
    leaves: a site uses its own, unless the study names one. Multi-label: the gradient of the summed
    binary losses, and a labeled case stands for each of its classes; ours. After the first cycle.

    Attributes:
        threshold: of the choice between the models, 0 to 1.
        over: doubtful cases kept for each pick, at least 1.
        gamma: of the federation, 0 to 1; without it each site's own.

    Source: Zong and Huang (FairFAL), CVPR 2026, arXiv 2603.10341, as in the authors' code; our
    re-implementation. The balanced mean is exact where theirs resamples.
    """

    threshold: float = 0.75
    over: int = 4
    gamma: float | None = None

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1 and no doubtful cases."""
        for name in ("threshold", "gamma"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"argument '{name}' is {value}; accepted is 0 to 1")
        if self.over < 1:
            raise ValueError(f"argument 'over' is {self.over}; accepted is 1 or more")

    @property
    def needs(self) -> Needs:
        """Predictions of both models everywhere, the global model's features, the labels."""
        both = {"probs", "scratch_probs", "labeled_probs", "scratch_labeled_probs"}
        features = {"features", "labeled_features", "labeled_targets"}
        return Needs(frozenset(both | features))

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows: the first of every class, the largest class first, then the second."""
        seen = _Seen.of(pool)
        check_count(k, pool.size)
        gamma, apart = balance(seen.labeled, seen.scratch_labeled, seen.present)
        gamma = gamma if self.gamma is None else self.gamma
        asked = seen.probs if 1 - (apart + gamma) / 2 > self.threshold else seen.scratch
        scores = entropy(asked, pool.multi_label)
        pair = (seen.probs, seen.labeled) if gamma < 0.5 else (seen.scratch, seen.scratch_labeled)
        errors = (_error(pair[0], pool.multi_label), pair[1] - seen.present)
        groups = nearest_class(seen.features, seen.labeled_features, seen.present)
        sizes = np.bincount(groups, minlength=seen.present.shape[1])
        picks: list[tuple[int, int, int, int]] = []
        for c, quota in enumerate(equal_quotas(sizes, k)):
            rows = np.flatnonzero(groups == c)
            kept = rows[top_k(scores[rows], min(len(rows), self.over * quota), rng)]
            anchors = np.flatnonzero(seen.present[:, c])
            z = outer(errors[0][kept], seen.features[kept])
            of = outer(errors[1][anchors], seen.labeled_features[anchors])
            found = kept[_spread(z, of, quota, rng)]
            picks += [(place, -int(sizes[c]), c, row) for place, row in enumerate(found.tolist())]
        return np.array([row for *_, row in sorted(picks)], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The signals, checked against each other: n rows of the pool, m labeled cases."""

    probs: NDArray[np.float64]
    scratch: NDArray[np.float64]
    labeled: NDArray[np.float64]
    scratch_labeled: NDArray[np.float64]
    features: NDArray[Any]
    labeled_features: NDArray[Any]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, pool: Pool) -> _Seen:
        probs, scratch = probabilities(pool), probabilities(pool, "scratch_probs")
        same_shape(probs, scratch, "scratch_probs", "probs")
        features, labeled_features = features_of(pool)
        present = pool.require("labeled_targets") >= 0.5
        wanted = np.empty((len(labeled_features), probs.shape[1]))
        same_shape(wanted, present, "labeled_targets", "labeled_features' rows, probs' columns")
        found = []
        for name in ("labeled_probs", "scratch_labeled_probs"):
            p = pool.require(name).astype(np.float64)
            same_shape(wanted, p, name, "labeled_targets")
            found.append(p)
        return cls(probs, scratch, found[0], found[1], features, labeled_features, present)


def balance(
    p: NDArray[np.float64], s: NDArray[np.float64], present: NDArray[np.bool_]
) -> tuple[float, float]:
    """gamma and d of `FairFal`; 1 and 0 where nothing is labeled.

    Args:
        p: (m, classes) of the global model on the labeled cases.
        s: (m, classes) of the scratch model.
        present: (m, classes) their labels.
    """
    have = present.sum(axis=0)
    there = have > 0
    if not there.any():
        return 1.0, 0.0
    shares = present[:, there] / have[there]  # of every class's mean, (m, classes present)
    mean, own = (shares.mean(axis=1) @ q for q in (p, s))
    both = mean + own
    apart = np.abs(mean - own) / np.where(both > 0, both, 1)
    largest = mean[there].max()
    return float(mean[there].min() / largest) if largest > 0 else 1.0, float(apart.mean())


def nearest_class(
    features: NDArray[Any], labeled: NDArray[Any], present: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The class whose mean direction of labeled features each row's cosine is largest with, (n,).

    Only classes with labels are there to be nearest; without any all rows are of class 0.
    """
    there = np.flatnonzero(present.any(axis=0))
    if not len(there):
        return np.zeros(len(features), dtype=np.int64)
    means = present[:, there].T.astype(labeled.dtype) @ directions(labeled)
    return np.asarray(there[(directions(features) @ directions(means).T).argmax(axis=1)])


def equal_quotas(sizes: NDArray[np.int64], k: int) -> list[int]:
    """Picks of each class: equal ones, the odd ones and what a small class lacks to the largest.

    Handed round from the largest on: of sizes 10, 9 and 1 and seven picks 4, 2 and 1.

    Args:
        sizes: (classes,) cases of each; of equals the first counts as larger.
        k: at most their sum.
    """
    order = np.argsort(-sizes, kind="stable")
    quotas = np.full(len(sizes), k // len(sizes))
    quotas[order[: k % len(sizes)]] += 1
    quotas = np.minimum(quotas, sizes)
    while (left := k - int(quotas.sum())) > 0:
        quotas[[c for c in order if quotas[c] < sizes[c]][:left]] += 1
    return [int(q) for q in quotas]


def outer(q: NDArray[np.float64], z: NDArray[Any]) -> NDArray[Any]:
    """The gradients q_i z_i of the last layer, (rows, classes * d), in the features' precision.

    Raises:
        NotFinite: they overflow it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        g = np.einsum("ic,id->icd", q.astype(z.dtype), z).reshape(len(z), q.shape[1] * z.shape[1])
    if not np.isfinite(g).all():
        raise NotFinite(f"gradients overflow {z.dtype}")
    return np.asarray(g)


def _error(p: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """p less the prediction, (n, classes)."""
    if multi_label:
        return np.asarray(p - np.round(p))
    return np.asarray(p - np.eye(p.shape[1])[p.argmax(axis=1)])


def _spread(
    z: NDArray[Any], anchors: NDArray[Any], quota: int, rng: np.random.Generator
) -> Indices:
    """Greedy k-center from the anchors, or where there are none from the first row."""
    if len(z) <= quota:
        return np.arange(len(z))
    if len(anchors) or quota == 0:
        return farthest_first(z, anchors, quota, rng)
    return np.append(0, 1 + farthest_first(z[1:], z[:1], quota - 1, rng))
