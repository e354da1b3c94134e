"""Runs that benchmarks measure: a study of a given size on the phantom, here or in a child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from protocol.study import Study, document, parse
from simulations.plan import Task, plan_of
from simulations.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long something took, and for how long this process had a processor meanwhile."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished run.

    Attributes:
        folder: its own.
        seconds: of the whole call, sources opened and hospitals made included.
    """

    folder: Path
    seconds: Seconds


def bench_study(
    network: str,
    sites: int,
    rounds: int,
    cycles: int = 1,
    *,
    readings: int | None = None,
    **training: Any,
) -> Study:
    """The study that benchmarks run: the defaults on four to some hundred sites.

    Args:
        network: of the table, with its default arguments.
        sites: of equal size.
        rounds: in every cycle.
        cycles: how many.
        readings: in every cycle; without it twelve for each site.
        training: other keys of that table.
    """
    each = readings or 12 * sites
    names = ("no opacity", "opacity")
    content: dict[str, Any] = {
        "schema": 1,
        "name": "bench",
        "task": {"classes": [{"name": n, "definition": n} for n in names]},
        "network": {"name": network},
        "training": {"rounds_per_cycle": rounds, **training},
        "budget": {"total": each * cycles, "per_cycle": each},
        "simulation": {"sites": sites, "split": "iid"},
    }
    return parse(content)


def run(study: Study, out: Path, workers: int = 1) -> Ended:
    """One arm and seed on the local engine, in this process."""
    plan = plan_of(study, "phantom", ["default"], [study.seed], workers=workers)
    before = Clock()
    simulate(plan, out, lambda task, event: None)
    return Ended(Task(out, "default", study.seed).folder, before.seconds())


def command(study: Study, out: Path, *more: str) -> tuple[float, float]:
    """`wardround simulate` in a fresh process: seconds of the whole command, and of its run.

    The second is from the hospitals' making to the last measurement, as the run itself tells it;
    imports, opening the cases and the report are outside of it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.parent / f"{out.name}.toml"
    file.write_text(tomli_w.dumps(document(study)), encoding="utf-8")
    call = ["simulate", str(file), "--arms", "default", "--out", str(out), "--format", "json"]
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", "from simulations.cli import main; main()", *call, *more],
        check=True,
        cwd=ROOT,
        env=os.environ | QUIET | THREADS,
        stdout=subprocess.DEVNULL,
    )
    took = time.perf_counter() - began
    account = json.loads((Task(out, "default", study.seed).folder / "run.json").read_text())
    return took, float(account["seconds"])


class Clock:
    """Started when made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> Seconds:
        """Since then."""
        return Seconds(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Pair by pair."""
    return tuple(a / b for a, b in zip(above, below, strict=True))
