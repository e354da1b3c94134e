"""How fast cases are chosen, side by side with peers on equal inputs.

    python -m simulations.benchmarks.selection --million      everything, then the page
    python -m simulations.benchmarks.selection --quick        a quarter of the cases, no page
    python -m simulations.benchmarks.selection --peers baal,deepal [--json FILE]

Every piece of work runs in a fresh interpreter on one thread, ours and the peer's in turn; each
peer has its own environment under `.bench/`. Exit code 1 where a goal or equality was missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from simulations.benchmarks.selection.comparison import Comparison
from simulations.benchmarks.selection.page import machine, page
from simulations.benchmarks.selection.peers import NEEDS, ROOT, work

PAGE = ROOT / "docs" / "benchmarks-selection.md"

COMPARISONS = (
    Comparison("k-center-gaussian", "scikit-activeml", 20_000, 100, 2, floor=2),
    Comparison("k-center-clustered", "scikit-activeml", 20_000, 100, 2, floor=2),
    Comparison("k-center-clustered", "deepal", 10_000, 100, 2),
    Comparison("k-center-clustered", "small-text", 10_000, 20, 2),
    Comparison("badge", "scikit-activeml", 20_000, 100, 20),
    Comparison("batchbald", "scikit-activeml", 5_000, 10, 1.5, equal=0.4),
    Comparison("batchbald", "batchbald-redux", 5_000, 10, 1.5, equal=0.4),
    Comparison("batchbald", "baal", 5_000, 10, 100, equal=0.0),
    Comparison("dawid-skene", "crowd-kit", 20_000, 0, 5, equal=0.995),
)
"""BatchBALD: of ten picks the first four come from counted outcomes, the others from drawn ones."""


def at_a_million(kind: str) -> dict[str, float | str]:
    """k-center at N=1,000,000, D=512, k=1,000, and what the machine allows."""
    print(f"  a million {kind} features", flush=True)
    return {"kind": kind, **work("million", kind, ROOT, 1000)}


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
    print(machine(peers))
    lines = [c.run(given.repeats) for c in chosen]
    large = [at_a_million(kind) for kind in ("gaussian", "clustered")] if given.million else []
    print(page(lines, large))
    if large and len(chosen) == len(COMPARISONS) and not given.quick:
        PAGE.write_text(page(lines, large), encoding="utf-8")
    if given.json:
        result = {"lines": [asdict(x) for x in lines], "million": large}
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    missed = any("MISSED" in line.verdict for line in lines)
    return int(missed or any(float(r["peak"]) > 16e9 for r in large))


if __name__ == "__main__":
    sys.exit(main())
