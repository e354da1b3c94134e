"""The calls of `protocol/coordination.proto`, and which site has which stream."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from protocol.coordination import PROTOCOL, SILENT_BEATS
from protocol.coordination_pb2 import (
    Arrival,
    FromServer,
    FromSite,
    Greeting,
    NewestHeadRequest,
    SignedHead,
)
from server.coordination.allowance import OPENING, Allowance
from server.coordination.callers import Caller, caller
from server.coordination.checks import check, check_versions
from server.coordination.intake import Intake
from server.coordination.listening import listen
from server.coordination.refusal import Refusal, invalid
from server.coordination.stream import Stream
from server.registry.outbox_shelf import OutboxShelf
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import now

NAME = "wardround.v1.Coordination"
_ARRIVAL_SECONDS, _GOODBYE_SECONDS = 10.0, 1.0

M = TypeVar("M", bound=Message)
Context: TypeAlias = Any  # grpc.aio.ServicerContext; grpcio ships no types
EOF: Any = vars(grpc.aio)["EOF"]  # some stubs of grpc lack it
Answer: TypeAlias = Callable[[Any, Context], Awaitable[Any]]


class CoordinationService:
    """Serves every site's one stream, and the calls beside it."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.streams: dict[str, Stream] = {}
        self.closing = False
        self._allowances: dict[str, Allowance] = {}

    def rpcs(self) -> Any:
        """What a server is given to serve."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "Attend": grpc.stream_stream_rpc_method_handler(
                    guarded(self.attend), _reading(FromSite), FromServer.SerializeToString
                ),
                "NewestHead": grpc.unary_unary_rpc_method_handler(
                    guarded(self.newest_head),
                    _reading(NewestHeadRequest),
                    SignedHead.SerializeToString,
                ),
                "Greet": grpc.unary_unary_rpc_method_handler(
                    guarded(self.greet), _reading(Greeting), Greeting.SerializeToString
                ),
            },
        )

    async def newest_head(self, request: NewestHeadRequest | None, context: Context) -> SignedHead:
        """The newest head of the calling site that was signed."""
        site = self._admit(context, 1.0).site
        if request is None:
            raise invalid("a message that cannot be read")
        return self.intake.signer.newest(site)

    async def greet(self, request: Greeting | None, context: Context) -> Greeting:
        """The versions and the time here; a site whose clock is wrong sounds an alarm."""
        site = self._admit(context, 1.0).site
        if request is None:
            raise invalid("a message that cannot be read")
        check_versions(request.versions)
        if request.time > 0:
            self.intake.clock(site, request.time, None)
        return Greeting(protocol=PROTOCOL, versions=self.intake.versions, time=time.time())

    async def attend(self, _: object, context: Context) -> None:
        """One site's stream, from its arrival to its end."""
        who = self._admit(context, OPENING)
        patience = min(_ARRIVAL_SECONDS, SILENT_BEATS * self.intake.beat)
        stream = self._enter(who, await _arrival(context, patience))
        try:
            await self._carry(stream, context)
        finally:
            self._leave(stream)

    def _admit(self, context: Context, cost: float) -> Caller:
        """Who calls, if they may now."""
        if self.closing:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "the service is about to stop")
        who = caller(self.intake.registry.connection, context.invocation_metadata())
        self._allowances.setdefault(who.site, Allowance()).take(cost)
        return who

    def _enter(self, who: Caller, arrival: Arrival) -> Stream:
        """The site's stream, in place of the one it had."""
        said = self.intake.arrive(who.site, arrival)
        stream = Stream(who, arrival.acknowledged, arrival.acknowledged)
        for message in said:
            stream.say(message)
        older = self.streams.get(stream.site)
        self.streams[stream.site] = stream
        if older is not None:
            taken = "another stream of this site has opened"
            older.end(Refusal(grpc.StatusCode.ABORTED, taken), goodbye=taken)
        log(f"{stream.site} arrived")
        return stream

    def drop(self, stream: Stream, refusal: Refusal) -> None:
        """The site counts as gone from now on, however long its connection takes to close."""
        log(f"{stream.site}: {refusal.detail}")
        stream.end(refusal)
        self._leave(stream)

    def note(self, streams: Sequence[Stream]) -> None:
        """Write down when these were heard and what they have carried out; in a transaction."""
        connection = self.intake.registry.connection
        PresenceShelf(connection).hear((s.site, s.heard_at, s.skew) for s in streams)
        for stream in streams:
            OutboxShelf(connection).acknowledge(stream.site, stream.acknowledged)
            stream.fresh = False

    def close(self) -> None:
        """A planned stop: every site is told, nobody is let in any more."""
        self.closing = True
        for stream in list(self.streams.values()):
            words = "the service stops as planned"
            stream.end(Refusal(grpc.StatusCode.UNAVAILABLE, words), goodbye=words)

    def _leave(self, stream: Stream) -> None:
        """Note the end of a stream, unless a newer one has taken its place."""
        if self.streams.get(stream.site) is not stream:
            return
        del self.streams[stream.site]
        log(f"{stream.site} left")
        registry = self.intake.registry
        try:
            with registry.transaction():
                self.note([stream])
                PresenceShelf(registry.connection).leave(stream.site)
        except sqlite3.Error as error:  # the next start of the service puts it right
            log(f"{stream.site}: its leaving was not noted ({type(error).__name__})")

    async def _carry(self, stream: Stream, context: Context) -> None:
        """Read and write until either end has had enough."""
        reading = asyncio.create_task(self._read(stream, context))
        writing = asyncio.create_task(_write(stream, context))
        try:
            ends: set[asyncio.Future[Any]] = {reading, writing, stream.ended}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if stream.ended.done():
                await asyncio.wait({writing}, timeout=_GOODBYE_SECONDS)
                raise stream.ended.result()
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, stream: Stream, context: Context) -> None:
        while (said := await context.read()) is not EOF:
            if stream.ended.done():
                return
            self._allowances[stream.site].take()
            listen(self.intake, stream, said)


async def _arrival(context: Context, patience: float) -> Arrival:
    """The first message of a stream, which is an arrival of our protocol."""
    try:
        said = await asyncio.wait_for(context.read(), patience)
    except TimeoutError:
        raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "no arrival") from None
    if said is EOF or said is None or check(said) != "arrival":
        raise invalid("the first message of a stream: accepted is an arrival")
    arrival: Arrival = said.arrival
    if arrival.protocol != PROTOCOL:
        raise Refusal(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"protocol {arrival.protocol}: accepted is {PROTOCOL}",
        )
    return arrival


async def _write(stream: Stream, context: Context) -> None:
    while (message := await stream.waiting.get()) is not None:
        await context.write(message)


def _reading(kind: type[M]) -> Callable[[bytes], M | None]:
    """Reads messages of a kind; None for bytes that are none, whose error would say too much."""

    def read(block: bytes) -> M | None:
        try:
            return kind.FromString(block)
        except DecodeError:
            return None

    return read


def guarded(answer: Answer) -> Answer:
    """The same call, whose every error leaves as a status and a sentence of ours."""

    async def call(request: Any, context: Context) -> Any:
        try:
            return await answer(request, context)
        except Refusal as refused:
            code, detail = refused.code, refused.detail
        except sqlite3.Error as error:
            log(f"the registry refused ({type(error).__name__})")
            code, detail = grpc.StatusCode.UNAVAILABLE, "the registry cannot be used at the moment"
        except Exception as error:  # its text must not travel, and grpc would send it
            log(f"a call failed ({type(error).__name__})")
            code, detail = grpc.StatusCode.INTERNAL, "the service failed"
        await context.abort(code, detail)

    return call


def log(words: str) -> None:
    """One line for the log; the time, and words of our own."""
    print(f"{now()} {words}", file=sys.stderr, flush=True)
