"""How long a reading of each case is expected to take at this site, from its own readings."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from client.cost import expected_seconds
from client.store.store import SiteStore
from protocol.records import Indices
from protocol.study import Study

PRIOR = 5
"""Readings that the site's mean counts as beside those of a case's own kind."""

_KIND = "coalesce(json_extract(facts, '$.modality'), '')"

_READ = f"""
    SELECT {_KIND}, count(*), sum(seconds) FROM standing
    LEFT JOIN locators ON locators."case" = standing."case"
    WHERE study = ? AND purpose != 'audit' GROUP BY 1
"""  # noqa: S608 - ours

_KINDS = f"""
    SELECT "case", {_KIND} FROM locators
    WHERE "case" IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - ours


def expected_minutes(store: SiteStore, study: Study, ids: Indices) -> NDArray[np.float64]:
    """Minutes of one reading of each case, (n,), above 0.

    Cases of one kind, such as CT or an image, take what those of it took that were read for
    training here, drawn towards the site's mean as if five more had taken that. Where nothing is
    known of kinds, or nothing was read, every case takes the same.

    Args:
        store: the site's.
        study: whose readings count.
        ids: of the cases.
    """
    mean = max(expected_seconds(store, study), 1e-3)
    read = store.connection.execute(_READ, (study.identity,))
    means = {kind: (total + PRIOR * mean) / (n + PRIOR) for kind, n, total in read}
    kinds = dict(store.connection.execute(_KINDS, (json.dumps(ids.tolist()),)).fetchall())
    seconds = [means.get(kinds.get(case, ""), mean) for case in ids.tolist()]
    return np.array(seconds, dtype=np.float64) / 60
