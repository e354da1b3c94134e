"""How far the readers are, as it is told: in a private study nothing but that a grant is done."""

from __future__ import annotations

from client.queue import progress, waits
from client.store.store import SiteStore
from protocol.records import SiteProgress
from protocol.study import Study


def told_progress(store: SiteStore, study: Study, cycle: int, site: str) -> SiteProgress:
    """What leaves of a cycle's progress.

    In a private study the grant as given until the readers are done, and then as if all of it were
    spent, in the expected time: numbers that the server knows already. When that is, it sees.
    """
    if study.privacy is None:
        return progress(store, study, cycle, site)
    granted = store.readings.granted(study.identity, cycle)
    minutes = study.budget.unit == "minutes"
    readings = int(granted * 60 / study.budget.seconds) if minutes else granted
    spent = float(granted) if minutes else round(granted * study.budget.seconds / 60, 1)
    closed = store.cycles.closed(study.identity, cycle)
    if closed or not waits(store, study, cycle):
        return SiteProgress(site, granted, 0, readings, spent)
    return SiteProgress(site, 0, granted, 0, 0.0, waiting=granted)
