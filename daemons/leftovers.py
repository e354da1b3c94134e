"""What an earlier daemon of the same run folder left behind, when its guardian died with it.

Every child carries the run folder in its environment, and passes it on to its own children: so
they are known again, whatever group they are in, and nobody else's are touched. A program may write
its title over its environment, as nginx does: it is known by its errors, which go to a child's log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

MARK = "WARDROUND_RUN"
_PROC = Path("/proc")


def end_leftovers(run: Path, logs: Collection[Path], patience: float) -> int:
    """How many were there; none is left, unless one is stuck in the kernel.

    Args:
        run: the run folder of the daemon that begins; nobody else holds its lock.
        logs: of its children, each its own.
        patience: seconds between TERM and KILL.
    """
    marked = partial(_marked, f"{MARK}={run.resolve()}".encode(), {str(p.resolve()) for p in logs})
    found = _send(marked(), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(marked()) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(marked(), signal.SIGKILL)
    while any(marked()) and time.monotonic() < deadline + 2:
        time.sleep(0.01)
    return found


def _send(found: Iterator[int], number: signal.Signals) -> int:
    pids = list(found)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return len(pids)


def _marked(mark: bytes, logs: Collection[str]) -> Iterator[int]:
    """The processes that carry the mark or log to one of these; where /proc does not say, none."""
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if int(folder.name) != os.getpid() and (
                mark in (folder / "environ").read_bytes().split(b"\0")
                or os.readlink(folder / "fd" / "2") in logs
            ):
                yield int(folder.name)
