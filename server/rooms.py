"""What the server knows of the sites' readers while a cycle waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.records import Grant, SiteProgress
from server.registry.presence_shelf import PresenceShelf


class ReadingRooms(Protocol):
    """The sites' readers as the server knows them: counts and rounded minutes."""

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        ...

    def look(self, cycle: int, granted: Mapping[str, Grant]) -> Mapping[str, SiteProgress]:
        """How far each site is with all that it was granted in a cycle, as far as it has told.

        `waiting` is 0 only where a site's readers can do no more. Nothing is asked and nothing
        changes by looking twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class StreamedRooms:
    """What the sites' coordination streams have left in the registry.

    Attributes:
        shelf: where they left it.
        study: identity.
        interval: seconds between two looks.
    """

    shelf: PresenceShelf
    study: str
    interval: float = 5.0

    def look(self, cycle: int, granted: Mapping[str, Grant]) -> Mapping[str, SiteProgress]:
        """The newest word of every site; one that has not heard of all its grant is not done."""
        told = self.shelf.progress(self.study, cycle)
        return {
            site: SiteProgress(
                site,
                spent=reached.spent,
                returned=granted[site].count - reached.spent,
                readings=reached.readings,
                minutes=reached.minutes,
                waiting=reached.waiting
                if reached.granted >= granted[site].count
                else max(1, reached.waiting),
            )
            for site, reached in told.items()
            if site in granted
        }
