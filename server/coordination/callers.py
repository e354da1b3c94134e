"""Who calls: the certificate that nginx has checked, as it says in the call's metadata.

The metadata is believed because only nginx can open the socket; nginx replaces whatever a site
sends under these names.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

import grpc

from server.coordination.refusal import Refusal

DN, SERIAL = "x-wr-client-dn", "x-wr-client-serial"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,64}")
_DENIED, _UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED


def caller(
    connection: sqlite3.Connection, metadata: Iterable[tuple[str, str | bytes]] | None
) -> str:
    """The registered site whose current certificate the call carries.

    Raises:
        Refusal: no certificate, another than the site's current one, or a site that is unknown or
            revoked.
    """
    pairs = list(metadata or ())
    name, serial = _name(_only(pairs, DN)), _only(pairs, SERIAL)
    row = connection.execute("SELECT state, serial FROM sites WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Refusal(_DENIED, "this site is not registered here")
    if row[0] != "active":
        raise Refusal(_DENIED, "this site was revoked")
    if not same_serial(serial, row[1]):
        raise Refusal(_UNKNOWN, "this certificate is not the site's current one")
    return name


def active(connection: sqlite3.Connection) -> dict[str, str]:
    """The serial of every active site's certificate, by name."""
    rows = connection.execute("SELECT name, serial FROM sites WHERE state = 'active'")
    return {str(name): str(serial) for name, serial in rows}


def same_serial(one: str, other: str) -> bool:
    """Whether two serials in hex are the same number, however they are written."""
    if not _HEX.fullmatch(one) or not _HEX.fullmatch(other):
        return False
    return int(one, 16) == int(other, 16)


def _only(pairs: Iterable[tuple[str, str | bytes]], key: str) -> str:
    found = [value for name, value in pairs if name == key]
    if len(found) != 1 or not isinstance(found[0], str):
        raise Refusal(_UNKNOWN, "no client certificate")
    return found[0]


def _name(dn: str) -> str:
    """The one common name of a distinguished name such as "CN=north,O=wardround"."""
    parts = re.split(r"(?<!\\),", dn)
    names = [part[3:] for part in parts if part.startswith("CN=")]
    if len(names) != 1 or not _NAME.fullmatch(names[0]):
        raise Refusal(_UNKNOWN, "the client certificate names no site")
    return names[0]
