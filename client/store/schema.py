"""The tables of a site's database, as a list of migrations that only ever grows.

All that a database lacks run in one transaction together with the number that records them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

_FIRST = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE patients (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    number REAL NOT NULL CHECK (number >= 0 AND number < 1),
    excluded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE cases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- a purged case's id never comes back to another
    key TEXT NOT NULL UNIQUE,
    patient INTEGER NOT NULL REFERENCES patients (id),
    split TEXT NOT NULL CHECK (split IN ('pool', 'locked')),
    row INTEGER NOT NULL
);
CREATE INDEX cases_of_patient ON cases (patient);
CREATE TABLE locked (
    "case" INTEGER PRIMARY KEY REFERENCES cases (id),
    value TEXT NOT NULL
);
CREATE TABLE studies (
    identity TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    weights TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE grants (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (study, cycle, sequence)
);
CREATE TABLE openings (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    position INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'explore', 'audit')),
    probs TEXT,
    PRIMARY KEY (study, cycle, position),
    UNIQUE (study, cycle, "case")
);
CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'explore', 'audit')),
    reader TEXT NOT NULL,
    at TEXT NOT NULL,
    seconds REAL NOT NULL CHECK (seconds >= 0),
    answer TEXT NOT NULL CHECK (answer IN ('answered', 'unsure', 'unreadable')),
    value TEXT NOT NULL
);
CREATE INDEX readings_of_case ON readings (study, "case");
CREATE TABLE purging ("case" INTEGER PRIMARY KEY);
CREATE TABLE tombstones (key TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TRIGGER readings_are_never_changed BEFORE UPDATE ON readings
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER readings_are_never_replaced BEFORE INSERT ON readings
WHEN EXISTS (SELECT 1 FROM readings WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER readings_leave_only_by_a_purge BEFORE DELETE ON readings
WHEN NOT EXISTS (SELECT 1 FROM purging WHERE "case" = OLD."case")
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TABLE labels (
    study TEXT NOT NULL REFERENCES studies (identity),
    "case" INTEGER NOT NULL REFERENCES cases (id),
    target TEXT NOT NULL,
    readings INTEGER NOT NULL,
    PRIMARY KEY (study, "case")
);
CREATE TABLE steps (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    payload TEXT NOT NULL,
    reply BLOB,
    at TEXT NOT NULL,
    PRIMARY KEY (study, cycle, step, round, sequence)
);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)


class SchemaTooNew(RuntimeError):
    """The database was written by a newer wardround."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest schema.

    Raises:
        SchemaTooNew: it is ahead of this code.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # and look again: another process may have migrated
    try:
        for number in range(_version(connection), len(MIGRATIONS)):
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"the database has schema {version}, this wardround knows up to {len(MIGRATIONS)}"
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one; `executescript` would commit what is open."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
