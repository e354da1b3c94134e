"""A real coordination service in a process of its own, and sites that speak to it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.coordination import PROTOCOL
from protocol.coordination_pb2 import Arrival, FromServer, FromSite, Heartbeat
from protocol.coordination_pb2_grpc import CoordinationStub
from server.home import HomeConfig, ServerPaths, make_home
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf

BEAT = 0.3
STUDY = "ab" * 32
ATTEND = "/wardround.v1.Coordination/Attend"


def eventually(true: Callable[[], object], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@dataclass
class Server:
    """A server's home and the service that runs in it."""

    home: Path
    running: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        return f"unix:{self.home / 'run' / 'coord.sock'}"

    def registry(self) -> Registry:
        return Registry.open(ServerPaths(self.home).registry)

    def add_site(self, name: str, serial: str = "0A1") -> None:
        registry = self.registry()
        registry.connection.execute(
            "INSERT INTO sites SELECT ?, count(*), 'active', '', NULL, ?, '', '' FROM sites",
            (name, serial),
        )
        row = StudyShelf(registry.connection).get(STUDY)
        assert row is not None
        registry.connection.execute(
            "UPDATE studies SET sites = json_insert(sites, '$[#]', ?)", (name,)
        )
        registry.close()

    def rows(self, sql: str, *arguments: object) -> list[Any]:
        registry = self.registry()
        found = registry.connection.execute(sql, arguments).fetchall()
        registry.close()
        return found

    def online(self, site: str) -> bool:
        return self.rows("SELECT online FROM presence WHERE site = ?", site) == [(1,)]

    def alarms(self, site: str) -> list[str]:
        return [row[0] for row in self.rows("SELECT kind FROM alarms WHERE site = ?", site)]

    def start(self) -> None:
        log = (self.home / "log").open("ab")
        self.running = subprocess.Popen(
            [sys.executable, "-m", "server.coordination", "--home", str(self.home)], stderr=log
        )
        log.close()
        with grpc.insecure_channel(self.target) as channel:
            grpc.channel_ready_future(channel).result(20)

    def stop(self, number: int = signal.SIGKILL) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        return self.running.wait(10)


@dataclass
class Site:
    """One site's end of a stream."""

    server: Server
    name: str
    serial: str = "0a1"
    silent: bool = False
    channel: grpc.Channel = field(init=False)
    stub: CoordinationStub = field(init=False)
    said: queue.Queue[FromSite | bytes | None] = field(default_factory=queue.Queue)
    heard: queue.Queue[FromServer | grpc.RpcError] = field(default_factory=queue.Queue)
    closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(self.server.target)
        self.stub = CoordinationStub(self.channel)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (
            ("x-wr-client-dn", f"CN={self.name},OU=site,O=wardround"),
            ("x-wr-client-serial", self.serial),
        )

    def open(self) -> None:
        """Open the stream and say nothing yet; bytes travel as they are."""
        attend = self.channel.stream_stream(
            ATTEND,
            request_serializer=lambda x: x if isinstance(x, bytes) else x.SerializeToString(),
            response_deserializer=FromServer.FromString,
        )
        call = attend(iter(self.said.get, None), metadata=self.metadata)

        def listen() -> None:
            try:
                for message in call:
                    self.heard.put(message)
                self.heard.put(call)
            except grpc.RpcError as error:
                self.heard.put(error)

        threading.Thread(target=listen, daemon=True).start()

    def arrive(self, **fields: Any) -> FromServer:
        self.open()
        self.say(arrival=Arrival(**({"protocol": PROTOCOL} | fields)))
        welcome = self.hear("welcome")
        if not self.silent:
            threading.Thread(target=self._beat, daemon=True).start()
        return welcome

    def _beat(self) -> None:
        while not self.closed.wait(BEAT / 2):
            self.say(heartbeat=Heartbeat())

    def say(self, **fields: Any) -> None:
        self.said.put(FromSite(**fields))

    def hear(self, kind: str, seconds: float = 8.0) -> FromServer:
        """The next message of a kind; others are passed over."""
        while True:
            message = self.heard.get(timeout=seconds)
            assert isinstance(message, FromServer), (message.code(), message.details())
            if message.WhichOneof("said") == kind:
                return message

    def end(self, seconds: float = 8.0) -> tuple[grpc.StatusCode, str]:
        """How the stream ended, and the words of it."""
        while isinstance(message := self.heard.get(timeout=seconds), FromServer):
            pass
        return message.code(), message.details()

    def close(self) -> None:
        self.closed.set()
        self.said.put(None)
        self.channel.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service with a study for all tests, each with sites of its own."""
    home = tmp_path_factory.mktemp("s")
    make_home(home, HomeConfig(address="localhost:443", heartbeat_seconds=BEAT))
    for folder in ("pki", "run"):
        (home / folder).mkdir()
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (home / "pki" / "heads.key").write_bytes(pem)
    server = Server(home)
    registry = server.registry()
    StudyShelf(registry.connection).add(StudyRow(STUDY, "chest", "f", "ee" * 32, "Dr", ()))
    registry.close()
    server.start()
    yield server
    assert server.running is not None
    if server.running.poll() is None:
        os.kill(server.running.pid, signal.SIGCONT)
        server.stop()


@pytest.fixture
def make_site(server: Server) -> Iterator[Callable[..., Site]]:
    """Makes one end of a stream; the site is added to the registry unless it is there."""
    made: list[Site] = []

    def make(name: str, **fields: Any) -> Site:
        if not server.rows("SELECT 1 FROM sites WHERE name = ?", name):
            server.add_site(name)
        made.append(Site(server, name, **fields))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def wait() -> Callable[..., None]:
    return eventually
