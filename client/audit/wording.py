"""Lines of the audit log in words, for an auditor and for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from client.audit import people
from client.audit.chain import Entry, Line
from client.leaving import size
from protocol.egress_table import TITLES

_SEEN = {
    ("ordered", "Order"): "the server said",
    ("refused", "Offer"): "an offered study was refused",
    ("refused", "Order"): "an order of the server was refused",
}
"""Events that would read badly by their names."""

_DID = {
    people.SIGNED_IN: "signed in",
    people.REFUSED: "was refused at the door",
    people.SIGNED_OUT: "signed out",
    people.SHOWN: "was shown",
    people.COLLEAGUES: "was shown, with what its readers said,",
    people.OPINION: "was shown what the model says of",
    people.ANSWERED: "answered",
    people.TAKEN_BACK: "took back the answer to",
    people.ADDED: "got an account",
    people.REMOVED: "has no account any more",
    people.PASSWORD: "got a new password",
}
_SUMMED = {
    people.ANSWERED: ("read", "case"),
    people.SIGNED_IN: ("signed in", "time"),
    people.REFUSED: ("was refused at the door", "time"),
    people.SHOWN: ("was shown", "case"),
    people.COLLEAGUES: ("was shown what readers said of", "case"),
    people.OPINION: ("was shown what the model says of", "case"),
    people.TAKEN_BACK: ("took back", "answer"),
}


def about_people(entry: Entry) -> bool:
    """Whether a line tells what somebody of the reading room did or saw."""
    return bool(entry.salt)


def in_words(line: Line, names: Mapping[str, str]) -> str:
    """One line of the log for a person, without its time.

    Args:
        line: of the log.
        names: of studies, by identity.
    """
    entry = line.entry
    if entry.plane == "site":
        told = event_of(entry)
    else:
        kind = TITLES.get(entry.record, entry.record)
        told = f"{kind} {entry.event}" if kind else entry.event
        told += f", {size(entry.size)}" if entry.size else ""
    if entry.study:
        told += f"; study {names.get(entry.study, entry.study[:12])}, cycle {entry.cycle + 1}"
    return f"{told}; {entry.words}" if entry.words else told


def event_of(entry: Entry) -> str:
    """What was decided, done or seen at this site."""
    if not about_people(entry):
        return _SEEN.get((entry.event, entry.record), f"{entry.event} {entry.record}".strip())
    who = entry.reader or "somebody"
    case = f" case {entry.case_id}" if entry.case_id else ""
    return f"{who} {_DID.get(entry.event, entry.event)}{case}"


def by_day(counts: Mapping[tuple[str, str, str], int]) -> Iterator[tuple[str, str]]:
    """Days, and what one person did on each, in words.

    Args:
        counts: how often, by day, account ("" for names without one) and event.
    """
    found: dict[tuple[str, str], Counter[str]] = {}
    for (day, reader, event), count in counts.items():
        found.setdefault((day, reader), Counter())[event] += count
    for (day, reader), did in sorted(found.items()):
        parts = [_times(event, did[event]) for event in _SUMMED if did[event]]
        if parts:
            yield day, f"{reader or 'somebody without an account'} {', '.join(parts)}"


def _times(event: str, count: int) -> str:
    words, unit = _SUMMED[event]
    return f"{words} {count} {unit if count == 1 else unit + 's'}"
