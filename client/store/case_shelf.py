"""Patients and cases: enrolment, the pool, the audit set, exclusion and purge."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices

_TRAINABLE = """
    FROM cases JOIN patients ON patients.id = cases.patient
    WHERE split = 'pool' AND NOT excluded AND NOT practising AND number >= :share
"""
_AUDIT = """
    FROM cases JOIN patients ON patients.id = cases.patient
    WHERE split = 'pool' AND NOT excluded AND NOT practising AND number < :share
"""
_UNREAD = (
    ' AND NOT EXISTS (SELECT 1 FROM standing r WHERE r.study = :study AND r."case" = cases.id)'
)
_UNOPENED = """ AND NOT EXISTS (
    SELECT 1 FROM openings o WHERE o.study = :study AND o.cycle = :cycle AND o."case" = cases.id)"""
_READABLE = """ AND NOT EXISTS (
    SELECT 1 FROM locators l WHERE l."case" = cases.id AND l.trouble != '')"""

_LEAVES_BEHIND = (
    # what the readings cost stays spent
    """
    INSERT INTO purged_work
    SELECT study, cycle, count(*) - count(replaces),
        sum(purpose = 'audit' AND replaces IS NULL), sum(seconds), 0
    FROM readings WHERE "case" = ? AND stage != 'after-ai' GROUP BY study, cycle
    ON CONFLICT (study, cycle) DO UPDATE SET readings = readings + excluded.readings,
        audit = audit + excluded.audit, seconds = seconds + excluded.seconds""",
    # no other case gets its place: an answer that is under way would be kept for that one
    """
    INSERT INTO purged_work
    SELECT study, cycle, 0, 0, 0.0, position + 1 FROM openings WHERE "case" = ?
    ON CONFLICT (study, cycle) DO UPDATE SET positions = max(positions, excluded.positions)""",
)

_ABOUT_A_CASE = (
    "drafts",
    "practised",
    "practice",
    "opinions",
    "shown",
    "leases",
    "withdrawals",
    "readings",
    "labels",
    "openings",
    "locked",
    "locators",
)
_LEAVES = tuple(f'DELETE FROM {table} WHERE "case" = ?' for table in _ABOUT_A_CASE)  # noqa: S608


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One case as it enters the store: keyed already, so no name reaches the database."""

    key: str
    patient: str
    number: float
    split: str
    row: int


@dataclass(frozen=True, slots=True)
class CaseShelf:
    """Reads and writes patients and cases. Case ids are the database's own, in order of entry."""

    connection: sqlite3.Connection

    def enrol(self, cases: Iterable[Enrolled]) -> int:
        """How many cases were new; those known already, or purged once, are left alone.

        Raises:
            ValueError: a patient would have cases in two splits.
        """
        gone = {row[0] for row in self.connection.execute("SELECT key FROM tombstones")}
        new = 0
        for case in cases:
            if case.key in gone or case.patient in gone:
                continue
            self.connection.execute(
                "INSERT INTO patients (key, number) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                (case.patient, case.number),
            )
            before = self.connection.total_changes
            self.connection.execute(
                "INSERT INTO cases (key, patient, split, row) "
                "SELECT :key, id, :split, :row FROM patients WHERE key = :patient "
                "AND NOT EXISTS (SELECT 1 FROM cases WHERE key = :key)",
                {"key": case.key, "split": case.split, "row": case.row, "patient": case.patient},
            )
            new += self.connection.total_changes - before
        self._refuse_two_splits()
        return new

    def _refuse_two_splits(self) -> None:
        found = self.connection.execute(
            "SELECT count(*) FROM (SELECT patient FROM cases GROUP BY patient "
            "HAVING count(DISTINCT split) > 1)"
        ).fetchone()
        if found[0]:
            raise ValueError(
                f"{found[0]} patients with cases in two splits; accepted is one split per patient"
            )

    def lock(self, targets: Iterable[tuple[str, Sequence[int]]]) -> None:
        """Record the known answers of locked test cases, by case key."""
        self.connection.executemany(
            'INSERT OR REPLACE INTO locked ("case", value) SELECT id, ? FROM cases WHERE key = ?',
            [(json.dumps([int(v) for v in value]), key) for key, value in targets],
        )

    def pool(self, study: str, share: float, cycle: int) -> Indices:
        """Ids of cases that nobody was asked about: not read in this study, not open this cycle.

        Args:
            study: its identity.
            share: the study's share of audit patients; they are never in a pool.
            cycle: the current one.
        """
        arguments = {"study": study, "share": share, "cycle": cycle}
        return self._ids(f"{_TRAINABLE}{_UNREAD}{_UNOPENED}{_READABLE}", arguments)

    def audit_left(self, study: str, share: float, cycle: int) -> Indices:
        """Ids of audit cases that nobody has read, and that are not open this cycle.

        They come by case key, and keys are HMACs: a random order that no strategy has touched.
        """
        arguments = {"study": study, "share": share, "cycle": cycle}
        return self._ids(f"{_AUDIT}{_UNREAD}{_UNOPENED}{_READABLE}", arguments, "key")

    def rows(self, ids: Indices) -> Indices:
        """The source's row of each case, in the order given."""
        return np.array(self._column("row", ids), dtype=np.int64)

    def patients(self, ids: Indices) -> Indices:
        """The patient's number in the database of each case, in the order given."""
        return np.array(self._column("patient", ids), dtype=np.int64)

    def keys_of(self, ids: Indices | Sequence[int]) -> list[str]:
        """The case key of each case, in the order given."""
        return self._column("key", ids)

    def locked(self) -> tuple[Indices, NDArray[np.uint8]]:
        """Ids of locked test cases and their (n, classes) answers. For the evaluate step alone."""
        found = self.connection.execute(
            'SELECT "case", value FROM locked JOIN cases ON cases.id = "case" '
            'JOIN patients ON patients.id = patient WHERE NOT excluded ORDER BY "case"'
        ).fetchall()
        ids = np.array([row[0] for row in found], dtype=np.int64)
        return ids, np.array([json.loads(row[1]) for row in found], dtype=np.uint8)

    def of_patient(self, patient: str) -> Indices:
        """Ids of a patient's cases (by patient key), by id."""
        rows = self.connection.execute(
            "SELECT cases.id FROM cases JOIN patients ON patients.id = patient "
            "WHERE patients.key = ? ORDER BY cases.id",
            (patient,),
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def exclude(self, patient: str) -> int:
        """How many cases left pool, training and audit with a patient (by patient key)."""
        self.connection.execute("UPDATE patients SET excluded = 1 WHERE key = ?", (patient,))
        return int(self.of_patient(patient).size)

    def purge(self, patient: str, at: str) -> int:
        """Remove a patient with every case, reading and label; tombstones and sums stay.

        Returns: how many cases were removed.
        """
        sql = self.connection.execute
        ids = [int(i) for i in self.of_patient(patient)]
        for case, key in zip(ids, self.keys_of(ids), strict=True):
            sql('INSERT INTO purging ("case") VALUES (?)', (case,))
            for statement in (*_LEAVES_BEHIND, *_LEAVES):
                sql(statement, (case,))
            sql("DELETE FROM cases WHERE id = ?", (case,))
            sql("INSERT OR IGNORE INTO tombstones (key, at) VALUES (?, ?)", (key, at))
        sql("DELETE FROM patients WHERE key = ?", (patient,))
        sql("INSERT OR IGNORE INTO tombstones (key, at) VALUES (?, ?)", (patient, at))
        sql("DELETE FROM purging")
        return len(ids)

    def ids(self, keys: Sequence[str]) -> Indices:
        """The id of each case key that is known, by id."""
        rows = self.connection.execute(
            "SELECT id FROM cases WHERE key IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(keys)),),
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def fact(self, name: str, default: str = "") -> str:
        """A fact about the source, such as whether it names patients."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_fact(self, name: str, value: str) -> None:
        """Record a fact about the source."""
        self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _column(self, name: str, ids: Indices | Sequence[int]) -> list[Any]:
        """One column of these cases, in the order given."""
        rows = self.connection.execute(
            f"SELECT id, {name} FROM cases WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608  # fixed names
            (json.dumps([int(i) for i in ids]),),
        )
        found = dict(rows.fetchall())
        return [found[int(i)] for i in ids]

    def _ids(self, clause: str, arguments: dict[str, object], order: str = "id") -> Indices:
        sql = f"SELECT cases.id {clause} ORDER BY cases.{order}"  # clauses are our own constants
        return np.array([row[0] for row in self.connection.execute(sql, arguments)], dtype=np.int64)
