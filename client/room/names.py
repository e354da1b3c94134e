"""What cases are called on a reader's page: numbers, from which nobody learns what came back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from client.queue import Turn
from client.repeats import Lots
from client.store.store import SiteStore
from protocol.records import Stage
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Names:
    """The numbers of one reader's cases in a cycle.

    A case's number is its place in the cycle's order. In a study whose cases come back it is a lot
    instead, for every case and reader another; a case that comes back has a further one. A case's
    number is the same whenever it is asked for.
    """

    store: SiteStore
    study: Study
    cycle: int
    reader: str

    def of(self, case: int, position: int, stage: Stage = "blind") -> int:
        """The number of a case.

        Args:
            case: its id in the database.
            position: its place in the cycle's order; where it comes back, anything.
            stage: "repeat" where it comes back.
        """
        if not self.study.reading.repeats:
            return position
        lots = Lots(self.store.repeats.secret())
        return lots.place("place", self.study.identity, self.cycle, self.reader, case, stage)

    def turn(self, turn: Turn) -> Turn:
        """The same turn, its case's position as the page is told it."""
        opening = turn.opening
        number = self.of(opening.case, opening.position, turn.stage)
        return replace(turn, opening=replace(opening, position=number))

    def position(self, case: int, stage: Stage) -> int:
        """The number of a case of which no more is known; -1 where it is not open."""
        if stage == "repeat":
            return self.of(case, -1, stage)
        opened = self.store.readings.opened(self.study.identity, self.cycle, probs=False)
        found = (self.of(o.case, o.position) for o in opened if o.case == case)
        return next(found, -1)
