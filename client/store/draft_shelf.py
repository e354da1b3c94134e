"""What readers have chosen on the page and not sent: no answer, and nothing counts it as one."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass

from client.store.lease_shelf import Lease


@dataclass(frozen=True, slots=True)
class Draft:
    """What a reader has chosen so far.

    Attributes:
        value: (classes,) of 0 and 1.
        confidence: 1 to 5; None where nothing is chosen.
    """

    value: tuple[int, ...] = ()
    confidence: int | None = None
    comment: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is chosen."""
        return not any(self.value) and self.confidence is None and not self.comment


@dataclass(frozen=True, slots=True)
class DraftShelf:
    """Reads and writes drafts: one for each reader, of the case on their screen."""

    connection: sqlite3.Connection

    def keep(self, lease: Lease, draft: Draft) -> None:
        """Keep what the reader of a case has chosen; an empty one is none."""
        self.drop(lease.reader)
        if not draft.empty:
            self.connection.execute(
                "INSERT INTO drafts VALUES (?, ?, ?, ?, ?)",
                (lease.reader, lease.study, lease.cycle, lease.case, json.dumps(asdict(draft))),
            )

    def of(self, reader: str, study: str, cycle: int, case: int) -> Draft | None:
        """What this reader had chosen for a case."""
        row = self.connection.execute(
            "SELECT content FROM drafts "
            'WHERE reader = ? AND study = ? AND cycle = ? AND "case" = ?',
            (reader, study, cycle, case),
        ).fetchone()
        if row is None:
            return None
        told = json.loads(row[0])
        return Draft(tuple(told["value"]), told["confidence"], told["comment"])

    def drop(self, reader: str) -> None:
        """The reader answered, or has an account no more."""
        self.connection.execute("DELETE FROM drafts WHERE reader = ?", (reader,))

    def lent(self, lease: Lease) -> None:
        """A case has a reader: what others chose for it goes, and what they chose for others."""
        case = (lease.study, lease.cycle, lease.case)
        self.connection.execute(
            'DELETE FROM drafts WHERE (reader = ?) != (study = ? AND cycle = ? AND "case" = ?)',
            (lease.reader, *case),
        )
