"""The second look: the model's opinion of a case, once the reader's own answer is on the disk.

Whoever asks earlier gets one and the same refusal, whatever the case and whether there is an
opinion of it: nothing about the model is looked up before the reader's own answer was found.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from client.audit import people
from client.queue import ReadingRefused, check_answer, current_cycle
from client.room.choice import adjudicates
from client.room.desk import Given
from client.room.lending import LONGEST, SLACK
from client.room.names import Names
from client.store.lease_shelf import Kept
from client.store.opinion_shelf import Opinion, Own
from client.store.reader_shelf import Account
from client.store.reading_shelf import Remarks
from client.store.store import SiteStore, now
from protocol.records import Reading
from protocol.study import Study

_FIRST = (
    "accepted is a case of the open cycle that you have answered, in a study that shows the "
    "model's opinion afterwards"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader gets to see of a case that they have answered.

    Attributes:
        opinion: None where the model has none.
        cycle: whose model it is of.
        own: the reader's answer before they saw it.
        changed: what they answered afterwards; None where nothing.
    """

    opinion: Opinion | None
    cycle: int
    own: Own
    changed: Own | None


@dataclass(frozen=True, slots=True)
class _Answered:
    """A case that its reader has answered.

    Attributes:
        first: the answer that counts.
        said: the answer that was given under the number by which the page knows the case: another
            one where the case had come back, and nobody is to know.
    """

    case: int
    first: Own
    said: Own


@dataclass(frozen=True, slots=True)
class SecondLook:
    """Second looks at one site.

    Attributes:
        clock: seconds since 1970.
    """

    store: SiteStore
    clock: Callable[[], float] = time.time

    def opinion(self, study: Study, who: Account, cycle: int, position: int) -> Seen:
        """What the model says of a case; that it was shown is on the disk before this returns.

        Raises:
            ReadingRefused: this reader has not answered the case, or the study shows no opinions.
        """
        with self.store.transaction():
            it = self._answered(study, who, cycle, position)
            found = self.store.opinions.of(study.identity, cycle, it.case)
            if found is not None and not self._seen(study, who, it.case):
                self.store.leases.show(study.identity, it.case, who.name, "model", now())
                self._note(people.OPINION, study, who, cycle, it.case)
            after = self.store.opinions.changed(study.identity, it.case, who.name)
        return Seen(found, cycle, it.said, after)

    def change(self, study: Study, who: Account, given: Given) -> None:
        """Keep a changed mind beside the first answer; it costs nothing. Sent again, it is one.

        One that was changed before is taken back: the newest counts.

        Raises:
            ReadingRefused: it cannot be kept.
        """
        with self.store.transaction():
            it = self._answered(study, who, given.cycle, given.position)
            if not self._seen(study, who, it.case):
                raise ReadingRefused("accepted is a changed mind once the opinion was shown")
            before = self.store.leases.submitted(given.submission)
            if before is not None:
                _same(before, study, who, it.case, given)
                return
            self._keep(study, who, it, given)

    def _keep(self, study: Study, who: Account, it: _Answered, given: Given) -> None:
        shelf, at = self.store.opinions, now()
        key = self.store.cases.keys_of([it.case])[0]
        seconds = self._seconds(study, who, it.case, given.seconds)
        said = given.answer, given.value, it.first.adjudicating
        reading = Reading(key, who.name, at, seconds, *said, stage="after-ai")
        check_answer(study, reading)
        older = shelf.changed(study.identity, it.case, who.name)
        if older is not None:
            shelf.withdraw(older.id, it.case, at)
        beside = given.submission, given.confidence, given.reason, given.comment
        remarks = Remarks(*beside, replaces=older.id if older else None)
        about = study.identity, it.first.cycle, it.case, it.first.purpose
        self.store.readings.add(*about, reading, remarks)
        words = "a changed mind, after the model's opinion"
        self._note(people.ANSWERED, study, who, given.cycle, it.case, words)

    def may_see(self, study: Study, who: Account, cycle: int, position: int) -> int | None:
        """The case of that number, by its id, if this reader was shown the opinion of it."""
        try:
            it = self._answered(study, who, cycle, position)
        except ReadingRefused:
            return None
        return it.case if self._seen(study, who, it.case) else None

    def _answered(self, study: Study, who: Account, cycle: int, number: int) -> _Answered:
        """The case of that number, as this reader answered it."""
        if study.reading.show_ai != "after" or cycle != current_cycle(self.store, study):
            raise ReadingRefused(_FIRST)
        identity, shelf = study.identity, self.store.opinions
        case, back = self._numbered(study, who, cycle, number)
        lease = self.store.leases.of(who.name)
        first = shelf.first(identity, case, who.name)
        here = lease is not None and (lease.study, lease.case) == (identity, case)
        if here or first is None or first.adjudicating != adjudicates(who):
            raise ReadingRefused(_FIRST)  # it may have come back just now, and nobody is to know
        said = shelf.again(identity, case, who.name) if back else first
        if said is None:
            raise ReadingRefused(_FIRST)
        return _Answered(case, first, said)

    def _numbered(self, study: Study, who: Account, cycle: int, number: int) -> tuple[int, bool]:
        """The case that this reader's page knows by a number, and whether it had come back."""
        names = Names(self.store, study, cycle, who.name)
        for opening in self.store.readings.opened(study.identity, cycle, probs=False):
            if names.of(opening.case, opening.position) == number:
                return opening.case, False
        for case in self.store.opinions.came_back(study.identity, cycle, who.name):
            if names.of(case, -1, "repeat") == number:
                return case, True
        raise ReadingRefused(_FIRST)

    def _seen(self, study: Study, who: Account, case: int) -> str:
        return self.store.opinions.seen_since(study.identity, case, who.name)

    def _seconds(self, study: Study, who: Account, case: int, told: float) -> float:
        """Active seconds, no more than went by since the opinion was shown."""
        since = datetime.fromisoformat(self._seen(study, who, case)).astimezone(UTC)
        most = min(LONGEST, self.clock() - since.timestamp() + SLACK)
        return round(max(0.0, min(told, most)), 1)

    def _note(
        self, event: str, study: Study, who: Account, cycle: int, case: int, words: str = ""
    ) -> None:
        where = study.identity
        people.seen(self.store, event, who.name, study=where, cycle=cycle, case=case, words=words)


def as_told(study: Study, cycle: int, seen: Seen) -> dict[str, Any]:
    """What the page gets, as JSON types."""
    told: dict[str, Any] = {
        "format": 1,
        "cycle": cycle,
        "own": {"answer": seen.own.answer, "value": list(seen.own.value)},
        "changed": None,
        "opinion": None,
    }
    if seen.changed is not None:
        told["changed"] = {"answer": seen.changed.answer, "value": list(seen.changed.value)}
    if seen.opinion is not None:
        said = seen.opinion
        told["opinion"] = {
            "probs": list(said.probs),
            "likeliest": max(range(len(said.probs)), key=said.probs.__getitem__),
            "why": said.why,
            "untrained": seen.cycle == 0,  # of the first cycle: no case of this study taught it
            "saliency": b64encode(said.saliency).decode(),
            "rows": said.rows,
            "columns": len(said.saliency) // said.rows if said.rows else 0,
            "planes": study.task.image[0],
        }
    return told


def _same(before: Kept, study: Study, who: Account, case: int, given: Given) -> None:
    """Refuse another answer under a key that was used before."""
    told = (before.study, before.reader, before.case, before.answer, before.value, before.stage)
    same = (study.identity, who.name, case, given.answer, given.value, "after-ai")
    if told != same:
        raise ReadingRefused("another answer came under that key before; accepted is a new key")
