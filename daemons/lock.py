"""One daemon per home."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

_LOCK = "lock"
_PROBED = 0.5  # seconds; whoever asks for the state holds the lock for a moment


def take_lock(run: Path, patience: float) -> int:
    """The lock's descriptor, held until it is closed here and in the guardian.

    Args:
        run: the run folder, which must exist.
        patience: seconds to wait while a killed daemon's guardian ends its children.

    Raises:
        Refused: a daemon holds it.
    """
    descriptor = os.open(run / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    begun = time.monotonic()
    while not _locked(descriptor):
        holder, waited = _holder(run), time.monotonic() - begun
        if waited > (_PROBED if holder else patience):
            from daemons.terminal import Refused  # typer, which a supervisor needs for no more

            os.close(descriptor)
            who = f"pid {holder}" if holder else "the guardian of one that was killed"
            raise Refused(f"a daemon already runs on this home ({who})")
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def lock_state(run: Path) -> tuple[str, int | None]:
    """("running", pid), ("ending", None) while a guardian ends a dead daemon's children, or
    ("stopped", None).
    """
    try:
        descriptor = os.open(run / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return "stopped", None
    try:
        if _locked(descriptor):
            return "stopped", None
    finally:
        os.close(descriptor)
    holder = _holder(run)
    return ("running", holder) if holder else ("ending", None)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(run: Path) -> int | None:
    """The daemon that wrote itself into the lock, if it lives."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((run / _LOCK).read_text(encoding="ascii"))
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        if state.rpartition(")")[2].split()[0] != "Z":  # dead, and nobody has asked how
            return pid
    return None
