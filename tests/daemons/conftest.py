"""A daemon of a test's own services, in its own process, stopped when the test ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemons.status import DaemonStatus, read_status

SLEEPER = "import time; time.sleep(600)"
PARENT = f"""
import pathlib, subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
pathlib.Path("grandchild").write_text(str(inner.pid))
inner.wait()
"""
STUBBORN = (
    "import pathlib, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    f"pathlib.Path('deaf').touch(); {SLEEPER}"
)
DAEMON = """
import sys
from pathlib import Path
from daemons.supervisor import Alive, Pace, Service, supervise

HOME = Path({home!r})

def py(code, *words):
    return (sys.executable, "-c", code, *words)

SERVICES = [{services}]
PACE = Pace(backoff=0.05, longest=0.4, calm=60, ready_timeout=2.0, ready_every=0.02,
            sick_every=0.05, orphans=1, log_bytes=4096)
try:
    sys.exit(supervise(SERVICES, HOME, HOME / "run", HOME / "logs", PACE))
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
"""


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet asked how does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def called(pid: int) -> str:
    """A process's name; "" of one that has ended since its number was read."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Daemon:
    """A daemon of the test's own services, in its own process."""

    sleeper, parent, stubborn = SLEEPER, PARENT, STUBBORN
    sleep = f"Service('sleep', py({SLEEPER!r}))"
    wait_for = staticmethod(wait_for)
    lives = staticmethod(lives)

    def __init__(self, home: Path) -> None:
        self.home, self.started = home, list[subprocess.Popen[str]]()

    def start(self, *services: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        script = DAEMON.format(home=str(self.home), services=", ".join(services))
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.started.append(child)
        return child

    def status(self) -> DaemonStatus:
        return read_status(self.home / "run")

    def pid(self, name: str) -> int | None:
        return next((s.pid for s in self.status().services if s.name == name), None)

    def up(self, *names: str) -> list[int]:
        """Wait until the services are up; their pids."""
        wait_for(
            lambda: {*names} <= {s.name for s in self.status().services if s.state == "up"},
        )
        return [self.pid(name) or 0 for name in names]

    def grandchild(self) -> int:
        wait_for(lambda: (self.home / "grandchild").exists())
        wait_for(lambda: (self.home / "grandchild").read_text() != "")
        return int((self.home / "grandchild").read_text())

    def guardian(self, daemon: int) -> int:
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        return next((int(c) for c in children if called(int(c)) == "guardian"), 0)

    def end(self) -> None:
        for child in self.started:
            if child.poll() is None:
                child.terminate()
                child.wait(15)
            if child.stderr:
                child.stderr.close()
        wait_for(lambda: self.status().state == "stopped")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.end()
