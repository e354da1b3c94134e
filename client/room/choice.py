"""Which case a reader could be given now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.queue import Turn, spent, turns
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

    Args:
        at: the time, seconds since 1970.
    """
    every = turns(store, study, cycle)
    taken = store.leases.alive(study.identity, cycle, at)
    mine = [t for t in every if t.may(who.name) and t.adjudicating == adjudicates(who)]
    free = [t for t in mine if taken.get(t.opening.case, who.name) == who.name]
    free.sort(key=lambda t: (t.opening.case not in taken, who.name not in t.owed))
    paid = sum(who.name in t.owed or t.opening.case in taken for t in free)
    left = store.readings.granted(study.identity, cycle) - spent(store, study, cycle)
    if study.budget.unit == "readings":
        left = max(left - _reserved(every, taken, who), 0)
    elif left > 0:  # how many readings some minutes pay is not known
        left = len(every)
    count = max(paid, min(left, len(free)))
    elsewhere = len(mine) - len(free)
    if not count:
        return Offered(cycle, None, (), elsewhere)
    return Offered(cycle, free[0], tuple(free[1 : min(count, 1 + AHEAD)]), elsewhere)


def adjudicates(who: Account) -> bool:
    """Whether this is one who settles what readers disagree on, and reads nothing else."""
    return who.role == "adjudicator"


def _reserved(every: Sequence[Turn], taken: Mapping[int, str], who: Account) -> int:
    """Readings that are under way, and those without which a dispute stays unsettled."""
    under_way = sum(reader != who.name for reader in taken.values())
    if adjudicates(who):
        return under_way
    return under_way + sum(t.adjudicating and t.opening.case not in taken for t in every)
