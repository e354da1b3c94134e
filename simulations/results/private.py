"""What privacy each private arm spent, by site, and what it cost beside the same arm without it."""

from __future__ import annotations

from statistics import fmean

from simulations.arms import Arm, ArmError
from simulations.results import words
from simulations.results.comparison import Comparison
from simulations.results.page import Table
from simulations.results.records import Run
from strategies.metrics.table import METRICS

_OFF = "privacy=off"


def private(comparison: Comparison) -> Table | None:
    """A row for each site of each private arm, means over the seeds; None where none is private."""
    rows = [
        row
        for arm in comparison.runs.arms
        if any(run.privacy for run in comparison.runs.of(arm))
        for row in _rows(comparison, arm)
    ]
    if not rows:
        return None
    label = METRICS[comparison.choice.metric].label
    head = ("arm", "site", "epsilon of training", "of querying", "epsilon of evaluation",
            "delta", f"{label} at the end", "without privacy")  # fmt: skip
    return Table(head, tuple(rows))


def _rows(comparison: Comparison, arm: str) -> list[tuple[str, ...]]:
    runs = comparison.runs.of(arm)
    plain = [run for other in comparison.runs.arms if is_without(arm, other)
             for run in comparison.runs.of(other)]  # fmt: skip
    metric = comparison.choice.metric
    ends = tuple(words.number(_end(part, metric)) for part in (runs, plain))
    rows = []
    for site in dict.fromkeys(s for run in runs for s in run.privacy):
        spent = [run.privacy[site] for run in runs if site in run.privacy]
        training, evaluation = (fmean(s[k] for s in spent) for k in ("training", "audit"))
        delta = f"{spent[0]['delta']:.0e}"
        covered = all(s["covered"] for s in spent)
        querying = "in that of training" if covered else "pool membership unbounded"
        given = f"{training:.2f}" if covered else f"{training:.2f}, given the chosen cases"
        rows.append((arm, site, given, querying, f"{evaluation:.2f}", delta, *ends))
    return rows


def is_without(arm: str, other: str) -> bool:
    """Whether the other arm is this one with privacy left out."""
    try:
        one, two = Arm.parse(arm), Arm.parse(other)
    except ArmError:
        return False
    rest = tuple(s for s in two.sets if s != _OFF)
    same = (two.strategy, two.policy, two.attack) == (one.strategy, one.policy, one.attack)
    return _OFF in two.sets and same and rest == one.sets


def _end(runs: tuple[Run, ...] | list[Run], metric: str) -> float | None:
    found = []
    for run in runs:
        measured = run.evaluations[-1].metrics.locked or run.evaluations[-1].metrics.audit
        value = measured.pooled.get(metric) if measured else None
        if value is not None and value.estimate == value.estimate:
            found.append(value.estimate)
    return fmean(found) if found else None
