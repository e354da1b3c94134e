"""What a simulated reader is to answer next, and by which random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from client.queue import next_case
from client.repeats import Lots, due
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Stage
from protocol.seeds import Purpose, generator
from protocol.study import Study

_AGAIN = 100
"""Added to a reader's number: no case has so many turns."""


@dataclass(frozen=True, slots=True)
class Next:
    """A case before a simulated reader.

    Attributes:
        stage: "repeat" where it came back to them.
        rng: decides what they say.
    """

    opening: Opening
    stage: Stage
    rng: np.random.Generator


def readers(study: Study) -> list[str]:
    """The names of a site's simulated readers."""
    count = max(study.simulation.readers.per_site, study.reading.most_readers)
    return [f"reader-{i + 1}" for i in range(count)]


def following(store: SiteStore, study: Study, cycle: int, site: int, reader: str) -> Next | None:
    """What a reader answers next: first what came back to them, by lots that the seed draws.

    What is said depends on the turn at a case and not on who takes it: who reads a case depends on
    the arm, what is said must not. (Of readers who prefer a class it is the habit that differs.)

    Args:
        store: of the site.
        study: that is read for.
        cycle: the open one.
        site: its number.
        reader: one of `readers`.
    """
    back = due(store, study, cycle, reader, Lots(f"simulated {study.seed} {site}".encode()))
    if back is not None:
        number = _AGAIN + int(reader.rpartition("-")[2])
        rng = generator(study.seed, site, back.opening.case, number, Purpose.READER)
        return Next(back.opening, "repeat", rng)
    opening = next_case(store, study, cycle, reader)
    if opening is None:
        return None
    turn = len(store.readings.answers(study.identity, cycle).get(opening.case, {})) + 1
    rng = generator(study.seed, site, opening.case, turn, Purpose.READER)
    return Next(opening, "blind", rng)
