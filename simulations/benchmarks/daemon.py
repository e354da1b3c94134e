"""What a hospital's machine pays for the daemon while nothing happens, and how fast status is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from client.home import make_home, read_config
from client.joining import join, make_site
from daemons.ports import free_port
from daemons.status import read_status
from server.home import HomeConfig, ServerPaths
from server.joining import admit
from server.keys import make_server
from server.registry.registry import Registry
from simulations.benchmarks.goals import Line

_MEGABYTES = 350.0
_SECONDS = 0.3
_SETTLED = 20.0  # seconds until every child has imported what it needs


def daemon(quick: bool, repeats: int) -> Iterator[Line]:
    """Memory of an idle site daemon's tree, and the seconds of `wardround-site status`."""
    with tempfile.TemporaryDirectory(prefix="wr-") as folder, running(Path(folder)) as (home, top):
        time.sleep(_SETTLED)
        yield from resident(home, top, "its server away")
        times = tuple(seconds_of_status(home) for _ in range(max(repeats, 3)))
        yield Line("wardround-site status", times, "at most", _SECONDS, "s", "daemon running")


def resident(home: Path, top: psutil.Process, how: str) -> Iterator[Line]:
    """Memory of a site daemon and everything that it started."""
    tree = [top, *top.children(recursive=True)]
    memory = [one.memory_full_info() for one in tree]
    parts = ", ".join(
        f"{named(one)} {used.rss / 1e6:.0f}" for one, used in zip(tree, memory, strict=True)
    )
    well = read_status(home / "run").healthy
    yield Line(
        f"idle site daemon, {how}, resident",
        (sum(used.rss for used in memory) / 1e6,),
        "at most",
        _MEGABYTES,
        "MB",
        f"RSS of {len(tree)} processes: {parts}",
        "" if well else "a child was not up",
    )
    pss = sum(used.pss for used in memory) / 1e6
    yield Line("    shared pages counted once (PSS)", (pss,), "at most", _MEGABYTES, "MB")


def named(one: psutil.Process) -> str:
    """The module that a process runs."""
    words = one.cmdline()
    return words[words.index("-m") + 1].rpartition(".")[2] if "-m" in words else "daemon"


def seconds_of_status(home: Path) -> float:
    """How long the command takes, its start included."""
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [command(), "status", "--home", str(home)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def command() -> str:
    """`wardround-site` beside this Python."""
    return str(Path(sys.executable).with_name("wardround-site"))


@contextmanager
def running(folder: Path) -> Iterator[tuple[Path, psutil.Process]]:
    """A site that has joined a server which is away, its daemon up; ended afterwards."""
    home = joined(folder)
    with (folder / "daemon.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [command(), "start", "--home", str(home)], stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 60
        while not read_status(home / "run").healthy and time.monotonic() < until:
            time.sleep(0.2)
        yield home, psutil.Process(child.pid)
    finally:
        os.kill(child.pid, signal.SIGTERM)
        child.wait(60)


def joined(folder: Path) -> Path:
    """The home of a site that has joined."""
    server, site, now = folder / "server", folder / "site", datetime.now(UTC)
    address = f"localhost:{free_port()}"
    make_server(server, HomeConfig(address=address), now)
    paths = ServerPaths(server)
    registry = Registry.open(paths.registry)
    join(site, admit(paths, registry, make_site(site, "north"), now, renewal=False), now)
    registry.close()
    config = read_config(site)
    if config.deployment is not None:
        free = config.deployment.model_copy(update={"runtime_port": free_port()})
        make_home(site, config.model_copy(update={"deployment": free}))
    return site
