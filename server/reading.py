"""The reading of a cycle: wait for people, close, and give what slow sites leave to free readers.

Killed anywhere and started again it goes on: a site's closing is final, a top-up is shared by what
is in the ledger, and the deadline counts from when the ledger says that the cases were opened.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from protocol.records import CycleRecord, Grant, SiteProgress, SiteReport
from protocol.steps import Reply, Selected
from server.account import TOP_UP, accounted, grants, together
from server.cycle import Coordination
from server.federation import QuorumLost
from server.ledger import Stage
from server.settling import by_site
from server.sharing import Sharing
from strategies.budget import BudgetPolicy
from strategies.budget.silence import silent

SHORTER = 0.25
"""Of the deadline: how long a top-up may take, and how long sites are waited for that read nothing
of their last grant."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One cycle's reading.

    Attributes:
        c: the study's coordination.
        cycle: from 0.
        told: the sites' reports.
        shared: the cycle's first grants.
        past: the cycles before.
    """

    c: Coordination
    cycle: int
    told: Mapping[str, SiteReport]
    shared: Mapping[str, Grant]
    past: Sequence[CycleRecord]

    def done(self) -> Mapping[str, SiteProgress]:
        """What became of all grants once people were done, or the deadline had passed.

        Raises:
            QuorumLost: too few sites closed the cycle.
            Halted, Superseded: while waiting.
        """
        stage, ledger = Stage(self.cycle, "read"), self.c.ledger
        committed = ledger.records(stage, SiteProgress)
        if committed is None:
            committed = self._read()
            ledger.commit(stage, committed)
        return committed

    def _read(self) -> dict[str, SiteProgress]:
        hours = self.c.study.reading.deadline_hours
        late = self.c.ledger.records(Stage(self.cycle, "deadline"), SiteProgress)
        if late is None:
            seen, behind = self._wait(Stage(self.cycle, "select"), self.shared, hours)
            late = {s: seen.get(s, SiteProgress(s, 0, 0, 0, 0.0, waiting=1)) for s in behind}
            if late:  # kept before any is closed: closed, it would look like one that was done
                self.c.ledger.commit(Stage(self.cycle, "deadline"), late)
        else:
            seen = self.c.rooms.look(self.cycle, self.shared)
        granted = dict(self.shared)
        if late:
            extra = self._top_up(list(late), seen)
            granted = together(grants(self.c.ledger, self.cycle))
            if extra:
                stage = Stage(self.cycle, "select", 0, TOP_UP)
                self._wait(stage, extra, hours * SHORTER)
            seen = self.c.rooms.look(self.cycle, granted)
        stage = Stage(self.cycle, "close")
        replies = self.c.federation.ask_all(stage, {}, list(granted))
        first = self.c.ledger.records(stage, SiteProgress) or {}  # final: it was shared out
        closed = first | by_site(replies)
        return {s: self._became(s, g, closed.get(s), seen.get(s)) for s, g in granted.items()}

    def _became(
        self, site: str, grant: Grant, told: SiteProgress | None, seen: SiteProgress | None
    ) -> SiteProgress:
        return accounted(grant, told, seen, site, gone=site in self.c.federation.withdrawn)

    def _wait(
        self, stage: Stage, given: Mapping[str, Grant], hours: float
    ) -> tuple[Mapping[str, SiteProgress], list[str]]:
        """What was seen of the sites last, and which of those with this grant are not done.

        Sites that were away when their cases were to be opened are told of their grant as soon as
        they are back. Where only sites are late that left their last grant unread, and have read
        nothing since, they hold the others up for a shorter time.
        """
        ledger, federation, rooms = self.c.ledger, self.c.federation, self.c.rooms
        quiet = silent(self.past)
        began = ledger.time(stage) or datetime.now(UTC)
        opened = set(ledger.records(stage, Selected) or ())
        total = together(grants(ledger, self.cycle))
        again = 0.0
        while True:
            seen = rooms.look(self.cycle, total)
            late = [s for s in given if s not in seen or seen[s].waiting]
            heard = [s for s in late if s not in quiet or (s in seen and seen[s].readings)]
            longest = hours if heard else hours * SHORTER
            end = began + timedelta(hours=longest) + self.c.paused(began)
            if not late or datetime.now(UTC) >= end:
                return seen, late
            unheard = {s: given[s] for s in late if s not in opened}
            if unheard and time.monotonic() >= again:
                opened.update(_by_name(federation.grant(stage, unheard)))
                again = time.monotonic() + federation.timing.retry
            federation.pause(rooms.interval)

    def _close_first(
        self, late: Sequence[str], seen: Mapping[str, SiteProgress]
    ) -> Mapping[str, SiteProgress]:
        """Close the slow sites that are there; the others may still be given what these leave.

        Raises:
            QuorumLost: with those that are done they are too few.
        """
        known = self.c.ledger.records(Stage(self.cycle, "close"), SiteProgress)
        if known is not None:
            return known
        told = by_site(self.c.federation.close(self.cycle, late))
        answered = len(self.shared) - len(late) + len(told)
        needed = min(self.c.federation.needed, len(self.shared))
        if answered < needed:
            raise QuorumLost(
                f"cycle {self.cycle + 1}: at the deadline of its reading {answered} sites were "
                f"done or answered, a quorum is {needed}"
            )
        final = [s for s in late if s in told or s in self.c.federation.withdrawn]
        closed = {s: self._became(s, self.shared[s], told.get(s), seen.get(s)) for s in final}
        self.c.ledger.commit(Stage(self.cycle, "close"), closed)
        return closed

    def _top_up(self, late: Sequence[str], seen: Mapping[str, SiteProgress]) -> Mapping[str, Grant]:
        """Further grants to sites that are done, of what the slow ones returned."""
        ledger, stage = self.c.ledger, Stage(self.cycle, "allocate", 0, TOP_UP)
        extra = ledger.records(stage, Grant)
        if extra is None:
            returned = sum(p.returned for p in self._close_first(late, seen).values())
            extra = self._extra(returned, late, seen)
            ledger.commit(stage, extra)
        opening = Stage(self.cycle, "select", 0, TOP_UP)
        if extra and ledger.records(opening, Selected) is None:
            ledger.commit(opening, _by_name(self.c.federation.grant(opening, extra)))
        return extra

    def _extra(
        self, returned: int, late: Sequence[str], seen: Mapping[str, SiteProgress]
    ) -> dict[str, Grant]:
        free = [
            replace(report, capacity=report.capacity - self.shared[site].count)
            for site, report in self.told.items()
            if site in self.shared and site not in late and self._used_up(site, seen)
        ]
        free = [report for report in free if report.capacity > 0]
        if returned <= 0 or not free:
            return {}
        sharing = Sharing(self.c.study, _left(self.c.decisions.policy, self), self.c.ledger)
        read = {site for site, there in seen.items() if there.readings}
        shared = sharing.of(self.cycle, TOP_UP, free, self.past, returned, read)
        return {
            site: replace(grant, reason=f"top-up of what slow sites returned: {grant.reason}")
            for site, grant in shared.items()
            if grant.count
        }

    def _used_up(self, site: str, seen: Mapping[str, SiteProgress]) -> bool:
        """Whether the site's readers are done, and not for want of cases."""
        there = seen.get(site)
        return there is not None and not there.waiting and there.returned <= 0


def _by_name(replies: Iterable[Reply]) -> dict[str, Selected]:
    return {r.site: r for r in replies if isinstance(r, Selected)}


def _left(policy: BudgetPolicy, reading: Reading) -> BudgetPolicy:
    """The policy with what its bounds have left after a cycle's first grants."""
    after = getattr(policy, "after", None)
    if after is None:
        return policy
    granted = {site: grant.count for site, grant in reading.shared.items()}
    return cast("BudgetPolicy", after(list(reading.told.values()), granted))
