"""`Registry`: the database that the server's processes share; opening, transactions, shelves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from daemons.migrations import migrate
from server.registry.schema import MIGRATIONS


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def to_column(number: int | None) -> int | None:
    """Flower's 64 bit number, which has no sign, as SQLite's 64 bit number, which has one."""
    return number if number is None or number < 1 << 63 else number - (1 << 64)


def from_column(number: int | None) -> int | None:
    """The number that `to_column` was given."""
    return number if number is None or number >= 0 else number + (1 << 64)


@dataclass(frozen=True, slots=True)
class Registry:
    """One server's `registry.db`. Several processes have it open at once.

    The shelves of this package take its `connection`: `SiteShelf(registry.connection)`.
    """

    connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path) -> Registry:
        """The registry in that file, made or migrated as needed; its folder must exist.

        Raises:
            SchemaTooNew: a newer wardround wrote it.
        """
        connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, MIGRATIONS)
        return cls(connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        self.connection.close()
