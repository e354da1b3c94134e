"""The coordination service as a running thing: bound, watched, stopped as planned."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from protocol.coordination import LARGEST_FROM_SITE
from server.coordination.heads import Countersigner
from server.coordination.intake import Intake, versions
from server.coordination.service import NAME, Answer, Context, CoordinationService, log
from server.coordination.watch import Watch
from server.home import HomeError, ServerPaths, read_config
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry

SOCKET = "unix:run/coord.sock"

_LOCAL = re.compile(r"unix:.+|(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}")
_GRACE = 3.0  # seconds between the goodbyes and the end
_BUSY_MS = 2000  # every site waits meanwhile
_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_FROM_SITE),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.keepalive_time_ms", 30000),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),  # bounds the keepalive ping; 60 s without
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
]
_CALLS, _WATCHERS = 2000, 50  # open at once, of all sites together


def check_address(bind: str) -> None:
    """Refuse an address that others could reach: who calls is believed as nginx told it.

    Raises:
        ValueError: neither a socket file nor loopback.
    """
    if not _LOCAL.fullmatch(bind):
        raise ValueError(f"--bind {bind}: accepted is unix:FILE or a port of 127.0.0.1")


async def serve(home: Path, bind: str = SOCKET) -> None:
    """Serve until TERM or INT. A socket's path is relative to the working folder.

    Raises:
        HomeError: the home's configuration or its key for heads is missing.
        OSError: the address cannot be bound.
    """
    paths = ServerPaths(home)
    beat = read_config(home).heartbeat_seconds
    try:
        private = (paths.pki / "heads.key").read_bytes()
    except FileNotFoundError:
        raise HomeError(f"{home}: pki/heads.key is missing") from None
    registry = Registry.open(paths.registry)
    registry.connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    PresenceShelf(registry.connection).leave_all()
    service = CoordinationService(
        Intake(registry, Countersigner(registry, private), beat, versions())
    )
    try:
        await _serve(service, bind)
    finally:
        PresenceShelf(registry.connection).leave_all()
        registry.close()


async def _serve(service: CoordinationService, bind: str) -> None:
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_CALLS)
    server.add_generic_rpc_handlers((service.rpcs(),))
    beside: Any = vars(health)["aio"].HealthServicer()  # some stubs lack it
    beside.Watch = _bounded(beside.Watch)
    health_pb2_grpc.add_HealthServicer_to_server(beside, server)
    await beside.set(NAME, HealthCheckResponse.SERVING)
    port = _bind(server, bind)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    log(f"serving at {bind}" + (f", port {port}" if not bind.startswith("unix:") else ""))
    watching = asyncio.create_task(Watch(service).run())
    try:
        await asyncio.wait(
            {watching, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        watching.cancel()
        await beside.enter_graceful_shutdown()
        service.close()
        await server.stop(_GRACE)
        log("stopped")
    if not stop.is_set():
        watching.result()  # it never ends by itself: whoever supervises us starts us anew


def _bounded(watch: Answer) -> Answer:
    """The same call, open so many times at once; without a bound it could keep the sites out."""
    places = asyncio.Semaphore(_WATCHERS)

    async def call(request: Any, context: Context) -> Any:
        if places.locked():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        async with places:
            return await watch(request, context)

    return call


def _bind(server: grpc.aio.Server, bind: str) -> int:
    """Bind the server; a socket's file is for owner and group alone. Returns: the port."""
    before = os.umask(0o117)  # from the first moment on
    try:
        return int(server.add_insecure_port(bind))
    except RuntimeError:
        raise OSError(f"{bind} cannot be bound") from None
    finally:
        os.umask(before)
