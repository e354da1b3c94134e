"""Offers: the studies that asked to run here, what the admin decided, and where each one stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["waiting", "approved", "refused", "withdrawn"]
Standing: TypeAlias = Literal["waiting", "approved", "paused", "refused", "withdrawn"]

_COLUMNS = (
    "identity, document, weights, asked_by, sites, parameters, version, received, state, decided"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A study that asked to run here.

    Attributes:
        identity: the study's own.
        document: the study as JSON.
        weights: hash of the first weights, hex.
        asked_by: the study lead, as the server's admin names them.
        sites: how many sites are asked.
        parameters: of the network, as the server counts them.
        version: of wardround at the server.
        received: when, UTC, ISO 8601.
        state: what was decided; a paused study is an approved one.
        decided: when; "" while it waits.
    """

    identity: str
    document: str
    weights: str
    asked_by: str
    sites: int
    parameters: int
    version: str
    received: str
    state: State = "waiting"
    decided: str = ""


@dataclass(frozen=True, slots=True)
class OfferShelf:
    """Reads and writes offers, and the standing of the studies that were approved."""

    connection: sqlite3.Connection

    def keep(self, offer: Offer) -> None:
        """Record an offer, in place of one of the same identity."""
        self.connection.execute(
            f"INSERT OR REPLACE INTO offers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # our columns
            tuple(getattr(offer, name) for name in _COLUMNS.split(", ")),
        )

    def every(self) -> list[Offer]:
        """All offers, the oldest first."""
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM offers ORDER BY received, identity"  # noqa: S608  # our columns
        )
        return [Offer(*row) for row in rows]

    def find(self, identity: str) -> Offer | None:
        """The offer of that identity."""
        row = self.connection.execute(
            f"SELECT {_COLUMNS} FROM offers WHERE identity = ?",  # noqa: S608  # our columns
            (identity,),
        ).fetchone()
        return Offer(*row) if row else None

    def decide(self, identity: str, state: State, at: str) -> None:
        """Record what was decided about an offer, and when."""
        self.connection.execute(
            "UPDATE offers SET state = ?, decided = ? WHERE identity = ?", (state, at, identity)
        )

    def stand(self, identity: str, standing: Standing) -> None:
        """Let an approved study stand so from now on: approved, paused or withdrawn."""
        self.connection.execute(
            "UPDATE studies SET standing = ? WHERE identity = ?", (standing, identity)
        )

    def standings(self) -> Mapping[str, Standing]:
        """Where every study stands that was ever offered or approved here, by identity."""
        rows = self.connection.execute(
            "SELECT identity, standing FROM studies UNION ALL SELECT identity, state FROM offers "
            "WHERE identity NOT IN (SELECT identity FROM studies) ORDER BY identity"
        )
        return dict(rows.fetchall())
