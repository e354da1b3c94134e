"""The studies that were submitted to this server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from server.registry.registry import from_column, now, to_column

_COLUMNS = "identity, name, folder, weights, asked_by, sites, state, run, submitted, changed, lost"
STATES = ("running", "paused", "stopped", "ended", "failed")
OPEN = ("running", "paused")
"""States of a study that may still ask its sites for something."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One submitted study.

    Attributes:
        identity: the study's hash.
        name: as the study file says.
        folder: under `studies/` of the home.
        weights: hash of the first weights.
        asked_by: the study lead, as sites read it.
        sites: names, in site order.
        state: one of `STATES`.
        run: Flower's id of the newest run; None before the first.
        submitted: UTC, ISO 8601.
        changed: when the state last changed; UTC, ISO 8601.
        lost: why its last run ended without a quorum; "" once the study goes on.
    """

    identity: str
    name: str
    folder: str
    weights: str
    asked_by: str
    sites: tuple[str, ...]
    state: str = "running"
    run: int | None = None
    submitted: str = ""
    changed: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True)
class StudyShelf:
    """Table `studies`."""

    connection: sqlite3.Connection

    def add(self, row: StudyRow) -> None:
        """A new study, submitted now."""
        at = now()
        self.connection.execute(
            f"INSERT INTO studies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')",  # noqa: S608 - fixed names
            (
                row.identity,
                row.name,
                row.folder,
                row.weights,
                row.asked_by,
                json.dumps(list(row.sites)),
                row.state,
                to_column(row.run),
                at,
                at,
            ),
        )

    def all(self) -> list[StudyRow]:
        """Every study, in the order of their submission."""
        return self._rows("ORDER BY submitted, rowid")

    def get(self, identity: str) -> StudyRow | None:
        """The study with that identity, if there is one."""
        return next(iter(self._rows("WHERE identity = ?", identity)), None)

    def find(self, asked: str) -> StudyRow:
        """The one study of that name, or whose identity begins so.

        Raises:
            ValueError: there is none, or more than one.
        """
        found = [r for r in self.all() if asked and r.identity.startswith(asked)]
        found = found or [r for r in self.all() if r.name == asked]
        if len(found) != 1:
            known = ", ".join(f"{r.identity[:12]} ({r.name})" for r in found or self.all())
            many = f"{len(found)} studies" if found else "no study"
            raise ValueError(f"{asked!r} names {many}; accepted is one of: {known or 'none yet'}")
        return found[0]

    def move(self, identity: str, state: str, since: Sequence[str] = STATES) -> bool:
        """Put the study into a state if it is in one of `since`; whether it was.

        When a pause begins and ends is kept.
        """
        marks, at = ", ".join("?" * len(since)), now()
        done = self.connection.execute(
            "UPDATE studies SET state = ?, changed = ? WHERE identity = ? "  # noqa: S608 - fixed names
            f"AND state IN ({marks})",
            (state, at, identity, *since),
        )
        if done.rowcount != 1:
            return False
        if state != "paused":
            self.connection.execute(
                "UPDATE pauses SET ended = ? WHERE study = ? AND ended IS NULL", (at, identity)
            )
        else:
            self.connection.execute(
                "INSERT INTO pauses (study, began) SELECT :study, :at WHERE NOT EXISTS "
                "(SELECT 1 FROM pauses WHERE study = :study AND ended IS NULL)",
                {"study": identity, "at": at},
            )
        return True

    def paused(self, identity: str, since: datetime) -> timedelta:
        """For how long the study was paused since then, a pause that goes on included."""
        rows = self.connection.execute(
            "SELECT began, coalesce(ended, ?) FROM pauses WHERE study = ?", (now(), identity)
        )
        spans = [
            datetime.fromisoformat(ended) - max(since, datetime.fromisoformat(began))
            for began, ended in rows
        ]
        return sum((span for span in spans if span > timedelta()), timedelta())

    def note_lost(self, identity: str, words: str) -> None:
        """Remember why the last run had no quorum; "" once the study goes on."""
        self.connection.execute(
            "UPDATE studies SET lost = :words WHERE identity = :study AND lost != :words",
            {"words": words, "study": identity},
        )

    def set_run(self, identity: str, run: int) -> None:
        """Remember the newest run."""
        self.connection.execute(
            "UPDATE studies SET run = ? WHERE identity = ?", (to_column(run), identity)
        )

    def _rows(self, clause: str, *values: Any) -> list[StudyRow]:
        found = self.connection.execute(f"SELECT {_COLUMNS} FROM studies {clause}", values)  # noqa: S608 - fixed names
        return [self._row(*row) for row in found.fetchall()]

    @staticmethod
    def _row(*cells: Any) -> StudyRow:
        row = StudyRow(*cells)
        return replace(row, sites=tuple(json.loads(cells[5])), run=from_column(row.run))
