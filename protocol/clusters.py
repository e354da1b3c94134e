"""What a site tells of clusters of its cases, where a study's strategy asks by the federation's.

Two exchanges a cycle, after the report: in the first each site tells of its own clusters that are
large enough; in the second the server hands out the federation's, and nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from protocol.study import Study

NAME = "federated-typiclust"
"""The strategy that asks by the federation's clusters."""

TELL, TAKE = 0, 1
"""The rounds of the cluster step."""

CLUSTERS, LEAST = 48, 5
"""Without a word in the study file: clusters at most, and cases that are told of together."""

MOST_FEATURES = 2**13
"""Features of a network at most, where their means travel."""

CENTRES, TURNS = "centres", "turns:"
"""Names of the arrays of the second request; after the colon stands a site's name."""


@dataclass(frozen=True, slots=True)
class SiteClusters:
    """One site's clusters of at least the study's number of cases; none in the second exchange.

    Attributes:
        site: its name.
        means: (c, d) of the features of each one's cases, every case's scaled to length 1.
        cases: (c,) in each, pool and labels together.
        labels: (c,) of these have one.
    """

    site: str
    means: NDArray[np.float32]
    cases: tuple[int, ...]
    labels: tuple[int, ...]


def asks_by_clusters(study: Study) -> bool:
    """Whether a cycle of the study does."""
    return NAME in (study.query.strategy, study.query.cold_start)


def limits(study: Study) -> tuple[int, int]:
    """Clusters that a site tells of at most, and the fewest cases of one that it tells of."""
    query = study.query
    given: list[Mapping[str, Any]] = [
        arguments
        for name, arguments in (
            (query.strategy, query.arguments),
            (query.cold_start, query.cold_start_arguments),
        )
        if name == NAME
    ]
    most = [int(one.get("clusters", CLUSTERS)) for one in given]
    least = [int(one.get("least", LEAST)) for one in given]
    return max(most, default=0), min(least, default=LEAST)
