"""What readings cost, in the unit of a study's budget."""

from __future__ import annotations

from client.store.store import SiteStore
from protocol.study import Study


def spent(store: SiteStore, study: Study, cycle: int, *, under_way: int = 0) -> int:
    """What a cycle's answers cost so far, in the budget's unit.

    Minutes are whole: each cycle counts those that the site's running total has begun, so that
    cycles add up to the total.

    Args:
        under_way: so many readings more, each as long as one is expected to take.
    """
    count, seconds = store.readings.spent(study.identity, cycle)
    if study.budget.unit == "readings":
        return count + under_way
    seconds += under_way * expected_seconds(store, study)
    before = sum(store.readings.spent(study.identity, c)[1] for c in range(cycle))
    return _minutes(before + seconds) - _minutes(before)


def capacity(study: Study, cases: int, seconds: float) -> int:
    """The largest grant that so many cases can use, in the budget's unit.

    A minute that is begun counts, as it does when it is spent: else the last cases stayed unread.

    Args:
        seconds: that a reading takes.
    """
    readings = cases * study.reading.readings_per_case
    if study.budget.unit == "readings":
        return int(readings)
    return _minutes(readings * seconds)


def expected_seconds(store: SiteStore, study: Study) -> float:
    """Active seconds that the site's next reading will take, from its own readings so far."""
    count, seconds = store.readings.spent(study.identity)
    return seconds / count if count else study.budget.seconds


def _minutes(seconds: float) -> int:
    return -int(-seconds // 60)
