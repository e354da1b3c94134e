"""Cycles at a site: which is the newest, and which take no further reading."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CycleShelf:
    """Reads grants, reads and writes closings."""

    connection: sqlite3.Connection

    def newest(self, study: str) -> int | None:
        """The last cycle that has a grant; None before the first."""
        row = self.connection.execute(
            "SELECT max(cycle) FROM grants WHERE study = ?", (study,)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def close(self, study: str, cycle: int, at: str) -> None:
        """Let the cycle's grant take no further reading; closing it again changes nothing."""
        self.connection.execute(
            "INSERT OR IGNORE INTO closings VALUES (?, ?, ?)", (study, cycle, at)
        )

    def closed(self, study: str, cycle: int) -> bool:
        """Whether the cycle takes no further reading: it was closed, or a later one has a grant."""
        row = self.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM closings WHERE study = :study AND cycle = :cycle) "
            "OR EXISTS (SELECT 1 FROM grants WHERE study = :study AND cycle > :cycle)",
            {"study": study, "cycle": cycle},
        ).fetchone()
        return bool(row[0])
