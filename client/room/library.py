"""The site behind the room: its store in one thread of its own, its images in others.

SQLite wants one thread, and a commit that waits for the disk must not hold up anybody's image.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from client.images import Volume
from client.room.post import Post
from client.site import Site

T = TypeVar("T")

_SHELVES = 2
"""Threads that read pixels; a place in a cycle is always read by the same one."""


class NoSlice(ValueError):
    """A slice that a case does not have."""


class Library:
    """The site's store at one post, its pixels at others."""

    def __init__(self, home: Path) -> None:
        self._desk, self._aside = Post(home), Post(home)
        self._shelves = [Post(home) for _ in range(_SHELVES)]

    async def ask(self, question: Callable[[Site], T]) -> T:
        """The answer to what may change something, once that is on the disk."""
        return await self._desk.ask(question, changes=True)

    async def look(self, question: Callable[[Site], T]) -> T:
        """The answer to a question that changes nothing."""
        return await self._desk.ask(question)

    async def ask_aside(self, question: Callable[[Site], T]) -> T:
        """The same in a thread of its own: what takes long holds nobody's answer up."""
        return await self._aside.ask(question)

    async def picture(
        self, find: Callable[[Site], tuple[int, int]], place: int, wanted: int | None
    ) -> bytes:
        """One slice of a case as `packed` makes it; the middle one for None.

        Args:
            find: the case's id and the source's row of it, if it may be seen; asked beside the
                pixels, where nobody's answer waits for it.
            place: of the case in its cycle, or any other number that stays the same.
            wanted: the slice.
        Raises:
            Unreadable: the case's pixels cannot be had.
            NoSlice: it has no such slice.
        """
        post = self._shelves[place % _SHELVES]
        return await post.ask(lambda site: packed(post.volume(site, *find(site)), wanted))

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
    body = np.ascontiguousarray(pixels, dtype="<i2" if signed else "<u2")
    return b"".join((struct.pack("<I", len(header)), header, body.data))


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
