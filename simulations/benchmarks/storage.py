"""How fast this machine's disk makes a write durable: no durable answer can be faster."""

from __future__ import annotations

import os
import tempfile
import time
from statistics import median


def sync_ms(count: int = 50) -> float:
    """Median milliseconds to append 16 KiB to a file and sync it, where temporary files are."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(count):
            file.write(bytes(16384))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return median(took)
