"""What one person has read, for their own eyes. Never leaves the site."""

from __future__ import annotations

import sqlite3


def worked_since(connection: sqlite3.Connection, reader: str, at: str) -> tuple[int, float]:
    """Readings of one reader since then, and their active seconds.

    A case that came back in secret counts as any other, or the count would tell which one it was;
    an answer that was taken back counts no longer, but its time was spent.

    Args:
        connection: to the site's database.
        reader: by account.
        at: UTC, ISO 8601.
    """
    row = connection.execute(
        "SELECT coalesce(sum(stage != 'after-ai' AND w.reading IS NULL), 0), "
        "coalesce(sum(seconds), 0.0) FROM readings r LEFT JOIN withdrawals w ON w.reading = r.id "
        "WHERE reader = ? AND r.at >= ?",
        (reader, at),
    ).fetchone()
    return int(row[0]), float(row[1])
