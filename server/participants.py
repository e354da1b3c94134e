"""The sites of one submitted study, as the registry knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from server.events import Event
from server.federation import Federation
from server.registry.alarm_shelf import AlarmShelf
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry, from_column
from server.registry.study_shelf import OPEN, StudyShelf
from server.training import TOO_LONG

_DECIDED = frozenset({"approved", "refused", "withdrawn"})
_LOG = logging.getLogger("wardround.server")


@dataclass(frozen=True, slots=True)
class Participants:
    """Who takes part, where they are, and whether they may.

    Attributes:
        registry: of the server.
        study: identity.
        names: of the sites that were asked.
        patience: seconds after which the study begins without sites that have not decided.
    """

    registry: Registry
    study: str
    names: Sequence[str]
    patience: float

    def roster(self) -> Mapping[str, int]:
        """Flower's node id of each site in site order; -1 where none is registered."""
        rows = self.registry.connection.execute(
            "SELECT name, iif(state = 'active', node, NULL) FROM sites ORDER BY number"
        )
        known = {name: from_column(node) for name, node in rows if name in self.names}
        return {name: -1 if node is None else node for name, node in known.items()}

    def halted(self) -> bool:
        """Whether the study is not to run: it was paused or stopped."""
        row = StudyShelf(self.registry.connection).get(self.study)
        return row is None or row.state != "running"

    def muster(self, federation: Federation) -> Sequence[str]:
        """The names in site order, once a quorum has approved and all have decided.

        Those that have not decided within the patience, counted from the submission, take part
        from when they approve.

        Raises:
            Halted: while waiting.
        """
        submitted = StudyShelf(self.registry.connection).get(self.study)
        begun = datetime.fromisoformat(submitted.submitted) if submitted else datetime.now(UTC)
        told = -1e9
        while True:
            standings = PresenceShelf(self.registry.connection).standings(self.study)
            stand = {name: standings.get(name, "waiting") for name in self.names}
            approved = sum(state == "approved" for state in stand.values())
            decided = all(state in _DECIDED for state in stand.values())
            late = (datetime.now(UTC) - begun).total_seconds() > self.patience
            if approved >= federation.needed and (decided or late):
                return list(self.roster())
            if time.monotonic() > told + 600:
                told = time.monotonic()
                _LOG.info("%d sites approved, a quorum is %d", approved, federation.needed)
            federation.pause(federation.timing.retry)

    def paused(self, since: datetime) -> timedelta:
        """For how long the study was paused since then."""
        return StudyShelf(self.registry.connection).paused(self.study, since)

    def lost(self, words: str) -> None:
        """A run ended without a quorum; the keeper tells a person until the study goes on."""
        StudyShelf(self.registry.connection).note_lost(self.study, words)

    def goes_on(self, event: Event) -> None:
        """A step was committed, or a site's update was left out of one."""
        if event.step == "too-long":
            AlarmShelf(self.registry.connection).sound(
                "update-left-out",
                f"cycle {event.cycle + 1}, round {event.round + 1}: its update was more than "
                f"{TOO_LONG:.0f} times as long as is usual, and is no part of the average",
                event.site,
            )
            return
        StudyShelf(self.registry.connection).note_lost(self.study, "")

    def end(self) -> None:
        """The study is over."""
        with self.registry.transaction():
            StudyShelf(self.registry.connection).move(self.study, "ended", OPEN)
