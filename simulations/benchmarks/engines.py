"""How fast the local engine is: against a plain PyTorch loop, Ray, NVFLARE and MONAI's transforms;
what the coordination service needs for many sites, the daemon at one, and a round over real ones;
the reading room in a real browser, and imports.

    python -m simulations.benchmarks.engines [--quick] [--only NAME] [--repeats N] [--json FILE]

Sides take turns and ratios are taken pair by pair. Exit code 1 where a goal was missed; a peer
that cannot be installed is skipped with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from simulations.benchmarks.goals import Line, machine, table, unjudged
from simulations.benchmarks.runs import QUIET, THREADS

Benchmark = Callable[[bool, int], Iterator[Line]]


def benchmarks() -> Mapping[str, Benchmark]:
    """Every benchmark by name, in the order they run."""
    from simulations.benchmarks.augmentation import augmentation
    from simulations.benchmarks.coordination import coordination
    from simulations.benchmarks.daemon import daemon
    from simulations.benchmarks.federation import federation
    from simulations.benchmarks.imports import imports
    from simulations.benchmarks.memory import memory
    from simulations.benchmarks.nvflare_rounds import against_nvflare
    from simulations.benchmarks.overhead import overhead, workers
    from simulations.benchmarks.private import steps
    from simulations.benchmarks.ray_rounds import against_ray
    from simulations.benchmarks.room import room
    from simulations.benchmarks.start import start

    return {
        "start": start,
        "overhead": overhead,
        "workers": workers,
        "augmentation": augmentation,
        "memory": memory,
        "private": steps,
        "ray": against_ray,
        "nvflare": against_nvflare,
        "coordination": coordination,
        "daemon": daemon,
        "federation": federation,
        "room": room,
        "import": imports,
    }


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.benchmarks.engines",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a check, not a claim")
    parser.add_argument(
        "--only", action="append", choices=list(benchmarks()), help="this one; may be repeated"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each side, at least 1")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    given = parser.parse_args(words)
    if given.repeats < 1:
        parser.error(f"--repeats {given.repeats}: accepted is at least 1")
    return given


def main(words: Sequence[str]) -> int:
    """Run what is asked for; 1 where anything was missed."""
    given = arguments(words)
    os.environ.update(QUIET | THREADS)
    told = machine()
    print(told, flush=True)
    lines: list[Line] = []
    for name, benchmark in benchmarks().items():
        if given.only and name not in given.only:
            continue
        print(f"{name} ...", flush=True)
        found = list(benchmark(given.quick, given.repeats))
        lines += unjudged(found) if given.quick else found
        print(table(lines[-len(found) :]), flush=True)
    print(f"\n{told}\nload now {os.getloadavg()[0]:.1f}\n{table(lines)}")
    if given.json:
        content = {"machine": told, "lines": [asdict(x) | {"verdict": x.verdict} for x in lines]}
        given.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return int(any(line.missed for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
