"""What a round costs over a real federation, beside the compute in it; and a connected idle site.

The same study runs twice: over real daemons on loopback, and on the local engine with a worker for
each site. Both do the same work, bit for bit, so what a round takes longer in the federation is
overhead: TLS, SuperLink's queue and polls, a ClientApp process with its imports for each message.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil

from daemons.status import read_status
from protocol.study import load
from server.ledger import Ledger
from simulations.benchmarks.daemon import resident
from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import run
from simulations.poc.rig import federation as rig
from simulations.poc.words import per_site
from simulations.studies import committed

_SITES = 2
_ROUNDS = 5  # of each of two cycles
_IDLE = 30.0  # seconds after the study has ended: the last ClientApp is gone


def federation(quick: bool, repeats: int) -> Iterator[Line]:
    """Overhead of a round over loopback; memory of a site that is connected and idle."""
    file = committed()["poc"]
    settings = [f"training.rounds_per_cycle={2 if quick else _ROUNDS}"]
    if quick:
        settings += ["budget.total=60"]
    study = load(file, [*per_site(file, _SITES), *settings])
    with tempfile.TemporaryDirectory(prefix="wr-") as place:
        computed = rounds(run(study, Path(place) / "simulation", _SITES).folder / "ledger.db")
        with rig(Path(place) / "poc", _SITES, *settings) as broken:
            state = broken.until_over()
            (folder,) = (broken.layout.server / "studies").iterdir()
            took = rounds(folder / "ledger.db")
            yield from _lines(took, computed, "" if state == "ended" else f"the study {state}")
            time.sleep(_IDLE)
            home = broken.layout.site(broken.layout.names[0])
            pid = read_status(home / "run").pid
            if pid is not None:
                yield from resident(home, psutil.Process(pid), "connected")


def _lines(took: list[float], computed: list[float], failed: str) -> Iterator[Line]:
    over = tuple(a - b for a, b in zip(took, computed, strict=False))
    yield Line(
        "overhead of a round, federation on loopback",
        over,
        "at most",
        None,
        "s",
        f"{_SITES} sites, {len(over)} rounds of the same work; federation less local engine",
        failed or ("" if len(took) == len(computed) else "rounds are missing"),
    )
    yield Line("    a round over the federation", tuple(took), "at most", None, "s")
    yield Line("    its compute: a worker for each site", tuple(computed), "at most", None, "s")


def rounds(file: Path) -> list[float]:
    """Seconds of every training round: from the commit before it to its own."""
    ledger = Ledger.look(file)
    try:
        done = ledger.committed()
    finally:
        ledger.close()
    return [
        (one.at - before.at).total_seconds()
        for before, one in pairwise(done)
        if one.stage.step == "train"
    ]
