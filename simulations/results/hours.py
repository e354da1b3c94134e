"""What a result took in readings, in physicians' hours and in calendar days; and who came when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np

from simulations.results import words
from simulations.results.comparison import Comparison
from simulations.results.curves import Curve, Reached, reach, target
from simulations.results.figures import class_names
from simulations.results.outcomes import GOALS, Arm, bounds, typical
from simulations.results.page import Table
from simulations.results.records import Coming, Cycle, is_bound
from strategies.metrics.table import METRICS

_AXES: Mapping[str, Callable[[Cycle], float]] = {
    "per reading": lambda cycle: float(cycle.readings),
    "per physician hour": lambda cycle: cycle.minutes / 60,
    "per calendar day": lambda cycle: float(cycle.days),
}


def per_unit(comparison: Comparison) -> Table:
    """The metric's mean over readings, over hours and over days, each over a range all arms share.

    An arm that asks for slower cases, or for two readings of a case, may lead in one and not in
    another.
    """
    label = METRICS[comparison.choice.metric].label
    arms = [arm for arm in comparison.arms if not arm.is_bound]
    heads, columns = [], []
    for unit, axis in _AXES.items():
        heights, between = _heights(arms, axis)
        columns.append(heights)
        shown = "no shared range" if between is None else f"{between[0]:,.1f} to {between[1]:,.1f}"
        heads.append(f"{label} {unit} ({shown})")
    rows = zip(*columns, strict=True)
    return Table(
        ("arm", *heads),
        tuple((arm.name, *cells) for arm, cells in zip(arms, rows, strict=True)),
    )


def _heights(
    arms: Sequence[Arm], axis: Callable[[Cycle], float]
) -> tuple[list[str], tuple[float, float] | None]:
    """Each arm's mean height over an axis, as text, and the range that all curves cover."""
    lines = [line for arm in arms for line in arm.curves if len(line.cycles) > 1]
    low = max((axis(line.cycles[0]) for line in lines), default=0.0)
    high = min((axis(line.cycles[-1]) for line in lines), default=0.0)
    if not low < high:
        return [words.NONE] * len(arms), None
    cells = []
    for arm in arms:
        found = [height(line, axis, (low, high)) for line in arm.curves if len(line.cycles) > 1]
        cells.append(words.number(fmean(found) if found else None))
    return cells, (low, high)


def height(line: Curve, axis: Callable[[Cycle], float], between: tuple[float, float]) -> float:
    """Mean height of a curve over a range of an axis; of equal places the later evaluation counts.

    Args:
        line: of two evaluations or more.
        axis: what an evaluation had cost.
        between: a range within the curve's own, its ends apart.
    """
    at = {axis(cycle): float(v) for cycle, v in zip(line.cycles, line.values, strict=True)}
    x, y = np.array(list(at)), np.array(list(at.values()))
    inside = x[(x > between[0]) & (x < between[1])]
    xs = np.concatenate(([between[0]], inside, [between[1]]))
    ys = np.interp(xs, x, y)
    return float(np.sum(np.diff(xs) * (ys[1:] + ys[:-1]) / 2) / (between[1] - between[0]))


def taken(comparison: Comparison) -> Table:
    """What it took each arm to reach and hold a target, medians over the seeds.

    Targets are shares of the bound with the same seed, and what the reference reached at its end.
    """
    head = ("arm", "target", "seeds", "labels", "readings", "physician hours", "calendar days")
    rows = []
    for arm in comparison.arms:
        if arm.is_bound:
            continue
        for name, goals in _goals(comparison, arm).items():
            found = [
                reach(line, goals[o.seed], comparison.choice.metric)
                for o, line in zip(arm.outcomes, arm.curves, strict=True)
                if o.seed in goals
            ]
            rows.append((arm.name, name, *_cells(found)))
    return Table(head, tuple(rows))


def _goals(comparison: Comparison, arm: Arm) -> dict[str, Mapping[int, float]]:
    """The values to be reached by seed, by the target's name."""
    runs, metric = comparison.runs, comparison.choice.metric
    lines = {a.name: a.curves for a in comparison.arms}
    known = bounds(runs, lines, arm.name)
    goals: dict[str, Mapping[int, float]] = {}
    if known:
        for share in GOALS:
            aims = {seed: target(value, share, metric) for seed, value in known.items()}
            goals[f"{100 * share:.0f} % of the bound"] = aims
    base = next((a for a in comparison.arms if a.name == comparison.reference), None)
    if base is not None:
        goals[f"what {base.name} reached at the end"] = base.by_seed("final")
    return goals


def _cells(found: Sequence[Reached | None]) -> tuple[str, ...]:
    """The seeds that got there, and what the typical one had spent."""
    middle, count = typical(found)
    seeds = f"{count} of {len(found)}"
    if middle is None:
        return (seeds, *("not reached" if count == 0 else "not by half",) * 4)
    hours = f"{middle.minutes / 60:,.1f}"
    days = f"{middle.days:,.0f}" if middle.days.is_integer() else f"{middle.days:,.1f}"
    return (seeds, f"{middle.labels:,}", f"{middle.readings:,}", hours, days)


def arrived(comparison: Comparison) -> Table | None:
    """Who came to the pools before each cycle, for the first seed; None where nobody came later.

    Those who were to come after the seed's longest run had ended have a row of their own.
    """
    run = next((r for r in comparison.runs.runs if r.arrivals), None)
    if run is None:
        return None
    names = class_names(run, len(run.arrivals[0].classes))
    head = ("before cycle", "cases", *names, "scanner")
    alike = [r for r in comparison.runs.runs if r.seed == run.seed and not is_bound(r.arm)]
    end = max((r.evaluations[-1].cycle for r in alike), default=0)
    rows = [_coming(str(c.cycle + 1), [c]) for c in run.arrivals if c.cycle <= end]
    if never := [c for c in run.arrivals if c.cycle > end]:
        rows.append(_coming("none: the study had ended", never))
    return Table(head, tuple(rows))


def _coming(when: str, arrivals: Sequence[Coming]) -> tuple[str, ...]:
    """A row of `arrived`: how many, of which class, before which scanners."""
    cases = sum(a.cases for a in arrivals)
    classes = [sum(counts) for counts in zip(*(a.classes for a in arrivals), strict=True)]
    machines = dict.fromkeys("new" if a.new_scanner else "first" for a in arrivals)
    shares = (f"{n:,} ({n / cases:.0%})" for n in classes)
    return (when, f"{cases:,}", *shares, ", then ".join(machines))
