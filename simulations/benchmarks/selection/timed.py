"""Seconds and memory of one call. Imports numpy alone: it runs in the peers' environments, too."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Work = Callable[[], NDArray[Any]]


def timed(work: Work) -> tuple[dict[str, float], NDArray[np.int64]]:
    """Seconds of one call, of those on the processor, memory before and at the peak, its answer."""
    warm = np.ones((64, 64), dtype=np.float32)
    warm @ warm  # the library's threads and buffers exist before the clock starts
    before = _memory("VmRSS")
    start, busy = time.perf_counter(), time.process_time()
    said = np.asarray(work(), dtype=np.int64)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "cpu": busy, "before": before, "peak": _memory("VmHWM")}, said


def _memory(line: str) -> float:
    """Bytes this process holds (VmRSS) or held at most (VmHWM)."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: only the peak is known
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 1024.0 * int(text.split(line + ":")[1].split()[0])
