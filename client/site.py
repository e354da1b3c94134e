"""`Site`: what the steps of one hospital work on, and how its cases are enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.images import Images
from client.keys import SiteKey
from client.store.case_shelf import Enrolled
from client.store.locator_shelf import Located
from client.store.store import SiteStore, now


@dataclass(frozen=True, slots=True)
class Site:
    """One hospital, opened.

    Attributes:
        name: unique in the federation.
        number: its place in site order, from 0; updates are folded in this order.
        home: its folder, where the database and the scored pool are.
        durable: files are synced to disk before a step is answered; not in simulations.
        allow_import: a study may name strategies outside the project: any in simulations, else
            those in the packages that the site's admin listed.
        least_patients: no update leaves while its labels are of fewer; 0 in simulations.
    """

    name: str
    number: int
    home: Path
    store: SiteStore
    images: Images
    durable: bool = True
    allow_import: bool | tuple[str, ...] = False
    least_patients: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Cases as a source names them, before they are keyed.

    Attributes:
        names: the source's own case names.
        patients: the source's patient of each case; the case's own name where it has none.
        splits: "pool" or "locked".
        rows: the source's row of each case, for reading its pixels.
        targets: (n, classes) known answers; only those of locked cases are used.
        located: where each case's pixels are, by case key; none where rows index one array.
    """

    names: Sequence[str]
    patients: Sequence[str]
    splits: Sequence[str]
    rows: Sequence[int]
    targets: NDArray[np.uint8] | None = None
    located: Sequence[Located] = ()


def enrol(store: SiteStore, key: SiteKey, arrival: Arrival, *, clustered: bool) -> int:
    """How many cases were new. All of them enter, or none.

    Args:
        clustered: the source names patients, so intervals may be clustered on them.
    """
    cases = [
        Enrolled(key.case(name), key.patient(patient), key.number(patient), split, int(row))
        for name, patient, split, row in zip(
            arrival.names, arrival.patients, arrival.splits, arrival.rows, strict=True
        )
    ]
    with store.transaction():
        new = store.cases.enrol(cases)
        store.cases.set_fact("clustered", "yes" if clustered else "")
        store.locators.put(arrival.located, now())
        if arrival.targets is not None:
            store.cases.lock(
                (case.key, [int(v) for v in target])
                for case, target in zip(cases, arrival.targets, strict=True)
                if case.split == "locked"
            )
    return new
