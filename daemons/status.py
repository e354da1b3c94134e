"""Whether a daemon lives and how its services are, from what it left in its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service, as the daemon wrote it.

    Attributes:
        name: of the service.
        state: "up", "starting" or "down".
        pid: of the child; None while there is none.
        since: start of the child, or its end; UTC, ISO 8601.
        restarts: starts after the first.
        last_exit: exit code of the last child that ended, negative for a signal; None if none did.
        why: why it is down, or was started anew; "" before that.
    """

    name: str
    state: str
    pid: int | None
    since: str
    restarts: int
    last_exit: int | None
    why: str


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """A daemon.

    Attributes:
        state: "running", "stopped", or "ending" while a guardian ends a dead daemon's children.
        pid: of the daemon; None unless it runs.
        started: UTC, ISO 8601; "" if it never ran.
        services: as last written; all are down unless the daemon runs.
    """

    state: str
    pid: int | None
    started: str
    services: tuple[ServiceStatus, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON: daemon, pid, started, services by name."""
        raise NotImplementedError

    def as_text(self) -> str:
        """For a person, one line for the daemon and one per service."""
        raise NotImplementedError


def read_status(run: Path) -> DaemonStatus:
    """What the run folder says; a folder that is not there is a daemon that never ran."""
    raise NotImplementedError
