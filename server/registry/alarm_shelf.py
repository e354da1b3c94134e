"""Alarms: what a person at the server should look at, told once until somebody clears it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from server.registry.registry import now

LONGEST = 300
"""Characters of an alarm."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        id: the registry's own number.
        at: when it was raised, UTC, ISO 8601.
        site: "" for the server itself.
        kind: a short word such as "clock-skew".
        words: one sentence for a person; our own, never text that a site sent.
        cleared: when it was cleared; None while it stands.
    """

    id: int
    at: str
    site: str
    kind: str
    words: str
    cleared: str | None


@dataclass(frozen=True, slots=True)
class AlarmShelf:
    """Reads and writes alarms."""

    connection: sqlite3.Connection

    def sound(self, kind: str, words: str, site: str = "") -> bool:
        """Raise an alarm, unless the same kind stands already for the site.

        Returns: whether it is new.

        Raises:
            ValueError: the words are not one line of at most 300 printable characters.
        """
        if not words or len(words) > LONGEST or not words.isprintable():
            raise ValueError(f"words of an alarm: accepted is one line up to {LONGEST} characters")
        done = self.connection.execute(
            "INSERT INTO alarms (at, site, kind, words) SELECT :at, :site, :kind, :words "
            "WHERE NOT EXISTS (SELECT 1 FROM alarms "
            "WHERE site = :site AND kind = :kind AND cleared IS NULL)",
            {"at": now(), "site": site, "kind": kind, "words": words},
        )
        return done.rowcount == 1

    def clear(self, kind: str, site: str = "") -> bool:
        """The matter is settled. Returns: whether the alarm stood."""
        done = self.connection.execute(
            "UPDATE alarms SET cleared = ? WHERE site = ? AND kind = ? AND cleared IS NULL",
            (now(), site, kind),
        )
        return done.rowcount > 0

    def standing(self) -> list[Alarm]:
        """Those that nobody has cleared, newest first."""
        return self._read("WHERE cleared IS NULL")

    def latest(self, limit: int = 100) -> list[Alarm]:
        """The last ones, cleared or not, newest first."""
        return self._read("", limit)

    def _read(self, where: str, limit: int = -1) -> list[Alarm]:
        rows = self.connection.execute(
            f"SELECT id, at, site, kind, words, cleared FROM alarms {where} "  # noqa: S608  # our own
            "ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Alarm(*row) for row in rows]
