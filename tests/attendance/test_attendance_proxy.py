"""Through the hospital's proxy: CONNECT, its password, its cuts; never the environment's."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from client.attendance.dial import forget_environment


@dataclass
class Proxy:
    """A CONNECT proxy that can cut what it carries."""

    user: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    carried: list[asyncio.StreamWriter] = field(default_factory=list)
    server: Any = None

    async def open(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split()[1])
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.user.encode()).decode()}"
        if self.user and wanted.lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        port = int(self.asked[-1].rpartition(":")[2])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.carried += [writer, back]
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer))

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await reader.read(1 << 16):
                writer.write(block)
        writer.close()

    def cut(self) -> None:
        for writer in self.carried:
            writer.transport.abort()
        self.carried.clear()


@pytest.mark.slow
@pytest.mark.parametrize("user", ["", "ann:s@cr%t/:x"])
def test_the_stream_goes_through_the_proxy(
    user: str, attending: Any, hospital: Any, wait: Any
) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("arrival"))
        proxy = Proxy(user)
        await proxy.open()
        hospital.set(proxy=f"{user}@127.0.0.1:{proxy.port}".removeprefix("@"))
        desk.hang_up()
        await wait(lambda: len(desk.heard("arrival")) == 2)
        assert proxy.asked == [f"localhost:{desk.port}"]
        proxy.cut()
        await wait(lambda: len(desk.heard("arrival")) == 3)
        assert len(proxy.asked) == 2
        proxy.cut()
        proxy.server.close()

    attending(scene)


def test_a_proxy_that_refuses_is_told_of(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("arrival"))
        proxy = Proxy("ann:secret")
        await proxy.open()
        hospital.set(proxy=f"ann:wrong@127.0.0.1:{proxy.port}")
        desk.hang_up()
        await wait(lambda: "another user or password" in hospital.told["refusal"])
        proxy.server.close()

    attending(scene)


def test_a_proxy_that_is_none_is_told_of(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("arrival"))
        hospital.set(proxy="ann:secret@nowhere")
        desk.hang_up()
        await wait(lambda: "accepted is [user:password@]host:port" in hospital.told["refusal"])

    attending(scene)


def test_the_environments_proxies_are_not_asked(
    attending: Any, hospital: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "grpc_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http" + "://127.0.0.1:9")

    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("arrival"))

    attending(scene)


def test_an_exception_of_the_environment_does_not_go_round_the_proxy(
    attending: Any, hospital: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "localhost")
    forget_environment()

    async def scene(desk: Any) -> None:
        proxy = Proxy()
        await proxy.open()
        hospital.set(proxy=f"127.0.0.1:{proxy.port}")
        await wait(lambda: desk.heard("arrival"))
        desk.hang_up()
        await wait(lambda: proxy.asked)
        proxy.cut()
        proxy.server.close()

    attending(scene)
