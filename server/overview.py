"""How the server and its studies stand, from its files alone: nothing heavy is imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemons.status import DaemonStatus, read_status
from server.home import ServerPaths, read_config
from server.registry.alarm_shelf import Alarm, AlarmShelf
from server.registry.presence_shelf import Presence, PresenceShelf
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, SiteShelf
from server.registry.study_shelf import StudyRow, StudyShelf


@dataclass(frozen=True, slots=True)
class Place:
    """The newest committed step of a study.

    Attributes:
        cycle: from 0; -1 before the first.
        step: such as "report" or "train"; "" before the first.
        round: of the cycle, from 0.
        at: UTC, ISO 8601.
    """

    cycle: int = -1
    step: str = ""
    round: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study: its row, its newest step, readings told by site, standings by site."""

    row: StudyRow
    place: Place
    spent: Mapping[str, int]
    standings: Mapping[str, str]


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
    read_config(home)
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
    told = shelf.connection.execute(
        "SELECT site, sum(spent) FROM progress WHERE study = ? GROUP BY site", (row.identity,)
    )
    spent = {str(site): int(count) for site, count in told}
    place = newest_step(paths.studies / row.folder / "ledger.db")
    return StudyView(
        row,
        place,
        {site: spent.get(site, 0) for site in row.sites},
        {site: shelf.standings(row.identity).get(site, "not told yet") for site in row.sites},
    )


def newest_step(ledger: Path) -> Place:
    """The newest committed step in a ledger, read without changing anything."""
    if not ledger.exists():
        return Place()
    link = sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        row = link.execute(
            "SELECT cycle, step, round, at FROM steps ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
    except sqlite3.OperationalError:  # a ledger that is just being made
        return Place()
    finally:
        link.close()
    return Place(*row) if row else Place()


def as_dict(seen: Overview) -> dict[str, Any]:
    """For JSON."""
    return {
        "format": 1,
        "daemon": seen.daemon.as_dict(),
        "sites": [_site(site, presence) for site, presence in seen.sites],
        "studies": [
            asdict(v.row)
            | {"place": asdict(v.place), "spent": dict(v.spent), "standings": dict(v.standings)}
            for v in seen.studies
        ],
        "alarms": [asdict(alarm) for alarm in seen.alarms],
    }


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
    lines = [seen.daemon.as_text()]
    lines += ["sites", *(f"  {_site_line(*pair)}" for pair in seen.sites)] if seen.sites else []
    lines += [line for view in seen.studies for line in _study_lines(view)]
    lines += [f"ALARM {a.at} {a.site or 'server'}: {a.words} ({a.kind})" for a in seen.alarms]
    return "\n".join(lines)


def _site_line(site: JoinedSite, presence: Presence | None) -> str:
    if not site.active:
        return f"{site.name}  revoked"
    there = "never heard of"
    if presence is not None and presence.heard:
        there = "online" if presence.online else f"away since {presence.since}"
    node = {True: "node online", False: "node offline", None: "node not asked yet"}
    said = node[presence.node_online if presence else None]
    return f"{site.name}  {there}, {said}, certificate {days_left(site.not_after)} days"


def _study_lines(view: StudyView) -> list[str]:
    row, place = view.row, view.place
    where = "nothing committed yet"
    if place.step:
        where = f"cycle {place.cycle + 1}, {place.step}"
        where += f" of round {place.round + 1}" if place.step == "train" else ""
    said = f"study {row.name} ({row.identity[:12]})  {row.state}, {where}"
    each = [
        f"  {site}  {view.standings[site]}, {view.spent[site]} readings spent" for site in row.sites
    ]
    return [said, *each]
