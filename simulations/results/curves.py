"""One run as a curve of a metric over readings, and the numbers read off it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.results.records import Cycle, Run, Split
from strategies.metrics.intervals import Interval
from strategies.metrics.table import METRICS

Scope: TypeAlias = Literal["pooled", "macro", "worst"]
SCOPES: tuple[Scope, ...] = ("pooled", "macro", "worst")
Axis: TypeAlias = Literal["readings", "training_readings"]
Range: TypeAlias = tuple[float, float]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric at the evaluations where it was estimable, from cycle 0 on; may be empty.

    Attributes:
        cycles: the evaluations, ascending.
        readings: (n,) of every purpose so far, strictly ascending.
        training_readings: (n,) the same without audit readings.
        labels: (n,) training labels so far.
        values: (n,) estimates.
        lower, upper: (n,) ends of their 95 % intervals on the cases measured; NaN where none.
    """

    cycles: tuple[Cycle, ...]
    readings: Floats
    training_readings: Floats
    labels: tuple[int, ...]
    values: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Reached:
    """What had been spent when a target was first reached and held.

    Attributes:
        labels: training labels.
        readings: of every purpose.
        minutes: active reader minutes.
        days: simulated calendar days.
    """

    labels: int
    readings: int
    minutes: float
    days: float


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of a metric is the better one."""
    return not METRICS[metric].higher_is_better


def estimated(cycle: Cycle, split: Split, scope: Scope, metric: str) -> Interval | None:
    """A metric at one evaluation; None where not measured or not estimable."""
    measured = cycle.metrics.locked if split == "locked" else cycle.metrics.audit
    if measured is None:
        return None
    scopes: Mapping[Scope, Mapping[str, Interval]] = {
        "pooled": measured.pooled,
        "macro": measured.macro,
        "worst": measured.worst,
    }
    return known(scopes[scope], metric)


def known(metrics: Mapping[str, Interval], metric: str) -> Interval | None:
    """The interval of a metric; None where it is absent or not estimable (NaN)."""
    found = metrics.get(metric)
    return None if found is None or math.isnan(found.estimate) else found


def curve(run: Run, split: Split, scope: Scope, metric: str) -> Curve:
    """The curve of one run. An evaluation that spent no further reading replaces the one before."""
    found: dict[int, tuple[Cycle, Interval]] = {}
    for cycle in run.evaluations:
        interval = estimated(cycle, split, scope, metric)
        if interval is not None:
            found[cycle.readings] = (cycle, interval)
    points = [found[readings] for readings in sorted(found)]
    return Curve(
        cycles=tuple(cycle for cycle, _ in points),
        readings=np.array([c.readings for c, _ in points], dtype=np.float64),
        training_readings=np.array([c.training_readings for c, _ in points], dtype=np.float64),
        labels=tuple(run.labels_at(c) for c, _ in points),
        values=np.array([i.estimate for _, i in points], dtype=np.float64),
        lower=np.array([i.low for _, i in points], dtype=np.float64),
        upper=np.array([i.high for _, i in points], dtype=np.float64),
    )


def axis(line: Curve, name: Axis) -> Floats:
    """A curve's readings, with those of audit cases or without."""
    return line.readings if name == "readings" else line.training_readings


def common_range(lines: Sequence[Curve], name: Axis) -> Range | None:
    """The readings that every curve of two points or more covers; None where there are none."""
    spans = [axis(line, name)[[0, -1]] for line in lines if line.readings.size > 1]
    if not spans:
        return None
    low = float(max(span[0] for span in spans))
    high = float(min(span[1] for span in spans))
    return (low, high) if low < high else None


def area(line: Curve, name: Axis, between: Range | None) -> float | None:
    """Mean height of a curve over a range: trapezoids, straight lines between evaluations.

    Args:
        line: the curve.
        name: what is on the x axis.
        between: a range within the curve's own.
    Returns:
        In the metric's unit; None without a range, or where the curve has fewer than two points.
    """
    if between is None or line.values.size < 2:
        return None
    low, high = between
    x = axis(line, name)
    inside = (x > low) & (x < high)
    xs = np.concatenate(([low], x[inside], [high]))
    ys = np.interp(xs, x, line.values)
    return float(np.sum(np.diff(xs) * (ys[1:] + ys[:-1]) / 2) / (high - low))


def target(bound: float, share: float, metric: str) -> float:
    """The value that counts as `share` of the bound: for a metric of errors, bound / share."""
    return bound / share if lower_is_better(metric) else bound * share


def reach(line: Curve, goal: float, metric: str) -> Reached | None:
    """When a curve first reached a goal and kept it at the next evaluation, or None.

    The last evaluation needs no successor: nothing after it could speak against it.
    """
    good = line.values <= goal if lower_is_better(metric) else line.values >= goal
    for i, cycle in enumerate(line.cycles):
        if good[i : i + 2].all():
            return Reached(line.labels[i], cycle.readings, cycle.minutes, cycle.days)
    return None


def class_shares(cycle: Cycle) -> tuple[float, ...]:
    """(classes,) shares of the training labels so far, summing to 1; empty without labels."""
    rows = [np.asarray(counts, dtype=np.float64) for counts in cycle.labels.values()]
    total = np.sum(rows, axis=0) if rows else np.zeros(0)
    return tuple(float(v) for v in total / total.sum()) if total.sum() > 0 else ()


def on_grid(lines: Sequence[Curve]) -> tuple[Floats, Floats]:
    """Curves of one arm on the readings that all of them cover.

    Returns:
        (m,) readings at which some curve was evaluated, and (curves, m) values, straight lines
        between evaluations; empty arrays where the curves share no reading.
    """
    full = [line for line in lines if line.values.size]
    if not full:
        return np.zeros(0), np.zeros((0, 0))
    low = max(line.readings[0] for line in full)
    high = min(line.readings[-1] for line in full)
    every = np.unique(np.concatenate([line.readings for line in full]))
    grid = every[(every >= low) & (every <= high)]
    return grid, np.array([np.interp(grid, line.readings, line.values) for line in full])
