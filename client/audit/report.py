"""What left this building: the audit log summed up for a person, in Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from client.audit.chain import Entry, Line, lines
from client.audit.people import ACCOUNTS
from client.audit.summed import waiting
from client.audit.wording import about_people, by_day, event_of
from client.leaving import size
from client.store.store import SiteStore
from protocol.egress_table import TITLES

_NOT_SENT = ("refused",)
_TIMES = "times since"


@dataclass(slots=True)
class _Sum:
    """Records of one kind."""

    count: int = 0
    size: int = 0
    largest: int = 0

    def add(self, entry: Entry, count: int) -> None:
        self.count += count
        self.size += entry.size
        self.largest = max(self.largest, -(-entry.size // max(count, 1)))


@dataclass(slots=True)
class Account:
    """The log, summed up.

    Attributes:
        lines: in the log.
        first: when the first line was written, UTC; "" where there is none.
        last: when the last one was.
        model: study, then cycle, then kind of record, to what left over Flower.
        talk: kind of message to what left on the coordination stream.
        refused: study ("" for unknown ones) and words to how often.
        decided: lines about what was decided or seen at the site, in order.
        people: what people of the reading room did: day (UTC), account and event to how often.
        waiting: things counted that have no line yet.
    """

    lines: int = 0
    first: str = ""
    last: str = ""
    model: dict[str, dict[int, dict[str, _Sum]]] = field(default_factory=dict)
    talk: dict[str, _Sum] = field(default_factory=dict)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    decided: list[Line] = field(default_factory=list)
    people: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    waiting: int = 0


def account(store: SiteStore) -> Account:
    """The log of a site, summed up."""
    told = Account(waiting=waiting(store))
    for line in lines(store):
        told.lines, told.last = line.line, line.at
        told.first = told.first or line.at
        _add(told, line)
    return told


def _add(told: Account, line: Line) -> None:
    entry, count, words = line.entry, *_counted(line.entry.words)
    if about_people(entry) and entry.event not in ACCOUNTS:
        told.people[line.at[:10], entry.reader, entry.event] += 1
    elif entry.plane == "site":
        told.decided.append(line)
    elif entry.event in _NOT_SENT:
        told.refused[entry.study, words] += count
    elif entry.plane == "model":
        cycle = told.model.setdefault(entry.study, {}).setdefault(entry.cycle, {})
        cycle.setdefault(entry.record, _Sum()).add(entry, count)
    else:
        told.talk.setdefault(entry.record, _Sum()).add(entry, count)


def _counted(words: str) -> tuple[int, str]:
    """How many a line stands for, and its words without that."""
    start, _, end = words.rpartition("; ")
    if _TIMES not in end:
        return 1, words
    return int(end.split()[0]), start


def markdown(told: Account, site: str, names: Mapping[str, str]) -> str:
    """The account as a page.

    Args:
        told: of `account`.
        site: its name.
        names: of studies, by identity.
    """
    return "\n".join([*_head(told, site), *_model(told, names), *_rest(told, names), ""])


def _head(told: Account, site: str) -> Iterator[str]:
    yield f"# What left {site}"
    yield ""
    if not told.lines:
        yield "Nothing has left: the audit log is empty."
        return
    yield (
        f"{told.lines} lines of the audit log, from {_time(told.first)} to {_time(told.last)} "
        "(all times UTC). "
        "No image, no case, no patient and no reader's name is in any of these records: the gate "
        "lets through nothing but the fields of its table, which `wardround-site plan` lists. "
        "Sizes are those of the records; the transport adds its envelope."
    )
    yield ""
    yield "Whether these lines are whole, `wardround-site audit verify` says."


def _model(told: Account, names: Mapping[str, str]) -> Iterator[str]:
    for study, cycles in told.model.items():
        yield from ("", f"## Study {names.get(study, 'of another time')} ({study[:12]})")
        total = sum(s.size for kinds in cycles.values() for s in kinds.values())
        count = sum(s.count for kinds in cycles.values() for s in kinds.values())
        yield from ("", f"{count} records, {size(total)} in all.", "")
        yield from _table("Cycle", "Record", "How many", "Together", "Largest")
        for cycle in sorted(cycles):
            for kind, summed in cycles[cycle].items():
                yield _cells(cycle + 1, _title(kind), *_numbers(summed))


def _rest(told: Account, names: Mapping[str, str]) -> Iterator[str]:
    if told.talk:
        yield from ("", "## On the coordination stream", "")
        yield from _table("Message", "How many", "Together", "Largest")
        for kind, summed in told.talk.items():
            yield _cells(_title(kind), *_numbers(summed))
    if told.refused:
        yield from ("", "## Refused: only a code left, or nothing", "")
        yield from _table("Study", "What was refused", "How often")
        for (study, words), count in sorted(told.refused.items()):
            yield _cells(names.get(study, study[:12] or "none"), words, count)
    if told.decided:
        yield from ("", "## Decided or seen at this site", "")
        yield from _table("When", "What", "Study", "More")
        for line in told.decided:
            e = line.entry
            yield _cells(_time(line.at), event_of(e), names.get(e.study, e.study[:12]), e.words)
    yield from _people(told)
    if told.waiting:
        yield ""
        yield (
            f"Besides, {told.waiting} messages that repeat themselves (such as heartbeats) were "
            "counted since; within the hour one line of the log will stand for all of a kind."
        )


def _people(told: Account) -> Iterator[str]:
    days = list(by_day(told.people))
    if days:
        yield from ("", "## In the reading room: these lines stay in this building", "")
        yield from _table("Day", "Who did what")
        yield from (_cells(day, words) for day, words in days)


def _time(at: str) -> str:
    return at[:19].replace("T", " ")


def _title(kind: str) -> str:
    return f"{TITLES[kind]} ({kind})" if kind in TITLES else kind


def _numbers(summed: _Sum) -> Sequence[str]:
    return f"{summed.count:,}", size(summed.size), size(summed.largest)


def _table(*heads: str) -> Sequence[str]:
    return _cells(*heads), _cells(*("---" for _ in heads))


def _cells(*values: object) -> str:
    shown = (str(v).replace("|", "/").replace("\n", " ") for v in values)
    return f"| {' | '.join(shown)} |"


def names_of(store: SiteStore) -> Mapping[str, str]:
    """The studies that are or were approved here: identity to name."""
    rows = store.connection.execute("SELECT identity, document FROM studies")
    return {str(row[0]): str(json.loads(row[1])["name"]) for row in rows}
