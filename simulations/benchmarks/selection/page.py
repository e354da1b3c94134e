"""`docs/benchmarks-selection.md`: what the comparisons came to, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from simulations.benchmarks.selection.comparison import Line
from simulations.benchmarks.selection.inputs import LABELED, C, D
from simulations.benchmarks.selection.peers import NEEDS

HEAD = (
    *("task", "peer", "N", "k", "ours s", "peer s", "faster (min-max)", "by CPU", "equal"),
    *("worth", "ours +MB", "peer +MB", "of the floor", "goal"),
)

_HEAD = f"""# Speed of selection

Written by `make bench-select`; do not edit. Every piece of work runs in a fresh interpreter on one
thread, ours and the peer's in turn, on equal inputs: D = {D}, C = {C}, {LABELED} labeled cases. The
peers have environments of their own.
"""

_NOTES = """
*+MB*: resident memory that the work added at its peak. *Equal*: the same answer in the same place;
BatchBALD's first four picks of ten come from counted outcomes, the others from drawn ones, and baal
draws all of them. *Worth*: what our batch tells of the ensemble over what the peer's does, in
exactly counted mutual information, summed over the first 1, 2, ... picks; at least 99.5 %, which
ten picks by their own information alone would miss. *Of the floor*: our seconds over those of one
pass over the features for each pick; k-center must stay within 2 x of it at 100 picks (at 20, the
distances to the labeled cases are most of the work). A goal is held by the clock and by the
processor.

BADGE: equal random draws; scikit-activeml also counts the zero gradient as a centre, which the
published algorithm does not: compared is our kernel under the peer's rule. DeepAL: the N x N
algorithm of its published code, in numpy. small-text: at the order of rows that it answers rightly.
"""


def machine(peers: Iterable[str]) -> str:
    """Where it ran, and the versions that were compared."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, 1 thread used; "
        f"Python {platform.python_version()}, numpy {np.__version__}; "
        + ", ".join(NEEDS[peer][-1] for peer in peers if "==" in NEEDS[peer][-1])
    )


def page(lines: Sequence[Line], large: Sequence[Mapping[str, float | str]]) -> str:
    """The whole page, as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(line.cells() for line in lines)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    peers = dict.fromkeys(line.comparison.peer for line in lines)
    parts = [_HEAD, machine(peers) + ".\n", table, _NOTES]
    if large:
        parts += ["## A million cases\n", *(_large(said) for said in large)]
    return "\n".join(parts).rstrip() + "\n"


def _large(said: Mapping[str, float | str]) -> str:
    seconds, once, peak = float(said["seconds"]), float(said["pass"]), float(said["peak"]) / 1e9
    rate = float(said["bytes"]) / once / 1e9
    return (
        f"* k-center, {said['kind']} features, N = 1,000,000, D = {D}, k = 1,000, {LABELED} "
        f"labeled: {seconds:.1f} s, {float(said['distinct']):.0f} distinct rows, peak "
        f"{peak:.2f} GB ({'reached' if peak <= 16 else 'MISSED'}: goal 16 GB). Reading the "
        f"features once takes {once:.2f} s at {rate:.1f} GB/s, so one pass per pick, the floor, "
        f"{1000 * once:.0f} s: {seconds / (1000 * once):.2f} x of it."
    )
