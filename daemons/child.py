"""One child of a supervisor: started, looked at, ended, started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from daemons.guardian import Guardian, lives, send
from daemons.leftovers import MARK
from daemons.logs import note, now, open_log, trim
from daemons.service import Alive, Pace, Service

_T = TypeVar("_T")
_SWEPT = 2.0  # seconds that killed grandchildren may take to be gone


@dataclass(frozen=True, slots=True)
class Ground:
    """What all children of a daemon share."""

    home: Path
    run: Path
    logs: Path
    guardian: Guardian
    pace: Pace

    def note(self, sentence: str) -> None:
        """Say what happened in the supervisor's own log."""
        note(self.logs / "supervisor.log", sentence)


@dataclass(slots=True)
class Child:
    """A service and the child that now runs for it, if one does.

    Attributes:
        due: monotonic time of its next start, while there is no child.
        begun: monotonic time of the last start.
        kill_at: monotonic time at which a child that was told to end is killed.
    """

    service: Service
    ground: Ground
    running: subprocess.Popen[bytes] | None = None
    state: str = "down"
    since: str = field(default_factory=now)
    starts: int = 0
    last_exit: int | None = None
    why: str = ""
    due: float = 0.0
    begun: float = 0.0
    kill_at: float | None = None
    _wait: float = 0.0
    _at_once: bool = False

    @property
    def log(self) -> Path:
        """The child's own log."""
        return self.ground.logs / f"{self.service.name}.log"

    def start(self) -> None:
        """Start it as the leader of its own group; where that fails, try again later."""
        guardian, log = self.ground.guardian, open_log(self.log)
        self.starts += 1
        self.begun = time.monotonic()
        try:
            self.running = subprocess.Popen(  # noqa: S603 - a command of our own
                self.service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.ground.home,
                env={**os.environ, **self.service.env, MARK: str(self.ground.run)},
                process_group=0,
                preexec_fn=guardian.enter,  # there are no threads
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "strerror", None) or type(error).__name__
            guardian.restate()
            self._down(f"{self.service.command[0]} cannot be started ({said})")
            return
        finally:
            os.close(log)
        guardian.know(self.running.pid)
        self._turn("starting", self.why)
        self.greet()

    def greet(self) -> None:
        """Ask whether it is ready."""
        if self.state == "starting" and _answer(self.service.ready, False):
            self._turn("up", self.why)

    def end(self, why: str, *, at_once: bool = False) -> None:
        """Tell it to end, and kill it if it has not within its grace."""
        if at_once:
            self.due = self.begun
        if self.running is None or self.kill_at is not None:
            return
        self._at_once = at_once
        self.kill_at = time.monotonic() + self.service.grace
        self.why = why
        self.ground.note(f"{self.service.name}: ending, {why}")
        # not Popen.terminate(): of one that died a moment ago it would ask how, and we never heard
        os.kill(self.running.pid, signal.SIGTERM)

    def ended(self) -> None:
        """Its leader has exited and was not yet asked how: end the rest of its group, ask."""
        assert self.running is not None  # noqa: S101 - only a child that runs can exit
        group = self.running.pid
        send(group, signal.SIGKILL)  # before the leader is asked: until then the number is its own
        self.last_exit = self.running.wait()
        _gone(group)
        self.ground.guardian.forget(group)
        self.running = None
        self._down(self.why if self.kill_at else _how(self.last_exit))

    def _down(self, why: str) -> None:
        pace, moment = self.ground.pace, time.monotonic()
        if self._wait == 0 or moment - self.begun >= pace.calm:
            self._wait = pace.backoff
        self.due = moment if self._at_once else moment + self._wait
        if not self._at_once:
            self._wait = min(2 * self._wait, pace.longest)
        self.kill_at, self._at_once = None, False
        self._turn("down", why)

    def _turn(self, state: str, why: str) -> None:
        if (state, why) != (self.state, self.why) or state == "starting":
            self.ground.note(f"{self.service.name}: {state}{f', {why}' if why else ''}")
        self.state, self.why, self.since = state, why, now()

    def look(self) -> None:
        """Ask whether it is sick; keep its log short."""
        trim(self.log, self.ground.pace.log_bytes)
        if self.running is None or self.kill_at is not None:
            return
        alive = Alive(self.running.pid, self.begun)
        if why := _answer(lambda: self.service.sick(alive), ""):
            self.end(why)

    def hasten(self) -> None:
        """Kill it if its grace is over."""
        if self.running and self.kill_at is not None and time.monotonic() >= self.kill_at:
            send(self.running.pid, signal.SIGKILL)
            self.kill_at = time.monotonic() + 1  # should it be stuck in the kernel

    def row(self) -> dict[str, object]:
        """What the status says of it."""
        return {
            "pid": self.running.pid if self.running else None,
            "since": self.since,
            "restarts": max(self.starts - 1, 0),
            "state": self.state,
            "last_exit": self.last_exit,
            "why": self.why,
        }


def _answer(question: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return question()
    except Exception:  # a locked database or a missing file answers nothing, and ends no daemon
        return otherwise


def _how(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _gone(group: int) -> None:
    """Wait until the last of a killed group is gone, so that its ports are free."""
    deadline = time.monotonic() + _SWEPT
    while lives(group) and time.monotonic() < deadline:
        time.sleep(0.01)
