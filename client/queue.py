"""The reading queue: which open case a reader gets next, and how far the site is with its grant."""

from __future__ import annotations

from datetime import datetime

from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Reading, SiteProgress
from protocol.study import Study


class ReadingRefused(ValueError):
    """An answer that is not kept; the sentence names no case and no reader."""


def current_cycle(store: SiteStore, study: Study) -> int | None:
    """The cycle whose cases readers are asked; None where none is open."""
    cycle = store.cycles.newest(study.identity)
    return None if cycle is None or store.cycles.closed(study.identity, cycle) else cycle


def next_case(store: SiteStore, study: Study, cycle: int, reader: str) -> Opening | None:
    """The first open case that still wants an answer and that this reader has not answered.

    A case wants `readers_per_case` answers; one that a reader left unsure or unreadable goes to
    one reader more. None when there is nothing to read, the grant is spent, or the cycle closed.
    """
    answers = store.readings.answers(study.identity, cycle)
    for opening in waiting(store, study, cycle):
        if reader not in answers.get(opening.case, {}):
            return opening
    return None


def waiting(store: SiteStore, study: Study, cycle: int) -> list[Opening]:
    """The open cases that still want an answer, in reading order.

    None once the grant is spent or the cycle is closed.
    """
    if store.cycles.closed(study.identity, cycle):
        return []
    if spent(store, study, cycle) >= store.readings.granted(study.identity, cycle):
        return []
    wanted = study.reading.readers_per_case
    answers = store.readings.answers(study.identity, cycle)

    def wants(opening: Opening) -> bool:
        given = answers.get(opening.case, {})
        answered = sum(answer == "answered" for answer in given.values())
        return answered < wanted and len(given) <= wanted

    return [o for o in store.readings.opened(study.identity, cycle) if wants(o)]


def submit(store: SiteStore, study: Study, cycle: int, opening: Opening, reading: Reading) -> None:
    """Keep an answer; on return it is committed.

    Readings are never changed, so what consensus could not settle must not get in; and two readers
    may have been given the last reading of a grant at once.

    Raises:
        ReadingRefused: it does not answer the task, the cycle is closed, the case is not open, this
            reader has answered it, or the grant is spent.
    """
    _check(study, reading)
    with store.transaction():
        identity = study.identity
        if store.cycles.closed(identity, cycle):
            raise ReadingRefused(f"cycle {cycle} is closed; accepted are cases of the open cycle")
        if opening.case not in {o.case for o in store.readings.opened(identity, cycle)}:
            raise ReadingRefused(f"the case is not open in cycle {cycle}; accepted are open cases")
        if reading.reader in store.readings.answers(identity, cycle).get(opening.case, {}):
            raise ReadingRefused("this reader has answered the case; accepted is one answer each")
        granted = store.readings.granted(identity, cycle)
        if spent(store, study, cycle) >= granted:
            raise ReadingRefused(f"the grant of {granted} {study.budget.unit} is spent")
        store.readings.add(study.identity, cycle, opening.case, opening.purpose, reading)


def spent(store: SiteStore, study: Study, cycle: int) -> int:
    """What a cycle's answers cost so far, in the budget's unit.

    Minutes are whole: each cycle counts those that the site's running total has begun, so that
    cycles add up to the total.
    """
    count, seconds = store.readings.spent(study.identity, cycle)
    if study.budget.unit == "readings":
        return count
    before = sum(store.readings.spent(study.identity, c)[1] for c in range(cycle))
    return _minutes(before + seconds) - _minutes(before)


def expected_seconds(store: SiteStore, study: Study) -> float:
    """Active seconds that the site's next reading will take, from its own readings so far."""
    count, seconds = store.readings.spent(study.identity)
    return seconds / count if count else study.budget.seconds


def progress(store: SiteStore, study: Study, cycle: int, site: str) -> SiteProgress:
    """How the site's grant of a cycle stands; what it has not spent counts as returned."""
    cost = spent(store, study, cycle)
    count, seconds = store.readings.spent(study.identity, cycle)
    return SiteProgress(
        site=site,
        spent=cost,
        returned=store.readings.granted(study.identity, cycle) - cost,
        readings=count,
        minutes=round(seconds / 60, 1),
        waiting=len(waiting(store, study, cycle)),
    )


def _check(study: Study, reading: Reading) -> None:
    classes, ones = len(study.task.classes), sum(reading.value)
    if reading.answer != "answered" and reading.value:
        raise ReadingRefused(f"a value with the answer {reading.answer!r}; accepted is none")
    if reading.answer == "answered" and (
        len(reading.value) != classes
        or not set(reading.value) <= {0, 1}
        or (ones != 1 and not study.task.multi_label)
    ):
        accepted = "0s and 1s" if study.task.multi_label else "one 1 and else 0s"
        raise ReadingRefused(
            f"the value {reading.value}; accepted are {classes} numbers, {accepted}"
        )
    try:
        datetime.fromisoformat(reading.at)
    except ValueError:
        raise ReadingRefused(f"the time {reading.at!r}; accepted is ISO 8601") from None


def _minutes(seconds: float) -> int:
    return -int(-seconds // 60)
