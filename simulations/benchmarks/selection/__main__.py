"""How fast cases are chosen, side by side with peers on equal inputs.

    python -m simulations.benchmarks.selection [--quick] [--million] [--peers A,B] [--json FILE]

Every piece of work runs in a fresh interpreter on one thread, ours and the peer's in turn; each
peer has its own environment under `.bench/`. Exit code 1 where a goal or equality was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from simulations.benchmarks.selection.comparison import Comparison, Line
from simulations.benchmarks.selection.inputs import LABELED, D
from simulations.benchmarks.selection.peers import NEEDS, ROOT, work

COMPARISONS = (
    Comparison("k-center-gaussian", "scikit-activeml", 20_000, 100, 2),
    Comparison("k-center-clustered", "scikit-activeml", 20_000, 100, 2),
    Comparison("k-center-clustered", "deepal", 10_000, 100, 2),
    Comparison("k-center-clustered", "small-text", 10_000, 20, 2),
    Comparison("badge", "scikit-activeml", 20_000, 100, 20),
    Comparison("batchbald", "scikit-activeml", 5_000, 10, 1.5, equal=0.4),
    Comparison("batchbald", "batchbald-redux", 5_000, 10, 1.5, equal=0.4),
    Comparison("batchbald", "baal", 5_000, 10, 100, equal=0.0),
    Comparison("dawid-skene", "crowd-kit", 20_000, 0, 5, equal=0.995),
)
"""BatchBALD: of ten picks the first four come from counted outcomes, the others from drawn ones."""

HEAD = (
    *("task", "peer", "N", "k", "ours s", "peer s", "faster (min-max)", "by CPU", "equal"),
    *("ours +MB", "peer +MB", "goal"),
)
NOTES = """\
+MB: resident memory that the work added at its peak. Equal: the same answer in the same place.
BADGE: equal random draws; scikit-activeml also counts the zero gradient as a centre, which the
published algorithm does not: compared is our kernel under the peer's rule.
DeepAL: the N x N algorithm of its published code, in numpy. small-text: at the order of rows that
it answers rightly."""


def table(lines: list[Line]) -> str:
    """The lines for people to read, as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def at_a_million() -> list[dict[str, float | str]]:
    """k-center at N=1,000,000, D=512, k=1,000, printed with what the machine allows."""
    rows: list[dict[str, float | str]] = []
    for kind in ("gaussian", "clustered"):
        said = work("million", kind, ROOT, 1000)
        rate, peak = said["bytes"] / said["pass"] / 1e9, said["peak"] / 1e9
        floor = 1000 * said["pass"]
        print(
            f"k-center, {kind}, N=1,000,000 D={D} k=1,000, {LABELED} labeled: "
            f"{said['seconds']:.1f} s, {said['distinct']:.0f} distinct rows, peak {peak:.2f} GB "
            f"({'reached' if peak <= 16 else 'MISSED'}: goal 16 GB)\n"
            f"  reading the features once: {said['pass']:.2f} s at {rate:.1f} GB/s; "
            f"one pass per pick, the floor: {floor:.0f} s; {said['seconds'] / floor:.2f} x of it",
            flush=True,
        )
        rows.append({"kind": kind, **said})
    return rows


def main() -> int:
    """Run what the command line asks for; 1 where anything was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of the cases, not judged")
    parser.add_argument("--million", action="store_true", help="also N=1,000,000 k=1,000 (3 GB)")
    parser.add_argument("--repeats", type=int, default=3, help="of each side, at least 1")
    parser.add_argument("--peers", default=",".join(NEEDS), help="only these")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    given = parser.parse_args()
    peers = given.peers.split(",")
    if unknown := set(peers) - set(NEEDS):
        parser.error(f"--peers: {', '.join(sorted(unknown))}: accepted is {', '.join(NEEDS)}")
    chosen = [c for c in COMPARISONS if c.peer in peers]
    if given.quick:
        chosen = [replace(c, n=c.n // 4, goal=None) for c in chosen]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, 1 thread used; "
        f"Python {platform.python_version()}, numpy {np.__version__}; "
        + ", ".join(NEEDS[peer][-1] for peer in peers)
    )
    lines = [c.run(given.repeats) for c in chosen]
    print(table(lines), NOTES, sep="\n\n")
    large = at_a_million() if given.million else []
    if given.json:
        result = {"lines": [asdict(x) for x in lines], "million": large}
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    missed = any("MISSED" in line.verdict for line in lines)
    return int(missed or any(float(r["peak"]) > 16e9 for r in large))


if __name__ == "__main__":
    sys.exit(main())
