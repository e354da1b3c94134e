"""A site's simulated readers: they answer through the database that people use, case by case."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.home import open_store, read_config
from client.queue import ReadingRefused, current_cycle, submit
from client.store.store import SiteStore, now
from protocol.records import Reading
from protocol.study import Study
from simulations.readers import reader as reader_of
from simulations.turns import Next, following
from simulations.turns import readers as readers_of

PACE = 0.02
"""Seconds between two answers: people are slower, and a rehearsal should end."""

IDLE = 1.0
"""Seconds until an empty queue is looked at again."""


@dataclass(frozen=True, slots=True)
class Room:
    """One site's readers.

    Attributes:
        number: of the site, for its readers' randomness.
        truths: (classes,) of 0 and 1 for each case, by case key.
        journal: gets a line with study, cycle, case, reader and stage once an answer was accepted.
    """

    number: int
    truths: Mapping[str, NDArray[np.uint8]]
    journal: Path

    def read_one(self, store: SiteStore, study: Study, cycle: int) -> bool:
        """Whether any reader had a case to answer."""
        readers = readers_of(study)
        active = {r: store.readings.seconds_of(study.identity, cycle, r) for r in readers}
        for reader in sorted(readers, key=lambda r: (active[r], r)):  # by turns, as simulated ones
            turn = following(store, study, cycle, self.number, reader)
            if turn is not None:
                reading = self._answer(store, study, turn, reader)
                with suppress(ReadingRefused):  # the cycle was closed a moment ago
                    submit(store, study, cycle, turn.opening, reading)
                    self._note(study, cycle, reading)
                return True
        return False

    def _answer(self, store: SiteStore, study: Study, turn: Next, reader: str) -> Reading:
        key = store.cases.keys_of([turn.opening.case])[0]
        settings = study.simulation.readers
        given = reader_of(settings, study.task).answer(self.truths[key], turn.rng)
        said = (given.answer, given.value, False, turn.stage)
        return Reading(key, reader, now(), given.seconds, *said)

    def _note(self, study: Study, cycle: int, reading: Reading) -> None:
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(
                f"{study.identity} {cycle} {reading.case} {reading.reader} {reading.stage}\n"
            )


def main() -> None:
    """Read at the site whose home is `--home` until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--truths", type=Path, required=True)
    said = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # an answer is committed or it is not
    truths = json.loads(said.truths.read_text(encoding="utf-8"))
    room = Room(
        read_config(said.home).number,
        {key: np.array(value, dtype=np.uint8) for key, value in truths.items()},
        said.truths.with_suffix(".journal"),
    )
    while True:
        with suppress(sqlite3.Error):  # a full disk, a database that is being replaced
            _session(room, said.home)
        time.sleep(IDLE)


def _session(room: Room, home: Path) -> None:
    """Answer until nothing is open."""
    with closing(open_store(home)) as store:
        for identity in store.steps.approved():
            study = store.steps.study(identity)
            cycle = current_cycle(store, study)
            while cycle is not None and room.read_one(store, study, cycle):
                time.sleep(PACE)


if __name__ == "__main__":
    main()
