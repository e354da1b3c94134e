"""Presence, standings and progress: which sites are there, and what each last said of itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.registry.registry import now


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether one site is there.

    Attributes:
        site: its name.
        online: its coordination stream is open and it was heard lately.
        since: when that last changed, UTC, ISO 8601.
        heard: when it last said anything, to a few seconds; "" before it ever came.
        skew: seconds that its clock is ahead of ours; None before it told its time.
        versions: of what the site runs, by name.
        node_online: what Flower says of its SuperNode; None before it was asked.
        node_since: since when Flower says so.
    """

    site: str
    online: bool
    since: str
    heard: str
    skew: float | None
    versions: Mapping[str, str]
    node_online: bool | None
    node_since: str | None


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a site's readers are with a cycle, as the site last told: counts only.

    Attributes:
        granted: readings (or minutes) that it may spend.
        spent: of them, so far; it never falls.
        readings: answers given; they never fall.
        waiting: cases open and not read.
        minutes: active minutes of all readers together.
        at: when it was told, UTC, ISO 8601.
    """

    granted: int
    spent: int
    readings: int
    waiting: int
    minutes: float
    at: str = ""


@dataclass(frozen=True, slots=True)
class PresenceShelf:
    """Reads and writes what sites say of themselves."""

    connection: sqlite3.Connection

    def arrive(self, site: str, versions: Mapping[str, str], at: str = "") -> None:
        """The site's stream has opened."""
        at = at or now()
        self.connection.execute(
            "INSERT INTO presence (site, online, since, heard, versions) "
            "VALUES (:site, 1, :at, :at, :versions) ON CONFLICT (site) DO UPDATE SET "
            "since = iif(online, since, :at), online = 1, heard = :at, versions = :versions",
            {"site": site, "at": at, "versions": json.dumps(dict(versions), sort_keys=True)},
        )

    def leave(self, site: str, at: str = "") -> None:
        """The site's stream has ended, or the site has been silent for too long."""
        self.connection.execute(
            "UPDATE presence SET online = 0, since = ? WHERE site = ? AND online",
            (at or now(), site),
        )

    def leave_all(self, at: str = "") -> None:
        """No stream is open: the coordination service begins or ends."""
        self.connection.execute(
            "UPDATE presence SET online = 0, since = ? WHERE online", (at or now(),)
        )

    def hear(self, heard: Iterable[tuple[str, str, float | None]]) -> None:
        """Note when sites last said something: (site, at, skew in seconds or None)."""
        self.connection.executemany(
            "UPDATE presence SET heard = :at, skew = coalesce(:skew, skew) WHERE site = :site",
            [{"site": site, "at": at, "skew": skew} for site, at, skew in heard],
        )

    def note_node(self, site: str, online: bool, at: str = "") -> None:
        """Note what Flower says of the site's SuperNode; `node_since` moves when it changes."""
        self.connection.execute(
            "INSERT INTO presence (site, online, since, heard, versions, node_online, node_since) "
            "VALUES (:site, 0, :at, '', '{}', :online, :at) ON CONFLICT (site) DO UPDATE SET "
            "node_since = iif(node_online IS :online, node_since, :at), node_online = :online",
            {"site": site, "online": int(online), "at": at or now()},
        )

    def of(self, site: str) -> Presence | None:
        """The site's presence; None if it never came and Flower was never asked."""
        return self.all().get(site)

    def all(self) -> dict[str, Presence]:
        """Every presence by site."""
        rows = self.connection.execute(
            "SELECT site, online, since, heard, skew, versions, node_online, node_since "
            "FROM presence JOIN sites ON sites.name = site ORDER BY number"
        )
        return {row[0]: _presence(row) for row in rows}

    def stand(self, site: str, study: str, state: str, at: str = "") -> None:
        """Note where a study stands at the site; `at` moves when it changes."""
        self.connection.execute(
            "INSERT INTO standings VALUES (:site, :study, :state, :at) ON CONFLICT (site, study) "
            "DO UPDATE SET at = iif(state = :state, at, :at), state = :state",
            {"site": site, "study": study, "state": state, "at": at or now()},
        )

    def standings(self, study: str) -> dict[str, str]:
        """Where the study stands at every site that has told, in site order."""
        rows = self.connection.execute(
            "SELECT site, standings.state FROM standings JOIN sites ON sites.name = site "
            "WHERE study = ? ORDER BY number",
            (study,),
        )
        return {str(site): str(state) for site, state in rows}

    def tell(self, site: str, study: str, cycle: int, reached: Reached) -> bool:
        """Note how far the site is; what was spent, read and worked never falls.

        Returns: whether the site told less spent or read than it had before.
        """
        key = (site, study, cycle)
        before = self.connection.execute(
            "SELECT spent, readings FROM progress WHERE site = ? AND study = ? AND cycle = ?", key
        ).fetchone()
        at = reached.at or now()
        self.connection.execute(
            "INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (site, study, cycle) DO UPDATE SET granted = excluded.granted, "
            "spent = max(spent, excluded.spent), readings = max(readings, excluded.readings), "
            "waiting = excluded.waiting, minutes = max(minutes, excluded.minutes), "
            "at = excluded.at",
            (
                *key,
                reached.granted,
                reached.spent,
                reached.readings,
                reached.waiting,
                reached.minutes,
                at,
            ),
        )
        return before is not None and (reached.spent < before[0] or reached.readings < before[1])

    def progress(self, study: str, cycle: int) -> dict[str, Reached]:
        """How far every site is that has told of this cycle, in site order."""
        rows = self.connection.execute(
            "SELECT site, granted, spent, readings, waiting, minutes, at FROM progress "
            "JOIN sites ON sites.name = site WHERE study = ? AND cycle = ? ORDER BY number",
            (study, cycle),
        )
        return {str(site): Reached(*found) for site, *found in rows}


def _presence(
    row: tuple[str, int, str, str, float | None, str, int | None, str | None],
) -> Presence:
    site, online, since, heard, skew, versions, node_online, node_since = row
    return Presence(
        site=site,
        online=bool(online),
        since=since,
        heard=heard,
        skew=skew,
        versions=json.loads(versions),
        node_online=None if node_online is None else bool(node_online),
        node_since=node_since,
    )
