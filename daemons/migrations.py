"""Bringing a SQLite database to the newest schema, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence


class SchemaTooNew(RuntimeError):
    """The database was written by a newer wardround."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Run the scripts that the database lacks, in one transaction with the number that counts them.

    Raises:
        SchemaTooNew: it is ahead of this code.
    """
    if _version(connection, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")  # and look again: another process may have migrated
    try:
        for number in range(_version(connection, len(migrations)), len(migrations)):
            for statement in _statements(migrations[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, known: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > known:
        raise SchemaTooNew(f"the database has schema {version}, this wardround knows up to {known}")
    return version


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one; `executescript` would commit what is open."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
