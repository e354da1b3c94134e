"""Many readers of one room at once, each on a connection of its own, in one small program.

    python -m simulations.benchmarks.room_readers PORT PID STUDY READERS ANSWERS THINK

lets that many readers sign in and answer, in waves of one answer each that start at one instant
(THINK "wave"), with a pause of up to THINK seconds before each, or without any (0), and
prints milliseconds from request to "saved", the submissions that were saved, and the processor
seconds that the room (PID) had had before the first answer, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sys
import time
from typing import Any

import psutil

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a minute


class Reader:
    """One browser's connection, kept open: plain HTTP, as little work as can be."""

    def __init__(self, port: int, study: str) -> None:
        self.port, self.study, self.cookie = port, study, ""
        self.offer: dict[str, Any] = {}

    async def connect(self) -> None:
        """A fresh connection."""
        self.streams = await asyncio.open_connection("127.0.0.1", self.port)

    async def sign_in(self, name: str) -> None:
        """Sign in."""
        await self.connect()
        await self.post("/api/sign-in", {"name": name, "password": PASSWORD})

    async def begin(self) -> None:
        """Get the first case."""
        await self.connect()
        self.offer = await self.post("/api/next", {"study": self.study})

    async def answer(self) -> tuple[float, str]:
        """Answer the case at hand: milliseconds until it was saved, and its submission.

        Raises:
            RuntimeError: the room has no case for this reader.
        """
        if self.offer["case"] is None:
            raise RuntimeError(f"there is nothing to answer: {self.offer['why']}")
        body = {
            "study": self.study,
            "submission": secrets.token_hex(16),
            "cycle": self.offer["cycle"],
            "position": self.offer["case"]["position"],
            "answer": "answered",
            "value": [1, 0, 0],
            "seconds": 1.0,
        }
        began = time.perf_counter()
        self.offer = await self.post("/api/answer", body)
        return (time.perf_counter() - began) * 1000, str(self.offer["saved"])

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the room said.

        Raises:
            RuntimeError: it refused.
        """
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncookie: {self.cookie}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        if self.streams[0].at_eof():  # the room ends connections that were silent for some seconds
            await self.connect()
        reader, writer = self.streams
        writer.write(head.encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        told = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        if "set-cookie" in told:
            kept = next(line for line in lines if line.lower().startswith("set-cookie"))
            self.cookie = kept.split(": ", 1)[1].split(";")[0]
        said: dict[str, Any] = json.loads(await reader.readexactly(int(told["content-length"])))
        if " 200 " not in lines[0]:
            raise RuntimeError(f"{path} was refused: {lines[0]} {said.get('error')}")
        return said


async def read(
    where: tuple[int, int], study: str, count: int, answers: int, think: str
) -> dict[str, Any]:
    """What all of them saw.

    Args:
        where: port and process of the room.
        study: its identity.
        count: readers.
        answers: of each.
        think: see above.
    """
    port, pid = where
    readers = [Reader(port, study) for _ in range(count)]
    for number, reader in enumerate(readers):
        await reader.sign_in(f"reader-{number}")
    for reader in readers:
        await reader.begin()
    times = psutil.Process(pid).cpu_times()
    found: list[tuple[float, str]] = []
    if think == "wave":
        for _ in range(answers):
            found += await asyncio.gather(*(reader.answer() for reader in readers))
            await asyncio.sleep(0.2)
    else:
        alone = [_alone(reader, answers, float(think)) for reader in readers]
        found = [one for each in await asyncio.gather(*alone) for one in each]
    return {
        "ms": [ms for ms, _ in found],
        "saved": [saved for _, saved in found],
        "before": times.user + times.system,
    }


async def _alone(reader: Reader, answers: int, think: float) -> list[tuple[float, str]]:
    rng = random.Random(reader.cookie)  # noqa: S311 - pauses
    found = []
    for _ in range(answers):
        await asyncio.sleep(rng.uniform(0, think))
        found.append(await reader.answer())
    return found


if __name__ == "__main__":
    port, pid, what, many, each, pause = sys.argv[1:]
    seen = asyncio.run(read((int(port), int(pid)), what, int(many), int(each), pause))
    print(json.dumps(seen))
