"""How fast cases are chosen, side by side with scikit-activeml on equal inputs.

    python -m simulations.benchmarks.select [--quick] [--million] [--json FILE]

Every selection runs in a fresh process on one thread, ours and the peer's in turn; the peer has
its own environment under `.bench/`. Exit code 1 where a goal or equality was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from simulations.benchmarks.select_worker import features

ROOT = Path(__file__).resolve().parents[2]
PEER = "scikit-activeml==1.0.1"  # the version whose random draws the worker reproduces
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
WORKER = "simulations.benchmarks.select_worker"
D, C, LABELED = 512, 10, 500


@dataclass(frozen=True, slots=True)
class Size:
    """How much is selected.

    Attributes:
        n: rows of the pool.
        k: picks.
        judged: whether the goals are stated for this size.
    """

    n: int
    k: int
    judged: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Attributes:
        what: the task and its data.
        ours, peer: seconds of each repeat.
        ours_cpu, peer_cpu: of them on the processor; a busy machine stretches only the others.
        equal: share of picks that are the same row in the same place.
        ours_peak, peer_peak: resident memory at the peak, bytes, the largest of the repeats.
        ours_extra, peer_extra: of it, what was not there before the selection began.
        goal: times faster than the peer.
    """

    what: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    ours_cpu: tuple[float, ...]
    peer_cpu: tuple[float, ...]
    equal: float
    ours_peak: float
    peer_peak: float
    ours_extra: float
    peer_extra: float
    goal: float

    @property
    def ratios(self) -> list[float]:
        """Peer's seconds over ours, by repeat."""
        return [p / o for p, o in zip(self.peer, self.ours, strict=True)]

    @property
    def cpu_ratio(self) -> float:
        """Peer's processor seconds over ours, the median of the repeats."""
        return median(p / o for p, o in zip(self.peer_cpu, self.ours_cpu, strict=True))

    def verdict(self, judged: bool) -> str:
        """Whether the goal was reached, in one word or two."""
        if self.equal < 1:
            return "MISSED: picks differ"
        if not judged:
            return "not judged at this size"
        reached = min(median(self.ratios), self.cpu_ratio) >= self.goal
        return "reached" if reached else "MISSED"


def peer_python() -> Path:
    """The interpreter of the peer's environment, made on first use."""
    folder = ROOT / ".bench" / "select-peer"
    python = folder / "bin" / "python"
    mark = folder / PEER
    if not mark.exists():
        print(f"installing {PEER} into {folder.relative_to(ROOT)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603 - our own command
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)  # noqa: S603 - our own command
        mark.touch()
    return python


def work(side: str, task: str, folder: Path, k: int, *more: str) -> dict[str, float]:
    """What one worker process said."""
    if side == "peer":  # -P: this folder's select.py must not stand in for the standard library's
        start = [str(peer_python()), "-P", str(ROOT / (WORKER.replace(".", "/") + ".py"))]
    else:
        start = [sys.executable, "-m", WORKER]
    ended = subprocess.run(  # noqa: S603 - our own command
        [*start, side, task, str(folder), str(k), *more],
        check=True,
        cwd=ROOT,
        env=os.environ | THREADS,
        stdout=subprocess.PIPE,
        text=True,
    )
    said: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return said


def compare(what: str, task: str, folder: Path, size: Size, goal: float, repeats: int) -> Line:
    """One task on both sides, in turn."""
    ours, peer = [], []
    for i in range(repeats):
        print(f"  {what}, repeat {i + 1} of {repeats}", flush=True)
        ours.append(work("ours", task, folder, size.k))
        peer.append(work("peer", task, folder, size.k))
    picks = [np.load(folder / f"{task}-{side}.npy") for side in ("ours", "peer")]
    return Line(
        what,
        tuple(r["seconds"] for r in ours),
        tuple(r["seconds"] for r in peer),
        tuple(r["cpu"] for r in ours),
        tuple(r["cpu"] for r in peer),
        float((picks[0] == picks[1]).mean()),
        max(r["peak"] for r in ours),
        max(r["peak"] for r in peer),
        max(r["peak"] - r["before"] for r in ours),
        max(r["peak"] - r["before"] for r in peer),
        goal,
    )


def side_by_side(size: Size, repeats: int) -> list[Line]:
    """k-center on two kinds of features, BADGE on one."""
    lines = []
    for kind in ("gaussian", "clustered"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            np.save(folder / "features.npy", features(kind, size.n, D, 1))
            np.save(folder / "labeled.npy", features(kind, LABELED, D, 2))
            lines.append(compare(f"k-center, {kind}", "k-center", folder, size, 2, repeats))
            if kind == "clustered":
                probs = np.random.default_rng(3).dirichlet(np.full(C, 0.3), size=size.n)
                np.save(folder / "probs.npy", probs.astype(np.float32))
                lines.append(compare("BADGE, peer's rule", "badge", folder, size, 20, repeats))
                own = work("ours", "badge-own", folder, size.k)
                print(f"  BADGE as published: {own['seconds']:.2f} s")
    return lines


def table(lines: list[Line], size: Size, repeats: int) -> str:
    """The lines for people to read."""
    wide = "{:<20} {:>8} {:>8} {:>19} {:>6} {:>6} {:>13} {:>13}  {}"
    shown = [
        f"N={size.n:,} D={D} C={C} k={size.k}, {LABELED} labeled, float32; medians of {repeats}; "
        "MB at the peak, in brackets what selecting added",
        wide.format(
            "",
            "ours s",
            "peer s",
            "faster (min-max)",
            "by CPU",
            "equal",
            "ours MB",
            "peer MB",
            "goal",
        ),
    ]
    for x in lines:
        r = x.ratios
        shown.append(
            wide.format(
                x.what,
                f"{median(x.ours):.3f}",
                f"{median(x.peer):.3f}",
                f"{median(r):.1f} ({min(r):.1f}-{max(r):.1f})",
                f"{x.cpu_ratio:.1f}",
                f"{x.equal:.0%}",
                f"{x.ours_peak / 1e6:.0f} ({x.ours_extra / 1e6:.0f})",
                f"{x.peer_peak / 1e6:.0f} ({x.peer_extra / 1e6:.0f})",
                f"{x.goal:g} x: {x.verdict(size.judged)}",
            )
        )
    shown.append(
        "BADGE: equal random draws; the peer also counts the zero gradient as a centre, which\n"
        "the published algorithm does not: compared is our kernel under the peer's rule."
    )
    return "\n".join(shown)


def at_a_million() -> list[dict[str, float | str]]:
    """k-center at N=1,000,000, D=512, k=1,000, printed with what the machine allows."""
    rows: list[dict[str, float | str]] = []
    for kind in ("gaussian", "clustered"):
        said = work("million", kind, ROOT, 1000)
        rate, peak = said["bytes"] / said["pass"] / 1e9, said["peak"] / 1e9
        print(
            f"k-center, {kind}, N=1,000,000 D={D} k=1,000, {LABELED} labeled: "
            f"{said['seconds']:.1f} s, {said['distinct']:.0f} distinct rows, peak {peak:.2f} GB "
            f"({'reached' if peak <= 16 else 'MISSED'}: goal 16 GB)\n"
            f"  reading the features once: {said['pass']:.2f} s at {rate:.1f} GB/s, the floor; "
            f"one pass per pick would be {1000 * said['pass']:.0f} s",
            flush=True,
        )
        rows.append({"kind": kind, **said})
    return rows


def main() -> int:
    """Run what the command line asks for; 1 where anything was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="N=5,000 k=25: a check, not a claim")
    parser.add_argument("--million", action="store_true", help="also N=1,000,000 k=1,000 (3 GB)")
    parser.add_argument("--repeats", type=int, default=3, help="of each side, at least 1")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    given = parser.parse_args()
    size = Size(5_000, 25, False) if given.quick else Size(20_000, 100, True)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, 1 thread used; "
        f"Python {platform.python_version()}, numpy {np.__version__}; peer {PEER}"
    )
    lines = side_by_side(size, given.repeats)
    print(table(lines, size, given.repeats))
    large = at_a_million() if given.million else []
    if given.json:
        result = {"size": asdict(size), "lines": [asdict(x) for x in lines], "million": large}
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    missed = any("MISSED" in x.verdict(size.judged) for x in lines)
    return int(missed or any(float(r["peak"]) > 16e9 for r in large))


if __name__ == "__main__":
    sys.exit(main())
