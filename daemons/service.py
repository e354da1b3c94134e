"""What a daemon keeps running: one service per child, and how patient it is with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True)
class Alive:
    """A child that runs.

    Attributes:
        pid: of the child, and of its process group.
        since: its start, by `time.monotonic()`.
    """

    pid: int
    since: float


def _ready() -> bool:
    return True


def _well(alive: Alive) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Service:
    """One child that must always run.

    `ready` and `sick` are asked by the supervisor itself and must answer at once; one that raises
    has not answered. They must start no thread: the supervisor forks.

    Attributes:
        name: of its log, of its place in the status, of the request to restart it.
        command: its first word is found on the path of `env`.
        env: added to the environment.
        ready: the next service in the list starts once this is true.
        sick: "" or why the child must be started anew; asked every second.
        grace: seconds between TERM and KILL.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = _ready
    sick: Callable[[Alive], str] = _well
    grace: float = 15.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a supervisor reacts; seconds.

    Attributes:
        backoff: before a dead child is started anew; doubles with every death.
        longest: up to this.
        calm: a child that lived so long starts again at `backoff`.
        ready_timeout: the next service starts after this at the latest.
        ready_every: between two questions to `ready`.
        sick_every: between two questions to `sick`, and looks at logs and requests.
        orphans: what the guardian gives orphans between TERM and KILL.
        log_bytes: a log that is longer is put aside as NAME.log.1, in place of the one there.
    """

    backoff: float = 0.5
    longest: float = 20.0
    calm: float = 60.0
    ready_timeout: float = 30.0
    ready_every: float = 0.2
    sick_every: float = 1.0
    orphans: float = 10.0
    log_bytes: int = 8 * 2**20


def check_services(services: Sequence[Service]) -> None:
    """Refuse services that cannot be told apart or have nothing to start.

    Raises:
        ValueError: a name that does not fit or is there twice, an empty command.
    """
    names = [service.name for service in services]
    for service in services:
        if not _NAME.fullmatch(service.name) or service.name == "supervisor":
            raise ValueError(f"service {service.name!r}: accepted are a-z, 0-9 and -")
        if not service.command:
            raise ValueError(f"service {service.name}: its command is empty")
    if len({*names}) < len(names):
        raise ValueError(f"{len(names)} services have {len({*names})} names")
