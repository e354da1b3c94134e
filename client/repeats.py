"""Hidden repeats: which case comes back to a reader, and when; nobody at a screen can tell.

After each of a reader's first answers a lot decides, with the study's share, whether one of their
cases is to come back; which one, another lot. It comes once there is a case that they answered at
least five of their own answers ago, so the first ones come late and none is forgotten. Lots are
hashes of a secret: asked again they fall the same, so nothing about them need be stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.cost import spent
from client.queue import Turn, past_of
from client.store.reading_shelf import Opening
from client.store.repeat_shelf import Past
from client.store.store import SiteStore
from protocol.records import Purpose
from protocol.study import Study

AGO = 5
"""A case comes back after so many of the reader's own answers at the earliest."""


@dataclass(frozen=True, slots=True)
class Lots:
    """Draws lots that nobody foresees who does not know the secret."""

    secret: bytes

    def share(self, *what: object) -> float:
        """A number in [0, 1), always the same for the same words."""
        return self._drawn(what) / 2**52

    def place(self, *what: object) -> int:
        """A whole number of at most 52 bits, which a page holds exactly."""
        return self._drawn(what)

    def _drawn(self, what: tuple[object, ...]) -> int:
        words = "\0".join(map(str, what)).encode()
        return int.from_bytes(hmac.digest(self.secret, words, "sha256")[:8], "big") >> 12


@dataclass(frozen=True, slots=True)
class Schedule:
    """When which of a reader's cases come back.

    Attributes:
        owed: cases whose repeat the reader took back; another costs nothing.
    """

    study: Study
    reader: str
    lots: Lots
    past: Past
    owed: frozenset[int] = frozenset()

    @classmethod
    def of(cls, store: SiteStore, study: Study, cycle: int, reader: str, lots: Lots) -> Schedule:
        """As a reader's answers so far have it."""
        past = past_of(store, study, cycle, reader)
        owed = store.repeats.owed(study.identity, cycle)
        return cls(study, reader, lots, past, frozenset(c for c, who in owed if who == reader))

    def mixed(self, fresh: Sequence[Turn], count: int, held: int = 0) -> list[Turn]:
        """The reader's next turns: fresh ones in their order, and between them what comes back.

        Whoever fetches images ahead gets those that come back ahead, too.

        Args:
            fresh: cases that the reader has not answered.
            count: at most so many turns.
            held: so many of the fresh ones come before anything else.
        """
        given, may, answered = [*self.past.given], dict(self.past.may), self.past.first
        due = sum(map(self._drawn, range(1, answered + 1))) - (len(given) - answered)
        found: list[Turn] = []
        rest = iter(fresh)
        while len(found) < count:
            ripe = due > 0 and len(found) >= held
            turn = self._back(given, may) if ripe else None
            if turn is not None:
                due -= 1
                del may[turn.opening.case]
            else:
                turn = next(rest, None)
                if turn is None:
                    break
                answered += 1
                due += self._drawn(answered)
            found.append(turn)
            given.append(turn.opening.case)
        return found

    def _drawn(self, answer: int) -> bool:
        """Whether a case is to come back after the reader's answer of that number, from 1."""
        lot = self.lots.share("when", self.study.identity, self.reader, answer)
        return lot < self.study.reading.repeats

    def _back(self, given: Sequence[int], may: Mapping[int, Purpose]) -> Turn | None:
        ripe = [case for case in given[:-AGO] if case in may]
        if not ripe:
            return None

        def lot(case: int) -> tuple[bool, float]:
            drawn = self.lots.share("which", self.study.identity, self.reader, case)
            return case not in self.owed, drawn

        case = min(ripe, key=lot)
        owed = frozenset({self.reader} if case in self.owed else ())
        return Turn(Opening(case, may[case]), False, frozenset(), owed, "repeat")


def due(store: SiteStore, study: Study, cycle: int, reader: str, lots: Lots) -> Turn | None:
    """The case that comes back to a reader now, if one does and the grant pays for it."""
    if not study.reading.repeats or store.cycles.closed(study.identity, cycle):
        return None
    coming = Schedule.of(store, study, cycle, reader, lots).mixed((), 1)
    paid = spent(store, study, cycle) < store.readings.granted(study.identity, cycle)
    return coming[0] if coming and (paid or reader in coming[0].owed) else None
