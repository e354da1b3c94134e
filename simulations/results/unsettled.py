"""Audit cases that stayed unsure or unreadable: how many, and the ends between which they leave
what was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from simulations.results import words
from simulations.results.records import Run
from strategies.metrics.bounds import share

OPEN = ("unsettled", "accuracy, these all wrong to all right")


def unsettled(runs: Sequence[Run]) -> tuple[str, str]:
    """The share of the audit cases read that has no answer, and the accuracy's ends, after the
    last cycle, as means over seeds.
    """
    found = [m for run in runs if (m := run.cycles[-1].metrics.audit) is not None]
    if not found:
        return words.NONE, words.NONE
    part = f"{fmean(share(m.cases, m.unsettled) for m in found):.1%}"
    known = [m.bounds["accuracy"] for m in found if "accuracy" in m.bounds]
    if not known:
        return part, words.NONE
    return part, words.between((fmean(b.low for b in known), fmean(b.high for b in known)))
