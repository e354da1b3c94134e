"""What the service does by the clock: deliver, beat, notice silence, write down who was heard."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import grpc
from google.protobuf.message import DecodeError

from protocol.coordination import SILENT_BEATS
from protocol.coordination_pb2 import FromServer, Heartbeat, Offer, Order
from server.coordination.callers import denial, serials
from server.coordination.refusal import Refusal
from server.coordination.service import CoordinationService, log
from server.coordination.stream import Stream
from server.registry.alarm_shelf import AlarmShelf
from server.registry.outbox_shelf import Letter, OutboxShelf

_TICK, _FLUSH = 0.5, 3.0  # seconds
_LETTERS = 8  # at a time for one site: an offer may be large


class Watch:
    """Looks after every open stream, twice a second."""

    def __init__(self, service: CoordinationService) -> None:
        self.service = service
        self.beat = service.intake.beat
        self.connection = service.intake.registry.connection
        self.tick = min(_TICK, self.beat / 4)
        self.looked = self.flushed = time.monotonic()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self.tick)
            try:
                self.look()
            except sqlite3.Error as error:  # busy or full: the next look may have more luck
                log(f"the registry refused ({type(error).__name__})")

    def look(self) -> None:
        """Once over every stream."""
        moment = time.monotonic()
        self._forgive(moment)
        for stream in list(self.service.streams.values()):
            self._notice_silence(stream, moment)
            if moment - stream.beaten >= self.beat:
                stream.beaten = moment
                stream.say(FromServer(heartbeat=Heartbeat(sent=time.time())))
        self._deny()
        self._deliver()
        if moment - self.flushed >= min(_FLUSH, self.beat):
            self.flushed = moment
            self.flush()

    def flush(self) -> None:
        """Write down when sites were heard and what they have carried out."""
        streams = [stream for stream in self.service.streams.values() if stream.fresh]
        if streams:
            with self.service.intake.registry.transaction():
                self.service.note(streams)

    def _forgive(self, moment: float) -> None:
        """Time in which this very service stood still is no silence of the sites."""
        late = moment - self.looked - self.tick
        self.looked = moment
        if late > self.beat / 2:
            for stream in self.service.streams.values():
                stream.heard += late

    def _notice_silence(self, stream: Stream, moment: float) -> None:
        if moment - stream.heard <= SILENT_BEATS * self.beat:
            return
        self.service.drop(
            stream, Refusal(grpc.StatusCode.UNAVAILABLE, f"{SILENT_BEATS} heartbeats were missed")
        )

    def _deny(self) -> None:
        """End the streams of sites and certificates that were taken back."""
        known = serials(self.connection)
        for stream in list(self.service.streams.values()):
            if (denied := denial(known, stream.who)) is not None:
                self.service.drop(stream, denied)

    def _deliver(self) -> None:
        """Put on its way what waits in the outbox, in order."""
        newest = OutboxShelf(self.connection).newest()
        for stream in list(self.service.streams.values()):
            if newest.get(stream.site, 0) <= stream.given or stream.room() <= 0:
                continue
            limit = min(_LETTERS, stream.room())
            for letter in OutboxShelf(self.connection).after(stream.site, stream.given, limit):
                message = self._opened(stream, letter)
                if message is None:
                    break
                stream.say(message)
                stream.given = letter.sequence

    def _opened(self, stream: Stream, letter: Letter) -> FromServer | None:
        """The message of a letter; None, with an alarm, if its bytes are damaged."""
        try:
            if letter.kind == "offer":
                return FromServer(sequence=letter.sequence, offer=Offer.FromString(letter.payload))
            return FromServer(sequence=letter.sequence, order=Order.FromString(letter.payload))
        except DecodeError:
            words = f"message {letter.sequence} of the outbox is damaged; what follows must wait"
            AlarmShelf(self.connection).sound("outbox-damaged", words, stream.site)
            return None
