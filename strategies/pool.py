"""What a query strategy sees of a site: numbers, never the model and never an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PER_CASE = frozenset({"probs", "mc_probs", "features"})
"""Signals with one row per case of the pool; the others are of labeled cases or of the model."""


class MissingSignal(ValueError):
    """A strategy asked for a signal that its `needs` did not name."""


class PoolTooSmall(ValueError):
    """More cases were asked for than the pool holds."""


class NotFinite(ValueError):
    """A signal or score holds NaN or infinity; nothing is repaired in silence."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The signals a site must compute before it can ask a strategy.

    Attributes:
        signals: names out of
            "probs" (n, classes) of the global model,
            "mc_probs" (n, members, classes) with dropout left on,
            "features" (n, d) at the input of the last linear layer,
            "labeled_features" (m, d) of the site's training cases, m may be 0,
            "labeled_targets" (m, classes) their labels,
            "head_weights" (classes, d) and
            "head_bias" (classes,) of the last linear layer: logits are features @ weights.T + bias.
        members: how many dropout passes "mc_probs" holds.
    """

    signals: frozenset[str] = frozenset()
    members: int = 0


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
