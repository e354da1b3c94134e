"""One simulation at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from simulations.plan import PlanError

_PATIENCE = 5.0
"""Seconds to wait for one that was just killed."""


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second simulation out of the folder, which is made if it is not there.

    One that was refused before it wrote its plan leaves nothing that was not there.

    Raises:
        PlanError: another simulation is in it.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]  # the innermost first
    with _taken(out / ".lock"):
        try:
            yield
        finally:
            if not (out / "plan.json").exists():
                (out / ".lock").unlink()
                with suppress(OSError):  # somebody else put something there
                    for folder in made:
                        folder.rmdir()


def _taken(path: Path) -> TextIO:
    """The file, open and locked."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
        if _is_ours(lock, path):
            return lock
        lock.close()
        if time.monotonic() > deadline:
            raise PlanError(f"{path.parent} is in use by another simulation")
        time.sleep(0.2)


def _is_ours(lock: TextIO, path: Path) -> bool:
    """Whether nobody held it, and it still has its name: one that was refused removes its own."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samefile(lock.fileno(), path)
    except (BlockingIOError, FileNotFoundError):
        return False
