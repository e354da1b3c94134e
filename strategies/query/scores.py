"""The strategies that score every case, and one of them by its name, for those that wrap it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.build import build
from strategies.pool import NotFinite
from strategies.query.bald import Bald
from strategies.query.entropy import Entropy
from strategies.query.fedal import FedAl
from strategies.query.kafal import Kafal
from strategies.query.least_confidence import LeastConfidence
from strategies.query.margin import Margin
from strategies.query.strategy import Scored

SCORED: Mapping[str, Callable[..., Scored]] = {
    "entropy": Entropy,
    "margin": Margin,
    "least-confidence": LeastConfidence,
    "bald": Bald,
    "fedal": FedAl,
    "kafal": Kafal,
}


def scored(name: str, arguments: Mapping[str, object]) -> Scored:
    """The scored strategy of that name.

    Raises:
        ValueError: an unknown name or argument, in one sentence.
    """
    return build(SCORED, name, allow_import=False, **arguments)


def check_scores(scores: NDArray[np.float64]) -> None:
    """Refuse scores that break the contract of `Scored`.

    Raises:
        NotFinite: a score is NaN or infinite.
        ValueError: a score below 0.
    """
    bad = len(scores) - np.count_nonzero(np.isfinite(scores))
    if bad:
        raise NotFinite(f"{bad} of {len(scores)} scores are not finite; accepted is finite scores")
    if len(scores) and scores.min() < 0:
        raise ValueError(f"the lowest score is {scores.min():.3g}; accepted is 0 or more")
