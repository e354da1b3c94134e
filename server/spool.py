"""Replies that came before their turn: in memory while they are small together, else on disk."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import IO

from protocol.codec import pack, unpack
from protocol.records import SiteUpdate
from protocol.steps import Reply

MOST = 256 * 2**20
"""Bytes of arrays that are kept in memory."""


@dataclass(slots=True)
class Spool:
    """Replies by site, each taken once.

    Attributes:
        most: bytes of arrays that are kept in memory; further updates wait in unnamed files.
    """

    most: int = MOST
    _here: dict[str, Reply] = field(default_factory=dict)
    _files: dict[str, IO[bytes]] = field(default_factory=dict)
    _bytes: int = 0

    def put(self, site: str, reply: Reply) -> None:
        """Keep a site's reply until it is taken."""
        size = _size(reply)
        if size and self._bytes + size > self.most:
            self._files[site] = tempfile.TemporaryFile()  # noqa: SIM115  # outlives this call
            self._files[site].write(pack(reply))
        else:
            self._here[site], self._bytes = reply, self._bytes + size

    def take(self, site: str) -> Reply | None:
        """The site's reply, kept no longer; None if there is none."""
        if site in self._files:
            with self._files.pop(site) as file:
                file.seek(0)
                return unpack(SiteUpdate, file.read())
        reply = self._here.pop(site, None)
        self._bytes -= _size(reply)
        return reply

    def close(self) -> None:
        """Let go of all that nobody took."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._here.clear()


def _size(reply: Reply | None) -> int:
    """Bytes of an update's arrays; 0 for everything else."""
    if not isinstance(reply, SiteUpdate):
        return 0
    return sum(array.nbytes for array in reply.arrays.values())
