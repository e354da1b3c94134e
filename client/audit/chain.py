"""The hash chain: one line for every record that left, was refused, or was decided here.

A line's hash is SHA-256 over its JSON with the hash of the line before in it, so an edited, deleted
or moved line breaks every line after it. Lines cut off at the end are found by the server's
countersignatures (`heads.py`) alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any

from client.store.store import SiteStore, now

NOTHING = "0" * 64
"""What stands for the hash of the line before the first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line tells; no key of a case or a patient, and no image, reading or opinion.

    Attributes:
        plane: "model", "coordination", or "site" for what was decided here.
        event: "left", "refused", "approved", "paused", "withdrawn", "restored", ...
        record: kind of the record, "" where the event is about none.
        study: identity, or "".
        cycle: of the step, as round and sequence; 0 where there is none.
        step: of the model plane, or "".
        size: bytes that left; 0 where nothing did.
        digest: SHA-256 of the record, hex, or "".
        words: in plain words, where there is more to say.
        reader: whose act it was, by account; "" where it was nobody's of the reading room.
        case_id: the id in this database of the case that it was about; 0 for none.
        salt: random where a line is about people: the server sees the line's hash, and must not
            find out by guessing what stands in it.
    """

    plane: str
    event: str
    record: str = ""
    study: str = ""
    cycle: int = 0
    step: str = ""
    round: int = 0
    sequence: int = 0
    size: int = 0
    digest: str = ""
    words: str = ""
    reader: str = ""
    case_id: int = 0
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it stands in the log."""

    line: int
    at: str
    entry: Entry
    previous: str
    hash: str

    @property
    def document(self) -> dict[str, Any]:
        """What is hashed: every field of the line but its own hash; of the last three what is said.

        Logs older than those three fields stay whole.
        """
        told = {f.name: getattr(self.entry, f.name) for f in fields(Entry)}
        told = {name: value for name, value in told.items() if value or name not in _OF_PEOPLE}
        return {"line": self.line, "at": self.at, "previous": self.previous, **told}


_OF_PEOPLE = ("reader", "case_id", "salt")
_COLUMNS = ("line", "at", *(f.name for f in fields(Entry)), "previous", "hash")


def hashed(line: Line) -> str:
    """SHA-256, hex, over the line as JSON: keys sorted, no spaces, ASCII."""
    text = json.dumps(line.document, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def append(store: SiteStore, entry: Entry, at: str = "") -> int:
    """The number of the fresh line, which stands once the caller's transaction has committed.

    Args:
        store: with a transaction open: the line and what it tells of stand or fall together.
        entry: what to tell.
        at: UTC, ISO 8601; now, where it is not given.
    Raises:
        RuntimeError: no transaction is open.
    """
    if not store.connection.in_transaction:
        raise RuntimeError("an audit line outside a transaction; accepted is one inside")
    count, previous = head(store)
    line = Line(count + 1, at or now(), entry, previous, "")
    told = [getattr(entry, f.name) for f in fields(Entry)]
    row = [line.line, line.at, *told, previous, hashed(line)]
    marks = ", ".join("?" * len(_COLUMNS))
    store.connection.execute(
        f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608  # our names
        row,
    )
    return line.line


def note(
    store: SiteStore, event: str, *, study: str = "", record: str = "", words: str = ""
) -> int:
    """Log what was decided or seen at this site, within the caller's transaction; see `append`."""
    return append(store, Entry("site", event, record, study, words=words))


def head(store: SiteStore) -> tuple[int, str]:
    """How many lines there are, and the hash of the last; 64 zeros where there are none."""
    row = store.connection.execute(
        "SELECT line, hash FROM audit ORDER BY line DESC LIMIT 1"
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, NOTHING)


def lines(store: SiteStore) -> Iterator[Line]:
    """Every line in order, read while it is asked for."""
    return _lines(store, "1 ORDER BY line")


def matching(store: SiteStore, clause: str, day: str = "", before: int = 0) -> Iterator[Line]:
    """The lines of which that is true, the newest first.

    Args:
        store: of the site.
        clause: SQL of our own.
        day: UTC, as in 2026-01-05; "" for all.
        before: this line; 0 for all.
    """
    rest = "AND at LIKE ? || '%' AND (? = 0 OR line < ?) ORDER BY line DESC"
    return _lines(store, f"{clause} {rest}", day, before, before)


def _lines(store: SiteStore, clause: str, *arguments: object) -> Iterator[Line]:
    rows = store.connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM audit WHERE {clause}",  # noqa: S608  # our names
        arguments,
    )
    for row in rows:
        yield Line(row[0], row[1], Entry(*row[2:-2]), row[-2], row[-1])
