"""Who calls: the certificate that nginx has checked, as it says in the call's metadata.

The metadata is believed because only nginx can open the socket; nginx replaces whatever a site
sends under these names.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc

from server.coordination.refusal import Refusal

DN, SERIAL = "x-wr-client-dn", "x-wr-client-serial"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,64}")
_SERIALS = """
    SELECT name, serial FROM sites WHERE state = 'active'
    UNION SELECT name, c.serial FROM certificates c JOIN sites ON name = c.site
    WHERE state = 'active' AND c.serial NOT IN (SELECT serial FROM burned)
"""
_DENIED, _UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        site: its name.
        serial: of the certificate that it showed.
    """

    site: str
    serial: int


def caller(
    connection: sqlite3.Connection, metadata: Iterable[tuple[str, str | bytes]] | None
) -> Caller:
    """The registered site whose certificate the call carries.

    Raises:
        Refusal: no certificate, one that was not signed for the site or was taken back, or a site
            that is unknown or revoked.
    """
    pairs = list(metadata or ())
    found = Caller(_name(_only(pairs, DN)), _number(_only(pairs, SERIAL)))
    row = connection.execute("SELECT state FROM sites WHERE name = ?", (found.site,)).fetchone()
    if row is None:
        raise Refusal(_DENIED, "this site is not registered here")
    if (denied := denial(serials(connection), found)) is not None:
        raise denied
    return found


def denial(known: Mapping[str, frozenset[int]], who: Caller) -> Refusal | None:
    """Why a site of the registry may not speak, or may not go on, by what `serials` found."""
    if who.site not in known:
        return Refusal(_DENIED, "this site was revoked")
    if who.serial not in known[who.site]:
        return Refusal(_UNKNOWN, "this certificate is not one of the site's")
    return None


def serials(connection: sqlite3.Connection) -> dict[str, frozenset[int]]:
    """The serials of every active site's certificates that were not taken back, by name.

    A renewed site has two until it has installed its newer one.
    """
    found: dict[str, set[int]] = {}
    for name, serial in connection.execute(_SERIALS):
        found.setdefault(str(name), set()).add(_number(serial))
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _number(serial: str) -> int:
    """The serial, however its hex is written; -1, which no certificate has, for what is no hex."""
    return int(serial, 16) if _HEX.fullmatch(serial) else -1


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
