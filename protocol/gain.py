"""What is exchanged to tell a study's gain over random: two models, on equally many labels each.

Both learn from the labels of the first cycle. To these comes, for the one, the random share of the
later cycles (the exploration readings), and for the other as many of those that the query strategy
asked for. The sites train both as they train the study's own model, in train steps of their own
sequence numbers, and measure both on the same audit cases. Nothing steers by what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Arrays, Evaluation
from protocol.sections import Aggregation, Budget
from protocol.sentences import refuse

RANDOM, QUERIED = 1, 2
"""Sequence numbers of the train steps of the two models; the study's own has 0."""

_NAMES: Mapping[int, str] = {RANDOM: "random", QUERIED: "queried"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models measured on the same cases.

    Attributes:
        random: of the model with the random share.
        queried: of the model with the queried cases.
        across: (m m,) float32, the covariance of the first's sums (row) with the second's (column)
            when patients are drawn anew, row by row.
    """

    random: Evaluation
    queried: Evaluation
    across: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SiteGain:
    """One site's part in the comparison: counts, and sums over its audit cases.

    Attributes:
        site: its name.
        labels: that each of the two models had from this site.
        apart: how many of these the two do not share.
        pair: None where no audit case has been read.
    """

    site: str
    labels: int
    apart: int
    pair: Pair | None


def together(random: Arrays, queried: Arrays) -> Arrays:
    """Both models' arrays under one roof, as a compare step carries them."""
    pairs = zip(_NAMES.values(), (random, queried), strict=True)
    return {f"{name}:{key}": array for name, arrays in pairs for key, array in arrays.items()}


def taken_apart(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """The two models of `together`, the random one first.

    Raises:
        ValueError: an array belongs to neither.
    """
    found: dict[str, dict[str, NDArray[np.generic]]] = {name: {} for name in _NAMES.values()}
    for key, array in arrays.items():
        name, _, own = key.partition(":")
        if name not in found or not own:
            raise ValueError("an array of neither model: accepted are those of two networks")
        found[name][own] = array
    return found["random"], found["queried"]


def check_gain(asked: str, budget: Budget, aggregation: Aggregation, *, private: bool) -> None:
    """Refuse a comparison that the study cannot have.

    Args:
        asked: for, as `stopping.gain` says.
        budget: of readings.
        aggregation: of updates.
        private: whether the study is.

    Raises:
        Refused: in one sentence.
    """
    if asked == "never":
        return
    if private:
        accepted = '"never" in a private study: two more trainings would have to be paid for'
        raise refuse("stopping.gain", asked, accepted)
    if aggregation.secure:
        accepted = '"never" where aggregation.secure = true: the masks are for one model a round'
        raise refuse("stopping.gain", asked, accepted)
    if budget.exploration == 0:
        accepted = '"never" where budget.exploration = 0: nothing would be drawn at random'
        raise refuse("stopping.gain", asked, accepted)
