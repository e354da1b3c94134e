"""What the stopping rule said to each arm beside what the audit set said then, and why it said
nothing where it never could.
"""

from __future__ import annotations

import tomllib
from statistics import median

from simulations.results import words
from simulations.results.comparison import Comparison
from simulations.results.curves import estimated
from simulations.results.page import Table, interval
from simulations.results.records import Cycle, Run
from strategies.stopping.mute import mute


def advice(comparison: Comparison) -> Table:
    """When each arm was first advised to stop."""
    rows = []
    for arm in comparison.arms:
        if arm.is_bound:
            continue
        runs = comparison.runs.of(arm.name)
        first = [c for c in map(_advised, runs) if c is not None]
        seeds = f"{len(first)} of {words.counted(len(runs), 'seed')}"
        when = f"{median(c.readings for c in first):,.0f}" if first else "never"
        said = (first[0].advice, _audited(first[0])) if first else (_none(runs[0]), "–")
        rows.append((arm.name, seeds, when, *said))
    head = ("arm", "advised in", "first at readings (median)", "in words", "audit AUROC then")
    return Table(head, tuple(rows))


def _advised(run: Run) -> Cycle | None:
    """The first evaluation at which the stopping rule spoke."""
    return next((cycle for cycle in run.evaluations if cycle.advice), None)


def _audited(cycle: Cycle) -> str:
    """The pooled audit AUROC after a cycle with its interval."""
    if cycle.metrics.audit is None:
        return "no audit case measured"
    return interval(estimated(cycle, "audit", "pooled", "auroc"))


def _none(run: Run) -> str:
    """In words, of an arm that was never advised to stop."""
    study = tomllib.loads(run.study)
    rule = study.get("stopping", {}).get("rule", "never")
    share = study.get("budget", {}).get("exploration", 0.0)
    why = mute(rule, private="privacy" in study, exploration=share)
    return f"it could not advise: {why}" if why else "no advice to stop"
