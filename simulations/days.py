"""The calendar of a simulated study: when a cycle's cases are opened, and when it is over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from client.store.store import SiteStore
from protocol.study import Study
from server.reading import SHORTER
from simulations.readers import DAY_STARTS, goes_on
from simulations.turns import readers

FIRST_DAY = date(2026, 1, 5)
"""A Monday; simulated calendars begin here."""

_LONGEST = 24 * 3652
"""Hours, ten years: a deadline later than that ends no simulated cycle."""


def begins(stores: Mapping[str, SiteStore], study: Study, cycle: int) -> date:
    """The day on which a cycle's cases are opened: the one after the cycle before was over.

    That was the day of its last reading; or, as in a real study, that of its deadline, where a site
    had not read what it was granted by then: one whose readers are silent, or slow ones. Sites that
    had left their last grant unread, too, are waited for a shorter time, but until the others are
    done.

    Args:
        stores: of all sites by name.
        study: of the run.
        cycle: from 0.
    """
    day = FIRST_DAY
    for before in range(cycle):
        day = _over(stores, study, before, day) + timedelta(days=1)
    return day


def days(stores: Mapping[str, SiteStore], study: Study, cycle: int) -> int:
    """Calendar days from the first one until a cycle was over, both counted; 0 before any."""
    return (begins(stores, study, cycle + 1) - FIRST_DAY).days


def closes(start: date, study: Study, share: float = 1.0) -> str:
    """When that share of the deadline of a cycle begun that day is over, as ISO 8601 in UTC."""
    hours = min(study.reading.deadline_hours, _LONGEST) * share
    at = datetime.combine(start, DAY_STARTS) + timedelta(hours=hours)
    return at.isoformat(timespec="milliseconds")


def reads_from(study: Study, site: str, cycle: int) -> bool:
    """Whether a site's readers have not fallen silent in a cycle."""
    return cycle < study.simulation.silent.get(site, math.inf)


def _over(stores: Mapping[str, SiteStore], study: Study, cycle: int, start: date) -> date:
    """The day on which a cycle that began that day was over; the day before where nobody read.

    As the server waits: until all are done but those that may be waited for no longer.
    """
    late = [s for name, s in stores.items() if _late(s, name, study, cycle, start)]
    end, before = _day(closes(start, study)), start - timedelta(days=1)
    if not all(_quiet(s, study, cycle) for s in late):
        return end
    waited = _day(closes(start, study, SHORTER)) if late else before
    latest = max(s.readings.so_far(study.identity, cycle).latest for s in stores.values())
    return min(max(waited, _day(latest) if latest else before), end)


def _day(at: str) -> date:
    """Of a time in ISO 8601."""
    return date.fromisoformat(at[:10])


def _late(store: SiteStore, name: str, study: Study, cycle: int, start: date) -> bool:
    """Whether a site had cases before its readers when the deadline came."""
    if not _left(store, study, cycle):
        return False
    if not reads_from(study, name, cycle):
        return True
    hours, end = study.simulation.readers.hours_per_day, closes(start, study)
    spent = [store.readings.seconds_of(study.identity, cycle, r) for r in readers(study)]
    return any(goes_on(start, hours, seconds) >= end for seconds in spent)


def _quiet(store: SiteStore, study: Study, cycle: int) -> bool:
    """Whether a site left all of its last grant before a cycle unread."""
    for before in reversed(range(cycle)):
        if store.readings.opened(study.identity, before, probs=False):
            return not store.readings.answers(study.identity, before)
    return False


def _left(store: SiteStore, study: Study, cycle: int) -> bool:
    """Whether a site has cases of a cycle that nobody has answered."""
    answered = store.readings.answers(study.identity, cycle)
    opened = store.readings.opened(study.identity, cycle, probs=False)
    return any(opening.case not in answered for opening in opened)
