"""The reading room of a rehearsal: the ordinary program, which dies with the rehearsal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen

from client.flower.clientapp import die_with

_GRACE = 10.0


class Served:
    """Keeps the room of a home served, whatever becomes of its program."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._child = self._start()

    def look(self) -> None:
        """Start it anew where it ended."""
        if self._child.poll() is not None:
            self._child = self._start()

    def end(self) -> None:
        """Stop it; nothing is left."""
        self._child.terminate()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _start(self) -> Popen[bytes]:
        command = [sys.executable, "-m", "client.room", "--home", str(self._home)]
        return Popen(  # noqa: S603 - our own module
            command,
            preexec_fn=partial(die_with, os.getpid()),  # also where we are killed
            process_group=0,  # Ctrl-C is ours to hear
        )


@contextmanager
def served(home: Path) -> Iterator[Served]:
    """The room, served inside the block."""
    room = Served(home)
    try:
        yield room
    finally:
        room.end()
