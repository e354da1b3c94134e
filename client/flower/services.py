"""What a site's daemon keeps running, and how it notices a SuperNode that has gone deaf.

Imports little: the daemon itself is a process that lives for weeks beside its children.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from client.flower.environment import flower_environment
from client.paths import HomePaths
from daemons.ports import is_listening
from daemons.service import Alive, Service

_YOUNG = 90.0  # seconds: after a crash the server lets a SuperNode in only after a minute
_SETTLED = 5.0  # seconds that installing a kit may take
_OUTAGE = 5  # times the silence: then even a SuperNode is restarted whose server seems away


def services(home: Path, port: int, silence: float) -> list[Service]:
    """The children of a site's daemon, in the order of their start.

    Args:
        home: absolute, of a site that has joined; `prepare` has been called.
        port: of the SuperNode's Runtime API, on loopback.
        silence: seconds without reaching the server after which a SuperNode is started anew.
    """
    paths = HomePaths(home)
    flower = flower_environment(paths)
    return [
        Service(
            "supernode",
            _ours("client.flower.supernode", home),
            flower,
            ready=lambda: is_listening("127.0.0.1", port),
            sick=deaf(paths, silence),
        ),
        Service("superexec", _ours("client.flower.superexec", home), flower, grace=5.0),
        Service("attendance", _ours("client.attendance", home)),
        Service("room", _ours("client.room", home), grace=5.0),
    ]


def prepare(home: Path) -> None:
    """Make what the children need before they start: folders, and our `flwr-clientapp`."""
    paths = HomePaths(home)
    for folder in (paths.run, paths.logs, paths.flower):
        folder.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(paths.launchers, ignore_errors=True)
    paths.launchers.mkdir(mode=0o700)
    launcher = paths.launchers / "flwr-clientapp"
    command = shlex.join(_ours("client.flower.clientapp", home))
    launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    launcher.chmod(0o700)


def deaf(paths: HomePaths, patience: float) -> Callable[[Alive], str]:
    """The watchdog's question about a SuperNode: "", or why it is to be started anew.

    While the stream to the server is down as well, the server is away and not the SuperNode deaf:
    it reaches it again by itself, and a training that goes on here is not thrown away.
    """

    def sick(alive: Alive) -> str:
        age = time.monotonic() - alive.since
        silence = min(age, _age(paths.beat))
        most = patience * (1 if _attended(paths) else _OUTAGE)
        if age < _YOUNG:
            return ""
        if _age(paths.kit / "site.crt") < age - _SETTLED:
            return "the certificate was renewed"
        return f"has not reached the server for {silence:.0f} s" if silence >= most else ""

    return sick


def _ours(module: str, home: Path) -> tuple[str, ...]:
    """A program of ours; isolated (-I), so that no file in the home is taken for a module."""
    return (sys.executable, "-Iu", "-m", module, "--home", str(home))


def _age(file: Path) -> float:
    """Seconds since a file was touched; for ever, if it is not there."""
    try:
        return max(time.time() - file.stat().st_mtime, 0.0)
    except FileNotFoundError:
        return float("inf")


def _attended(paths: HomePaths) -> bool:
    """Whether the stream to the server stands; also where nobody has said anything of it."""
    try:
        return bool(json.loads(paths.attendance.read_bytes())["state"] == "connected")
    except (OSError, ValueError, KeyError, TypeError):
        return True
