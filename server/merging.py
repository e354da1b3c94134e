"""The federation's clusters, merged from what the sites have told of theirs in a cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from protocol.clusters import SiteClusters, limits
from protocol.seeds import Purpose, generator
from protocol.study import Study
from strategies.clusters import Cells, Shared, shared


def merged(
    study: Study, cycle: int, sites: Sequence[str], told: Mapping[str, SiteClusters]
) -> Shared | None:
    """The clusters of all sites together, the same whenever they are asked for.

    A site that told of none, or of features of another width, has none of them.

    Args:
        study: whose seed and limits count.
        cycle: from 0.
        sites: the order of the answer's rows.
        told: by site; None comes back where nobody told of a cluster.
    """
    widths = [heard.means.shape[1] for heard in told.values() if heard.cases]
    if not widths:
        return None
    width = max(widths)
    none = np.empty((0, width), dtype=np.float32)
    parts = []
    for site in sites:
        heard = told.get(site)
        if heard is None or heard.means.shape != (len(heard.cases), width):
            parts.append(Cells(none, *2 * (np.empty(0, dtype=np.int64),)))
        else:
            parts.append(Cells(heard.means, np.array(heard.cases), np.array(heard.labels)))
    most, _ = limits(study)
    return shared(parts, most, generator(study.seed, -1, cycle, 0, Purpose.CLUSTER))
