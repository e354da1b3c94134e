"""The desk of the reading room: who gets which case, and what becomes of the answers.

All of it in the caller's one connection, each act in one transaction: two readers who ask at once
get two cases, and an answer is on the disk before anybody is told that it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from client.audit import people
from client.queue import ReadingRefused, Turn, accept, current_cycle, turns
from client.room.choice import Offered, adjudicates, came_back, look, pays
from client.room.lending import LASTS, Lending, active
from client.room.names import Names
from client.store.lease_shelf import Kept
from client.store.reader_shelf import Account
from client.store.reading_shelf import Opening, Remarks
from client.store.store import SiteStore, now
from protocol.records import Answer, Reading
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as the page sent it.

    Attributes:
        submission: a key that the page made for it; sent again, it is the same answer.
        position: the number that the reader was told for the case.
        seconds: active ones, as the page measured them.
    """

    submission: str
    cycle: int
    position: int
    answer: Answer
    value: tuple[int, ...]
    seconds: float
    confidence: int | None = None
    reason: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk of one site.

    Attributes:
        clock: seconds since 1970.
    """

    store: SiteStore
    clock: Callable[[], float] = time.time

    def next(self, study: Study, who: Account) -> Offered | None:
        """The case that this reader is to answer now, leased; None where no cycle is open."""
        cycle = current_cycle(self.store, study)
        if cycle is None:
            return None
        with self.store.transaction():
            offered = look(self.store, study, cycle, who, self.clock())
            if offered.turn is not None:
                turn, lending = offered.turn, self._lending(study, cycle)
                lending.lend(turn.opening.case, who, turn.stage, adjudicating=turn.adjudicating)
        return offered

    def may_see(self, study: Study, who: Account, cycle: int, position: int) -> Opening | None:
        """The case at that place, if it is this reader's, or will likely be next."""
        if cycle != current_cycle(self.store, study):
            return None
        offered = look(self.store, study, cycle, who, self.clock())
        cases = (offered.turn, *offered.ahead)
        found = (t.opening for t in cases if t and t.opening.position == position)
        return next(found, None)

    def readings(self, study: Study, cycle: int, turn: Turn) -> list[Kept]:
        """What the readers of a case said, for its adjudicator alone."""
        if not turn.adjudicating:
            return []
        return self.store.leases.standing(study.identity, cycle, turn.opening.case)

    def renew(self, who: Account) -> bool:
        """Whether the reader has a case still; it is theirs for `LASTS` seconds more."""
        with self.store.transaction():
            at, lease = self.clock(), self.store.leases.of(who.name)
            if lease is None or lease.until <= at:
                return False
            self.store.leases.renew(who.name, at + LASTS)
        return True

    def leave(self, who: Account) -> None:
        """Give the reader's case back to the queue."""
        with self.store.transaction():
            self.store.leases.drop(who.name)

    def answer(self, study: Study, who: Account, given: Given) -> None:
        """Keep an answer; on return it is on the disk. Sent again, it is the same one.

        Raises:
            ReadingRefused: it cannot be kept.
        """
        with self.store.transaction():
            before = self.store.leases.submitted(given.submission)
            if before is not None:
                names = Names(self.store, study, given.cycle, who.name)
                _check_same(before, names, given)
                return
            turn = self._mine(study, who, given)
            remarks = Remarks(given.submission, given.confidence, given.reason, given.comment)
            case = turn.opening.case
            seconds = active(self.store, who, case, given.seconds, self.clock())
            key = self.store.cases.keys_of([case])[0]
            said = (given.answer, given.value, turn.adjudicating, turn.stage)
            reading = Reading(key, who.name, now(), seconds, *said)
            begun = _begun(self.store, study, who, turn, (given.cycle, self.clock()))
            accept(self.store, study, given.cycle, turn.opening, reading, remarks, begun=begun)
            self._note(people.ANSWERED, who, study, given.cycle, case)
            self.store.leases.drop(who.name)
            self.store.drafts.drop(who.name)

    def undo(self, study: Study, who: Account) -> int:
        """Take back what this reader answered last, and lease it to them; its position.

        Raises:
            ReadingRefused: there is nothing to take back, or it is too late.
        """
        cycle = current_cycle(self.store, study)
        if cycle is None:
            raise ReadingRefused("the cycle is closed; its answers stay")
        with self.store.transaction():
            kept = self.store.leases.latest(study.identity, cycle, who.name)
            if kept is None or kept.withdrawn:
                raise ReadingRefused("there is no answer of yours to take back in this cycle")
            if not _is_there(self.store, kept):
                raise ReadingRefused("the case of your last answer is not here any more")
            self._still_blind(study, cycle, who, kept)
            self.store.leases.withdraw(kept, now())
            self._note(people.TAKEN_BACK, who, study, cycle, kept.case)
            lending = self._lending(study, cycle)
            lending.lend(kept.case, who, kept.stage, adjudicating=kept.adjudicating)
        return Names(self.store, study, cycle, who.name).position(kept.case, kept.stage)

    def _lending(self, study: Study, cycle: int) -> Lending:
        return Lending(self.store, study.identity, cycle, self.clock())

    def _mine(self, study: Study, who: Account, given: Given) -> Turn:
        """The turn that an answer is for, if this reader may give it."""
        if given.cycle != current_cycle(self.store, study):
            raise ReadingRefused(
                f"cycle {given.cycle + 1} is closed; its cases go back to the pool"
            )
        back = came_back(self.store, study, given.cycle, who, self.clock())
        if back is not None and back.opening.position == given.position:
            return back
        turn = self._turn(study, who, given)
        if turn is None or not turn.may(who.name):
            raise ReadingRefused("the case wants no answer of yours any more; the next one does")
        taken = self.store.leases.alive(study.identity, given.cycle, self.clock())
        if taken.get(turn.opening.case, who.name) != who.name:
            raise ReadingRefused("the case went to a colleague while nobody was at this screen")
        return turn

    def _turn(self, study: Study, who: Account, given: Given) -> Turn | None:
        """The turn of that number; looked for first in the case on the reader's screen."""
        names = Names(self.store, study, given.cycle, who.name)
        lease = self.store.leases.of(who.name)
        for case in (lease.case, None) if lease else (None,):
            found = turns(self.store, study, given.cycle, case=case, at=self.clock())
            mine = (t for t in map(names.turn, found) if t.adjudicating == adjudicates(who))
            turn = next((t for t in mine if t.opening.position == given.position), None)
            if turn is not None:
                return turn
        return None

    def _note(self, event: str, who: Account, study: Study, cycle: int, case: int) -> None:
        people.seen(self.store, event, who.name, study=study.identity, cycle=cycle, case=case)

    def _still_blind(self, study: Study, cycle: int, who: Account, kept: Kept) -> None:
        """Refuse once anybody has built on the answer, or its reader has seen more than the image.

        An adjudicator saw the readings before answering; what they take back is their own second
        thought.
        """
        shown = self.store.leases.shown(study.identity, kept.case)
        if (who.name, "model") in shown:
            raise ReadingRefused("too late: you have seen the model's opinion of the case")
        if kept.stage == "repeat":  # nobody but its reader knows of it
            return
        others = {reader for reader, what in shown if reader != who.name and what == "readings"}
        if others or ((who.name, "readings") in shown and not kept.adjudicating):
            raise ReadingRefused("too late: the answer was shown to an adjudicator already")
        taken = self.store.leases.alive(study.identity, cycle, self.clock())
        if taken.get(kept.case, who.name) != who.name:
            raise ReadingRefused("too late: a colleague reads the case just now")


def _begun(
    store: SiteStore, study: Study, who: Account, turn: Turn, when: tuple[int, float]
) -> bool:
    """Whether the case is on this reader's screen: what was begun is finished.

    Args:
        when: the cycle, and the time.
    Raises:
        ReadingRefused: it is not, and what is left of the grant is others' by now.
    """
    lease, (cycle, at) = store.leases.of(who.name), when
    place = study.identity, cycle, turn.opening.case, turn.stage
    if lease is not None and lease.until > at and lease.place == place:
        return True
    if who.name not in turn.owed and not pays(store, study, cycle, who, at):
        raise ReadingRefused("what is left of the grant is on colleagues' screens, or spent")
    return False


def _is_there(store: SiteStore, kept: Kept) -> bool:
    """Whether the case of an answer may still be read: its patient may have been excluded."""
    if kept.stage == "repeat":
        return kept.case in store.opinions.came_back(kept.study, kept.cycle, kept.reader)
    return bool(store.readings.opened(kept.study, kept.cycle, probs=False, case=kept.case))


def _check_same(before: Kept, names: Names, given: Given) -> None:
    """Refuse another answer under a key that was used before."""
    there = names.position(before.case, before.stage) == given.position
    same = (names.study.identity, names.reader, given.cycle, given.answer, given.value)
    told = (before.study, before.reader, before.cycle, before.answer, before.value)
    if told != same or not there:
        raise ReadingRefused("another answer came under that key before; accepted is a new key")
    if before.withdrawn:
        raise ReadingRefused("the answer was taken back since")
