"""What there is to tell the server: standings, the readers' progress, the audit log's head.

Progress leaves at most once in `every` seconds, also when streams are cut and begin anew: a server
that cuts them learns nothing sooner.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from client.audit.chain import NOTHING, head
from client.audit.heads import hash_at
from client.privacy.progress import told_progress
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from client.versions import versions
from protocol.coordination import PROTOCOL
from protocol.coordination_pb2 import Arrival, FromSite, Head, Heartbeat, Progress, Standing
from protocol.study import StudyError

ACKNOWLEDGED = "coordination sequence"
"""The fact that holds the last sequence that was carried out."""

BRANCH_LEFT = "branch left"
"""The fact that holds the last branch of countersignatures that this log does not continue."""

_HEAD_EVERY = 2.0  # seconds
_MOST_STANDINGS = 256  # the newest ones; what the gate lets by


class LogRewritten(Exception):
    """The audit log does not continue what was told of it on this stream."""


@dataclass(slots=True)
class News:
    """What was told, and from it what is to be told next.

    Attributes:
        store: of the site.
        site: its name.
        every: seconds between two messages of progress about one cycle.
    """

    store: SiteStore
    site: str
    every: float
    _standings: Mapping[str, str] = field(default_factory=dict)
    _counts: dict[tuple[str, int], tuple[Progress, float]] = field(default_factory=dict)
    _head: tuple[int, str] = (0, NOTHING)
    _head_at: float = -math.inf
    _again: bool = False
    _late: bool = True
    _seen: tuple[int, int] = (-1, -1)

    def arrival(self) -> FromSite:
        """The first message of a stream; what it tells need not be told again."""
        self._standings = dict(self.store.offers.standings())
        if not (self._waits() and hash_at(self.store, self._head[0]) == self._head[1]):
            self._head, self._head_at = head(self.store), time.monotonic()
        self._again = self._late = True
        lines, hashed = self._head
        return FromSite(
            arrival=Arrival(
                protocol=PROTOCOL,
                versions=versions(),
                acknowledged=self.acknowledged(),
                standings=[
                    Standing(study=study, state=state)
                    for study, state in list(self._standings.items())[-_MOST_STANDINGS:]
                ],
                head=Head(lines=lines, hash=hashed, left=self.left()),
            )
        )

    def heartbeat(self) -> FromSite:
        """That the site is there, and how far it has come with what it was told to do."""
        beat = Heartbeat(acknowledged=self.acknowledged(), sent=time.time())
        return FromSite(heartbeat=beat)

    def acknowledged(self) -> int:
        """The last sequence that was carried out and committed."""
        return int(self.store.cases.fact(ACKNOWLEDGED, "0"))

    def left(self) -> int:
        """The last branch of the server's countersignatures that this log does not continue."""
        return int(self.store.cases.fact(BRANCH_LEFT, "0"))

    def due(self) -> list[FromSite]:
        """What is to be told now; nothing is looked at unless the database has changed.

        Raises:
            LogRewritten: a server that signed the next head would not know.
        """
        changes = (
            int(self.store.connection.execute("PRAGMA data_version").fetchone()[0]),
            self.store.connection.total_changes,
        )
        if changes == self._seen and not self._late:
            return []
        self._seen, self._late = changes, False
        return [*self._standings_due(), *self._progress_due(), *self._head_due()]

    def _standings_due(self) -> list[FromSite]:
        stand = dict(self.store.offers.standings())
        changed = {s: state for s, state in stand.items() if self._standings.get(s) != state}
        self._standings = {**stand}
        return [FromSite(standing=Standing(study=s, state=state)) for s, state in changed.items()]

    def _progress_due(self) -> list[FromSite]:
        again = [count for count, _ in self._counts.values()] if self._again else []
        self._again = False
        fresh: list[Progress] = []
        for study in self.store.steps.approved():
            with suppress(StepRefused, StudyError):  # paused just now, or of another version's kind
                fresh += self._fresh(study)
        return [FromSite(progress=count) for count in (*again, *fresh)]

    def _fresh(self, identity: str) -> list[Progress]:
        """The newest cycle's counts and those of the one before, where they are to be told."""
        newest, moment = self.store.cycles.newest(identity), time.monotonic()
        told = []
        for cycle in range(max(newest - 1, 0), newest + 1) if newest is not None else ():
            count = self._count(identity, cycle)
            before, at = self._counts.get((identity, cycle), (None, 0.0))
            if count == before:
                continue
            done = not count.waiting and (before is None or before.waiting > 0)
            if before is None or done or moment - at >= self.every:
                self._counts[identity, cycle] = count, moment
                told.append(count)
            else:
                self._late = True
        return told

    def _count(self, identity: str, cycle: int) -> Progress:
        study = self.store.steps.study(identity)
        counted = told_progress(self.store, study, cycle, self.site)
        return Progress(
            study=identity,
            cycle=cycle,
            granted=self.store.readings.granted(identity, cycle),
            spent=counted.spent,
            readings=counted.readings,
            waiting=counted.waiting,
            minutes=counted.minutes,
        )

    def _waits(self) -> bool:
        """Whether lines about people came soon after the last head: their number is a clock."""
        if time.monotonic() - self._head_at >= self.every:
            return False
        sql = "SELECT EXISTS (SELECT 1 FROM audit WHERE line > ? AND salt != '')"
        return bool(self.store.connection.execute(sql, (self._head[0],)).fetchone()[0])

    def _head_due(self) -> list[FromSite]:
        fresh = self.store.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM audit WHERE line > ? "
            "AND NOT (event = 'left' AND record IN ('Arrival', 'Head')))",
            (self._head[0],),
        ).fetchone()[0]
        if not fresh:  # the line that telling a head makes must not make us tell the next
            return []
        if time.monotonic() - self._head_at < _HEAD_EVERY or self._waits():
            self._late = True
            return []
        if hash_at(self.store, self._head[0]) != self._head[1]:
            raise LogRewritten
        self._head, self._head_at = head(self.store), time.monotonic()
        lines, hashed = self._head
        return [FromSite(head=Head(lines=lines, hash=hashed, left=self.left()))]
