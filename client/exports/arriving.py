"""Labels made elsewhere become readings of one account, as if they had been given at the desk."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from client.audit import people
from client.audit.chain import note
from client.cost import expected_seconds, spent
from client.exports.reading_in import Told
from client.queue import ReadingRefused, Turn, accept, current_cycle, turns
from client.store.reader_shelf import Account
from client.store.reading_shelf import Remarks
from client.store.store import SiteStore, now
from daemons.terminal import Refused
from protocol.records import Reading
from protocol.study import Study

NOT_HERE = "no case of this site"
NOT_OPEN = "not open to this reader now"
ELSEWHERE = "on a colleague's screen just now"
SPENT = "the grant is spent, or kept for what readers disagree on"


@dataclass(slots=True)
class Tally:
    """What became of a file's rows.

    Attributes:
        taken: rows that are readings now.
        known: rows of this file that were taken before.
        skipped: rows by reason.
        keys: of their cases, by reason.
    """

    taken: int = 0
    known: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    keys: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def skip(self, reason: str, case: str) -> None:
        """Count a row that was passed over."""
        self.skipped[reason] += 1
        if case:
            self.keys[reason].append(case)


class _Dry(Exception):
    """Ends the transaction of a dry run."""


def take(
    store: SiteStore, study: Study, who: Account, file: str, rows: Sequence[Told], *, dry: bool
) -> Tally:
    """Keep what can be kept, in one transaction; the same file again adds nothing.

    Args:
        store: of the site.
        study: approved here.
        who: the account whose readings they become.
        file: hash of the file.
        rows: as the file says.
        dry: find out, and keep nothing.
    Raises:
        Refused: the account does not read, or no cycle is open.
    """
    if who.role != "reader":
        raise Refused(f"{who.name} is no reader but {who.role}; accepted is a reader's account")
    cycle = current_cycle(store, study)
    if cycle is None:
        raise Refused("no cycle is open, so no case waits for a label; nothing was taken")
    arriving = _Arriving(store, study, who, file, cycle)
    try:
        with store.transaction():
            for row in rows:
                arriving.row(row)
            if arriving.tally.taken:
                words = f"{arriving.tally.taken} of {len(rows)} rows"
                note(store, "labels imported", study=study.identity, words=words)
            if dry:
                raise _Dry
    except _Dry:
        pass
    return arriving.tally


@dataclass(slots=True)
class _Arriving:
    """One file on its way in."""

    store: SiteStore
    study: Study
    who: Account
    file: str
    cycle: int
    tally: Tally = field(default_factory=Tally)

    def row(self, row: Told) -> None:
        """Keep one row, or count why it is not kept."""
        key = sha256(f"{self.file} {self.who.name} {row.case}".encode()).hexdigest()
        ids = self.store.cases.ids([row.case])
        if row.wrong or not len(ids):
            self.tally.skip(row.wrong or NOT_HERE, row.case)
        elif self.store.leases.submitted(key) is not None:
            self.tally.known += 1
        else:
            self._open(row, int(ids[0]), key)

    def _open(self, row: Told, case: int, key: str) -> None:
        every = turns(self.store, self.study, self.cycle)
        turn = next((t for t in every if t.opening.case == case), None)
        if turn is None or turn.adjudicating or not turn.may(self.who.name):
            self.tally.skip(NOT_OPEN if every else SPENT, row.case)
            return
        taken = self.store.leases.alive(self.study.identity, self.cycle, time.time())
        if taken.get(case, self.who.name) != self.who.name:
            self.tally.skip(ELSEWHERE, row.case)
            return
        if self.who.name not in turn.owed and self._left(every) < 1:
            self.tally.skip(SPENT, row.case)
            return
        self._keep(row, turn, key)

    def _keep(self, row: Told, turn: Turn, key: str) -> None:
        """A row that says no time counts as a reading takes here: minutes are a budget, too."""
        seconds = row.seconds
        if seconds is None:
            seconds = round(expected_seconds(self.store, self.study), 1)
        reading = Reading(row.case, self.who.name, now(), seconds, row.answer, row.value)
        remarks = Remarks(key, row.confidence, row.reason, row.comment)
        try:
            accept(self.store, self.study, self.cycle, turn.opening, reading, remarks)
        except ReadingRefused as refused:
            self.tally.skip(str(refused), row.case)
            return
        people.seen(
            self.store,
            people.ANSWERED,
            self.who.name,
            study=self.study.identity,
            cycle=self.cycle,
            case=turn.opening.case,
            words="from a file",
        )
        self.tally.taken += 1

    def _left(self, every: Sequence[Turn]) -> int:
        """What is left of the grant, in its unit, besides what is under way or disputed."""
        identity = self.study.identity
        granted = self.store.readings.granted(identity, self.cycle)
        others = self.store.leases.under_way(identity, self.cycle, time.time()) - {self.who.name}
        kept = len(others) + sum(t.adjudicating for t in every)
        return granted - spent(self.store, self.study, self.cycle, under_way=kept)
