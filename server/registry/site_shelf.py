"""Who has joined: sites, the certificates signed for them, and keys that must not come back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from server.registry.registry import from_column, to_column

_SITES = "SELECT name, number, state, node_key, node, serial, not_after, added FROM sites "


@dataclass(frozen=True, slots=True)
class JoinedSite:
    """One site as the registry knows it.

    Attributes:
        name: unique; the common name of its certificate.
        number: its place in site order.
        state: "active" or "revoked".
        node_key: public key of its SuperNode, one line of OpenSSH.
        node: Flower's id of it; None until the keeper has registered the key.
        serial: of its newest certificate, hex.
        not_after: when that expires, UTC, ISO 8601.
        added: when it joined, UTC, ISO 8601.
    """

    name: str
    number: int
    state: str
    node_key: str
    node: int | None
    serial: str
    not_after: str
    added: str

    @property
    def active(self) -> bool:
        """Whether it may speak to the server."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Signed:
    """One certificate that was signed.

    Attributes:
        serial: hex.
        site: its name.
        key: SHA-256 of its public key, hex.
        not_after: UTC, ISO 8601.
        pem: the certificate.
    """

    serial: str
    site: str
    key: str
    not_after: str
    pem: str


@dataclass(frozen=True, slots=True)
class Burned:
    """A certificate and a node key that were taken back.

    Attributes:
        node: Flower's id that the key had; None if it was never registered.
        at: when, UTC, ISO 8601.
        until: when the certificate would have expired.
    """

    serial: str
    site: str
    node_key: str
    node: int | None
    at: str
    until: str


@dataclass(frozen=True, slots=True)
class SiteShelf:
    """Reads and writes who has joined; writing belongs into a transaction of the registry."""

    connection: sqlite3.Connection

    def all(self) -> list[JoinedSite]:
        """Every site that ever joined, in site order."""
        return self._sites("ORDER BY number")

    def active(self) -> list[JoinedSite]:
        """Those that may speak to the server, in site order."""
        return self._sites("WHERE state = 'active' ORDER BY number")

    def find(self, name: str) -> JoinedSite | None:
        """The site of that name; None if none ever joined under it."""
        found = self._sites("WHERE name = ?", name)
        return found[0] if found else None

    def next_number(self) -> int:
        """The first number that no site ever had, from 0."""
        query = "SELECT coalesce(max(number) + 1, 0) FROM sites"
        return int(self.connection.execute(query).fetchone()[0])

    def put(self, site: JoinedSite, signed: Signed) -> None:
        """Let a site in, or in again under its old number, or note its newer certificate."""
        self.connection.execute(
            "INSERT INTO certificates (serial, site, key, not_after, pem) VALUES (?, ?, ?, ?, ?)",
            (signed.serial, signed.site, signed.key, signed.not_after, signed.pem),
        )
        self.connection.execute(
            "INSERT INTO sites (name, number, state, node_key, node, serial, not_after, added) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "state = excluded.state, node_key = excluded.node_key, node = excluded.node, "
            "serial = excluded.serial, not_after = excluded.not_after, added = excluded.added",
            (
                *(site.name, site.number, site.state, site.node_key),
                *(to_column(site.node), site.serial, site.not_after, site.added),
            ),
        )

    def revoke(self, name: str, at: str) -> None:
        """Take back every certificate of the site, and its node key."""
        self.connection.execute("UPDATE sites SET state = 'revoked' WHERE name = ?", (name,))
        self.connection.execute(
            "INSERT INTO burned (serial, site, node_key, node, at, until) "
            "SELECT c.serial, c.site, s.node_key, s.node, ?, c.not_after "
            "FROM certificates c JOIN sites s ON s.name = c.site "
            "WHERE c.site = ? AND c.serial NOT IN (SELECT serial FROM burned)",
            (at, name),
        )

    def register(self, name: str, node_key: str, node: int) -> bool:
        """Note the id that Flower gave a node key; False if the key was taken back meanwhile."""
        changed = self.connection.execute(
            "UPDATE sites SET node = ? WHERE name = ? AND node_key = ? AND state = 'active'",
            (to_column(node), name, node_key),
        )
        if changed.rowcount:
            return True
        for table in ("burned", "sites"):
            self.connection.execute(
                f"UPDATE {table} SET node = ? WHERE node_key = ?",  # noqa: S608  # our own names
                (to_column(node), node_key),
            )
        return False

    def burned(self) -> list[Burned]:
        """Everything that was taken back, oldest first."""
        rows = self.connection.execute(
            "SELECT serial, site, node_key, node, at, until FROM burned ORDER BY at, serial"
        )
        return [
            Burned(serial, site, key, from_column(node), at, until)
            for serial, site, key, node, at, until in rows
        ]

    def signed(self, serial: str) -> Signed:
        """The certificate with that serial.

        Raises:
            KeyError: none was signed.
        """
        query = "SELECT serial, site, key, not_after, pem FROM certificates WHERE serial = ?"
        row = self.connection.execute(query, (serial,)).fetchone()
        if row is None:
            raise KeyError(serial)
        return Signed(*row)

    def is_burned(self, node_key: str, key: str) -> bool:
        """Whether a node key, or a certificate's public key (SHA-256, hex), was taken back."""
        query = (
            "SELECT 1 FROM burned LEFT JOIN certificates USING (serial) "
            "WHERE burned.node_key = ? OR certificates.key = ?"
        )
        return self.connection.execute(query, (node_key, key)).fetchone() is not None

    def owners(self, node_key: str, key: str) -> set[str]:
        """Names of the sites that have used that node key, or that certificate's public key."""
        query = (
            "SELECT name FROM sites WHERE node_key = ? "
            "UNION SELECT site FROM certificates WHERE key = ?"
        )
        return {row[0] for row in self.connection.execute(query, (node_key, key))}

    def _sites(self, clause: str, *given: str) -> list[JoinedSite]:
        rows = self.connection.execute(_SITES + clause, given)
        found = [JoinedSite(*row) for row in rows]
        return [replace(site, node=from_column(site.node)) for site in found]
