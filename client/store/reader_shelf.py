"""Accounts of the reading room: who may sign in, and as what."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["reader", "adjudicator", "admin", "auditor"]


@dataclass(frozen=True, slots=True)
class Account:
    """One person of the reading room.

    Attributes:
        name: as their readings say.
        role: a reader answers blind, an adjudicator settles what readers disagree on, an admin
            sees how far the room is, an auditor the audit log.
        password: its hash, as `daemons.web.passwords` keeps it.
        added: UTC, ISO 8601.
    """

    name: str
    role: Role
    password: str
    added: str


@dataclass(frozen=True, slots=True)
class ReaderShelf:
    """Reads and writes accounts. A removed one leaves its name to the readings it gave."""

    connection: sqlite3.Connection

    def add(self, account: Account) -> bool:
        """Whether the account is there now; False where the name has one. A removed one returns."""
        row = self.connection.execute(
            "INSERT INTO readers VALUES (?, ?, ?, ?, '') ON CONFLICT (name) DO UPDATE SET "
            "role = excluded.role, password = excluded.password, added = excluded.added, "
            "removed = '' WHERE removed != '' RETURNING 1",
            (account.name, account.role, account.password, account.added),
        ).fetchone()
        return row is not None

    def remove(self, name: str, at: str) -> bool:
        """Whether there was such an account; its lease ends with it, and what it had chosen."""
        self.connection.execute("DELETE FROM drafts WHERE reader = ?", (name,))
        self.connection.execute("DELETE FROM leases WHERE reader = ?", (name,))
        return self._changed("removed = ?", at, name)

    def set_password(self, name: str, password: str) -> bool:
        """Whether there is such an account."""
        return self._changed("password = ?", password, name)

    def find(self, name: str) -> Account | None:
        """The account of that name, unless it was removed."""
        row = self.connection.execute(
            "SELECT name, role, password, added FROM readers WHERE name = ? AND removed = ''",
            (name,),
        ).fetchone()
        return Account(*row) if row else None

    def every(self) -> list[Account]:
        """All accounts but the removed ones, by name."""
        rows = self.connection.execute(
            "SELECT name, role, password, added FROM readers WHERE removed = '' ORDER BY name"
        )
        return [Account(*row) for row in rows]

    def names(self, role: Role) -> frozenset[str]:
        """Who has a role just now."""
        rows = self.connection.execute(
            "SELECT name FROM readers WHERE role = ? AND removed = ''", (role,)
        )
        return frozenset(row[0] for row in rows)

    def _changed(self, assignment: str, value: str, name: str) -> bool:
        done = self.connection.execute(
            f"UPDATE readers SET {assignment} WHERE name = ? AND removed = ''",  # noqa: S608  # ours
            (value, name),
        )
        return done.rowcount > 0
