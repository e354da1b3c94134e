"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, block: bytes, *, sync: bool) -> None:
    """Put a file in place of the one there, if any; whoever reads sees the old or the new, whole.

    Args:
        path: its folder must exist.
        block: the file's content.
        sync: it survives a power cut once this returns; without, the death of any process.

    Raises:
        OSError: the system refused; it names the file that was asked for.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:  # a link that somebody else put there is not followed
            file.write(block)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    if sync:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
