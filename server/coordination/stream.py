"""One site's open stream, as the service sees it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import grpc

from protocol.coordination_pb2 import FromServer, Goodbye
from server.coordination.callers import Caller
from server.coordination.refusal import Refusal
from server.registry.registry import now

_WAITING = 64  # messages that a site may leave unread


@dataclass(slots=True, eq=False)
class Stream:
    """What is on its way to a site, and when it was last heard.

    Attributes:
        who: came, and with which certificate.
        given: last sequence of the outbox that was put on its way.
        acknowledged: last sequence that the site has carried out.
        heard: when it last said something, monotonic seconds.
        heard_at: the same, UTC, ISO 8601.
        beaten: when a heartbeat was last put on its way, monotonic seconds.
        skew: seconds that its clock is ahead; None before its first heartbeat.
        skewed: whether that is too far; None before its first heartbeat.
        fresh: something of this is not in the registry yet.
        waiting: messages on their way; None ends them.
        ended: done once the service wants the stream to end; its refusal says how.
    """

    who: Caller
    given: int
    acknowledged: int
    heard: float = field(default_factory=time.monotonic)
    heard_at: str = field(default_factory=now)
    beaten: float = field(default_factory=time.monotonic)
    skew: float | None = None
    skewed: bool | None = None
    fresh: bool = False
    waiting: asyncio.Queue[FromServer | None] = field(
        default_factory=lambda: asyncio.Queue(_WAITING)
    )
    ended: asyncio.Future[Refusal] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def site(self) -> str:
        """The site's name."""
        return self.who.site

    def say(self, message: FromServer) -> None:
        """Put a message on its way; a site that reads nothing is dropped."""
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.end(
                Refusal(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "the site reads nothing of what it is sent"
                )
            )

    def room(self) -> int:
        """How many more messages can wait; some places are kept for answers."""
        return _WAITING // 2 - self.waiting.qsize()

    def listen(self) -> None:
        """The site said something, just now."""
        self.heard, self.heard_at, self.fresh = time.monotonic(), now(), True

    def end(self, refusal: Refusal, goodbye: str = "") -> None:
        """Let the stream end, after a goodbye where there are words for one."""
        if self.ended.done():
            return
        if goodbye and not self.waiting.full():
            self.waiting.put_nowait(FromServer(goodbye=Goodbye(reason=goodbye)))
        if not self.waiting.full():
            self.waiting.put_nowait(None)
        self.ended.set_result(refusal)
