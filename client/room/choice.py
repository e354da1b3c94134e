"""Which case a reader could be given now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.cost import spent
from client.queue import Turn, turns
from client.repeats import Lots, Schedule
from client.room.names import Names
from client.store.reader_shelf import Account
from client.store.store import SiteStore
from protocol.study import Study

AHEAD = 3
"""Cases after the one on the screen whose images the page may fetch already."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a reader gets: a case and those that will likely come after it.

    Attributes:
        turn: None where there is nothing for this reader just now.
        ahead: not leased; a colleague may get one of them first.
        elsewhere: cases that this reader could answer and that colleagues have on the screen.
    """

    cycle: int
    turn: Turn | None
    ahead: tuple[Turn, ...] = ()
    elsewhere: int = 0


def look(store: SiteStore, study: Study, cycle: int, who: Account, at: float) -> Offered:
    """First the case that this reader has, then one they took back, then by reading order.

    Cases that come back to this reader stand between the others, where lots put them.

    Args:
        at: the time, seconds since 1970.
    """
    return _View(store, study, cycle, who, at).offered()


def came_back(store: SiteStore, study: Study, cycle: int, who: Account, at: float) -> Turn | None:
    """The turn that a reader has now, where its case has come back to them."""
    if not study.reading.repeats:
        return None
    turn = look(store, study, cycle, who, at).turn
    return turn if turn is not None and turn.stage == "repeat" else None


def pays(store: SiteStore, study: Study, cycle: int, who: Account, at: float) -> bool:
    """Whether the grant pays a reading of this reader's that is not on their screen any more."""
    return _View(store, study, cycle, who, at).left() > 0


def adjudicates(who: Account) -> bool:
    """Whether this is one who settles what readers disagree on, and reads nothing else."""
    return who.role == "adjudicator"


@dataclass(frozen=True, slots=True)
class _View:
    """A cycle as one reader has it before them at a time."""

    store: SiteStore
    study: Study
    cycle: int
    who: Account
    at: float

    def offered(self) -> Offered:
        """See `look`."""
        name, identity = self.who.name, self.study.identity
        every = turns(self.store, self.study, self.cycle, at=self.at)
        taken = self.store.leases.alive(identity, self.cycle, self.at)
        settles = adjudicates(self.who)
        mine = [t for t in every if t.may(name) and t.adjudicating == settles]
        free = [t for t in mine if taken.get(t.opening.case, name) == name]
        free.sort(key=lambda t: (t.opening.case not in taken, name not in t.owed))
        paid = sum(name in t.owed or t.opening.case in taken for t in free)
        elsewhere = len(mine) - len(free)
        if self.study.reading.repeats and not adjudicates(self.who):
            free, paid = self._mixed(free, paid)
        left = self._left(every, taken)
        if left and self.study.budget.unit == "minutes":  # how many these pay is not known
            left = len(free)
        count = min(max(paid, left), len(free), 1 + AHEAD)
        names = Names(self.store, self.study, self.cycle, name)
        found = [names.turn(turn) for turn in free[:count]]
        if not found:
            return Offered(self.cycle, None, (), elsewhere)
        return Offered(self.cycle, found[0], tuple(found[1:]), elsewhere)

    def _mixed(self, free: Sequence[Turn], held: int) -> tuple[list[Turn], int]:
        """The next turns with what comes back, and how many of the first are paid already.

        Args:
            free: the fresh ones.
            held: so many of them are on the reader's screen, or were taken back by them.
        """
        name, lots = self.who.name, Lots(self.store.repeats.secret())
        lease = self.store.leases.of(name)
        place = lease and (lease.study, lease.cycle, lease.stage)
        shown = lease is not None and lease.until > self.at
        back = shown and place == (self.study.identity, self.cycle, "repeat")
        schedule = Schedule.of(self.store, self.study, self.cycle, name, lots)
        mixed = schedule.mixed(free, 1 + AHEAD, 0 if back else held)
        owed = sum(name in t.owed for t in mixed if t.stage == "repeat")
        return mixed, max(owed, int(back)) + held

    def left(self) -> int:
        """See `_left`."""
        taken = self.store.leases.alive(self.study.identity, self.cycle, self.at)
        return self._left(turns(self.store, self.study, self.cycle, at=self.at), taken)

    def _left(self, every: Sequence[Turn], taken: Mapping[int, str]) -> int:
        """What is left of the grant, in its unit, less the readings under way and those that a
        dispute needs; in minutes each counts as long as one is expected to take.

        Whoever has a case again that they took back spends nothing more.
        """
        identity = self.study.identity
        granted = self.store.readings.granted(identity, self.cycle)
        again = {who for t in every if (who := taken.get(t.opening.case)) in t.owed}
        under_way = self.store.leases.under_way(identity, self.cycle, self.at)
        kept = len(under_way - again - {self.who.name})
        if not adjudicates(self.who):
            kept += sum(t.adjudicating and t.opening.case not in taken for t in every)
        return max(granted - spent(self.store, self.study, self.cycle, under_way=kept), 0)
