"""What a query strategy sees of a site: numbers, never the model, and of an image 49 cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODELS = {"": "global", "local_": "local", "scratch_": "scratch"}
"""Who looks at the cases, by the beginning of a signal's name; see `Needs`."""

PER_CASE = frozenset(
    {"mc_probs", "ensemble_probs", "minutes", "looks"}
    | {before + name for before in MODELS for name in ("probs", "logits", "features")}
)
"""Signals with one row per case of the pool; the others are of labeled cases or of the model."""

_OF_LABELED = ("labeled_probs", "labeled_features")
_OF_HEAD = ("head_weights", "head_bias")


class MissingSignal(ValueError):
    """A strategy asked for a signal that its `needs` did not name."""


class PoolTooSmall(ValueError):
    """More cases were asked for than the pool holds."""


class NotFinite(ValueError):
    """A signal or score holds NaN or infinity; nothing is repaired in silence."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The signals a site must compute before it can ask a strategy.

    Up to three models look at the cases. The global one as it came to the report step; "local",
    which is that after one more round of the site's own training, what the site would send next;
    "scratch", trained on the site's labels alone from the study's untrained network. The last two
    never leave the site, and a site without labels has neither: it asks the cold start instead.

    A pass of a model over the pool costs what the report's own does. "local" costs besides it one
    training round, "scratch" at most 50 passes over the labels and 500 steps.

    Attributes:
        signals: names out of
            "probs" (n, classes) of the global model,
            "logits" (n, classes) before softmax or sigmoid,
            "features" (n, d) at the input of the last linear layer,
            "labeled_probs" (m, classes) and
            "labeled_features" (m, d) of the site's training cases, m may be 0,
            the same five of another model, as in "local_probs" or "scratch_labeled_features",
            "ensemble_probs" (n, 3, classes) of the global, local and scratch models,
            "mc_probs" (n, members, classes) of the global model with dropout left on,
            "labeled_targets" (m, classes) the labels,
            "head_weights" (classes, d) and
            "head_bias" (classes,) of the last linear layer: logits are features @ weights.T + bias,
            "looks" (n, d) mean values of the image in a grid of 7 x 7 cells, from 0 to 1,
            "cluster_centres" (clusters, d) of the federation, for features of length 1, and
            "cluster_turns" (clusters,) the order in which this site should ask about them,
            "minutes" (n,) that one reading of the case is expected to take at this site,
            "threshold" (1,) uncertainty, 0 to 1, that about `share` of the pool's cases reach.
        members: how many dropout passes "mc_probs" holds.
        share: of "threshold".
    """

    signals: frozenset[str] = frozenset()
    members: int = 0
    share: float = 0.0

    @property
    def models(self) -> frozenset[str]:
        """The models that the signals look at: "global", "local", "scratch"."""
        if "ensemble_probs" in self.signals:
            return frozenset(MODELS.values())
        looked = {MODELS[before] for before in MODELS if before and self.of(before)}
        if self.of("") or self.signals & {"mc_probs", *_OF_HEAD}:
            looked.add("global")
        return frozenset(looked)

    def of(self, before: str) -> frozenset[str]:
        """What is wanted of the model whose signals begin so, without that beginning."""
        names = {"probs", "logits", "features", *_OF_LABELED}
        found = frozenset(name for name in names if before + name in self.signals)
        return found | {"probs"} if "ensemble_probs" in self.signals else found


@dataclass(frozen=True, slots=True)
class Pool:
    """A site's unlabeled cases as arrays; row i of every pool signal is the same case.

    Attributes:
        size: n, the number of rows.
        signals: see `Needs`. Read-only arrays.
        multi_label: classes are independent of each other; probabilities do not sum to 1.
    """

    size: int
    signals: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    multi_label: bool = False

    def require(self, name: str) -> NDArray[Any]:
        """The signal of that name.

        Raises:
            MissingSignal: the site was not asked for it.
            NotFinite: it holds NaN or infinity.
        """
        if name not in self.signals:
            known = ", ".join(sorted(self.signals)) or "none"
            raise MissingSignal(
                f"signal '{name}' was not computed for this pool; there are: {known}"
            )
        array = self.signals[name]
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise NotFinite(f"signal '{name}' holds {bad} values that are not finite")
        return array
