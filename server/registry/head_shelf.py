"""Heads: the newest line of each site's audit log that the server has countersigned.

A site whose log is shorter than what was signed, or differs at the same line, begins a new branch.
Branches count from 1; nothing is ever overwritten.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signed:
    """One countersigned head.

    Attributes:
        branch: from 1.
        lines: how many the log had.
        hash: of its last line, 64 hex digits; "" before the first.
        at: UTC, ISO 8601.
        signature: Ed25519 over "site\\nbranch\\nlines\\nhash\\nat".
    """

    branch: int
    lines: int
    hash: str
    at: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class HeadShelf:
    """Reads and writes countersigned heads."""

    connection: sqlite3.Connection

    def newest(self, site: str) -> Signed | None:
        """The last line of the newest branch; None before the first head."""
        row = self.connection.execute(
            "SELECT branch, lines, hash, at, signature FROM heads WHERE site = ? "
            "ORDER BY branch DESC, lines DESC LIMIT 1",
            (site,),
        ).fetchone()
        return Signed(*row) if row else None

    def add(self, site: str, head: Signed) -> None:
        """Keep a head.

        Raises:
            sqlite3.IntegrityError: that line of that branch was signed before.
        """
        self.connection.execute(
            "INSERT INTO heads (site, branch, lines, hash, at, signature) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (site, head.branch, head.lines, head.hash, head.at, head.signature),
        )

    def all(self, site: str) -> list[Signed]:
        """Every head of the site, by branch and line."""
        rows = self.connection.execute(
            "SELECT branch, lines, hash, at, signature FROM heads WHERE site = ? "
            "ORDER BY branch, lines",
            (site,),
        )
        return [Signed(*row) for row in rows]
