"""Cases, patients and readings to fill a site's database with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from client.keys import SiteKey
from client.site import Arrival, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Reading
from protocol.study import Study

KEY = SiteKey(b"a secret of one hospital")


@pytest.fixture
def arrival() -> Callable[..., Arrival]:
    """So many cases, and so many of each patient."""

    def some(count: int, split: str = "pool", *, first: int = 0, patients: int = 2) -> Arrival:
        rows = range(first, first + count)
        names, people = [f"scan-{r}" for r in rows], [f"person-{r // patients}" for r in rows]
        return Arrival(names, people, [split] * count, rows, np.tile([1, 0], (count, 1)))

    return some


@pytest.fixture
def reading() -> Callable[[str], Reading]:
    """A positive answer of a reader."""
    return lambda reader: Reading("", reader, "2026-01-05T08:00:00+00:00", 9.0, "answered", (0, 1))


@pytest.fixture
def filled(
    arrival: Callable[..., Arrival], reading: Callable[[str], Reading]
) -> Callable[[SiteStore, Study], SiteStore]:
    """Enters twelve cases of six patients, the first four opened and read."""

    def fill(store: SiteStore, study: Study) -> SiteStore:
        enrol(store, KEY, arrival(12), clustered=True)
        with store.transaction():
            store.steps.approve(study, "w")
            store.readings.grant(study.identity, 0, 0, 4)
            store.readings.open(study.identity, 0, [Opening(i, "query") for i in (1, 2, 3, 4)])
            for case in (1, 2, 3, 4):
                store.readings.add(study.identity, 0, case, "query", reading("ann"))
        return store

    return fill
