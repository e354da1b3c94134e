"""Giving a case to a reader: its lease, its line in the audit log, what they had chosen before."""

from __future__ import annotations

from dataclasses import dataclass

from client.audit import people
from client.room.names import Names
from client.store.draft_shelf import Draft
from client.store.lease_shelf import Lease
from client.store.reader_shelf import Account
from client.store.store import SiteStore, now
from protocol.records import Stage

LASTS = 120.0
"""Seconds that a lease lasts; the page renews it while somebody is there."""

LONGEST = 3600.0
"""Seconds that one reading is counted with at most."""

SLACK = 5.0
"""Seconds by which a page's clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class Lending:
    """Lends the cases of one cycle, within the caller's transaction.

    Attributes:
        study: its identity.
        at: the time, seconds since 1970.
    """

    store: SiteStore
    study: str
    cycle: int
    at: float

    def lend(self, case: int, who: Account, stage: Stage, *, adjudicating: bool) -> None:
        """Give a case to its reader; an adjudicator sees what the readers said.

        Args:
            stage: "repeat" where it comes back to the reader; that keeps no colleague from it.
        """
        fresh = self._put(case, who.name, stage)
        if adjudicating:
            self.store.leases.show(self.study, case, who.name, "readings", now())
        if fresh:
            self._note(people.COLLEAGUES if adjudicating else people.SHOWN, case, who.name)

    def _put(self, case: int, reader: str, stage: Stage) -> bool:
        """Whether the case was not on this reader's screen until now; it is from now on."""
        before = self.store.leases.of(reader)
        place = self.study, self.cycle, case, stage
        same = before is not None and before.place == place and before.until > self.at
        since = before.since if before is not None and same else self.at
        lease = Lease(self.study, self.cycle, case, reader, since, self.at + LASTS, stage)
        self.store.leases.put(lease)
        if stage == "blind":
            self.store.drafts.lent(lease)
        return not same

    def _note(self, event: str, case: int, reader: str) -> None:
        people.seen(self.store, event, reader, study=self.study, cycle=self.cycle, case=case)


def keep_draft(names: Names, position: int, chosen: Draft, at: float) -> bool:
    """Whether what a reader has chosen so far is kept: only for the case on their screen.

    Args:
        names: of this reader's cases.
        position: the number that they were told for the case.
        chosen: so far.
        at: the time, seconds since 1970.
    """
    store = names.store
    with store.transaction():
        lease = store.leases.of(names.reader)
        if lease is None or lease.until <= at:
            return False
        if (lease.study, lease.cycle) != (names.study.identity, names.cycle):
            return False
        if names.position(lease.case, lease.stage) != position:
            return False
        store.drafts.keep(lease, chosen)
    return True


def active(store: SiteStore, who: Account, case: int, told: float, at: float) -> float:
    """Active seconds, no more than went by since the case was given out."""
    lease = store.leases.of(who.name)
    most = LONGEST
    if lease is not None and lease.case == case:
        most = min(most, at - lease.since + SLACK)
    return round(max(0.0, min(told, most)), 1)
