"""Lines that stand for many: what repeats within a while shares a line, so no flood fills the disk.

The counts lie in the database from the start, in the caller's transaction: a kill loses none. The
line comes with the first thing written after the while is over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from client.audit.chain import Entry, append
from client.store.store import SiteStore, now

_FACT = "audit-summed"
_SHORT, _LONG = 60.0, 3600.0  # seconds; a refusal's while doubles as long as it goes on
_ATTEMPTS = 600.0  # seconds; the first while of arrivals, which come up to a minute apart
_MOST = 64  # kinds at a time
ARRIVAL = "coordination/Arrival"
"""What the arrivals of a site are alike in."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What waits for its line.

    Attributes:
        entry: as it came first, or since the last line.
        first: when, UTC.
        since: the same, in seconds since 1970.
        window: seconds until the line.
        more: how many wait.
        size: their bytes.
    """

    entry: Entry
    first: str
    since: float
    window: float
    more: int
    size: int


def repeated(store: SiteStore, entry: Entry, like: str = "") -> None:
    """Write a line for the first such thing; more within a minute, or soon more, share one.

    Args:
        store: with a transaction open.
        entry: what was refused, or said.
        like: things are the same if this is; without it, if words, step and study are.
    """
    held = _due(store, _load(store))
    key = like or "/".join((entry.plane, entry.record, entry.study, entry.step, entry.words))
    found = held.get(key)
    if found is None and len(held) < _MOST:
        append(store, entry)
        held[key] = _fresh(entry, _ATTEMPTS if like == ARRIVAL else _SHORT)
    elif found is not None:
        held[key] = replace(found, more=found.more + 1, size=found.size + entry.size, entry=entry)
    else:  # a flood of kinds; none is lost, and their words share a line
        other = replace(entry, words="refusals of many kinds", study="", step="", record="")
        rest = held.get("", _fresh(other, _LONG))
        held[""] = replace(rest, more=rest.more + 1, size=rest.size + entry.size)
    _save(store, held)


def hourly(store: SiteStore, entry: Entry) -> None:
    """Count something that is said again and again; its line comes within the hour.

    Args:
        store: with a transaction open.
        entry: what was said.
    """
    held = _due(store, _load(store))
    key = f"hourly/{entry.plane}/{entry.record}"
    found = held.get(key, _fresh(entry, _LONG))
    held[key] = replace(found, more=found.more + 1, size=found.size + entry.size, entry=entry)
    _save(store, held)


def flush(store: SiteStore, *, everything: bool = False) -> None:
    """Write the lines that are due, within a transaction; or also those that are not.

    Args:
        store: with a transaction open.
        everything: the stream ended, or somebody reads the log now; arrivals go on waiting, since
            the streams of a site that is turned away end all the time.
    """
    held = _load(store)
    if held:
        _save(store, _due(store, dict(held), everything=everything), held)


def waiting(store: SiteStore) -> int:
    """How many things were counted and have no line yet."""
    return sum(h.more for h in _load(store).values())


def _fresh(entry: Entry, window: float) -> _Held:
    return _Held(entry, now(), time.time(), window, 0, 0)


def _due(store: SiteStore, held: dict[str, _Held], *, everything: bool = False) -> dict[str, _Held]:
    """What goes on waiting, the lines of the rest written."""
    left, clock = {}, time.time()
    for key, one in held.items():
        at_once = everything and key != ARRIVAL
        if not at_once and one.since <= clock < one.since + one.window:
            left[key] = one
        elif one.more:
            append(store, _line(one))
            if not key.startswith("hourly/"):
                left[key] = _fresh(one.entry, min(2 * one.window, _LONG))
    return left


def _line(one: _Held) -> Entry:
    times = f"{one.more} times since {one.first}"
    words = f"{one.entry.words}; {times}" if one.entry.words else times
    return replace(one.entry, size=one.size, words=words)


def _load(store: SiteStore) -> dict[str, _Held]:
    content: Mapping[str, Any] = json.loads(store.cases.fact(_FACT, "{}"))
    return {k: _Held(**{**v, "entry": Entry(**v["entry"])}) for k, v in content.items()}


def _save(store: SiteStore, held: Mapping[str, _Held], before: Mapping[str, _Held] = {}) -> None:
    if held != before:
        store.cases.set_fact(_FACT, json.dumps({k: asdict(h) for k, h in held.items()}))
