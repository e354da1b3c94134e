"""What one run, and one arm over its seeds, reached for what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from simulations.results.curves import (
    Curve,
    Range,
    Reached,
    area,
    class_shares,
    curve,
    lower_is_better,
    reach,
    target,
)
from simulations.results.paired import mean_interval
from simulations.results.records import Run, Runs, Split, is_bound

UNBOUNDED = frozenset({"log_loss", "expected_cost"})
"""Metrics without a largest value; the others end at 1."""
GOALS = (0.98, 0.99)
"""Shares of the bound for which the labels are counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is compared.

    Attributes:
        metric: a name of the metric table.
        scope: "pooled", "macro" or "worst"; None is pooled, or macro where pooled is not estimable.
        split: "locked", the locked test set, or "audit".
        reference: the arm others are compared with; None is random, or the first one.
    """

    metric: str = "auroc"
    scope: str | None = None
    split: Split = "locked"
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's numbers; None where not estimable, not reached or without a bound.

    Attributes:
        aubc: area under the budget curve over all readings, as a mean height.
        aubc_without_audit: the same with audit readings left off the x axis.
        final, worst_final: at the last evaluation, in the chosen scope and of the worst site.
        share_of_bound: final as a share of the bound's with the same seed.
        reached: by share of the bound, what had been spent when it was reached and held.
        shares: of the classes among the training labels read.
    """

    seed: int
    aubc: float | None
    aubc_without_audit: float | None
    final: float | None
    worst_final: float | None
    share_of_bound: float | None
    reached: Mapping[float, Reached | None]
    readings: int
    labels: int
    minutes: float
    days: float
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean over seeds with Student's 95 % interval inside the metric's range; None with one."""

    mean: float
    interval: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm over its seeds; a Summary is None where no seed has the number."""

    name: str
    outcomes: tuple[Outcome, ...]
    curves: tuple[Curve, ...]
    worst_curves: tuple[Curve, ...]
    aubc: Summary | None
    aubc_without_audit: Summary | None
    final: Summary | None
    worst_final: Summary | None
    share_of_bound: Summary | None

    @property
    def is_bound(self) -> bool:
        """Whether it is the fully supervised bound."""
        return is_bound(self.name)

    def by_seed(self, measure: str) -> dict[int, float]:
        """The estimable values of one of MEASURES by seed."""
        values = {o.seed: getattr(o, measure) for o in self.outcomes}
        return {seed: value for seed, value in values.items() if value is not None}

    def reached(self, share: float) -> tuple[Reached | None, int]:
        """The median over seeds of what a share of the bound took, and how many seeds got there.

        A seed that did not get there counts as more than any that did; the median is None where
        half of the seeds or more did not. Seeds without a bound are left out: see `bounded`.
        """
        return typical([o.reached[share] for o in self.outcomes if share in o.reached])

    def bounded(self, share: float) -> int:
        """How many seeds have a bound, so that it can be told whether they got there."""
        return sum(share in o.reached for o in self.outcomes)


def typical(found: Sequence[Reached | None]) -> tuple[Reached | None, int]:
    """The median of what a target took, and how many got there; see `Arm.reached`."""
    count = sum(r is not None for r in found)
    if not count:
        return None, 0
    middle = [
        median([math.inf if r is None else float(value(r)) for r in found]) for value in _SPENT
    ]
    if not all(math.isfinite(m) for m in middle):
        return None, count
    return Reached(round(middle[0]), round(middle[1]), middle[2], middle[3]), count


_SPENT: tuple[Callable[[Reached], float], ...] = (
    lambda r: r.labels,
    lambda r: r.readings,
    lambda r: r.minutes,
    lambda r: r.days,
)


def bounds(runs: Runs, lines: Mapping[str, Sequence[Curve]], arm: str) -> dict[int, float]:
    """The bound's last value by seed for an arm: of its own directory where that brought one."""
    goals: dict[int, float] = {}
    home = arm.rpartition("/")[0]
    full = [name for name in runs.arms if is_bound(name)]
    for name in sorted(full, key=lambda name: name.rpartition("/")[0] != home):
        for run, line in zip(runs.of(name), lines[name], strict=True):
            if line.values.size:
                goals.setdefault(run.seed, float(line.values[-1]))
    return goals


def summarise(
    runs: Sequence[Run],
    lines: Sequence[Curve],
    choice: Choice,
    ranges: tuple[Range | None, Range | None],
    goals: Mapping[int, float],
) -> Arm:
    """One arm's outcomes and their summaries."""
    worst = tuple(curve(run, choice.split, "worst", choice.metric) for run in runs)
    outcomes = tuple(
        _outcome(run, (line, low), choice.metric, ranges, goals.get(run.seed))
        for run, line, low in zip(runs, lines, worst, strict=True)
    )
    top = math.inf if choice.metric in UNBOUNDED else 1.0
    return Arm(
        name=runs[0].arm,
        outcomes=outcomes,
        curves=tuple(lines),
        worst_curves=worst,
        aubc=_summary([o.aubc for o in outcomes], top),
        aubc_without_audit=_summary([o.aubc_without_audit for o in outcomes], top),
        final=_summary([o.final for o in outcomes], top),
        worst_final=_summary([o.worst_final for o in outcomes], top),
        share_of_bound=_summary([o.share_of_bound for o in outcomes]),
    )


def _outcome(
    run: Run,
    lines: tuple[Curve, Curve],
    metric: str,
    ranges: tuple[Range | None, Range | None],
    bound: float | None,
) -> Outcome:
    """One run's numbers, from its curve in the chosen scope and that of the worst site."""
    line, worst = lines
    last = run.cycles[-1]
    final = float(line.values[-1]) if line.values.size else None
    shares = () if bound is None or is_bound(run.arm) else GOALS
    return Outcome(
        seed=run.seed,
        aubc=area(line, "readings", ranges[0]),
        aubc_without_audit=area(line, "training_readings", ranges[1]),
        final=final,
        worst_final=float(worst.values[-1]) if worst.values.size else None,
        share_of_bound=None if final is None or not bound else _share(final, bound, metric),
        reached={s: reach(line, target(bound or 0.0, s, metric), metric) for s in shares},
        readings=last.readings,
        labels=run.labels_at(last),
        minutes=last.minutes,
        days=last.days,
        shares=class_shares(last),
    )


def _share(final: float, bound: float, metric: str) -> float | None:
    """Final over bound, or bound over final for a metric of errors."""
    if lower_is_better(metric):
        return bound / final if final else None
    return final / bound


def _summary(values: Sequence[float | None], top: float = math.inf) -> Summary | None:
    """Mean over the seeds that have the number, and its interval cut at 0 and at `top`."""
    found = [v for v in values if v is not None]
    if not found:
        return None
    interval = mean_interval(found)
    cut = None if interval is None else (max(0.0, interval[0]), min(top, interval[1]))
    return Summary(fmean(found), cut, len(found))
