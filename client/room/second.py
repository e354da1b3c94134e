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
from client.store.lease_shelf import Kept
from client.store.opinion_shelf import Opinion
from client.store.reader_shelf import Account
from client.store.reading_shelf import Opening, Remarks
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
        own: the reader's answer before they saw it.
        changed: what they answered afterwards: answer and value; None where nothing.
    """

    opinion: Opinion | None
    own: Kept
    changed: tuple[str, tuple[int, ...]] | None


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
            opening, own = self._answered(study, who, cycle, position)
            found = self.store.opinions.of(study.identity, cycle, opening.case)
            if found is not None and not self._seen(study, who, opening):
                self.store.leases.show(study.identity, opening.case, who.name, "model", now())
                self._note(people.OPINION, study, who, cycle, opening.case)
            after = self.store.opinions.changed(study.identity, opening.case, who.name)
        return Seen(found, own, (after.answer, after.value) if after else None)

    def change(self, study: Study, who: Account, given: Given) -> None:
        """Keep a changed mind beside the first answer; it costs nothing. Sent again, it is one.

        One that was changed before is taken back: the newest counts.

        Raises:
            ReadingRefused: it cannot be kept.
        """
        with self.store.transaction():
            opening, own = self._answered(study, who, given.cycle, given.position)
            if not self._seen(study, who, opening):
                raise ReadingRefused("accepted is a changed mind once the opinion was shown")
            before = self.store.leases.submitted(given.submission)
            if before is not None:
                _same(before, study, who, opening, given)
                return
            key = self.store.cases.keys_of([opening.case])[0]
            seconds = self._seconds(study, who, opening, given.seconds)
            said = given.answer, given.value, own.adjudicating
            reading = Reading(key, who.name, now(), seconds, *said, stage="after-ai")
            check_answer(study, reading)
            older = self.store.opinions.changed(study.identity, opening.case, who.name)
            if older is not None:
                self.store.opinions.withdraw(older.id, opening.case, now())
            remarks = Remarks(
                *(given.submission, given.confidence, given.reason, given.comment),
                replaces=older.id if older else None,
            )
            about = (study.identity, given.cycle, opening.case, opening.purpose)
            self.store.readings.add(*about, reading, remarks)
            words = "a changed mind, after the model's opinion"
            self._note(people.ANSWERED, study, who, given.cycle, opening.case, words)

    def may_see(self, study: Study, who: Account, cycle: int, position: int) -> Opening | None:
        """The case at that place, if this reader was shown the model's opinion of it."""
        try:
            opening, _ = self._answered(study, who, cycle, position)
        except ReadingRefused:
            return None
        return opening if self._seen(study, who, opening) else None

    def _answered(
        self, study: Study, who: Account, cycle: int, position: int
    ) -> tuple[Opening, Kept]:
        """The case at a place and this reader's own first answer to it."""
        if study.reading.show_ai != "after" or cycle != current_cycle(self.store, study):
            raise ReadingRefused(_FIRST)
        opened = self.store.readings.opened(study.identity, cycle, probs=False)
        opening = next((o for o in opened if o.position == position), None)
        if opening is None:
            raise ReadingRefused(_FIRST)
        lease = self.store.leases.of(who.name)
        standing = self.store.leases.standing(study.identity, cycle, opening.case)
        own = [k for k in standing if k.reader == who.name and k.adjudicating == adjudicates(who)]
        here = lease is not None and (lease.study, lease.case) == (study.identity, opening.case)
        if not own or here:  # it may have come back to this reader, who is not to know
            raise ReadingRefused(_FIRST)
        return opening, own[-1]

    def _seen(self, study: Study, who: Account, opening: Opening) -> str:
        return self.store.opinions.seen_since(study.identity, opening.case, who.name)

    def _seconds(self, study: Study, who: Account, opening: Opening, told: float) -> float:
        """Active seconds, no more than went by since the opinion was shown."""
        since = datetime.fromisoformat(self._seen(study, who, opening)).astimezone(UTC)
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
        told["changed"] = {"answer": seen.changed[0], "value": list(seen.changed[1])}
    if seen.opinion is not None:
        said = seen.opinion
        told["opinion"] = {
            "probs": list(said.probs),
            "likeliest": max(range(len(said.probs)), key=said.probs.__getitem__),
            "why": said.why,
            "untrained": cycle == 0,  # of the first cycle: no case of this study taught it
            "saliency": b64encode(said.saliency).decode(),
            "rows": said.rows,
            "columns": len(said.saliency) // said.rows if said.rows else 0,
            "planes": study.task.image[0],
        }
    return told


def _same(before: Kept, study: Study, who: Account, opening: Opening, given: Given) -> None:
    """Refuse another answer under a key that was used before."""
    told = (before.study, before.reader, before.case, before.answer, before.value, before.stage)
    same = (study.identity, who.name, opening.case, given.answer, given.value, "after-ai")
    if told != same:
        raise ReadingRefused("another answer came under that key before; accepted is a new key")
