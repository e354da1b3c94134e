"""One process that keeps a daemon's children running, and leaves none behind.

It starts no thread, because it forks: a guardian before anything else, then the children.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daemons.service import Alive, Pace, Service, check_services

__all__ = ["Alive", "Pace", "Service", "ask_restart", "supervise"]


def ask_restart(run: Path, name: str) -> None:
    """Ask the daemon whose run folder this is to start one service anew, once."""
    (run / f"restart-{name}").touch()


def supervise(
    services: Sequence[Service], home: Path, run: Path, logs: Path, pace: Pace = Pace()
) -> int:
    """Keep the services running until SIGTERM, SIGINT or SIGHUP; the exit code, 0.

    Children start in the list's order with the home as their folder, and stop in reverse. A second
    signal kills what is left at once. Called from the main thread, before any other thread starts.

    Raises:
        Refused: another daemon runs on this home.
        ValueError: services that do not fit.
    """
    check_services(services)
    raise NotImplementedError
