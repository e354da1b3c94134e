"""What would leave a site for a study, as its plan says it: from the gate's own table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from protocol.egress import Row, described
from protocol.study import Study

_LONG = 80  # characters
_RANGE = re.compile(r"(a (?:whole )?number) from \S+ to [^\s,;]+")


def leaving(study: Study, parameters: int) -> list[dict[str, Any]]:
    """Each record that may leave: its fields in words, its most bytes, and how often."""
    return [
        {
            "plane": row.plane,
            "record": row.record,
            "title": row.title,
            "fields": [{"name": name, "holds": words} for name, words in row.fields],
            "largest_bytes": row.largest,
            "often": row.often,
            "words": _words(row),
        }
        for row in described(study, parameters)
    ]


def sentences(rows: Sequence[dict[str, Any]], least_patients: int) -> tuple[str, ...]:
    """The records as a person reads them, and what never leaves."""
    return (
        "These records, and nothing else; each kind is counted in the audit log:",
        *(str(row["words"]) for row in rows),
        f"No trained model leaves while its labels are of fewer than {least_patients} patients.",
        "Besides, Flower's own heartbeats and envelopes, which hold ids, times and sizes.",
        "No image, no case, no patient and no reader's name leaves.",
    )


def fields_of(row: Row) -> list[tuple[str, str]]:
    """A record's fields for a person, without ranges; neighbours that hold the same tables share a
    row.
    """
    found: list[tuple[str, str]] = []
    for name, words in row.fields:
        plain = _RANGE.sub(r"\1", words)
        if found and len(plain) > _LONG and found[-1][1] == plain:
            found[-1] = (f"{found[-1][0]}, {name}", plain)
        else:
            found.append((name, plain))
    return found


def _words(row: Row) -> str:
    """Two lines: what it is, and what it holds."""
    fields = [f"{name} ({words})" for name, words in fields_of(row)]
    held = "; ".join(field.removesuffix(" (a whole number)") for field in fields) or "nothing"
    return f"{row.title} ({row.record}), {row.often}, at most {size(row.largest)}:\n    {held}."


def size(count: int) -> str:
    """Bytes in the unit that a person reads: 1,200 bytes, 12 kB, 1.3 MB."""
    if count < 10_000:
        return f"{count:,} bytes"
    return f"{count / 1000:,.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"
