"""What `wardround-server start` keeps running, and how each of it is started."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from daemons.ports import is_listening, near
from daemons.service import Alive, Service
from server.flower import nginx
from server.flower.serverapp import write_launchers
from server.home import HomeConfig, ServerPaths

BEAT = "keeper.beat"
_SILENCE = 300.0
_PLAIN = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "PYTHONSAFEPATH": "1",  # neither the home nor a folder of scripts stands on Python's path
    "PYTHONUNBUFFERED": "1",
}


def prepare(home: Path, config: HomeConfig) -> None:
    """Make the folders and write what the services read: nginx's configuration, launchers."""
    paths = ServerPaths(home)
    for folder in (paths.run, paths.logs, paths.studies, paths.flower, paths.flower / "home"):
        folder.mkdir(mode=0o700, exist_ok=True)
    nginx.write_configuration(home, config)
    write_launchers(home)


def environment(home: Path) -> dict[str, str]:
    """What every service finds in its environment."""
    return {**_PLAIN, "FLWR_HOME": str(ServerPaths(home).flower / "home")}


def services(home: Path, config: HomeConfig) -> list[Service]:
    """The children of a server's daemon, in the order of their start.

    Args:
        home: absolute; `prepare` has been called.
        config: of the home.

    Raises:
        ValueError: nginx is not installed.
    """
    env = environment(home)
    port = config.superlink_port
    found = [
        Service(
            "superlink",
            (*_superlink(home), "--host", "127.0.0.1", "--port", str(port)),
            env,
            ready=lambda: is_listening("127.0.0.1", port),
        ),
        Service(
            "superexec",
            _superexec(port),
            env | {"PATH": f"{ServerPaths(home).run / 'bin'}{os.pathsep}{os.defpath}"},
        ),
        _ours("coordination", home, env),
        Service("nginx", nginx.command(), env, ready=lambda: _open(config.listen)),
        _ours("keeper", home, env, "server.flower.keeper"),
    ]
    if find_spec("server.dashboard.__main__"):
        found.append(_ours("dashboard", home, env))
    return found


def _flower(name: str) -> str:
    """A command of Flower's that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def _superlink(home: Path) -> tuple[str, ...]:
    pki = ServerPaths(home).pki
    return (
        _flower("flower-superlink"),
        *("--ssl-ca-certfile", str(pki / "loop-ca.crt")),
        *("--ssl-certfile", str(pki / "loop.crt")),
        *("--ssl-keyfile", str(pki / "loop.key")),
        *("--superexec-auth-secret-file", str(pki / "superexec.secret")),
        *("--database", str(ServerPaths(home).flower / "state.db")),
        *("--isolation", "process"),
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
    )


def _superexec(port: int) -> tuple[str, ...]:
    return (
        _flower("flower-superexec"),
        *("--root-certificates", "pki/loop-ca.crt"),
        *("--runtime-api-address", f"127.0.0.1:{port}"),
        *("--superexec-auth-secret-file", "pki/superexec.secret"),
    )


def _ours(name: str, home: Path, env: dict[str, str], module: str = "") -> Service:
    words = (sys.executable, "-P", "-m", module or f"server.{name}", "--home", str(home))
    if name != "keeper":
        return Service(name, words, env)
    return Service(name, words, env, sick=lambda alive: _silent(home, alive))


def _silent(home: Path, alive: Alive) -> str:
    """Why the keeper must be started anew: it looks at things every few seconds, and says so."""
    try:
        beat = time.time() - (ServerPaths(home).run / BEAT).stat().st_mtime
    except FileNotFoundError:
        beat = _SILENCE + 1
    quiet = min(beat, time.monotonic() - alive.since)
    return f"silent for {quiet:.0f} s" if quiet > _SILENCE else ""


def _open(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return is_listening(near(host), int(port))
