"""Patients as the unit: one random case of each."""

from __future__ import annotations

import numpy as np

from client.privacy.chance import Chance
from protocol.records import Indices


def sampled(patients: Indices, share: float, source: Chance) -> Indices:
    """The rows of one draw: every patient with that probability, one random case of each.

    Args:
        patients: (n,) numbers, equal for cases of one patient.
        share: 1 takes every patient.
        source: of chance.
    """
    order = np.argsort(patients, kind="stable")
    _, starts, sizes = np.unique(patients[order], return_index=True, return_counts=True)
    taken = np.flatnonzero(source.uniform(len(starts)) < share)
    rows = [order[starts[p] + source.below(int(sizes[p]))] for p in taken]
    return np.array(rows, dtype=np.int64)
