"""Sites that were away when a cycle closed come to account, and give the unspent back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from protocol.records import CycleRecord, SiteProgress
from protocol.steps import Reply
from server.account import accounted, held
from server.cycle import Coordination
from server.ledger import Stage

_LAST = 1
"""Round of the settlements of `last_call`; those at the beginning of a cycle have 0."""


def settled(c: Coordination, cycle: int, record: CycleRecord) -> CycleRecord:
    """An earlier cycle's record, corrected by those of its absent sites that are there now.

    They are asked at the beginning of every later cycle.
    """
    if not held(record.progress):
        return record
    stage = Stage(record.cycle, "settle", 0, cycle)
    heard = c.ledger.records(stage, SiteProgress)
    if heard is None:
        heard = _heard(c, record)
        c.ledger.commit(stage, heard)
    return _with(record, heard)


def last_call(c: Coordination, past: list[CycleRecord]) -> bool:
    """Wait for sites that are still to come to account, and correct the records; whether one came.

    Nothing is left to do but this. The time runs from the last commit before it, so it is no
    longer for a server that was killed meanwhile.

    Raises:
        Halted, Superseded: while waiting.
    """
    away = [record for record in past if held(record.progress)]
    if not away:
        return False
    stages = {record.cycle: Stage(record.cycle, "settle", _LAST, len(past)) for record in away}
    known = {cycle: c.ledger.records(stage, SiteProgress) for cycle, stage in stages.items()}
    heard = {cycle: told for cycle, told in known.items() if told is not None}
    if len(heard) < len(away):
        _wait(c, away, heard)
        for cycle, stage in stages.items():
            if known[cycle] is None:
                c.ledger.commit(stage, heard.setdefault(cycle, {}))
    past[:] = [_with(record, heard.get(record.cycle, {})) for record in past]
    return any(heard.values())


def _wait(
    c: Coordination, away: list[CycleRecord], heard: dict[int, dict[str, SiteProgress]]
) -> None:
    """Ask until all have been heard or the time is up; `heard` grows, by cycle."""
    began = c.ledger.committed()[-1].at
    todo = [record for record in away if record.cycle not in heard]
    while True:
        for record in todo:
            missing = _with(record, heard.get(record.cycle, {}))
            if held(missing.progress):
                heard.setdefault(record.cycle, {}).update(_heard(c, missing))
        open_ = [r for r in todo if held(_with(r, heard.get(r.cycle, {})).progress)]
        until = began + timedelta(seconds=c.federation.timing.settle) + c.paused(began)
        left = (until - datetime.now(UTC)).total_seconds()
        if not open_ or left <= 0:
            return
        c.federation.pause(min(c.federation.timing.again, left))


def _heard(c: Coordination, record: CycleRecord) -> dict[str, SiteProgress]:
    """What became of the grants of those absent sites that are there, or have withdrawn."""
    away = held(record.progress)
    told = by_site(c.federation.close(record.cycle, away))
    heard = {}
    for site in away:
        grant, before = record.grants[site], record.progress[site]
        seen = replace(before, spent=grant.count - before.waiting)
        gone = site in c.federation.withdrawn
        if site in told or gone:
            heard[site] = accounted(grant, told.get(site), seen, site, gone=gone)
    return heard


def _with(record: CycleRecord, heard: dict[str, SiteProgress]) -> CycleRecord:
    return replace(record, progress={**record.progress, **heard}) if heard else record


def by_site(replies: Iterable[Reply]) -> dict[str, SiteProgress]:
    """The progress among these replies, by site."""
    return {r.site: r for r in replies if isinstance(r, SiteProgress)}
