"""The figures of a report, drawn from a comparison."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from simulations.results import words
from simulations.results.bars import MOST, merged, shares, stacked
from simulations.results.comparison import Comparison
from simulations.results.curves import Curve, on_grid
from simulations.results.drawing import Series, lines
from simulations.results.outcomes import Arm
from simulations.results.records import Run
from strategies.metrics.table import METRICS


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a figure's legend: the number of its colour, and what it stands for."""

    slot: int
    name: str


def curves(comparison: Comparison, worst: bool = False) -> str | None:
    """Readings against the metric, one line for each arm, the bound dashed; None without points.

    Args:
        comparison: what was compared.
        worst: draw the worst site instead of the chosen scope.
    """
    label = METRICS[comparison.choice.metric].label
    styles = _styles(comparison)
    drawn = []
    for arm in comparison.arms:
        found = _series(arm, arm.worst_curves if worst else arm.curves, styles[arm.name])
        if found is not None and not arm.is_bound:
            drawn.append(found)
    if not drawn:
        return None
    full = comparison.bound
    summary = (full.worst_final if worst else full.final) if full else None
    bound = (f"bound {words.number(summary.mean)}", summary.mean) if summary else None
    where = "of the worst site" if worst else words.measure(comparison).removeprefix(label).strip()
    ends = "; ".join(f"{s.name} ends at {s.y[-1]:.3f}" for s in drawn)
    alt = f"Line chart: {label} {where} against readings. {ends}."
    if bound:
        alt += f" The supervised bound is at {bound[1]:.3f}."
    title = f"{label}, worst site" if worst else label
    return lines(drawn, ("readings spent, all sites together", title), alt, bound)


def _styles(comparison: Comparison) -> dict[str, int]:
    """A colour for each arm; the reference is grey."""
    others = [a.name for a in comparison.arms if a.name != comparison.reference]
    return {a.name: others.index(a.name) if a.name in others else -1 for a in comparison.arms}


def _series(arm: Arm, found: Sequence[Curve], style: int) -> Series | None:
    """Mean over seeds with the range of the seeds, or one seed with its own interval."""
    full = [line for line in found if line.values.size]
    if len(full) == 1:
        line = full[0]
        low, high = (np.where(np.isfinite(v), v, line.values) for v in (line.lower, line.upper))
        return Series(
            arm.name, style, *(v.tolist() for v in (line.readings, line.values, low, high))
        )
    grid, values = on_grid(full)
    if not grid.size:
        return None
    heights = (values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    return Series(arm.name, style, grid.tolist(), *(v.tolist() for v in heights))


def budgets(comparison: Comparison) -> tuple[tuple[str, ...], tuple[Key, ...]]:
    """One figure of stacked bars for each arm, and the key they share.

    Bars are what each cycle spent, stacked by site, as the mean over the arm's seeds.
    """
    runs = comparison.runs
    unit = runs.simulations[0].unit
    spent = {a.name: _spent(runs.of(a.name)) for a in comparison.arms if not a.is_bound}
    every = list(dict.fromkeys(site for found in spent.values() for site in found))
    total = {site: [sum(sum(found.get(site, [])) for found in spent.values())] for site in every}
    named = [name for name in merged(total, "") if name]
    top = max((max(map(sum, zip(*f.values(), strict=True))) for f in spent.values()), default=1.0)
    drawn = []
    for arm, found in spent.items():
        parts = _parts(found, named)
        sums = [sum(column) for column in zip(*parts.values(), strict=True)]
        each = ", ".join(f"{v:,.0f}" for v in sums)
        alt = f"Stacked bars for arm {arm}: {unit} spent in each cycle by site; totals {each}."
        drawn.append(stacked(arm, parts, top, ("cycle", f"Unit: {unit}"), alt))
    rest = [f"{len(every) - MOST} other sites"] if len(every) > MOST + 1 else []
    return tuple(drawn), tuple(Key(i % 8, name) for i, name in enumerate([*named, *rest]))


def _parts(found: Mapping[str, Sequence[float]], named: Sequence[str]) -> dict[str, list[float]]:
    """An arm's sites in the order of the shared key, the unnamed ones summed at the end."""
    width = max(len(values) for values in found.values())
    parts = {site: list(found.get(site, [0.0] * width)) for site in named}
    others = [values for site, values in found.items() if site not in named]
    if others:
        parts["other sites"] = [sum(column) for column in zip(*others, strict=True)]
    return parts


def _spent(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Mean over seeds of what each site spent, by cycle; a run that ended early spends nothing."""
    cycles = max(len(run.evaluations) for run in runs)
    sites = list(dict.fromkeys(s for run in runs for c in run.evaluations for s in c.spent))

    def mean(site: str, i: int) -> float:
        found = [r.evaluations[i].spent.get(site, 0) for r in runs if i < len(r.evaluations)]
        return sum(found) / len(runs)

    return {site: [mean(site, i) for i in range(cycles)] for site in sites}


def classes(comparison: Comparison) -> tuple[str | None, tuple[Key, ...]]:
    """Class shares of what each arm read, beside those of the whole pool where they are known.

    The pool's are those of the supervised bound, which was given every label.
    """
    rows: dict[str, list[float]] = {}
    for arm in comparison.arms:
        found = [o.shares for o in arm.outcomes if o.shares]
        if found:
            name = "whole pool" if arm.is_bound else arm.name
            rows[name] = [fmean(column) for column in zip(*found, strict=True)]
    if not rows:
        return None, ()
    names = class_names(comparison.runs.runs[0], len(next(iter(rows.values()))))
    figure = shares(rows, names, "Bars of class shares among the training labels.")
    return figure, tuple(Key(i % 8, name) for i, name in enumerate(names))


def class_names(run: Run, count: int) -> tuple[str, ...]:
    """The study's class names, or numbers where the study file does not give so many."""
    found = tomllib.loads(run.study).get("task", {}).get("classes", [])
    names = tuple(str(c.get("name", i)) for i, c in enumerate(found) if isinstance(c, dict))
    return names if len(names) == count else tuple(f"class {i}" for i in range(count))
