"""Whether arms began alike, without which their differences say nothing about the arms."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence

from simulations.results.records import Cycle, Run, Runs, is_bound
from simulations.results.runs import rules
from strategies.metrics.combine import Results
from strategies.metrics.intervals import Interval

_AFTER_COLD_START = (
    "query.strategy",
    "query.arguments",
    "query.cost_weighted",
    "budget.total",
    "stopping",
)
"""Keys of a study file that change nothing before the end of its first cycle."""


class NotPaired(ValueError):
    """Two arms of one seed did not begin from the same data, weights and first labels."""


def check(runs: Runs) -> None:
    """Hold every run against the first one's data, and every arm of a seed against its first.

    Data, first weights and the metrics of the first weights must be the same; so must the metrics
    of cycle 0 for arms with the same cold start (the supervised bound has none, and an attack may
    begin before it ends).

    Raises:
        NotPaired: naming the arm, the seed and the metric that differs.
    """
    for run in runs.runs[1:]:
        _same("data", runs.runs[0].data, run.data, runs.runs[0], run)
    for seed in runs.seeds:
        same = [r for r in runs.runs if r.seed == seed]
        for run in same[1:]:
            _begin(same[0], run)
        _cold_start([r for r in same if not is_bound(r.arm) and not r.attack])


def _begin(first: Run, run: Run) -> None:
    """Refuse another hash of the weights, or another measure of the first weights."""
    _same("weights", first.weights, run.weights, first, run)
    _equal(first, run, first.cycles[0], run.cycles[0])


def _same(what: str, a: str, b: str, first: Run, run: Run) -> None:
    if a != b:
        raise NotPaired(
            f"arm {run.arm}, seed {run.seed}: hash of the {what} {b[:12]} differs from "
            f"{a[:12]} of arm {first.arm}, seed {first.seed}; accepted are arms that begin alike"
        )


def _cold_start(same: Sequence[Run]) -> None:
    """Refuse other metrics after the first cycle among runs whose first cycles are one."""
    seen: dict[str, Run] = {}
    for run in same:
        key = rules(run.study, _after(run))
        first = seen.setdefault(key, run)
        _equal(first, run, first.evaluations[0], run.evaluations[0])


def _after(run: Run) -> tuple[str, ...]:
    """Keys without effect on the first cycle; a budget of its own frees it of the later ones."""
    has_first = "first" in tomllib.loads(run.study).get("budget", {})
    return (*_AFTER_COLD_START, "budget.per_cycle") if has_first else _AFTER_COLD_START


def _equal(first: Run, run: Run, a: Cycle, b: Cycle) -> None:
    """Refuse the first metric in which two evaluations differ, to the bit."""
    left, right = dict(_flat(a)), dict(_flat(b))
    for metric in sorted(left.keys() | right.keys()):
        if left.get(metric) != right.get(metric):
            when = "before the first cycle" if a.cycle < 0 else f"after cycle {a.cycle + 1}"
            raise NotPaired(
                f"arm {run.arm}, seed {run.seed}: {metric} {when} is "
                f"{right.get(metric, 'absent')}, in arm {first.arm} {left.get(metric, 'absent')}; "
                "accepted are arms that begin alike"
            )


def _flat(cycle: Cycle) -> Iterator[tuple[str, str]]:
    """Every metric of an evaluation by its full name."""
    for split, measured in (("locked", cycle.metrics.locked), ("audit", cycle.metrics.audit)):
        if measured is None:
            continue
        for scope, metrics in _scopes(measured):
            for name, interval in metrics.items():
                yield f"{split} {scope} {name}", _exact(interval)


def _scopes(measured: Results) -> Iterator[tuple[str, Mapping[str, Interval]]]:
    yield "pooled", measured.pooled
    yield "macro", measured.macro
    yield "worst-site", measured.worst
    yield from measured.sites.items()


def _exact(interval: Interval) -> str:
    """All three numbers to the last bit, the same for equal intervals."""
    return f"{interval.estimate!r} ({interval.low!r} to {interval.high!r})"
