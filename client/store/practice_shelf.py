"""The site's practice cases, and what readers answered to them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.records import Answer


@dataclass(frozen=True, slots=True)
class PracticeCase:
    """A case whose answer is known, on which readers practise.

    Attributes:
        case: its id in the database.
        value: 0 or 1 by class name.
        words: shown with the answer; may be "".
    """

    case: int
    value: Mapping[str, int]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a reader answered to a practice case.

    Attributes:
        value: (classes,) of 0 and 1 in the study's order; empty unless answered.
    """

    case: int
    answer: Answer
    value: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PracticeShelf:
    """Reads and writes practice cases. Their patients are in no pool and in no audit set."""

    connection: sqlite3.Connection

    def put(self, case: PracticeCase) -> None:
        """Add a case, or change its answer; its patient leaves every pool and audit set."""
        self.connection.execute(
            "INSERT OR REPLACE INTO practice VALUES (?, ?, ?)",
            (case.case, json.dumps(dict(case.value)), case.words),
        )
        self.connection.execute(
            "UPDATE patients SET practising = 1 "
            "WHERE id = (SELECT patient FROM cases WHERE id = ?)",
            (case.case,),
        )

    def take_away(self, case: int) -> bool:
        """Whether it was a practice case; its patient is free again if nobody practised on them."""
        found = self.connection.execute('DELETE FROM practice WHERE "case" = ?', (case,))
        self.connection.execute(
            "UPDATE patients SET practising = 0 "
            "WHERE id = (SELECT patient FROM cases WHERE id = :case) "
            "AND NOT EXISTS (SELECT 1 FROM cases c "
            'WHERE c.patient = patients.id AND (c.id IN (SELECT "case" FROM practice) '
            'OR c.id IN (SELECT "case" FROM practised)))',
            {"case": case},
        )
        return found.rowcount > 0

    def every(self) -> list[PracticeCase]:
        """All practice cases of patients who are not excluded, by id."""
        rows = self.connection.execute(
            'SELECT "case", value, words FROM practice JOIN cases ON cases.id = "case" '
            'JOIN patients ON patients.id = patient WHERE NOT excluded ORDER BY "case"'
        )
        return [PracticeCase(case, json.loads(value), words) for case, value, words in rows]

    def free(self, case: int) -> bool:
        """Whether a case may become one: in the pool, and no study has had its patient's cases."""
        row = self.connection.execute(
            "SELECT split = 'pool' AND NOT excluded AND NOT EXISTS ("
            "SELECT 1 FROM cases other WHERE other.patient = patients.id AND ("
            "other.split != 'pool' "
            'OR EXISTS (SELECT 1 FROM openings o WHERE o."case" = other.id) '
            'OR EXISTS (SELECT 1 FROM readings r WHERE r."case" = other.id) '
            'OR EXISTS (SELECT 1 FROM labels b WHERE b."case" = other.id))) '
            "FROM cases JOIN patients ON patients.id = cases.patient WHERE cases.id = ?",
            (case,),
        ).fetchone()
        return bool(row and row[0])

    def kept_apart(self, cases: Sequence[int]) -> frozenset[int]:
        """Those of these cases that may not be asked: their patients practise, or have left."""
        rows = self.connection.execute(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT cases.id FROM cases "
            "JOIN patients ON patients.id = patient WHERE NOT excluded AND NOT practising)",
            (json.dumps(cases),),
        )
        return frozenset(row[0] for row in rows)

    def tried(self, study: str, reader: str) -> list[Tried]:
        """What a reader answered to practice cases before a study, in the order it was given."""
        rows = self.connection.execute(
            'SELECT "case", answer, value FROM practised '
            "WHERE study = ? AND reader = ? ORDER BY rowid",
            (study, reader),
        )
        return [Tried(case, answer, tuple(json.loads(value))) for case, answer, value in rows]

    def keep(self, study: str, reader: str, tried: Tried, at: str) -> None:
        """Keep an answer to a practice case."""
        self.connection.execute(
            "INSERT INTO practised VALUES (?, ?, ?, ?, ?, ?)",
            (study, reader, tried.case, at, tried.answer, json.dumps(list(tried.value))),
        )

    def has_read(self, study: str, reader: str) -> bool:
        """Whether a reader has answered a real case of a study."""
        row = self.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM readings WHERE study = ? AND reader = ?)",
            (study, reader),
        ).fetchone()
        return bool(row[0])
