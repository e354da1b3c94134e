"""What a hospital's machine is checked for before its daemon starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from client.greeting import UNLOGGED, Greeted, NotGreeted, greet
from client.home import Deployment, HomeConfig, HomeError, read_config
from client.paths import HomePaths
from client.room.encryption import encryption
from client.sources.checks import source_probes
from client.store.schema import MIGRATIONS
from client.versions import versions
from daemons import checks_host as host
from daemons.checks_network import Road, road_probes
from daemons.joining import split_address
from daemons.preflight import Check, Found, Probe, fail, ok, run_probes, warn
from daemons.proxy import Proxy
from protocol.coordination import CLOCK_AHEAD, CLOCK_BEHIND, PROTOCOL

_RENEW = "ask the server's admin for a renewed kit, then wardround-site join KIT"
_RESTORE = "stop the daemon and restore the home from the newest backup (see docs/operations.md)"
_COMMANDS = ("flower-supernode", "flower-superexec", "flwr-clientapp")
_DRIFT = 2.0  # seconds; a clock that is kept is never so far off
_GPU = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__,
    "gpu": torch.cuda.get_device_name() if cuda else "",
    "free": torch.cuda.mem_get_info()[0] / 1e9 if cuda else 0,
}))
"""
_REFUSED = {
    UNLOGGED: (
        "the audit log cannot be written, so nothing was sent",
        "see to the disk and to the database first",
    ),
    "UNAUTHENTICATED": ("the server does not accept this site's certificate", _RENEW),
    "PERMISSION_DENIED": ("the server does not admit this site", "ask the server's admin why"),
    "UNIMPLEMENTED": ("what answers is no wardround server", "correct deployment.server"),
    "INTERNAL": ("the server broke off the call", "ask again; then ask the server's admin"),
}


def preflight(home: Path) -> tuple[Check, ...]:
    """All checks of a site.

    Raises:
        HomeError: there is no site's home.
    """
    config, paths = read_config(home), HomePaths(home)
    here = [*_here(paths, config), *_room(paths, config), *source_probes(paths, config)]
    return run_probes([*here, *_outside(paths, config)])


def _here(paths: HomePaths, config: HomeConfig) -> list[Probe]:
    port = (config.deployment or Deployment()).runtime_port
    mine = partial(host.check_own_port, paths.run, "127.0.0.1", port, "deployment.runtime_port")
    return [
        Probe("installed", lambda: host.check_installed("flwr")),
        Probe("commands", lambda: host.check_commands(_COMMANDS)),
        Probe("disk", lambda: host.check_disk(paths.home, 2, 10)),
        Probe("memory", lambda: host.check_memory(2, 6)),
        Probe("gpu", check_gpu),
        Probe("keys", lambda: host.check_private(paths.keys)),
        Probe("database", lambda: host.check_database(paths.database, len(MIGRATIONS), _RESTORE)),
        Probe("runtime-port", mine),
        Probe("clock-kept", host.check_synchronised),
    ]


def _room(paths: HomePaths, config: HomeConfig) -> list[Probe]:
    deployment = config.deployment or Deployment()
    address = split_address(deployment.room)
    mine = partial(host.check_own_port, paths.run, *address, "deployment.room")
    return [
        Probe("room-port", mine),
        Probe("room-encryption", lambda: check_room(paths.home, deployment)),
    ]


def _outside(paths: HomePaths, config: HomeConfig) -> list[Probe]:
    joined = Probe("joined", lambda: check_joined(paths, config))
    if joined.ask().verdict == "fail":
        return [joined]
    deployment = config.deployment or Deployment()
    try:
        proxy = Proxy.parse(deployment.proxy)
    except ValueError as error:
        wrong = fail(str(error), "correct deployment.proxy in site.toml")
        return [joined, Probe("proxy", lambda: wrong)]
    road = Road(*split_address(deployment.server), paths.kit / "server-ca.crt", proxy)
    once = cache(partial(greet, paths, deployment.server, proxy))
    certificates = [paths.kit / "site.crt", paths.kit / "server-ca.crt"]
    return [
        joined,
        Probe("certificates", lambda: host.check_certificates(certificates, 30, _RENEW)),
        *road_probes(road),
        Probe("greeting", lambda: check_greeting(once), needs=("certificates", "tls")),
        Probe("clock", lambda: check_clock(once()), needs=("greeting",)),
        Probe("versions", lambda: check_versions(once()), needs=("greeting",)),
    ]


def check_joined(paths: HomePaths, config: HomeConfig) -> Found:
    """Whether a kit was installed."""
    missing = [n for n in ("server-ca.crt", "site.crt") if not (paths.kit / n).exists()]
    if missing or config.deployment is None or not config.deployment.server:
        mend = "send request.json to the server's admin, then wardround-site join KIT"
        return fail("this site has not joined a server yet", mend)
    return ok(f"site {config.name}, server {config.deployment.server}")


def check_room(home: Path, deployment: Deployment) -> Found:
    """Whether the reading room may be served as the home says, and its certificate lasts."""
    try:
        encryption(home, deployment)
    except HomeError as error:
        return fail(str(error), "correct deployment in site.toml")
    if not deployment.room_certificate:
        return ok(f"{deployment.room}, on this machine alone")
    mend = "put a newer certificate and its key there, then wardround-site start again"
    return host.check_certificates([home / deployment.room_certificate], 30, mend)


def check_gpu() -> Found:
    """Whether torch is here and sees a GPU; asked in a child, so that a broken one is one line."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-P", "-c", _GPU], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        mend = "install wardround with its extra site, in an environment of its own"
        return fail("torch is missing or does not start", mend)
    said = json.loads(done.stdout.splitlines()[-1])
    if not said["gpu"]:
        mend = "install the GPU's driver if there is one; small studies train without"
        return warn(f"torch {said['torch']} sees no GPU, training takes the processor", mend)
    return ok(f"{said['gpu']}, {said['free']:.1f} GB free, torch {said['torch']}")


def check_greeting(asked: Callable[[], Greeted]) -> Found:
    """Whether the server answers a call with this site's certificate."""
    try:
        asked()
    except NotGreeted as refusal:
        unavailable = ("the server's gateway answers, its coordination service does not", "")
        what, mend = _REFUSED.get(refusal.code, unavailable)
        mend = mend or "wait a minute, then ask the server's admin: wardround-server status"
        return fail(f"{what} ({refusal.code})", mend)
    return ok("the server accepts this site's certificate")


def check_clock(said: Greeted) -> Found:
    """Whether this clock is near enough to the server's for Flower's signatures."""
    mend = "switch on time synchronisation on this machine: systemd-timesyncd or chrony"
    way = "ahead of" if said.ahead > 0 else "behind"
    found = f"this clock is {abs(said.ahead):.1f} s {way} the server's"
    if said.ahead >= CLOCK_AHEAD or -said.ahead >= CLOCK_BEHIND:
        allowed = f"allowed are {CLOCK_AHEAD:.0f} s ahead and {CLOCK_BEHIND:.0f} s behind"
        return fail(f"{found}; {allowed}", mend)
    return warn(found, mend) if abs(said.ahead) > _DRIFT + said.doubt else ok(found)


def check_versions(said: Greeted) -> Found:
    """Whether both sides speak the same protocol and run the same Flower."""
    if said.protocol != PROTOCOL:
        mend = "install the same wardround on both sides"
        return fail(f"the server speaks protocol {said.protocol}, this site {PROTOCOL}", mend)
    differ = [
        f"{name} {said.versions[name]} there, {ours} here"
        for name, ours in versions().items()
        if name in ("wardround", "flwr") and said.versions.get(name, ours) != ours
    ]
    if differ:
        return warn("; ".join(differ), "install the same wardround on both sides")
    return ok(f"protocol {PROTOCOL}, the same wardround and flwr on both sides")
