"""Who has which case on the screen, what was taken back, and who was shown more than the image."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from protocol.records import Answer, Stage


@dataclass(frozen=True, slots=True)
class Lease:
    """A case that one reader has on the screen; nobody else gets it before `until`.

    Attributes:
        since: when it began, seconds since 1970, as `until`.
        stage: "repeat" where the case came back to a reader; such a lease keeps nobody from it.
    """

    study: str
    cycle: int
    case: int
    reader: str
    since: float
    until: float
    stage: Stage = "blind"

    @property
    def place(self) -> tuple[str, int, int, Stage]:
        """Of what turn: study, cycle, case, stage."""
        return self.study, self.cycle, self.case, self.stage


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading as the room needs it again: to answer a repetition, to undo, to adjudicate."""

    id: int
    study: str
    cycle: int
    case: int
    reader: str
    answer: Answer
    value: tuple[int, ...]
    confidence: int | None
    reason: str
    comment: str
    stage: Stage
    adjudicating: bool
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class LeaseShelf:
    """Reads and writes leases and withdrawals."""

    connection: sqlite3.Connection

    def put(self, lease: Lease) -> None:
        """Let a reader have a case; the one they had before is free again.

        The caller has looked, in the same transaction, that nobody else has it.
        """
        self.connection.execute("DELETE FROM leases WHERE reader = ?", (lease.reader,))
        self.connection.execute(
            "DELETE FROM leases WHERE study = ? AND cycle = ? AND until <= ?",
            (lease.study, lease.cycle, lease.since),
        )
        self.connection.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(lease.study, lease.cycle, lease.case, lease.reader),
                *(lease.since, lease.until, lease.stage),
            ),
        )

    def renew(self, reader: str, until: float) -> None:
        """Let a reader keep the case until then."""
        self.connection.execute("UPDATE leases SET until = ? WHERE reader = ?", (until, reader))

    def drop(self, reader: str) -> None:
        """End the reader's lease, if there is one."""
        self.connection.execute("DELETE FROM leases WHERE reader = ?", (reader,))

    def of(self, reader: str) -> Lease | None:
        """The reader's lease, also one that is over but that nobody has taken up since."""
        row = self.connection.execute("SELECT * FROM leases WHERE reader = ?", (reader,)).fetchone()
        return Lease(*row) if row else None

    def alive(self, study: str, cycle: int, at: float) -> Mapping[int, str]:
        """The cases of a cycle that somebody has on the screen, and who; no repeats."""
        rows = self.connection.execute(
            'SELECT "case", reader FROM leases WHERE study = ? AND cycle = ? AND until > ? '
            "AND stage = 'blind'",
            (study, cycle, at),
        )
        return dict(rows.fetchall())

    def under_way(self, study: str, cycle: int, at: float) -> frozenset[str]:
        """Who has a case of a cycle on the screen, repeats too: each will spend a reading."""
        rows = self.connection.execute(
            "SELECT reader FROM leases WHERE study = ? AND cycle = ? AND until > ?",
            (study, cycle, at),
        )
        return frozenset(row[0] for row in rows)

    def repeating(self, study: str, cycle: int, at: float) -> int:
        """How many have a case on the screen that came back to them."""
        row = self.connection.execute(
            "SELECT count(*) FROM leases WHERE study = ? AND cycle = ? AND until > ? "
            "AND stage = 'repeat'",
            (study, cycle, at),
        ).fetchone()
        return int(row[0])

    def submitted(self, submission: str) -> Kept | None:
        """The reading that the page sent under that key."""
        return self._one("submission = ?", submission)

    def latest(self, study: str, cycle: int, reader: str) -> Kept | None:
        """What the reader answered last in a cycle, withdrawn or not; no changed mind."""
        clause = "study = ? AND cycle = ? AND reader = ? AND stage != 'after-ai' ORDER BY id DESC"
        return self._one(clause, study, cycle, reader)

    def standing(self, study: str, cycle: int, case: int) -> list[Kept]:
        """The readings of a case that count, in the order they were given: first answers."""
        clause = """study = ? AND cycle = ? AND "case" = ? AND stage = 'blind' ORDER BY id"""
        return [k for k in self._kept(clause, study, cycle, case) if not k.withdrawn]

    def withdraw(self, reading: Kept, at: str) -> None:
        """Take a reading back: it stays, and counts no longer."""
        self.connection.execute(
            "INSERT INTO withdrawals VALUES (?, ?, ?)", (reading.id, reading.case, at)
        )

    def owed(self, study: str, cycle: int) -> Mapping[tuple[int, str], int]:
        """Withdrawn readings that nothing stands for yet, by case and reader: paid already."""
        rows = self.connection.execute(
            'SELECT r."case", r.reader, r.id '
            "FROM withdrawals w CROSS JOIN readings r ON r.id = w.reading "  # few are taken back
            "WHERE r.study = ? AND r.cycle = ? "
            "AND r.stage = 'blind' "
            "AND NOT EXISTS (SELECT 1 FROM readings n WHERE n.replaces = r.id)",
            (study, cycle),
        )
        return {(case, reader): reading for case, reader, reading in rows}

    def disagreeing(self, study: str, cycle: int) -> frozenset[int]:
        """Cases whose readers answered differently and that nobody has adjudicated."""
        rows = self.connection.execute(
            'SELECT "case" FROM standing WHERE study = ? AND cycle = ? GROUP BY "case" '
            "HAVING count(DISTINCT CASE WHEN answer = 'answered' THEN value END) > 1 "
            "AND max(adjudicating) = 0",
            (study, cycle),
        )
        return frozenset(row[0] for row in rows)

    def show(
        self, study: str, case: int, reader: str, what: Literal["readings", "model"], at: str
    ) -> None:
        """Remember that a reader was shown others' readings, or the model's opinion, of a case."""
        self.connection.execute(
            "INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?, ?)", (study, case, reader, what, at)
        )

    def shown(self, study: str, case: int) -> frozenset[tuple[str, str]]:
        """Who was shown what of a case besides the image."""
        rows = self.connection.execute(
            'SELECT reader, what FROM shown WHERE study = ? AND "case" = ?', (study, case)
        )
        return frozenset(rows.fetchall())

    def _one(self, clause: str, *arguments: object) -> Kept | None:
        found = self._kept(f"{clause} LIMIT 1", *arguments)
        return found[0] if found else None

    def _kept(self, clause: str, *arguments: object) -> list[Kept]:
        rows = self.connection.execute(
            'SELECT id, study, cycle, "case", reader, answer, value, confidence, reason, '  # noqa: S608  # our constants
            "comment, stage, adjudicating, "
            "EXISTS (SELECT 1 FROM withdrawals WHERE reading = readings.id) "
            f"FROM readings WHERE {clause}",
            arguments,
        )
        return [_kept_of(row) for row in rows]


def _kept_of(row: tuple[Any, ...]) -> Kept:
    told = dict(zip(Kept.__dataclass_fields__, row, strict=True))
    told["value"] = tuple(json.loads(told["value"]))
    told["adjudicating"], told["withdrawn"] = bool(row[-2]), bool(row[-1])
    return Kept(**told)
