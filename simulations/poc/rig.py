"""A federation of real processes that may be broken on purpose: any of them killed or held back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from daemons.ports import free_port
from server.home import make_home, read_config
from simulations.poc.follow import Follower
from simulations.poc.layout import Layout, site_names
from simulations.poc.prepare import prepare, submitted
from simulations.poc.words import per_site
from simulations.studies import committed

PATIENCE = 1500.0


@dataclass(slots=True)
class Broken:
    """A federation whose daemons are kept alive one by one, so that a test may stop any of them."""

    layout: Layout
    identity: str = ""
    keepers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, daemon: str, **env: str) -> None:
        """Keep a daemon alive: "server", a site, or a site's "-readers"."""
        out = str(self.layout.out)
        command = [sys.executable, "-m", "simulations.poc.daemons", "--out", out, "--only", daemon]
        self.keepers[daemon] = subprocess.Popen(  # noqa: S603 - our own module
            command, env={**os.environ, **env}
        )

    def stop(self, daemon: str) -> None:
        """End a daemon and everything that it started."""
        keeper = self.keepers.pop(daemon)
        keeper.send_signal(signal.SIGTERM)
        keeper.wait(120)

    def start_all(self) -> None:
        """Start every daemon that is not there."""
        for daemon in ("server", *self.layout.names, *(f"{n}-readers" for n in self.layout.names)):
            if daemon not in self.keepers:
                self.start(daemon)

    def stop_all(self) -> None:
        """End everything, all at once."""
        for keeper in self.keepers.values():
            keeper.send_signal(signal.SIGTERM)
        for keeper in self.keepers.values():
            with suppress(subprocess.TimeoutExpired):
                keeper.wait(120)
            keeper.kill()

    def submit(self) -> None:
        """Hand the study in."""
        self.identity = submitted(self.layout)

    def until_over(self, during: Callable[[str], None] | None = None) -> str:
        """The study's last state. `during` is called with every line that says where it stands."""
        lines: list[str] = []

        def say(line: str) -> None:
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
            lines.append(line)
            if during is not None:
                during(line)

        return Follower(self.layout, self.identity, say).until_over(PATIENCE)

    def pids(self, home: Path, part: str) -> list[int]:
        """The running processes of that home whose command line holds `part`."""
        found = []
        for one in psutil.process_iter(["cmdline", "environ", "cwd"]):
            words = " ".join(one.info["cmdline"] or [])
            at_home = str(home) in words or (one.info["cwd"] or "").startswith(str(home))
            if part in words and at_home and one.pid != os.getpid():
                found.append(one.pid)
        return found

    def kill(self, home: Path, part: str) -> int:
        """How many processes of that kind were killed on the spot."""
        victims = self.pids(home, part)
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        print(f"{time.strftime('%H:%M:%S')} killed {part}: {victims}", flush=True)
        return len(victims)

    def kill_when_there(self, home: Path, part: str, patience: float = 120.0) -> bool:
        """Kill a process that comes and goes, as soon as there is one; whether there was."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.pids(home, part):
                return bool(self.kill(home, part))
            time.sleep(0.2)
        return False

    def reads(self, name: str) -> None:
        """Wait until a site's readers have had an answer accepted."""
        while not self.layout.truths(name).with_suffix(".journal").exists():
            time.sleep(0.3)

    def kill_everything(self) -> None:
        """Every process of the federation at once, as when a machine loses power."""
        ours = [p for p in psutil.process_iter(["cmdline", "cwd"]) if self._belongs(p)]
        for one in ours:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for keeper in self.keepers.values():
            keeper.wait(10)
        self.keepers.clear()

    def _belongs(self, one: psutil.Process) -> bool:
        words = " ".join(one.info["cmdline"] or [])
        out = str(self.layout.out)
        inside = out in words or (one.info["cwd"] or "").startswith(out)
        return inside and one.pid != os.getpid()


def room_for_relay(layout: Layout) -> tuple[int, int]:
    """The port that sites dial, which is free now, and the one where the server listens instead."""
    config = read_config(layout.server)
    behind = free_port()
    make_home(layout.server, config.model_copy(update={"listen": f"127.0.0.1:{behind}"}))
    return int(config.address.rpartition(":")[2]), behind


@contextmanager
def federation(
    out: Path, sites: int, *overrides: str, before: Callable[[Layout], None] | None = None
) -> Iterator[Broken]:
    """A prepared federation whose daemons run, with its study handed in.

    `before` may change what was prepared before any daemon starts.
    """
    file = committed()["poc"]
    layout = Layout(out, site_names(sites))
    out.mkdir(parents=True, exist_ok=True)
    prepare(layout, file, [*per_site(file, sites), *overrides])
    if before is not None:
        before(layout)
    broken = Broken(layout)
    try:
        broken.start_all()
        broken.submit()
        yield broken
    finally:
        broken.stop_all()


def sabotage(deeds: list[Callable[[], object]], pause: float) -> threading.Thread:
    """Do these one after another, `pause` seconds apart, while the study goes on."""

    def work() -> None:
        for deed in deeds:
            time.sleep(pause)
            deed()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
