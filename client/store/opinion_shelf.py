"""What the model said of opened cases, and who changed their mind on seeing it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.records import Answer, Purpose


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the global model said of a case when it was opened. Nobody sees it before answering.

    Attributes:
        case: its id in the database.
        probs: (classes,).
        why: why the case was asked for, in words.
        saliency: rows x columns of 0 to 255, row by row: what spoke for the likeliest class; empty
            where the network or the case has no such map.
        rows: of the saliency; 0 where it is empty.
    """

    case: int
    probs: tuple[float, ...]
    why: str
    saliency: bytes = b""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """A reader's answer to a case, one that they did not take back.

    Attributes:
        id: of the reading.
        cycle: in which it was given.
    """

    id: int
    cycle: int
    purpose: Purpose
    adjudicating: bool
    answer: Answer
    value: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpinionShelf:
    """Reads and writes opinions and finds changed minds."""

    connection: sqlite3.Connection

    def put(self, study: str, cycle: int, opinions: Sequence[Opinion]) -> None:
        """Keep the opinions of cases that are opened in the same transaction."""
        self.connection.executemany(
            "INSERT INTO opinions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (study, cycle, o.case, json.dumps(o.probs), o.why, o.saliency, o.rows)
                for o in opinions
            ],
        )

    def of(self, study: str, cycle: int, case: int) -> Opinion | None:
        """The opinion of a case in a cycle; None where the model had none."""
        row = self.connection.execute(
            'SELECT "case", probs, why, saliency, rows FROM opinions '
            'WHERE study = ? AND cycle = ? AND "case" = ?',
            (study, cycle, case),
        ).fetchone()
        return Opinion(row[0], tuple(json.loads(row[1])), *row[2:]) if row else None

    def first(self, study: str, case: int, reader: str) -> Own | None:
        """The reader's first answer to a case, blind."""
        return self._own("standing", study, case, reader)

    def again(self, study: str, case: int, reader: str) -> Own | None:
        """The reader's answer to a case that came back to them unmarked."""
        return self._own("repeated", study, case, reader)

    def changed(self, study: str, case: int, reader: str) -> Own | None:
        """The reader's changed mind about a case, the newest one."""
        return self._own("changed", study, case, reader)

    def came_back(self, study: str, cycle: int, reader: str) -> list[int]:
        """The cases that came back to a reader in a cycle and that they answered; of nobody who
        is excluded.
        """
        rows = self.connection.execute(
            'SELECT "case" FROM repeated JOIN cases ON cases.id = "case" '
            "JOIN patients ON patients.id = patient "
            "WHERE study = ? AND cycle = ? AND reader = ? AND NOT excluded",
            (study, cycle, reader),
        )
        return [row[0] for row in rows]

    def withdraw(self, reading: int, case: int, at: str) -> None:
        """Take a changed mind back: it stays, and counts no longer."""
        self.connection.execute("INSERT INTO withdrawals VALUES (?, ?, ?)", (reading, case, at))

    def seen_since(self, study: str, case: int, reader: str) -> str:
        """When a reader was first shown the opinion, ISO 8601; "" where they were not."""
        row = self.connection.execute(
            "SELECT at FROM shown WHERE what = 'model' "
            'AND study = ? AND "case" = ? AND reader = ?',
            (study, case, reader),
        ).fetchone()
        return str(row[0]) if row else ""

    def _own(self, view: str, study: str, case: int, reader: str) -> Own | None:
        row = self.connection.execute(
            f"SELECT id, cycle, purpose, adjudicating, answer, value FROM {view} "  # noqa: S608  # ours
            'WHERE study = ? AND "case" = ? AND reader = ? ORDER BY id DESC LIMIT 1',
            (study, case, reader),
        ).fetchone()
        if row is None:
            return None
        number, cycle, purpose, settles, answer, value = row
        return Own(number, cycle, purpose, bool(settles), answer, tuple(json.loads(value)))
