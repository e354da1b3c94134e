"""What a reader must know of the data and the runs before believing their numbers."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator

from simulations.results.records import Runs, is_bound
from strategies.metrics.bounds import share
from strategies.metrics.combine import Results


def about_data(runs: Runs, metric: str) -> Iterator[str]:
    """One sentence for each thing that is not as one would suppose."""
    measured = [c.metrics.locked or c.metrics.audit for run in runs.runs for c in run.evaluations]
    if any(m is not None and not m.clustered for m in measured):
        yield "the data names no patients: intervals within a run are image-level intervals"
    counted = [_sites_estimable(m, metric) for m in measured if m is not None]
    if counted and min(counted)[0] < min(counted)[1]:
        few, of = min(counted)
        yield (
            f"mean over sites and worst site are over {few} of {of} sites, at the least: those "
            "with enough cases of each class"
        )
    yield from _about_open(runs)
    yield from _about_pools(runs)
    if len({(run.git, tuple(sorted(run.versions.items()))) for run in runs.runs}) > 1:
        yield "the runs were made by different versions of the software"
    if any(simulation.split == "site" for simulation in runs.simulations):
        yield (
            "the sites are the data's own: seeds differ in first weights, audit patients and "
            "readers, not in which site holds which case"
        )


def _about_open(runs: Runs) -> Iterator[str]:
    """Audit cases that no reader could settle."""
    last = [m for run in runs.runs if (m := run.evaluations[-1].metrics.audit) is not None]
    most = max(last, key=lambda m: share(m.cases, m.unsettled), default=None)
    if most is None or not most.unsettled:
        return
    ends = most.bounds.get("accuracy")
    between = f": the accuracy lies between {ends.low:.3f} and {ends.high:.3f}" if ends else ""
    yield (
        f"up to {share(most.cases, most.unsettled):.1%} of the audit cases read stayed unsure or "
        f"unreadable and are not measured{between}"
    )


def _about_pools(runs: Runs) -> Iterator[str]:
    """Where the study ended before its budget, or taught a site one class only."""
    alone: set[str] = set()
    short: set[tuple[int, int]] = set()
    for run in (r for r in runs.runs if not is_bound(r.arm)):
        budget = tomllib.loads(run.study).get("budget", {})
        total = budget.get("total", 0) if budget.get("unit", "readings") == "readings" else 0
        last = run.evaluations[-1]
        if last.readings < total:
            short.add((last.readings, total))
        alone |= {s for s, counts in last.labels.items() if sum(c > 0 for c in counts) == 1}
    if short:
        readings, total = min(short)
        yield (
            f"the study ended after {readings} of {total} readings, at the least: the sites had no "
            "case, or no reader, for more"
        )
    if alone:
        yield f"labels of one class only at the end of some run: {', '.join(sorted(alone))}"


def _sites_estimable(results: Results, metric: str) -> tuple[int, int]:
    """At how many of the sites a metric could be estimated, and how many there are."""
    found = sum(math.isfinite(site[metric].estimate) for site in results.sites.values())
    return found, len(results.sites)
