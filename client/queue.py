"""The reading queue: which open case a reader gets next, and how far the site is with its grant."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from client.cost import spent
from client.store.reading_shelf import NO_REMARKS, Opening, Remarks
from client.store.repeat_shelf import Past
from client.store.store import SiteStore
from protocol.records import Answer, Reading, SiteProgress, Stage
from protocol.study import Study

_NOBODY: frozenset[str] = frozenset()


class ReadingRefused(ValueError):
    """An answer that is not kept; the sentence names no case and no reader."""


def current_cycle(store: SiteStore, study: Study) -> int | None:
    """The cycle whose cases readers are asked; None where none is open."""
    cycle = store.cycles.newest(study.identity)
    return None if cycle is None or store.cycles.closed(study.identity, cycle) else cycle


def next_case(store: SiteStore, study: Study, cycle: int, reader: str) -> Opening | None:
    """The first open case that still wants an answer and that this reader has not answered.

    None when there is nothing to read, the grant is spent, or the cycle closed. Cases that wait for
    an adjudicator are not among them: those are given out by `client.room.desk`.
    """
    for turn in turns(store, study, cycle):
        if not turn.adjudicating and turn.may(reader):
            return turn.opening
    return None


def waiting(store: SiteStore, study: Study, cycle: int) -> list[Opening]:
    """The open cases that still want an answer, in reading order.

    None once the grant is spent or the cycle is closed.
    """
    return [turn.opening for turn in turns(store, study, cycle) if turn.open]


def waits(store: SiteStore, study: Study, cycle: int) -> int:
    """How much still wants an answer that the grant pays; a repeat only while it is on a screen."""
    if store.cycles.closed(study.identity, cycle):
        return 0
    repeats = store.leases.repeating(study.identity, cycle, time.time())
    return len(waiting(store, study, cycle)) + repeats


@dataclass(frozen=True, slots=True)
class Turn:
    """An open case that wants an answer.

    Attributes:
        adjudicating: it wants an adjudicator's, who sees what the readers said.
        given: who has answered it.
        owed: readers who took their answer back; a new one of theirs costs nothing.
        stage: "repeat" where it comes back to one reader, who is not to know; see `client.repeats`.
        open: to everybody who has not answered; else it has answers enough, and may be answered
            again by those who took theirs back.
    """

    opening: Opening
    adjudicating: bool
    given: frozenset[str]
    owed: frozenset[str] = _NOBODY
    stage: Stage = "blind"
    open: bool = True

    def may(self, reader: str) -> bool:
        """Whether this reader has not answered it yet, and may."""
        return reader not in self.given and (self.open or reader in self.owed)


def turns(
    store: SiteStore,
    study: Study,
    cycle: int,
    *,
    case: int | None = None,
    at: float | None = None,
) -> list[Turn]:
    """The open cases that still want an answer, in reading order, and whose.

    A case wants `readers_per_case` answers, one drawn by chance one more; one that a reader left
    unsure or unreadable goes to one reader more. Where the site has readers' accounts, a case waits
    only for readers that there are, and one whose readers disagree goes to an adjudicator. Nothing
    waits once the cycle is closed; once the grant is spent, only what was paid: cases whose reader
    took the answer back, and those on somebody's screen. Repeats are not among them.

    Args:
        case: only the turn of this one, if it wants an answer.
        at: the time, seconds since 1970; None for now.
    """
    identity = study.identity
    if store.cycles.closed(identity, cycle):
        return []
    people, adjudicators = store.readers.names("reader"), store.readers.names("adjudicator")
    owed: Collection[tuple[int, str]] = store.leases.owed(identity, cycle)
    if here := people | adjudicators:  # whoever left gives no answer again
        owed = [(case, reader) for case, reader in owed if reader in here]
    paid = spent(store, study, cycle) >= store.readings.granted(identity, cycle)
    screens: Collection[int] = ()
    if paid:
        screens = store.leases.alive(identity, cycle, time.time() if at is None else at)
        if not owed and not screens:
            return []
    disagreeing = store.leases.disagreeing(identity, cycle) if adjudicators else frozenset[int]()
    answers = store.readings.answers(identity, cycle, case=case)
    state = _State(study, answers, owed, screens, paid, people, adjudicators, disagreeing)
    every = map(state.turn, store.readings.opened(identity, cycle, probs=False, case=case))
    found = [t for t in every if t is not None]
    if owed:  # a case may wait for its adjudicator and for a reader who answers it again
        disputed = (t for t in found if t.adjudicating and t.owed - adjudicators)
        found += [replace(t, adjudicating=False, open=False) for t in disputed]
    return found


@dataclass(frozen=True, slots=True)
class _State:
    """What decides whether an open case wants an answer.

    Attributes:
        answers: by case and reader.
        owed: answers taken back, by case and reader.
        screens: cases that somebody reads just now; looked for once the grant is spent.
        paid: the grant is spent.
        people: readers that there are.
        disagreeing: cases that wait for one of `adjudicators`.
    """

    study: Study
    answers: Mapping[int, Mapping[str, Answer]]
    owed: Collection[tuple[int, str]]
    screens: Collection[int]
    paid: bool
    people: frozenset[str]
    adjudicators: frozenset[str]
    disagreeing: frozenset[int]

    def turn(self, opening: Opening) -> Turn | None:
        """The case's turn; None where it wants nobody's answer."""
        given = self.answers.get(opening.case)
        if given is None:
            if not self.owed and not self.paid:
                return Turn(opening, False, _NOBODY)
            given = {}
        who = _NOBODY
        if self.owed:
            who = frozenset(r for case, r in self.owed if case == opening.case)
        if self.paid and not who and opening.case not in self.screens:
            return None
        enough = bool(self.people) and self.people <= given.keys()
        if not enough and _wants(self.study, opening.case, given.values()):
            return Turn(opening, False, frozenset(given), who)
        if opening.case in self.disagreeing and not self.adjudicators <= given.keys():
            return Turn(opening, True, frozenset(given), who)
        if who - self.adjudicators:
            return Turn(opening, False, frozenset(given), who, open=False)
        return None


def readers_of(study: Study, case: int) -> int:
    """How many answers a case wants: by the study's rule, and by a lot that knows the case alone.

    Neither what the model says of it nor when it was opened plays a part.
    """
    rule = study.reading
    if not rule.second_share:
        return rule.readers_per_case
    lot = sha256(f"second reader\0{study.seed}\0{case}".encode()).digest()
    drawn = int.from_bytes(lot[:6], "big") / 2**48 < rule.second_share
    return rule.readers_per_case + drawn


def _wants(study: Study, case: int, given: Collection[Answer]) -> bool:
    wanted = readers_of(study, case)
    answered = sum(answer == "answered" for answer in given)
    return answered < wanted and len(given) <= wanted


def submit(store: SiteStore, study: Study, cycle: int, opening: Opening, reading: Reading) -> None:
    """Keep an answer; on return it is committed. See `accept`."""
    with store.transaction():
        accept(store, study, cycle, opening, reading)


def accept(
    store: SiteStore,
    study: Study,
    cycle: int,
    opening: Opening,
    reading: Reading,
    remarks: Remarks = NO_REMARKS,
    *,
    begun: bool = False,
) -> None:
    """Keep an answer within the caller's transaction.

    Readings are never changed, so what consensus could not settle must not get in; and two readers
    may have been given the last reading of a grant at once.

    Args:
        begun: the reader has the case on their screen: in minutes nobody knows beforehand what
            others take, and what has begun is finished.
    Raises:
        ReadingRefused: it does not answer the task, the cycle is closed, the case is not open, this
            reader has answered it, or the grant is spent; or a repeat of a case that must not come
            back to this reader.
    """
    check_answer(study, reading)
    identity, mine = study.identity, (opening.case, reading.reader)
    if store.cycles.closed(identity, cycle):
        raise ReadingRefused(f"cycle {cycle + 1} is closed; accepted are cases of the open cycle")
    if reading.stage == "repeat":
        if opening.case not in past_of(store, study, cycle, reading.reader).may:
            raise ReadingRefused("the case wants no answer of yours any more; the next one does")
        replaces = store.repeats.owed(identity, cycle).get(mine)
    else:
        _check_open(store, study, cycle, opening, reading)
        replaces = store.leases.owed(identity, cycle).get(mine)
    granted = store.readings.granted(identity, cycle)
    if replaces is None and not begun and spent(store, study, cycle) >= granted:
        raise ReadingRefused(f"the grant of {granted} {study.budget.unit} is spent")
    remarks = replace(remarks, replaces=replaces)
    store.readings.add(identity, cycle, opening.case, opening.purpose, reading, remarks)


def past_of(store: SiteStore, study: Study, cycle: int, reader: str) -> Past:
    """What a reader answered, and what of it may come back to them in a cycle.

    Where the model's opinion is shown afterwards, cases of that cycle alone: an older one would
    come with what another model said of it, and by that a reader knows it.
    """
    same = study.reading.show_ai == "after"
    return store.repeats.past(study.identity, reader, cycle if same else None)


def _check_open(
    store: SiteStore, study: Study, cycle: int, opening: Opening, reading: Reading
) -> None:
    identity, case = study.identity, opening.case
    if not store.readings.opened(identity, cycle, probs=False, case=case):
        raise ReadingRefused(f"the case is not open in cycle {cycle + 1}; accepted are open cases")
    if reading.reader in store.readings.answers(identity, cycle, case=case).get(case, {}):
        raise ReadingRefused("this reader has answered the case; accepted is one answer each")
    if store.opinions.seen_since(identity, opening.case, reading.reader):
        raise ReadingRefused("this reader has seen the model's opinion; accepted are blind answers")


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
        waiting=waits(store, study, cycle),
    )


def check_answer(study: Study, reading: Reading) -> None:
    """Refuse what does not answer the task: consensus could not settle it.

    Raises:
        ReadingRefused: the value is of another shape, or the time is none.
    """
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
