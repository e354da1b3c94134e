"""One short call to the server before joining in: its versions and its time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from client.audit.gate import let_out_message
from client.home import open_store
from client.paths import HomePaths
from client.versions import versions
from daemons.proxy import Proxy
from protocol.coordination import PROTOCOL
from protocol.coordination_pb2 import Greeting
from protocol.coordination_pb2_grpc import CoordinationStub
from protocol.egress import release_message

UNLOGGED = "UNLOGGED"
"""The reason where nothing was sent: the audit log could not be written."""


class NotGreeted(RuntimeError):
    """The server did not answer.

    Attributes:
        code: gRPC's name of the reason, or `UNLOGGED`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"the server did not answer ({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Greeted:
    """What the server said.

    Attributes:
        protocol: of its coordination messages.
        versions: that it runs.
        ahead: seconds by which this machine's clock is ahead of the server's.
        doubt: seconds by which `ahead` may be wrong.
    """

    protocol: int
    versions: Mapping[str, str]
    ahead: float
    doubt: float


def greet(paths: HomePaths, server: str, proxy: Proxy | None, timeout: float = 10.0) -> Greeted:
    """Greet the server with the site's certificate.

    Raises:
        NotGreeted: why not.
        OSError: the kit or the key cannot be read.
    """
    credentials = grpc.ssl_channel_credentials(
        (paths.kit / "server-ca.crt").read_bytes(),
        (paths.keys / "coordination.key").read_bytes(),
        (paths.kit / "site.crt").read_bytes(),
    )
    way: tuple[str, object] = ("grpc.enable_http_proxy", 0)  # none of the environment's
    if proxy:
        way = ("grpc.http_proxy", proxy.url)
    options = [way, ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"dns:///{server}", credentials, options) as channel:
        try:
            _ask(channel, _logged(paths), timeout)  # connects; the second one measures
            ours = _logged(paths)
            sent, begun = time.time(), time.monotonic()
            said = _ask(channel, ours, timeout)
        except grpc.RpcError as error:
            raise NotGreeted(error.code().name) from None
    half = (time.monotonic() - begun) / 2
    return Greeted(said.protocol, dict(said.versions), sent + half - said.time, half)


def _ask(channel: grpc.Channel, ours: Greeting, timeout: float) -> Greeting:
    said: Greeting = CoordinationStub(channel).Greet(ours, timeout=timeout)
    return said


def _logged(paths: HomePaths) -> Greeting:
    """A greeting that has passed the gate; before the home has a database there is no log of it.

    Raises:
        NotGreeted: the log cannot be written, so nothing leaves.
    """
    greeting = Greeting(protocol=PROTOCOL, versions=versions(), time=time.time())
    if not paths.database.exists():
        release_message(greeting)
        return greeting
    try:
        store = open_store(paths.home)
        try:
            let_out_message(store, greeting)
        finally:
            store.close()
    except (sqlite3.Error, RuntimeError):  # damaged, full, or of a newer wardround
        raise NotGreeted(UNLOGGED) from None
    return greeting
