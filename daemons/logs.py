"""Logs of children: append only, of bounded size, the longer past put aside once."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path


def now() -> str:
    """This second in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_log(path: Path) -> int:
    """A descriptor that appends to the log; to nowhere where the system refuses the file."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:  # a full disk must not keep a child from running
        return os.open(os.devnull, os.O_WRONLY)


def trim(path: Path, most: int) -> None:
    """Where the log is longer than `most` bytes, copy it to PATH.1 and empty it.

    The child keeps its descriptor, so the file is emptied, not replaced; a line written between the
    copy and that is lost. On a full disk the past is lost, not the bound.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size <= most:
            return
        past = path.with_name(f"{path.name}.1")
        try:
            shutil.copyfile(path, past)
            past.chmod(0o600)
        except OSError:
            past.unlink(missing_ok=True)
        os.truncate(path, 0)


def note(path: Path, sentence: str) -> None:
    """Append a line with the time."""
    descriptor = open_log(path)
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{now()} {sentence}\n".encode())
    os.close(descriptor)
