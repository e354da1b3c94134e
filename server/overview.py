"""How the server and its studies stand, from its files alone: nothing heavy is imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemons.status import DaemonStatus, read_status
from server.paths import ServerPaths, check_home
from server.registry.alarm_shelf import Alarm, AlarmShelf
from server.registry.presence_shelf import Presence, PresenceShelf
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, SiteShelf
from server.registry.study_shelf import StudyRow, StudyShelf
from server.summary import Summary, summary

_BROKEN = (OSError, sqlite3.Error, LookupError, TypeError, ValueError)
"""What reading a study's folder may end with."""


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study: where it stands, and at each site in site order; `summary` is None if the
    study's folder cannot be read, `gain` what its newest comparison with asking at random says,
    `advice` what its stopping rule says of the newest cycle that was read, and `audit` what the
    audit set says after that cycle; "" where there is none.
    """

    row: StudyRow
    summary: Summary | None
    standings: Mapping[str, str]
    told: Mapping[str, int]
    gain: str = ""
    advice: str = ""
    audit: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that `wardround-server status` says."""

    daemon: DaemonStatus
    sites: Sequence[tuple[JoinedSite, Presence | None]]
    studies: Sequence[StudyView]
    alarms: Sequence[Alarm]


def overview(home: Path) -> Overview:
    """How the server in that home stands.

    Raises:
        HomeError: no server lives there.
    """
    check_home(home)
    paths = ServerPaths(home)
    registry = Registry.open(paths.registry)
    try:
        link = registry.connection
        shelf = PresenceShelf(link)
        presences = shelf.all()
        return Overview(
            read_status(paths.run),
            [(site, presences.get(site.name)) for site in SiteShelf(link).all()],
            [_view(paths, shelf, row) for row in StudyShelf(link).all()],
            AlarmShelf(link).standing(),
        )
    finally:
        registry.close()


def _view(paths: ServerPaths, shelf: PresenceShelf, row: StudyRow) -> StudyView:
    standings = shelf.standings(row.identity)
    spent = shelf.connection.execute(
        "SELECT site, sum(spent) FROM progress WHERE study = ? GROUP BY site", (row.identity,)
    )
    told = {str(site): int(count) for site, count in spent}
    gain = advice = audit = ""
    try:
        known = summary(paths.studies / row.folder, row)
        gain = _gain(paths.studies / row.folder)
    except _BROKEN:  # one broken folder hides no other study
        known = None
    with suppress(*_BROKEN):  # a rule that finds no sense in the reports hides nothing
        advice, audit = _advice(paths.studies / row.folder)
    return StudyView(
        row,
        known,
        {site: standings.get(site, "not told yet") for site in row.sites},
        {site: told.get(site, 0) for site in row.sites},
        gain,
        advice,
        audit,
    )


def _has(file: Path, step: str) -> bool:
    """Whether a ledger has a step of that name."""
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as db:
        return bool(db.execute("SELECT 1 FROM steps WHERE step = ?", (step,)).fetchone())


def _advice(folder: Path) -> tuple[str, str]:
    """What the study's stopping rule says, and the audit set beside it; only where a cycle was read
    is numpy brought.
    """
    file = folder / "ledger.db"
    if not _has(file, "read"):
        return "", ""
    from protocol.study import load
    from server.advice import advice_in

    return advice_in(file, load(folder / "study.toml"))


def _gain(folder: Path) -> str:
    """What the newest comparison of a study says; only where there is one is numpy brought."""
    file = folder / "ledger.db"
    if not _has(file, "compare"):
        return ""
    from protocol.study import load
    from server.gain import gains_in

    found = gains_in(file, load(folder / "study.toml"))
    return str(found[-1]["words"]) if found else ""


def as_dict(seen: Overview) -> dict[str, Any]:
    """For JSON."""
    return {
        "format": 1,
        "daemon": seen.daemon.as_dict(),
        "sites": [_site(site, presence) for site, presence in seen.sites],
        "studies": [_study(view) for view in seen.studies],
        "alarms": [asdict(alarm) for alarm in seen.alarms],
    }


def _study(view: StudyView) -> dict[str, Any]:
    known = view.summary.document() if view.summary else {}
    row = {k: v for k, v in asdict(view.row).items() if k != "sites"}
    sites = [
        {"name": site, "standing": view.standings[site], "spent": view.told[site]}
        for site in view.row.sites
    ]
    said = {"gain": view.gain, "advice": view.advice, "audit": view.audit}
    more = {"sites": sites, "readable": view.summary is not None, **said}
    return row | known | more


def _site(site: JoinedSite, presence: Presence | None) -> dict[str, Any]:
    return {
        "name": site.name,
        "number": site.number,
        "state": site.state,
        "node": site.node,
        "days_left": days_left(site.not_after),
        "online": bool(presence and presence.online),
        "node_online": presence.node_online if presence else None,
        "heard": presence.heard if presence else "",
        "skew": presence.skew if presence else None,
        "versions": dict(presence.versions) if presence else {},
    }


def days_left(not_after: str) -> int:
    """Whole days until then; below 0 after it."""
    return (datetime.fromisoformat(not_after) - datetime.now(UTC)).days


def as_text(seen: Overview) -> str:
    """For a person."""
    running = seen.daemon.state == "running"
    lines = [seen.daemon.as_text(), "sites" if seen.sites else "no site has joined"]
    lines += [f"  {_site_line(*pair, running=running)}" for pair in seen.sites]
    lines += [line for view in seen.studies for line in _study_lines(view)]
    for a in seen.alarms:
        lines.append(f"ALARM {a.id} {a.at} {a.site or 'server'}: {a.words} ({a.kind})")
    if seen.alarms:
        lines.append("once looked into: wardround-server alarms --clear NUMBER")
    return "\n".join(lines)


def _site_line(site: JoinedSite, presence: Presence | None, *, running: bool) -> str:
    if not site.active:
        return f"{site.name}  revoked"
    left = f"certificate {days_left(site.not_after)} days"
    if not running:  # what the registry says of its presence is of another time
        return f"{site.name}  {left}"
    there = "never heard of"
    if presence is not None and presence.heard:
        there = "online" if presence.online else f"away since {presence.since}"
    node = {True: "node online", False: "node offline", None: "node not asked yet"}
    said = node[presence.node_online if presence else None]
    return f"{site.name}  {there}, {said}, {left}"


def _study_lines(view: StudyView) -> list[str]:
    row, known = view.row, view.summary
    where = "its folder cannot be read"
    if known is not None:
        where = f"{known.words}, {known.spent} of {known.budget} {known.unit} spent"
        where += f", {known.open} open" if known.open else ""
    each = [f"  {site}  {view.standings[site]}, {view.told[site]} spent" for site in row.sites]
    said = [f"  {words}" for words in (view.gain, view.advice, view.audit) if words]
    return [f"study {row.name} ({row.identity[:12]})  {row.state}, {where}", *each, *said]
