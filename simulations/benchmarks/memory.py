"""Peak memory of the local engine with many sites and with few, on the same cases.

    python -m simulations.benchmarks.memory SITES ROUNDS

runs one study with that many sites in this process and prints its peak in bytes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import QUIET, ROOT, THREADS, bench_study, ratios, run
from simulations.processes import single_thread

MANY, FEW = 200, 4
READINGS = 800  # in all, however many sites share them


def memory(quick: bool, repeats: int) -> Iterator[Line]:
    """Peak resident memory, one worker, each run in a process of its own."""
    rounds, many = (1, 50) if quick else (3, MANY)
    peaks: dict[int, list[float]] = {many: [], FEW: []}
    for _ in range(1 if quick else repeats):
        for sites, found in peaks.items():
            found.append(_peak(sites, rounds))
    told = ", ".join(f"{sites} sites {median(p) / 1e6:.0f} MB" for sites, p in peaks.items())
    yield Line(
        f"peak memory, {many} sites over {FEW}, resnet",
        ratios(peaks[many], peaks[FEW]),
        "at most",
        1.5,
        note=f"{told}; the same 2,600 cases and {READINGS} readings, {rounds} rounds",
    )


def _peak(sites: int, rounds: int) -> float:
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "simulations.benchmarks.memory", str(sites), str(rounds)],
        check=True,
        cwd=ROOT,
        env=os.environ | QUIET | THREADS,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(ended.stdout.split()[-1])


def main(sites: int, rounds: int) -> None:
    """One run, then its peak."""
    single_thread()
    study = bench_study("resnet", sites, rounds, readings=READINGS, min_steps=1)
    with tempfile.TemporaryDirectory() as place:
        run(study, Path(place) / "out")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
