"""The server's countersignatures of this site's audit log: what it saw cannot be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from client.audit.chain import NOTHING
from client.store.store import SiteStore
from protocol.coordination import head_words


@dataclass(frozen=True, slots=True)
class Signed:
    """A head that the server has countersigned.

    Attributes:
        branch: from 1; grows when the log came back shorter than, or other than, the server had
            signed it.
        lines: how many lines the log had; 0 where the server has signed nothing.
        hash: of the last of them.
        at: when, UTC, ISO 8601, by the server's clock.
        signature: Ed25519, over `protocol.coordination.head_words`.
    """

    branch: int
    lines: int
    hash: str
    at: str
    signature: bytes


def public_key(file: Path) -> bytes:
    """The server's key for heads (Ed25519, PEM), from the kit.

    Raises:
        ValueError: the file is missing, or holds no such key.
    """
    from daemons.secrets import signed as check

    try:
        block = file.read_bytes()
        check(block, b"", bytes(64))
    except (OSError, ValueError):
        raise ValueError(f"{file.name}: accepted is the Ed25519 key of the server's kit") from None
    return block


def genuine(signed: Signed, site: str, key: bytes) -> bool:
    """Whether the server signed this head of the site of that name."""
    from daemons.secrets import signed as check

    words = head_words(site, signed.branch, signed.lines, signed.hash, signed.at)
    return check(key, words, signed.signature)


def keep(store: SiteStore, signed: Signed) -> None:
    """Keep a countersignature, within a transaction; check that it is genuine before.

    Raises:
        ValueError: it is not of this log as it stands.
    """
    if hash_at(store, signed.lines) != signed.hash:
        raise ValueError(f"a countersignature of {signed.lines} lines that are not this log's")
    store.connection.execute(
        "INSERT OR IGNORE INTO countersigned VALUES (?, ?, ?, ?, ?)",
        (signed.branch, signed.lines, signed.hash, signed.at, signed.signature),
    )


def kept(store: SiteStore) -> list[Signed]:
    """Every countersignature here, the newest last."""
    rows = store.connection.execute(
        "SELECT branch, lines, hash, at, signature FROM countersigned ORDER BY branch, lines"
    )
    return [Signed(int(r[0]), int(r[1]), str(r[2]), str(r[3]), bytes(r[4])) for r in rows]


def hash_at(store: SiteStore, line: int) -> str:
    """The hash that a line has; 64 zeros for line 0, "" where there is no such line."""
    if line == 0:
        return NOTHING
    row = store.connection.execute("SELECT hash FROM audit WHERE line = ?", (line,)).fetchone()
    return str(row[0]) if row else ""
