"""Where the pixels of imported cases are: sealed locators, pins of what each case consists of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Located:
    """A case's place as the database keeps it.

    Attributes:
        key: of the case.
        sealed: its locator, encrypted.
        instances: pin of the exact list of what it consists of.
        facts: JSON of closed words.
    """

    key: str
    sealed: bytes
    instances: str
    facts: str = "{}"


@dataclass(frozen=True, slots=True)
class Place:
    """A locator as it is looked up for reading.

    Attributes:
        case: id.
        row: of the case.
        located: what was kept.
        trouble: why it could not be read; "" if it can.
    """

    case: int
    row: int
    located: Located
    trouble: str


@dataclass(frozen=True, slots=True)
class LocatorShelf:
    """Reads and writes locators, and tells an import what is known already."""

    connection: sqlite3.Connection

    def put(self, located: Iterable[Located], at: str) -> None:
        """Keep locators by case key, over those there; a case that is not there gets none."""
        self.connection.executemany(
            'INSERT OR REPLACE INTO locators ("case", sealed, instances, facts, imported) '
            "SELECT id, ?, ?, ?, ? FROM cases WHERE key = ?",
            [(one.sealed, one.instances, one.facts, at, one.key) for one in located],
        )

    def of_rows(self, rows: Sequence[int]) -> dict[int, Place]:
        """The places of those rows that have one; those of excluded patients, too."""
        found = self.connection.execute(
            "SELECT cases.id, row, key, sealed, instances, facts, trouble FROM locators "
            'JOIN cases ON cases.id = "case" WHERE row IN (SELECT value FROM json_each(?))',
            (json.dumps([int(row) for row in rows]),),
        )
        return {
            row: Place(case, row, Located(key, sealed, pin, facts), trouble)
            for case, row, key, sealed, pin, facts, trouble in found
        }

    def known(self, key: str) -> Place | None:
        """The place of a case by its key; None where it has none."""
        row = self.connection.execute(
            'SELECT row FROM cases JOIN locators ON "case" = cases.id WHERE key = ?', (key,)
        ).fetchone()
        return self.of_rows([row[0]]).get(row[0]) if row else None

    def note_trouble(self, rows: Sequence[int], trouble: str) -> None:
        """Keep why these rows cannot be read; they are in no pool until an import clears it."""
        self.connection.execute(
            'UPDATE locators SET trouble = ? WHERE "case" IN '
            "(SELECT id FROM cases WHERE row IN (SELECT value FROM json_each(?)))",
            (trouble, json.dumps([int(row) for row in rows])),
        )

    def troubled(self) -> bool:
        """Whether any case could not be read."""
        sql = "SELECT 1 FROM locators WHERE trouble != '' LIMIT 1"
        return self.connection.execute(sql).fetchone() is not None

    def exists(self, case: int) -> bool:
        """Whether the case (by id) still has a place."""
        sql = 'SELECT 1 FROM locators WHERE "case" = ?'
        return self.connection.execute(sql, (case,)).fetchone() is not None

    def gone(self, key: str) -> bool:
        """Whether a case or a patient of that key was purged here."""
        sql = "SELECT 1 FROM tombstones WHERE key = ?"
        return self.connection.execute(sql, (key,)).fetchone() is not None

    def split_of(self, patient: str) -> str:
        """The split of a patient's cases (by patient key); "" where there are none."""
        row = self.connection.execute(
            "SELECT split FROM cases JOIN patients ON patients.id = patient "
            "WHERE patients.key = ? LIMIT 1",
            (patient,),
        ).fetchone()
        return str(row[0]) if row else ""

    def next_row(self) -> int:
        """A row that no case has."""
        found = self.connection.execute("SELECT coalesce(max(row), -1) + 1 FROM cases").fetchone()
        return int(found[0])
