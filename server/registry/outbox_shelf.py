"""The outbox: what each site must carry out once, in order, and how far it has come with it.

Any process of the server may put something in; the coordination service takes it to the site.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from google.protobuf.message import DecodeError

from protocol.coordination_pb2 import Offer, Order
from server.registry.registry import now

Kind: TypeAlias = Literal["offer", "order"]

_MESSAGES: Mapping[str, type[Offer] | type[Order]] = {"offer": Offer, "order": Order}
LARGEST = 1 << 20  # bytes of one payload; a site receives at most four times as much


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the outbox.

    Attributes:
        sequence: from 1, for each site.
        kind: the field of FromServer that holds it.
        payload: that field's message, serialized.
    """

    sequence: int
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class OutboxShelf:
    """Reads and writes the outbox of every site."""

    connection: sqlite3.Connection

    def put(self, site: str, kind: Kind, payload: bytes) -> int:
        """The sequence under which this waits for the site; without gaps, from any process.

        Args:
            site: a name of the registry.
            kind: the field of FromServer: "offer" or "order".
            payload: that field's message, serialized.

        Raises:
            ValueError: another kind, more than a mebibyte, or bytes that are no such message.
        """
        if kind not in _MESSAGES:
            raise ValueError(f"outbox kind {kind!r}: accepted is offer or order")
        if len(payload) > LARGEST:
            raise ValueError(f"{len(payload)} bytes for one site: accepted are at most {LARGEST}")
        try:
            _MESSAGES[kind].FromString(payload)
        except DecodeError:
            raise ValueError(f"bytes that are no {kind}: accepted is one, serialized") from None
        rows = self.connection.execute(
            "INSERT INTO outbox SELECT :site, 1 + max("
            "coalesce((SELECT max(sequence) FROM outbox WHERE site = :site), 0), "
            "coalesce((SELECT sequence FROM acknowledged WHERE site = :site), 0)), "
            ":kind, :payload, :at RETURNING sequence",
            {"site": site, "kind": kind, "payload": payload, "at": now()},
        )
        return int(rows.fetchall()[0][0])

    def after(self, site: str, sequence: int, limit: int = 32) -> list[Letter]:
        """What the site must be given next, in order."""
        rows = self.connection.execute(
            "SELECT sequence, kind, payload FROM outbox WHERE site = ? AND sequence > ? "
            "ORDER BY sequence LIMIT ?",
            (site, sequence, limit),
        )
        return [Letter(*row) for row in rows]

    def newest(self) -> dict[str, int]:
        """The last sequence of every site that has any."""
        rows = self.connection.execute("SELECT site, max(sequence) FROM outbox GROUP BY site")
        return {str(site): int(sequence) for site, sequence in rows}

    def acknowledged(self, site: str) -> int:
        """The last sequence that the site has carried out, as far as it told; 0 for none."""
        row = self.connection.execute(
            "SELECT sequence FROM acknowledged WHERE site = ?", (site,)
        ).fetchone()
        return int(row[0]) if row else 0

    def acknowledge(self, site: str, sequence: int) -> None:
        """Note how far the site has come; it never falls."""
        self.connection.execute(
            "INSERT INTO acknowledged VALUES (?, ?) ON CONFLICT (site) "
            "DO UPDATE SET sequence = max(sequence, excluded.sequence)",
            (site, sequence),
        )

    def catch_up(self, site: str, sequence: int) -> bool:
        """Number what waits behind a sequence that this registry never gave.

        A site is ahead when the registry is an old copy. What it has not carried out as far as this
        registry knows goes to it once more, under numbers that it will take.

        Returns: whether the site was ahead.
        """
        last = self.newest().get(site, 0)
        known = self.acknowledged(site)
        if sequence <= max(last, known):
            return False
        rows = self.connection.execute(
            "SELECT sequence FROM outbox WHERE site = ? AND sequence > ? ORDER BY sequence DESC",
            (site, known),
        ).fetchall()
        for (old,) in rows:  # from the last: no number is taken twice on the way
            self.connection.execute(
                "UPDATE outbox SET sequence = ? WHERE site = ? AND sequence = ?",
                (old - known + sequence, site, old),
            )
        return True
