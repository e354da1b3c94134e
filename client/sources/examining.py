"""New cases are decoded once, a few at a time, while the import goes on finding others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue

from client.sources.decoder import Decoder
from client.sources.reach import Reach
from client.sources.source import Find

AT_ONCE = 2
"""Decoding children of an import besides the one that reads headers; each has its own limits."""


@dataclass(slots=True)
class Examined:
    """A find whose pixels are being looked at.

    Attributes:
        find: as its source has it.
        case: its key.
        coming: the find with its plan; raises PixelTrouble where it cannot be decoded.
    """

    find: Find
    case: str
    coming: Future[Find]


class Examiners:
    """Decoders that examine finds; what was asked first comes out first."""

    def __init__(self, reach: Reach, like: Decoder) -> None:
        self._reach = reach
        self._free: SimpleQueue[Decoder] = SimpleQueue()
        self._own = [Decoder(like.limits) for _ in range(AT_ONCE)]
        for decoder in self._own:
            self._free.put(decoder)
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._under_way: deque[Examined] = deque()

    def __enter__(self) -> Examiners:
        return self

    def __exit__(self, *ending: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._own:
            decoder.close()

    def begin(self, find: Find, case: str) -> None:
        """Have a find examined."""
        coming = self._threads.submit(self._with_plan, find)
        self._under_way.append(Examined(find, case, coming))

    def done(self, *, everything: bool = False) -> Iterator[Examined]:
        """What was examined, in the order in which it was begun; waits while more is under way
        than there are decoders, twice over, or until nothing is.
        """
        while len(self._under_way) > (0 if everything else 2 * AT_ONCE):
            first = self._under_way.popleft()
            first.coming.exception()  # waits for it
            yield first

    def _with_plan(self, find: Find) -> Find:
        decoder = self._free.get()
        try:
            return examined(find, self._reach, decoder)
        finally:
            self._free.put(decoder)


def examined(find: Find, reach: Reach, decoder: Decoder) -> Find:
    """The find with its plan in its locator.

    Raises:
        PixelTrouble: its pixels cannot be decoded.
    """
    files = len(find.locator.get("files", ())) or 1
    with reach.local(find.locator, decoder) as near:
        plan, _ = decoder.ask({"op": "examine", "locator": dict(near)}, files=files)
    plan.pop("bytes")
    return replace(find, locator={**find.locator, "plan": plan})
