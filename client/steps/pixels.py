"""Pixels for a step: what cannot be read any more is left out of it, and counted as such."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.images import Unreadable
from client.site import Site
from protocol.records import Indices
from protocol.study import Study


def readable(site: Site, study: Study, ids: Indices) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Which of these cases can be read, and their (k, *task.image) pixels, in the order given.

    A file that a hospital moved or lost must not stop a study that runs without it.

    Raises:
        Unreadable: the place where the images are cannot be reached at all.
    """
    rows = site.store.cases.rows(ids)
    kept = np.ones(len(ids), dtype=np.bool_)
    try:
        return kept, site.images.take(rows, study.task.image)
    except Unreadable as lost:
        if not lost.rows:
            raise
        kept = ~np.isin(rows, lost.rows)
    return kept, site.images.take(rows[kept], study.task.image)
