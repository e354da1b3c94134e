"""Which labels the two models of a comparison learn from; see `protocol/gain.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.site import Site
from protocol.gain import RANDOM
from protocol.records import Indices
from protocol.seeds import Purpose, generator
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Shares:
    """Ids of labeled cases, ascending, equally many for each model.

    Attributes:
        random: those of the model with the random share.
        queried: those of the model with the queried cases.
        apart: how many of each are not the other's.
    """

    random: Indices
    queried: Indices
    apart: int

    def of(self, sequence: int) -> Indices:
        """The ids for a train step of that sequence number."""
        return self.random if sequence == RANDOM else self.queried


def shares(site: Site, study: Study, cycle: int) -> Shares:
    """The labels of the first cycle for both, and of the later ones as many random as queried.

    The same for every round and at every repetition: drawn by the study's seed.
    """
    came = site.store.labels.came(study.identity)
    labeled, _ = site.store.labels.settled(study.identity)
    ids = labeled[[i in came for i in labeled.tolist()]]  # an answer may have been taken back since
    first = np.array([came[i][0] == 0 for i in ids.tolist()], dtype=bool)
    explored = np.array([came[i][1] == "explore" for i in ids.tolist()], dtype=bool)
    drawn, asked = ids[~first & explored], ids[~first & ~explored]
    count = min(len(drawn), len(asked))
    rng = generator(study.seed, site.number, cycle, 0, Purpose.SHARE)

    def some(of: NDArray[np.int64]) -> Indices:
        picked = rng.choice(of, count, replace=False) if count else of[:0]
        both: Indices = np.sort(np.concatenate([ids[first], picked]))
        return both

    return Shares(some(drawn), some(asked), count)
