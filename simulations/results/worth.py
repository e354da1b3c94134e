"""What each arm's comparison with asking at random said, beside what was so in the simulation."""

from __future__ import annotations

from collections import Counter
from statistics import median

from simulations.results import words
from simulations.results.comparison import Comparison
from simulations.results.page import Table
from simulations.results.records import Gained, Run
from strategies.metrics.table import METRICS
from strategies.stopping.gain import DECIDES


def worth(comparison: Comparison) -> Table | None:
    """A row for each arm that was held against random; None where none was.

    The last comparison of each run counts. Beside it stands what the two arms themselves reached,
    with all of their labels, where random was an arm, too.
    """
    rows = []
    for arm in comparison.arms:
        last = {run.seed: run.gains[-1] for run in comparison.runs.of(arm.name) if run.gains}
        if not last:
            continue
        found = Counter(told.verdict for told in last.values())
        told = ", ".join(f"{verdict} in {count}" for verdict, count in sorted(found.items()))
        gains = [v for g in last.values() if (v := g.metrics[DECIDES][0]) is not None]
        cells = (
            words.signed(median(gains)) if gains else words.NONE,
            f"{median(g.labels for g in last.values()):,.0f}",
            f"{median(g.apart for g in last.values()):,.0f}",
            f"{median(g.cases for g in last.values()):,.0f}",
        )
        rows.append((arm.name, told, *cells, _truth(comparison, arm.name), _first(last)))
    label = METRICS[DECIDES].label
    head = (
        "arm",
        "verdict, by seed",
        f"{label} better by (median)",
        "labels of each model",
        "of these apart",
        "audit cases",
        f"{label} of the arm less that of random",
        "in words",
    )
    return Table(head, tuple(rows)) if rows else None


def _first(last: dict[int, Gained]) -> str:
    """What was said in the first seed."""
    return last[min(last)].words


def _truth(comparison: Comparison, arm: str) -> str:
    """The median difference at the end, over the seeds that both arms have."""
    ours, theirs = ({r.seed: _end(r) for r in comparison.runs.of(a)} for a in (arm, "random"))
    both = [
        a - b
        for seed in ours.keys() & theirs.keys()
        if (a := ours[seed]) is not None and (b := theirs[seed]) is not None
    ]
    return words.signed(median(both)) if both and arm != "random" else "–"


def _end(run: Run) -> float | None:
    """The pooled value at a run's end, on the locked test set where there is one."""
    measured = run.cycles[-1].metrics.locked or run.cycles[-1].metrics.audit
    value = measured.pooled.get(DECIDES) if measured else None
    return None if value is None or value.estimate != value.estimate else value.estimate
