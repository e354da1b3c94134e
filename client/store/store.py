"""`SiteStore`: opening the database, transactions, and the shelves that the rest of a site uses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.store.case_shelf import CaseShelf
from client.store.reading_shelf import ReadingShelf
from client.store.schema import migrate
from client.store.step_shelf import StepShelf


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class SiteStore:
    """One site's SQLite file.

    Attributes:
        cases: patients and cases, their splits, exclusion and purge.
        readings: openings, answers and the labels made of them.
        steps: approved studies, epochs, and the answer to every step.
    """

    connection: sqlite3.Connection
    cases: CaseShelf
    readings: ReadingShelf
    steps: StepShelf

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> SiteStore:
        """The store in that file, made or migrated as needed.

        Args:
            path: of the database; its folder must exist.
            durable: what is committed survives a power cut (a sync to disk with every commit);
                without it, as in simulations, it survives the death of any process.
        """
        connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys = ON")
        # else INSERT OR REPLACE would pass by the trigger that guards readings
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.execute("PRAGMA cache_size = -512")  # KiB; a machine may hold hundreds of sites
        migrate(connection)
        return cls(
            connection, CaseShelf(connection), ReadingShelf(connection), StepShelf(connection)
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the only way anything is written."""
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
