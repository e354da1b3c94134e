"""A site that has joined, and a coordination server in the test's own hands; real TLS."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from client.attendance.daemon import attend_for_ever
from client.attendance.notice import Notice
from client.home import make_home, open_store, read_config
from client.joining import join, make_site
from client.paths import HomePaths
from client.store.store import SiteStore
from daemons.secrets import sign
from protocol.coordination import PROTOCOL, head_words
from protocol.coordination_pb2 import (
    FromServer,
    FromSite,
    Heartbeat,
    Offer,
    SignedHead,
    Welcome,
)
from protocol.coordination_pb2_grpc import (
    CoordinationServicer,
    add_CoordinationServicer_to_server,
)
from protocol.study import Study, document
from server.home import HomeConfig, ServerPaths
from server.joining import admit
from server.keys import make_server
from server.registry.registry import Registry


@dataclass
class Desk(CoordinationServicer):
    """The server's end: what sites said by stream, and what the test has it say."""

    pki: Path
    beat: float = 0.1
    port: int = 0
    newest: SignedHead = field(default_factory=SignedHead)
    streams: list[list[FromSite]] = field(default_factory=list)
    refuse: grpc.StatusCode | None = None
    silent: bool = False
    protocol: int = PROTOCOL
    serving: Any = None
    waiting: asyncio.Queue[FromServer | None] = field(default_factory=asyncio.Queue)

    async def Attend(  # noqa: N802  # the stub's name
        self, requests: Any, context: Any
    ) -> AsyncIterator[FromServer]:
        if self.refuse:
            await context.abort(self.refuse, "a word of the server's")
        said: list[FromSite] = []
        self.streams.append(said)

        async def hear() -> None:
            async for message in requests:
                said.append(message)

        hearing = asyncio.create_task(hear())
        try:
            await until(lambda: said)
            yield FromServer(
                welcome=Welcome(
                    protocol=self.protocol,
                    versions={"wardround": "9.9.9"},
                    time=time.time() - 30,
                    heartbeat_seconds=self.beat,
                    newest=self.newest,
                )
            )
            while True:
                if self.silent:
                    await asyncio.sleep(0.05)
                    continue
                with suppress(TimeoutError):
                    message = await asyncio.wait_for(self.waiting.get(), self.beat)
                    if message is None:
                        return
                    yield message
                    continue
                yield FromServer(heartbeat=Heartbeat(sent=time.time()))
        finally:
            hearing.cancel()

    async def open(self) -> None:
        self.serving = grpc.aio.server()
        add_CoordinationServicer_to_server(self, self.serving)
        pair = tuple((self.pki / f"server.{kind}").read_bytes() for kind in ("key", "crt"))
        credentials = grpc.ssl_server_credentials(
            [pair], (self.pki / "site-ca.crt").read_bytes(), require_client_auth=True
        )
        self.port = self.serving.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self.serving.start()

    async def close(self) -> None:
        await self.serving.stop(0)

    def say(self, sequence: int = 0, **said: Any) -> None:
        self.waiting.put_nowait(FromServer(sequence=sequence, **said))

    def hang_up(self) -> None:
        self.waiting.put_nowait(None)

    def heard(self, kind: str) -> list[Any]:
        """Everything of a kind that was said, over all streams."""
        return [getattr(m, kind) for s in self.streams for m in s if m.WhichOneof("said") == kind]

    def acknowledged(self) -> int:
        beats = [*self.heard("arrival"), *self.heard("heartbeat")]
        return max((b.acknowledged for b in beats), default=0)

    def signed(self, lines: int, hashed: str, branch: int = 1) -> SignedHead:
        at = "2026-01-05T08:00:00+00:00"
        words = head_words("north", branch, lines, hashed, at)
        signature = sign((self.pki / "heads.key").read_bytes(), words)
        return SignedHead(lines=lines, hash=hashed, branch=branch, at=at, signature=signature)


async def until(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer; fails after that many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Hospital:
    """A joined site's home and its open database, as another process of the site has it."""

    paths: HomePaths
    store: SiteStore

    def set(self, **changes: Any) -> None:
        config = read_config(self.paths.home)
        assert config.deployment
        deployment = config.deployment.model_copy(update=changes)
        make_home(self.paths.home, config.model_copy(update={"deployment": deployment}))

    @property
    def told(self) -> dict[str, Any]:
        """What `attendance.json` says."""
        with suppress(OSError):
            return dict(json.loads(self.paths.attendance.read_text()))
        return dict(Notice(self.paths.attendance).content)

    def lines(self, event: str) -> list[str]:
        """The words of the audit log's lines of an event."""
        rows = self.store.connection.execute(
            "SELECT words FROM audit WHERE event = ? ORDER BY line", (event,)
        )
        return [str(row[0]) for row in rows]


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    make_server(tmp_path / "server", HomeConfig(address="localhost:443"), datetime.now(UTC))
    return tmp_path / "server" / "pki"


@pytest.fixture
def hospital(tmp_path: Path, pki: Path) -> Iterator[Hospital]:
    """A site that has joined."""
    home, now = tmp_path / "north", datetime.now(UTC)
    registry = Registry.open(ServerPaths(pki.parent).registry)
    kit = admit(ServerPaths(pki.parent), registry, make_site(home, "north"), now, renewal=False)
    registry.close()
    join(home, kit, now)
    store = open_store(home)
    yield Hospital(HomePaths(home), store)
    store.close()


Scene = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def attending(hospital: Hospital, pki: Path) -> Callable[..., None]:
    """Plays a scene with a server, while the site's attendance runs beside it."""

    def play(scene: Scene, **desk: Any) -> None:
        async def whole() -> None:
            server = Desk(pki, **desk)
            await server.open()
            hospital.set(server=f"localhost:{server.port}", progress_seconds=0.4)
            task = asyncio.create_task(attend_for_ever(hospital.paths.home, slow=0.3))
            try:
                await _either(scene(server), task)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await server.close()

        asyncio.run(whole())

    return play


async def _either(scene: Any, attendance: asyncio.Task[None]) -> None:
    """Play the scene; attendance must not end meanwhile."""
    played = asyncio.ensure_future(scene)
    await asyncio.wait({played, attendance}, return_when=asyncio.FIRST_COMPLETED)
    if attendance.done():
        played.cancel()
        attendance.result()
        raise AssertionError("attendance ended by itself")
    await played


@pytest.fixture
def wait() -> Callable[..., Coroutine[Any, Any, Any]]:
    """Waits until something is so."""
    return until


@pytest.fixture
def offer_of() -> Callable[..., Offer]:
    """Makes the offer of a study as the server words it."""

    def make(study: Study, /, **changes: Any) -> Offer:
        fields = {
            "study": study.identity,
            "document": json.dumps(document(study)),
            "weights": "a" * 64,
            "asked_by": "Ann",
            "sites": 3,
            "parameters": 6000,
            "version": "0.1.0",
        }
        return Offer(**{**fields, **changes})

    return make
