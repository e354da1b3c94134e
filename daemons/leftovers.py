"""What an earlier daemon of the same run folder left behind, when its guardian died with it.

Every child carries the run folder in its environment, and passes it on to its own children: so
they are known again, whatever group they are in, and nobody else's are touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "WARDROUND_RUN"
_PROC = Path("/proc")


def end_leftovers(run: Path, patience: float) -> int:
    """How many were there; none is left, unless one is stuck in the kernel.

    Args:
        run: the run folder of the daemon that begins; nobody else holds its lock.
        patience: seconds between TERM and KILL.
    """
    found = _send(run, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(_marked(run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(run, signal.SIGKILL)
    while any(_marked(run)) and time.monotonic() < deadline + 2:
        time.sleep(0.01)
    return found


def _send(run: Path, number: signal.Signals) -> int:
    pids = list(_marked(run))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return len(pids)


def _marked(run: Path) -> Iterator[int]:
    """The processes that carry this run folder; where /proc does not say, none."""
    wanted = f"{MARK}={run.resolve()}".encode()
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if int(folder.name) != os.getpid():
                carried = (folder / "environ").read_bytes().split(b"\0")
                if wanted in carried:
                    yield int(folder.name)
