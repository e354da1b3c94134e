"""Whether a daemon lives and how its services are, from what it left in its run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from daemons.lock import lock_state


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service, as the daemon wrote it.

    Attributes:
        name: of the service.
        state: "up", "starting" or "down".
        pid: of the child; None while there is none.
        since: when it came into this state; UTC, ISO 8601.
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
        started: UTC, ISO 8601; "" unless it runs.
        services: as last written; all are down unless the daemon runs.
    """

    state: str
    pid: int | None = None
    started: str = ""
    services: tuple[ServiceStatus, ...] = ()

    @property
    def healthy(self) -> bool:
        """It runs and every service is up."""
        return self.state == "running" and all(s.state == "up" for s in self.services)

    def as_dict(self) -> dict[str, object]:
        """For JSON: state, pid, started, services by name."""
        rows = {service.name: asdict(service) for service in self.services}
        for row in rows.values():
            del row["name"]
        return {
            "state": self.state,
            "pid": self.pid,
            "started": self.started,
            "services": rows,
        }

    def as_text(self) -> str:
        """For a person, one line for the daemon and one per service."""
        since = f" since {self.started} (pid {self.pid})" if self.state == "running" else ""
        lines = [f"daemon {self.state}{since}"]
        if self.state == "stopped":
            return lines[0]
        width = max((len(service.name) for service in self.services), default=0)
        for service in self.services:
            times = "once" if service.restarts == 1 else f"{service.restarts} times"
            again = f", restarted {times}" if service.restarts else ""
            why = f" ({service.why})" if service.why else ""
            lines.append(f"  {service.name:{width}}  {service.state}{again}{why}")
        return "\n".join(lines)


def read_status(run: Path) -> DaemonStatus:
    """What the run folder says; a folder that is not there is a daemon that never ran."""
    state, pid = lock_state(run)
    written = _written(run)
    services = tuple(ServiceStatus(name=name, **row) for name, row in written["services"].items())
    if state == "running" and written["daemon_pid"] == pid:
        return DaemonStatus(state, pid, written["started"], services)
    down = tuple(replace(service, state="down", pid=None) for service in services)
    return DaemonStatus(state, pid, "", down)


def _written(run: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((run / "status.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # never written, or empty since a power cut
        return {"daemon_pid": None, "started": "", "services": {}}
    return content
