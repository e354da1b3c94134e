"""Manners of the simulation's own processes."""

from __future__ import annotations

import os
import threading
import time


def single_thread() -> None:
    """One thread for torch and BLAS in this process: more would change the last bits."""
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which must be there to be limited
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def die_with_parent() -> None:
    """End this process soon after the one that started it, even if that was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
