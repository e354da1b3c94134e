"""Where a cycle waits for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.records import Grant, SiteProgress
from server.federation import Federation
from server.ledger import Stage


class ReadingRooms(Protocol):
    """The sites' readers as the server knows them: counts and rounded minutes."""

    def read(
        self, federation: Federation, cycle: int, grants: Mapping[str, Grant]
    ) -> Mapping[str, SiteProgress]:
        """Wait until the sites are done with their grants, and say what became of each.

        Called again for the same cycle after a restart, it must not grant anything twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class PolledRooms:
    """Ask every site, now and then, how far its readers are.

    Attributes:
        interval: seconds between two questions.
        deadline: seconds after which a cycle closes with what has been read.
    """

    interval: float = 60.0
    deadline: float = 14 * 86400.0

    def read(
        self, federation: Federation, cycle: int, grants: Mapping[str, Grant]
    ) -> Mapping[str, SiteProgress]:
        """What every site has done with its grant, once none has cases waiting or time is up."""
        end = time.monotonic() + self.deadline
        while True:
            told = {
                reply.site: reply
                for reply in federation.ask_all(Stage(cycle, "progress"), {}, list(grants))
                if isinstance(reply, SiteProgress)
            }
            if not any(p.waiting for p in told.values()) or time.monotonic() > end:
                return told
            time.sleep(self.interval)
