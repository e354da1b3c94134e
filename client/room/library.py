"""The site behind the room: its store in one thread of its own, its images in others.

SQLite wants one thread, and a commit that waits for the disk must not hold up anybody's image.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from client.images import Volume
from client.paths import HomePaths
from client.site import Site

T = TypeVar("T")

_VOLUMES = 8
"""Cases whose images stay open in a thread: their slices are asked for one by one."""

_SHELVES = 2
"""Threads that read pixels; a case is always read by the same one."""


class NoSlice(ValueError):
    """A slice that a case does not have."""


@dataclass(slots=True)
class Post:
    """A thread with the site opened for itself, and again when its configuration changed."""

    home: Path
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _site: Site | None = None
    _stamp: tuple[int, int] = (0, 0)
    _volumes: OrderedDict[int, Volume] = field(default_factory=OrderedDict)

    async def ask(self, question: Callable[[Site], T]) -> T:
        """The answer to a question to the site, asked in this thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: question(self._opened()))

    def volume(self, site: Site, row: int) -> Volume:
        """A case at full resolution; in this thread alone.

        Raises:
            Unreadable: its pixels cannot be had.
        """
        if row not in self._volumes:
            self._volumes[row] = site.images.volume(row)
            if len(self._volumes) > _VOLUMES:
                self._volumes.popitem(last=False)
        return self._volumes[row]

    def close(self) -> None:
        """Let go of thread and database; nothing may be asked any more."""
        self._thread.submit(self._shut).result()
        self._thread.shutdown()

    def _opened(self) -> Site:
        from client.opening import open_home

        found = HomePaths(self.home).config.stat()
        stamp = (found.st_mtime_ns, found.st_ino)
        if self._site is None or stamp != self._stamp:
            self._shut()
            self._site, self._stamp = open_home(self.home), stamp
        return self._site

    def _shut(self) -> None:
        from client.sources.located import LocatedImages

        self._volumes.clear()
        if self._site is None:
            return
        if isinstance(self._site.images, LocatedImages):
            self._site.images.close()
        self._site.store.close()
        self._site = None


class Library:
    """The site's store at one post, its pixels at others."""

    def __init__(self, home: Path) -> None:
        self._desk, self._aside = Post(home), Post(home)
        self._shelves = [Post(home) for _ in range(_SHELVES)]

    async def ask(self, question: Callable[[Site], T]) -> T:
        """The answer to a question to the site, asked at the store's own post."""
        return await self._desk.ask(question)

    async def ask_aside(self, question: Callable[[Site], T]) -> T:
        """The same in a thread of its own: what takes long holds nobody's answer up."""
        return await self._aside.ask(question)

    async def picture(self, row: int, wanted: int | None) -> bytes:
        """One slice of a case as `packed` makes it; the middle one for None.

        Raises:
            Unreadable: the case's pixels cannot be had.
            NoSlice: it has no such slice.
        """
        post = self._shelves[row % _SHELVES]
        return await post.ask(lambda site: packed(post.volume(site, row), wanted))

    def close(self) -> None:
        """Let go of threads and database; nothing may be asked any more."""
        for post in (self._desk, self._aside, *self._shelves):
            post.close()


def packed(volume: Volume, wanted: int | None) -> bytes:
    """A slice and what is needed to show it.

    Four bytes, little-endian: the length of a JSON header, which spaces fill to whole pairs of
    bytes; the header; then height x width pixels row by row, 16 bit little-endian, in colour three
    of them per pixel.

    Raises:
        NoSlice: there is no such slice.
    """
    count = len(volume.slices)
    number = count // 2 if wanted is None else wanted
    if not 0 <= number < count:
        raise NoSlice(f"slice {number} of {count}; accepted is a lower number")
    pixels = np.asarray(volume.slices[number])
    signed = pixels.dtype.kind == "i"
    if pixels.dtype.itemsize == 1:
        pixels = pixels.astype(np.uint16)
    header = json.dumps(_header(volume, number, signed)).encode()
    header += b" " * (-len(header) % 2)
    body = np.ascontiguousarray(pixels, dtype="<i2" if signed else "<u2").tobytes()
    return struct.pack("<I", len(header)) + header + body


def _header(volume: Volume, number: int, signed: bool) -> dict[str, Any]:
    geometry, shape = volume.geometry, volume.slices.shape
    return {
        "format": 1,
        "slices": shape[0],
        "slice": number,
        "height": shape[1],
        "width": shape[2],
        "channels": 3 if volume.colour else 1,
        "signed": signed,
        "slope": geometry.slope,
        "intercept": geometry.intercept,
        "unit": geometry.unit,
        "inverted": geometry.inverted,
        "windows": [
            {"name": w.name, "centre": w.centre, "width": w.width} for w in geometry.windows
        ],
        "spacing": list(geometry.spacing),
        "directions": list(geometry.directions),
    }
