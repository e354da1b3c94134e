"""The tables of a report, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from simulations.results import words
from simulations.results.comparison import MEASURES, Comparison
from simulations.results.curves import Scope, estimated, known
from simulations.results.outcomes import GOALS, Arm
from simulations.results.records import Cycle, Run, Split
from simulations.results.unsettled import OPEN, unsettled
from strategies.metrics.intervals import Interval
from strategies.metrics.table import METRICS

MOST_ROWS = 240
"""Rows of a table of cycles and sites; the rest stays in the run's files."""


@dataclass(frozen=True, slots=True)
class Table:
    """Head and rows of text; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Titled:
    """A table and what stands above it."""

    title: str
    table: Table


def arms(comparison: Comparison) -> Table:
    """What each arm reached, as means over seeds."""
    label = METRICS[comparison.choice.metric].label
    head = (
        "arm",
        f"mean {label} over the budget",
        "without audit readings",
        f"{label} at the end",
        "of the bound",
        *(f"labels to {round(100 * goal)} %" for goal in GOALS),
        "worst site at the end",
    )
    return Table(head, tuple(_arm(arm) for arm in comparison.arms))


def _arm(arm: Arm) -> tuple[str, ...]:
    """One row of `arms`."""
    without = arm.aubc_without_audit
    worst = words.summary(arm.worst_final)
    if arm.is_bound:
        return (f"{arm.name} (bound)", "–", "–", words.summary(arm.final), *("–",) * 3, worst)
    return (
        arm.name,
        words.summary(arm.aubc),
        words.number(without.mean if without else None),
        words.summary(arm.final),
        words.percent(arm.share_of_bound),
        *(words.reached(arm, goal) for goal in GOALS),
        worst,
    )


def paired(comparison: Comparison, measure: str) -> Titled | None:
    """Every arm against the reference in one measure; None where there is no pair."""
    found = comparison.against(measure)
    if not found:
        return None
    head = (
        "arm",
        "mean difference (95 %)",
        "typical difference (Hodges-Lehmann)",
        "better in",
        "sign test p",
        "Wilcoxon p",
        "p after Holm",
        "smallest possible p",
        "verdict",
    )
    rows = tuple(
        (
            pair.arm,
            f"{words.signed(pair.mean)} ({words.between(pair.mean_interval, True)})",
            f"{words.signed(pair.shift)} ({words.between(pair.shift_interval, True)}, "
            f"covers {100 * pair.shift_coverage:.0f} %)",
            f"{pair.wins} of {len(pair.seeds)}"
            + (f", {pair.zeros} equal" if pair.zeros else "")
            + (", ties" if pair.ties else ""),
            words.p_value(pair.sign_p),
            words.p_value(pair.wilcoxon_p),
            words.p_value(pair.holm_p),
            words.p_value(pair.smallest_p),
            words.mark(pair),
        )
        for pair in found
    )
    return Titled(MEASURES[measure].capitalize(), Table(head, rows))


def effort(comparison: Comparison) -> Table:
    """Readings, minutes and days of each arm, as means over seeds."""
    head = ("arm", "readings", "of them audit", "training labels", "reader minutes")
    rows = []
    for arm in comparison.arms:
        runs = comparison.runs.of(arm.name)
        last = [run.cycles[-1] for run in runs]
        values = (
            fmean(c.readings for c in last),
            fmean(c.audit_readings for c in last),
            fmean(run.labels_at(run.cycles[-1]) for run in runs),
            fmean(c.minutes for c in last),
        )
        busiest = fmean(max(c.site_minutes.values(), default=0.0) for c in last)
        days = fmean(c.days for c in last)
        cells = [*(f"{v:,.0f}" for v in values), f"{busiest:,.0f}", f"{days:,.1f}"]
        if arm.is_bound and not values[-1]:  # its labels were given, nobody read them
            cells[3:] = ["not read"] * 3
        rows.append((arm.name, *cells))
    return Table((*head, "minutes at the busiest site", "calendar days"), tuple(rows))


def sites(comparison: Comparison) -> Table:
    """The metric at each site after the last cycle, with its interval, for the first seed."""
    seed = comparison.runs.seeds[0]
    found = {r.arm: r for r in comparison.runs.runs if r.seed == seed}
    names = comparison.runs.simulations[0].sites
    rows = tuple(
        (site, *(interval(_at_site(run.cycles[-1], comparison, site)) for run in found.values()))
        for site in names[:MOST_ROWS]
    )
    return Table(("site", *found), rows, max(0, len(names) - MOST_ROWS))


def _at_site(cycle: Cycle, comparison: Comparison, site: str) -> Interval | None:
    """The chosen metric of one site."""
    split = cycle.metrics.locked if comparison.choice.split == "locked" else cycle.metrics.audit
    return known(split.sites.get(site, {}), comparison.choice.metric) if split else None


def interval(found: Interval | None) -> str:
    """An estimate with its interval."""
    if found is None:
        return words.NONE
    if math.isnan(found.low):
        return f"{words.number(found.estimate)} (no interval)"
    return f"{words.number(found.estimate)} ({words.between((found.low, found.high))})"


def metrics(comparison: Comparison) -> tuple[Titled, ...]:
    """Every metric after the last cycle, as means over seeds: pooled, mean of sites, worst site."""
    titles: dict[Scope, str] = {
        "pooled": "All cases together",
        "macro": "Mean over the sites",
        "worst": "Worst site, for each metric its own",
    }
    head = ("metric", *(arm.name for arm in comparison.arms))
    return tuple(
        Titled(
            title,
            Table(head, tuple((_named(m), *_means(comparison, scope, m)) for m in METRICS)),
        )
        for scope, title in titles.items()
    )


def _named(metric: str) -> str:
    """A metric's label with which way is better."""
    return f"{METRICS[metric].label} {'↑' if METRICS[metric].higher_is_better else '↓'}"


def _means(comparison: Comparison, scope: Scope, metric: str) -> list[str]:
    """Means over each arm's seeds of one metric at the end."""
    cells = []
    for arm in comparison.arms:
        found = [
            estimated(run.cycles[-1], comparison.choice.split, scope, metric)
            for run in comparison.runs.of(arm.name)
        ]
        values = [interval.estimate for interval in found if interval is not None]
        cells.append(words.number(fmean(values) if values else None))
    return cells


def audit(comparison: Comparison) -> Table:
    """What the audit set says beside the locked test set, after each run's last cycle."""
    head = ("arm", "audit set", "locked test set", "audit minus locked", "audit cases measured")
    rows = []
    for arm in comparison.arms:
        runs = comparison.runs.of(arm.name)
        pairs = [(_end(run, comparison, "audit"), _end(run, comparison, "locked")) for run in runs]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        cases = [m.cases for run in runs if (m := run.cycles[-1].metrics.audit) is not None]
        read = f"{fmean(cases):,.0f}" if cases else "none"
        if not both:
            locked = [b.estimate for _, b in pairs if b is not None]
            alone = words.number(fmean(locked) if locked else None)
            rows.append((arm.name, words.NONE, alone, "–", read, "–", *unsettled(runs)))
            continue
        held = sum(a.low <= b.estimate <= a.high for a, b in both)
        left, right = fmean(a.estimate for a, _ in both), fmean(b.estimate for _, b in both)
        shown = (words.number(left), words.number(right), words.signed(left - right))
        within = f"{held} of {words.counted(len(both), 'seed')}"
        rows.append((arm.name, *shown, read, within, *unsettled(runs)))
    return Table((*head, "audit interval holds the locked value in", *OPEN), tuple(rows))


def _end(run: Run, comparison: Comparison, split: Split) -> Interval | None:
    """The chosen metric at a run's end on one split."""
    return estimated(run.cycles[-1], split, comparison.scope, comparison.choice.metric)


def grants(comparison: Comparison) -> tuple[Titled, ...]:
    """Who was granted what and why, for the first seed of each arm."""
    head = ("cycle", "site", "granted", "spent", "returned", "why")
    found = []
    for arm in (a for a in comparison.arms if not a.is_bound):
        run = comparison.runs.of(arm.name)[0]
        rows = [row for cycle in run.evaluations for row in _grants(cycle)]
        table = Table(head, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))
        found.append(Titled(f"{arm.name}, seed {run.seed}", table))
    return tuple(found)


def _grants(cycle: Cycle) -> list[tuple[str, ...]]:
    """One cycle's grants, a row for each site."""
    return [
        (
            str(cycle.cycle + 1),
            site,
            f"{count:,}",
            f"{cycle.spent.get(site, 0):,}",
            f"{cycle.returned.get(site, 0):,}".replace("-", words.MINUS),
            cycle.reasons.get(site, ""),
        )
        for site, count in cycle.granted.items()
    ]


def origins(runs: Sequence[Run]) -> Table:
    """Where each run's numbers come from."""
    head = ("arm", "seed", "study", "first weights", "data", "versions", "git", "wall seconds")
    rows = tuple(
        (
            run.arm,
            str(run.seed),
            run.identity[:12],
            run.weights[:12],
            run.data[:12],
            ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items())),
            (run.git or "none")[:12],
            f"{run.seconds:,.1f}",
        )
        for run in runs
    )
    return Table(head, rows)
