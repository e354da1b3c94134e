"""Simulated physicians at every site: they answer through the store that real ones use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from client.home import open_store
from client.privacy.progress import told_progress
from client.queue import submit
from client.store.store import SiteStore
from protocol.records import Grant, Reading, SiteProgress
from protocol.study import Study
from simulations.attacks.place import planted
from simulations.days import FIRST_DAY, begins, closes, reads_from
from simulations.hospitals import Hospitals
from simulations.leanings import before_a_case, difficulty, is_biased, leaning
from simulations.oracle import Oracle
from simulations.readers import goes_on, working_time
from simulations.readers import reader as reader_of
from simulations.turns import Next, following
from simulations.turns import readers as readers_of


@dataclass(frozen=True, slots=True)
class SimulatedRooms:
    """Reading rooms whose readers answer at once, and by a clock of their own.

    Attributes:
        study: of the run.
        hospitals: its sites.
        oracle: holds the truths; a reader looks at one for every answer.
        everything: the supervised bound: all truths at once, by a reader that never errs.
    """

    study: Study
    hospitals: Hospitals
    oracle: Oracle
    everything: bool = False

    @property
    def interval(self) -> float:
        """0: they have answered by the time that they are looked at."""
        return 0.0

    def look(self, cycle: int, granted: Mapping[str, Grant]) -> Mapping[str, SiteProgress]:
        """What every site's readers did with its grant; interrupted, they go on where they were."""
        stores = {
            name: open_store(home, durable=False)
            for name, home in zip(self.hospitals.names, self.hospitals.homes, strict=True)
        }
        try:
            start = begins(stores, self.study, cycle)
            for number, name in enumerate(self.hospitals.names):
                if name in granted and self.everything:
                    self._reveal(name, stores[name], cycle)
                elif name in granted and reads_from(self.study, name, cycle):
                    self._session(name, number, stores[name], cycle, start)
            return {
                name: replace(told_progress(s, self.study, cycle, name), waiting=0)
                for name, s in stores.items()  # a doubt that no reader is left for waits for none
                if name in granted
            }
        finally:
            for store in stores.values():
                store.close()

    def _session(self, name: str, number: int, store: SiteStore, cycle: int, start: date) -> None:
        """All readers of a site take turns until none finds a case or has time before the end."""
        readers, end = readers_of(self.study), closes(start, self.study)
        hours = self.study.simulation.readers.hours_per_day
        most = self.study.simulation.readers.per_cycle or math.inf
        active = {r: store.readings.seconds_of(self.study.identity, cycle, r) for r in readers}
        while readers and store.readings.spent(self.study.identity, cycle)[0] < most:
            reader = min(readers, key=lambda r: (active[r], r))
            turn = following(store, self.study, cycle, number, reader)
            if turn is None or goes_on(start, hours, active[reader]) >= end:
                readers.remove(reader)
                continue
            reading = self._answer(name, store, turn, reader, active[reader], start)
            active[reader] += reading.seconds
            submit(store, self.study, cycle, turn.opening, reading)

    def _answer(
        self,
        name: str,
        store: SiteStore,
        turn: Next,
        reader: str,
        active: float,
        start: date,
    ) -> Reading:
        settings = self.study.simulation.readers
        key = store.cases.keys_of([turn.opening.case])[0]
        truth = self.oracle.look(name, self.hospitals.case_of[name][key])
        number = self.hospitals.names.index(name)
        attack = planted(self.hospitals.homes[number])
        if attack is not None:
            truth = attack.belief(truth)
        factor = difficulty(self.study, number, turn.opening.case)
        usual = reader_of(settings, self.study.task, number)
        given = before_a_case(usual, factor).answer(truth, turn.rng)
        count = len(readers_of(self.study))
        if is_biased(settings, int(reader.rpartition("-")[2]), count):
            given = leaning(given, settings, self.study.task, turn.rng)
        at = working_time(start, settings.hours_per_day, active + given.seconds)
        said = (given.answer, given.value, False, turn.stage)
        return Reading(key, reader, at, given.seconds, *said)

    def _reveal(self, name: str, store: SiteStore, cycle: int) -> None:
        """Every open case answered by its truth, in one transaction."""
        identity = self.study.identity
        truths = self.oracle.reveal(name)
        answered = store.readings.answers(identity, cycle)
        open_cases = [o for o in store.readings.opened(identity, cycle) if o.case not in answered]
        keys = store.cases.keys_of([o.case for o in open_cases])
        with store.transaction():
            for opening, key in zip(open_cases, keys, strict=True):
                value = tuple(int(v) for v in truths[self.hospitals.case_of[name][key]])
                at = working_time(FIRST_DAY, 1.0, 0.0)
                reading = Reading(key, "bound", at, 0.0, "answered", value)
                store.readings.add(identity, cycle, opening.case, opening.purpose, reading)
