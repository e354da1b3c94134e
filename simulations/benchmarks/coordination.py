"""What the coordination service needs for many sites, each on a connection of its own.

    python -m simulations.benchmarks.coordination HOME SITES PID

lets that many sites attend the service that runs in HOME as PID, and prints what
they saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import ROOT

MANY = 200
HEADS = 10  # of each site


def coordination(quick: bool, repeats: int) -> Iterator[Line]:
    """Memory of the real service in its own process while sites attend; how soon it answers."""
    sites = 20 if quick else MANY
    found = [_measure(sites) for _ in range(1 if quick else repeats)]

    def told(name: str) -> tuple[float, ...]:
        return tuple(one[name] for one in found)

    yield Line(
        f"coordination service, {sites} sites connected",
        told("connected"),
        "at most",
        200.0,
        unit="MB",
        note="resident, shared pages included; real connections over the unix socket",
    )
    for what, name, unit in (
        ("the same, shared pages divided", "share", "MB"),
        ("the same, before the first site", "idle", "MB"),
        (f"{sites} sites arrive at once", "arrival", "s"),
        ("an audit head is countersigned, median", "head", "ms"),
        ("the same, 99th of 100", "head_99", "ms"),
        (f"an order put for each reaches all {sites}", "order", "s"),
    ):
        yield Line(what, told(name), "at most", None, unit=unit)


def _measure(sites: int) -> dict[str, float]:
    """One run of the service and its sites."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        _prepare(home, sites)
        with (home / "log").open("wb") as log:
            service = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "server.coordination", "--home", place],
                cwd=ROOT,
                stderr=log,
            )
        try:
            worker = [sys.executable, "-m", "simulations.benchmarks.coordination", place]
            said = subprocess.run(  # noqa: S603 - our own command
                [*worker, str(sites), str(service.pid)],
                cwd=ROOT,
                check=True,
                stdout=subprocess.PIPE,
            )
        finally:
            service.terminate()
            service.wait()
    found: dict[str, float] = json.loads(said.stdout)
    return found


def _prepare(home: Path, sites: int) -> None:
    """A server's home with its sites, as `wardround-server` leaves it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from server.home import HomeConfig, ServerPaths, make_home
    from server.registry.registry import Registry

    make_home(home, HomeConfig(address="localhost:443"))
    paths = ServerPaths(home)
    paths.pki.mkdir(mode=0o700)
    paths.run.mkdir()
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (paths.pki / "heads.key").write_bytes(pem)
    registry = Registry.open(paths.registry)
    registry.connection.executemany(
        "INSERT INTO sites VALUES (?, ?, 'active', '', NULL, '01', '', '')",
        [(f"site-{number}", number) for number in range(sites)],
    )
    registry.close()


def memory(pid: int) -> Mapping[str, float]:
    """Megabytes of a running program: "Rss", and "Pss", in which shared pages are divided."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) / 1000 for row in rows}


async def attend(home: Path, sites: int, pid: int) -> dict[str, float]:
    """What the sites saw, in one program but each on its own connection."""
    import grpc

    from server.home import ServerPaths

    target = f"unix:{ServerPaths(home).run / 'coord.sock'}"
    async with grpc.aio.insecure_channel(target) as probe:
        await asyncio.wait_for(probe.channel_ready(), 30)
    idle = memory(pid)["Rss"]
    began = time.perf_counter()
    async with _streams(target, sites) as calls:
        arrival = time.perf_counter() - began
        seconds = [await _heads(call, line) for line in range(1, HEADS + 1) for call in calls]
        order = await _order(home, calls)
        held = memory(pid)
    return {
        "idle": idle,
        "connected": held["Rss"],
        "share": held["Pss"],
        "arrival": arrival,
        "head": median(seconds) * 1000,
        "head_99": quantiles(seconds, n=100)[98] * 1000,
        "order": order,
    }


@asynccontextmanager
async def _streams(target: str, sites: int) -> AsyncIterator[list[Any]]:
    """Every site's stream, welcomed."""
    import grpc

    from protocol.coordination import PROTOCOL
    from protocol.coordination_pb2 import Arrival, FromSite
    from protocol.coordination_pb2_grpc import CoordinationStub

    own = [("grpc.use_local_subchannel_pool", 1)]  # no connection is shared between channels
    channels = [grpc.aio.insecure_channel(target, options=own) for _ in range(sites)]

    async def arrive(number: int) -> Any:
        who = (("x-wr-client-dn", f"CN=site-{number}"), ("x-wr-client-serial", "01"))
        call = CoordinationStub(channels[number]).Attend(metadata=who)
        await call.write(FromSite(arrival=Arrival(protocol=PROTOCOL)))
        await _next(call, "welcome")
        return call

    try:
        yield await asyncio.gather(*(arrive(number) for number in range(sites)))
    finally:
        for channel in channels:
            await channel.close(None)


async def _heads(call: Any, line: int) -> float:
    """Seconds until one site's head came back countersigned."""
    from protocol.coordination_pb2 import FromSite, Head

    began = time.perf_counter()
    await call.write(FromSite(head=Head(lines=line, hash=f"{line:064x}")))
    await _next(call, "countersigned")
    return time.perf_counter() - began


async def _order(home: Path, calls: list[Any]) -> float:
    """Seconds until every site has the order that was put for it from outside the service."""
    from protocol.coordination_pb2 import Order
    from server.home import ServerPaths
    from server.registry.outbox_shelf import OutboxShelf
    from server.registry.registry import Registry

    registry = Registry.open(ServerPaths(home).registry)
    payload = Order(kind="restart-node").SerializeToString()
    with registry.transaction():
        for number in range(len(calls)):
            OutboxShelf(registry.connection).put(f"site-{number}", "order", payload)
    registry.close()
    began = time.perf_counter()
    await asyncio.gather(*(_next(call, "order") for call in calls))
    return time.perf_counter() - began


async def _next(call: Any, kind: str) -> None:
    while (await call.read()).WhichOneof("said") != kind:
        pass


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attend(Path(sys.argv[1]), *map(int, sys.argv[2:])))))
