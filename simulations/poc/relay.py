"""A relay between a site and the server: it can be cut, and can write down what the site sends."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 65536


@dataclass(slots=True)
class Relay:
    """Passes bytes from a loopback port to another until it is cut.

    Attributes:
        port: where it listens.
        target: the port it passes to.
        facing_site: with it, the site's TLS ends here, so that plain bytes can be written down.
        facing_server: with it, TLS begins anew towards the server; it is given the site's end,
            which knows the site's certificate and the protocol (ALPN) that was chosen.
        record: file that gets every byte that came from the site.
        passed: bytes that came from the site.
    """

    port: int
    target: int
    facing_site: ssl.SSLContext | None = None
    facing_server: Callable[[ssl.SSLObject], ssl.SSLContext] | None = None
    record: Path | None = None
    passed: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.heal()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def heal(self) -> None:
        """Let connections through again."""
        asyncio.run_coroutine_threadsafe(self._heal(), self._loop).result(10)

    def stop(self) -> None:
        """Cut, and end the thread once every connection is done with."""
        self.cut()
        asyncio.run_coroutine_threadsafe(_quiet(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(10)
        self._loop.close()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _heal(self) -> None:
        self._server = await asyncio.start_server(
            self._joined, "127.0.0.1", self.port, ssl=self.facing_site
        )

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outside = writer.get_extra_info("ssl_object")
        context = None
        if self.facing_server is not None and outside is not None:
            context = self.facing_server(outside)
        try:
            there, onward = await asyncio.open_connection(
                "127.0.0.1",
                self.target,
                ssl=context,
                server_hostname="localhost" if context else None,
            )
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, onward}
        up, down = self._pass(reader, onward, True), self._pass(there, writer, False)
        await asyncio.gather(up, down)
        self._open -= {writer, onward}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bool
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while block := await reader.read(CHUNK):
                if sent:
                    self._note(block)
                writer.write(block)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()

    def _note(self, block: bytes) -> None:
        self.passed += len(block)
        if self.record is not None:
            with self.record.open("ab") as file:
                file.write(block)


async def _quiet() -> None:
    """Wait until nothing else runs in this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=5)
