"""One process that keeps a daemon's children running, and leaves none behind.

It starts no thread, because it forks: a guardian before anything else, then the children.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemons.child import Child, Ground
from daemons.guardian import Guardian
from daemons.leftovers import end_leftovers
from daemons.lock import take_lock
from daemons.logs import now, trim
from daemons.service import Alive, Pace, Service, check_services

__all__ = ["Alive", "Pace", "Service", "ask_restart", "supervise"]

_PACE = Pace()
_ASKED = "restart-"
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_CHILD_SUBREAPER = 36


def ask_restart(run: Path, name: str) -> None:
    """Ask the daemon whose run folder this is to start one service anew, once."""
    (run / f"{_ASKED}{name}").touch(mode=0o600)


def supervise(
    services: Sequence[Service], home: Path, run: Path, logs: Path, pace: Pace = _PACE
) -> int:
    """Keep the services running until SIGTERM, SIGINT or SIGHUP; the exit code, 0.

    Children start in the list's order with the home as their folder, and stop in reverse. A second
    signal kills what is left at once. Called from the main thread, before any other thread starts.

    Raises:
        Refused: another daemon runs on this home.
        ValueError: services that do not fit.
    """
    check_services(services)
    for folder in (run, logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = take_lock(run, pace.orphans + 5)
    try:
        with _signals() as heard:
            _Supervisor(services, home, run, logs, pace).live(heard)
    finally:
        os.close(lock)
    return 0


class _Heard:
    """Which signals came; `wait` returns early when one does."""

    def __init__(self, waking: int) -> None:
        self._waking = waking
        self.stops = 0

    def wait(self, seconds: float) -> None:
        """Sleep, but not through a signal."""
        if select.select([self._waking], [], [], max(seconds, 0))[0]:
            numbers = os.read(self._waking, 4096)
            self.stops += sum(number in _STOPS for number in numbers)


@contextlib.contextmanager
def _signals() -> Iterator[_Heard]:
    """Hear signals by a pipe; what they did before is put back."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {n: signal.signal(n, lambda *_: None) for n in (*_STOPS, signal.SIGCHLD)}
    woken = signal.set_wakeup_fd(writing)
    try:
        yield _Heard(reading)
    finally:
        signal.set_wakeup_fd(woken)
        for number, earlier in before.items():
            signal.signal(number, earlier)
        os.close(reading)
        os.close(writing)


class _Supervisor:
    """The services of one home, in order, with their children."""

    def __init__(
        self, services: Sequence[Service], home: Path, run: Path, logs: Path, pace: Pace
    ) -> None:
        _adopt_orphans()
        for stale in run.glob(f"{_ASKED}*"):
            stale.unlink(missing_ok=True)
        self._run, self._logs, self._pace = run, logs, pace
        self._guardian = Guardian(pace.orphans)
        ground = Ground(home.resolve(), run.resolve(), logs.resolve(), self._guardian, pace)
        self._children = [Child(service, ground) for service in services]
        if left := end_leftovers(run, [child.log for child in self._children], pace.orphans):
            ground.note(f"ended {left} that an earlier daemon had left behind")
        self._opened = 0  # services that had their first start
        self._opened_at = 0.0
        self._started, self._written, self._looked = now(), "", 0.0

    def live(self, heard: _Heard) -> None:
        """Until told to stop; whatever happens, no child is left."""
        try:
            while not heard.stops:
                self._reap()
                self._look()
                self._start()
                self._write()
                heard.wait(self._rest())
        finally:
            self._stop(heard)

    def _reap(self) -> None:
        """Take note of everyone who ended: children, orphans of theirs, the guardian."""
        pids = {c.running.pid: c for c in self._children if c.running}
        while (pid := _ended()) is not None:
            if pid in pids:
                pids.pop(pid).ended()
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            if pid == self._guardian.pid:
                self._guardian.revive()

    def _look(self) -> None:
        """At once: readiness and graces; every second: requests, sickness, logs."""
        for child in self._children:
            child.greet()
            child.hasten()
        if time.monotonic() < self._looked + self._pace.sick_every:
            return
        self._looked = time.monotonic()
        trim(self._logs / "supervisor.log", self._pace.log_bytes)
        for child in self._children:
            asked = self._run / f"{_ASKED}{child.service.name}"
            if asked.exists():
                asked.unlink(missing_ok=True)
                child.end("asked to", at_once=True)
            child.look()

    def _start(self) -> None:
        """Start what is due; the first starts wait for the service before them."""
        if self._opened < len(self._children) and self._may_open():
            self._opened, self._opened_at = self._opened + 1, time.monotonic()
        for child in self._children[: self._opened]:
            if child.running is None and child.due <= time.monotonic():
                child.start()

    def _may_open(self) -> bool:
        if not self._opened or self._children[self._opened - 1].state == "up":
            return True
        return time.monotonic() >= self._opened_at + self._pace.ready_timeout

    def _rest(self) -> float:
        """Seconds until something may be due; a child's death wakes us before."""
        moment = time.monotonic()
        opening = self._opened < len(self._children)
        times = [self._looked + self._pace.sick_every]
        times += [c.due for c in self._children[: self._opened] if c.running is None]
        times += [c.kill_at for c in self._children if c.kill_at is not None]
        if any(child.state == "starting" for child in self._children):
            times.append(moment + self._pace.ready_every)
        times += [moment] if opening and self._may_open() else []
        return min(times) - moment

    def _stop(self, heard: _Heard) -> None:
        """End the children in reverse order, each with its grace; then the guardian."""
        told = heard.stops
        for child in reversed(self._children):
            child.end("the daemon stops")
            while child.running:
                if heard.stops > max(told, 1):
                    child.kill_at = time.monotonic()
                child.hasten()
                self._reap()
                self._write()
                if child.running:
                    heard.wait(0.1)
        self._write()
        self._guardian.dismiss()

    def _write(self) -> None:
        """Put the status in place of the one there; a full disk is tried again later."""
        content = {
            "format": 1,
            "daemon_pid": os.getpid(),
            "started": self._started,
            "services": {child.service.name: child.row() for child in self._children},
        }
        text = json.dumps(content, indent=1)
        if text == self._written:
            return
        fresh = self._run / f".status.json.{os.getpid()}"
        with contextlib.suppress(OSError):
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, self._run / "status.json")
            self._written = text


def _ended() -> int | None:
    """A child of ours that has ended and was not yet asked how."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _adopt_orphans() -> None:
    """Grandchildren whose parent died become our children: in a container nobody else asks."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
