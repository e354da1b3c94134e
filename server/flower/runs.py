"""Every study that is to run has one run of our bundle, and nothing else runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from server.flower.control import Control, Run
from server.registry.alarm_shelf import LONGEST, AlarmShelf
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf

LOG = logging.getLogger("keeper")
FAILING = "run-failing"
QUORUM = "quorum-lost"
_YOUNG = 4  # deaths in a row before a person is told


@dataclass(slots=True)
class _Tries:
    """Starts of one study's runs: when the last was, how many died young, what waits next."""

    began: float = 0.0
    young: int = 0
    run: int = 0


@dataclass(slots=True)
class Runs:
    """Starts runs and ends them; seconds.

    Attributes:
        studies: the folder of the studies' folders.
        backoff: before a run that died is followed by another; doubles with every young death.
        longest: up to this.
        calm: a run that lived so long did not die young.
        grace: in which a ServerApp ends by itself when its study is paused or stopped.
    """

    studies: Path
    backoff: float = 5.0
    longest: float = 300.0
    calm: float = 120.0
    grace: float = 60.0
    _tries: dict[str, _Tries] = field(default_factory=dict)

    def match(self, registry: Registry, control: Control) -> None:
        """Bring the SuperLink's runs to what the registry's studies ask for."""
        alive = [run for run in control.runs() if run.lives]
        shelf = StudyShelf(registry.connection)
        rows = shelf.all()
        homes = {str(self.studies / row.folder): row for row in rows}
        for run in alive:
            if run.home not in homes:
                LOG.info("run %d is not of a study of ours: stopped", run.id)
                control.stop(run.id)
        for home, row in homes.items():
            theirs = [run for run in alive if run.home == home]
            if row.state == "running":
                self._keep(registry, control, row, theirs)
            else:
                self._end(control, row, theirs)
        alarms = AlarmShelf(registry.connection)
        self._tell(alarms, rows)
        tell_lost(alarms, rows)

    def _tell(self, alarms: AlarmShelf, rows: Sequence[StudyRow]) -> None:
        """Raise or clear the alarm for studies whose runs keep dying."""
        failing = [r.name for r in rows if self._tries.get(r.identity, _Tries()).young > _YOUNG]
        if failing:
            names = ", ".join(failing)[:200]
            alarms.sound(
                FAILING, f"runs end soon after their start: {names}; see logs/serverapp.log"
            )
        else:
            alarms.clear(FAILING)

    def _keep(
        self, registry: Registry, control: Control, row: StudyRow, alive: Sequence[Run]
    ) -> None:
        """One run, the newest; another is started where there is none."""
        shelf = StudyShelf(registry.connection)
        tries = self._tries.setdefault(row.identity, _Tries())
        if alive:
            kept = next((run for run in alive if run.id == row.run), alive[0])
            for run in alive:
                if run.id != kept.id:
                    LOG.info("run %d is a second one of study %s: stopped", run.id, row.folder)
                    control.stop(run.id)
            if kept.id != row.run:  # started just before a keeper died
                shelf.set_run(row.identity, kept.id)
            if time.monotonic() - tries.began > self.calm:
                tries.young = 0
            return
        if time.monotonic() < tries.began + self._wait(tries):
            return
        self._start(registry, control, row, tries)

    def _wait(self, tries: _Tries) -> float:
        """Seconds from the last start to the next one."""
        if tries.young == 0:
            return 0.0
        return min(self.longest, self.backoff * 2.0 ** (tries.young - 1))

    def _start(self, registry: Registry, control: Control, row: StudyRow, tries: _Tries) -> None:
        lived = time.monotonic() - tries.began
        tries.young = 1 if not tries.began or lived > self.calm else tries.young + 1
        tries.began = time.monotonic()
        run = control.start(self.studies / row.folder)
        StudyShelf(registry.connection).set_run(row.identity, run)
        LOG.info("study %s: run %d started", row.folder, run)

    def _end(self, control: Control, row: StudyRow, alive: Sequence[Run]) -> None:
        """Give the ServerApp time to end by itself; then end it."""
        self._tries.pop(row.identity, None)
        changed = datetime.fromisoformat(row.changed)
        if (datetime.now(UTC) - changed).total_seconds() < self.grace:
            return
        for run in alive:
            LOG.info("study %s is %s: run %d stopped", row.folder, row.state, run.id)
            control.stop(run.id)


def tell_lost(alarms: AlarmShelf, rows: Sequence[StudyRow]) -> None:
    """Raise or clear the alarm for running studies whose last run ended for want of a quorum."""
    lost = [row for row in rows if row.state == "running" and row.lost]
    if not lost:
        alarms.clear(QUORUM)
        return
    told = "; ".join(f"study {row.name}: {row.lost}" for row in lost)
    words = "".join(c for c in told if c.isprintable())
    alarms.sound(QUORUM, words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}...")
