"""One stream to the server, from arrival to its end: hearing, carrying out, telling."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from client.attendance.dial import METHOD, Ending, ending, why_not
from client.attendance.errand import Errands
from client.attendance.news import LogRewritten, News
from client.attendance.notice import Notice
from client.audit.gate import end_of_stream, let_out_message
from client.examining import plain
from client.store.store import SiteStore, now
from protocol.coordination import PROTOCOL, SILENT_BEATS
from protocol.coordination_pb2 import FromServer, FromSite, Welcome
from protocol.egress import KeptBack

_ANSWER = 30.0  # seconds until the welcome
_TICK = 0.5  # seconds between two looks at what there is to tell
_SHORTEST, _LONGEST = 0.05, 300.0  # seconds between heartbeats that a server may ask for


class _Over(Exception):
    """The stream is over for a reason of our own."""

    def __init__(self, words: str, slow: bool = False) -> None:
        super().__init__(words)
        self.ending = Ending(words, slow)


@dataclass(slots=True)
class Stream:
    """What one stream works on.

    Attributes:
        store: of the site.
        news: what there is to tell; outlives the stream.
        errands: what the server may have done here.
        notice: how the stream is.
    """

    store: SiteStore
    news: News
    errands: Errands
    notice: Notice
    _call: Any = None
    _beat: float = _LONGEST
    _heard: float = 0.0
    _said: float = 0.0
    _waiting: asyncio.Queue[FromServer] = field(default_factory=lambda: asyncio.Queue(256))
    _acknowledge: asyncio.Event = field(default_factory=asyncio.Event)

    async def attend(self, channel: grpc.aio.Channel) -> Ending:
        """Keep the stream until it ends; how it did. Cancelled, it ends at once."""
        try:
            wrong = await asyncio.wait_for(why_not(channel), _ANSWER)
        except TimeoutError:
            return Ending("the server does not answer")
        return wrong or await self._attend(channel)

    async def _attend(self, channel: grpc.aio.Channel) -> Ending:
        open_stream = channel.stream_stream(
            METHOD,
            request_serializer=bytes,  # what the gate let out, as it is
            response_deserializer=FromServer.FromString,
        )
        self._call = open_stream(None)
        try:
            await asyncio.wait_for(self._arrive(), _ANSWER)
            await _first(self._hear(), self._carry_out(), self._tell())
        except _Over as over:
            return over.ending
        except KeptBack:
            return Ending("the gate lets this site's arrival not pass", slow=True)
        except LogRewritten:  # the next arrival compares it with what the server has signed
            return Ending("the audit log was written anew, or restored from a copy")
        except TimeoutError:
            return Ending("the server does not answer")
        except sqlite3.Error:
            return Ending("the site's database cannot be read or written")
        except grpc.aio.AioRpcError as error:
            return ending(error.code(), error.details() or "")
        except asyncio.InvalidStateError:  # written to a call that had ended
            return ending(await self._call.code(), await self._call.details() or "")
        finally:
            self._call.cancel()
            with suppress(sqlite3.Error):
                end_of_stream(self.store)
        return Ending("the server ended the stream")

    async def _arrive(self) -> None:
        await self._say(self.news.arrival())
        message = await self._read()
        if not message.HasField("welcome"):
            raise _Over("the server did not begin with a welcome", slow=True)
        welcome, moment = message.welcome, time.time()
        if welcome.protocol != PROTOCOL:
            raise _Over(
                f"the server speaks version {welcome.protocol} of the coordination messages, "
                f"accepted is {PROTOCOL}",
                slow=True,
            )
        self._greeted(welcome, moment)

    def _greeted(self, welcome: Welcome, moment: float) -> None:
        beat = welcome.heartbeat_seconds
        beat = beat if math.isfinite(beat) else _LONGEST
        self._beat = min(max(beat, _SHORTEST), _LONGEST)
        told = list(welcome.versions.items())[:16]
        skew = moment - welcome.time if math.isfinite(welcome.time) else None
        self.notice.tell(
            state="connected",
            heard=now(),
            refusal=self.errands.compare(welcome.newest),
            versions={plain(name, 40): plain(version, 40) for name, version in told},
            skew=None if skew is None else round(skew, 1),
            acknowledged=self.news.acknowledged(),
            news="",
        )

    async def _hear(self) -> None:
        """Queue what must be done; everything else is done at once."""
        while True:
            message = await self._read()
            said = message.WhichOneof("said")
            if said in ("offer", "order"):
                await self._waiting.put(message)
            elif said == "countersigned":
                if wrong := self.errands.countersigned(message.countersigned):
                    self.notice.tell(refusal=wrong, refused=now())
            elif said == "goodbye":
                self.notice.tell(news=plain(message.goodbye.reason, 120))
            elif said == "heartbeat" and math.isfinite(message.heartbeat.sent):
                skew = round(time.time() - message.heartbeat.sent, 1)
                self.notice.tell(heard=now(), skew=skew)

    async def _carry_out(self) -> None:
        while True:
            await self.errands.carry_out(await self._waiting.get())
            self.notice.tell(acknowledged=self.news.acknowledged())
            self._acknowledge.set()

    async def _tell(self) -> None:
        """Say what there is to say, and heartbeats; end a stream on which nothing is heard."""
        while True:
            for message in self.news.due():
                with suppress(KeptBack):  # its line says so, and the stream goes on
                    await self._say(message)
            if self._acknowledge.is_set() or time.monotonic() - self._said >= self._beat:
                self._acknowledge.clear()
                await self._say(self.news.heartbeat())
            if time.monotonic() - self._heard > SILENT_BEATS * self._beat:
                raise _Over("the server fell silent")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._acknowledge.wait(), min(_TICK, self._beat / 2))

    async def _read(self) -> FromServer:
        """The next message.

        Raises:
            grpc.aio.AioRpcError: the stream ended with an error.
            _Over: it ended without.
        """
        message = await self._call.read()
        if not isinstance(message, FromServer):
            raise _Over("the server ended the stream")
        self._heard = time.monotonic()
        return message

    async def _say(self, message: FromSite) -> None:
        """The only way out: through the gate.

        Raises:
            KeptBack: the gate does not let it pass.
        """
        block = let_out_message(self.store, message)
        self._said = time.monotonic()
        await asyncio.wait_for(self._call.write(block), max(SILENT_BEATS * self._beat, _TICK))


async def _first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run these until one of them ends, and raise what ended it."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
