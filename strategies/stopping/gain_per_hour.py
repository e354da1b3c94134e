"""Advice to stop once an hour of a physician is expected to buy next to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.records import CycleRecord
from strategies.budget.learning_curve import fit
from strategies.budget.measured import Point, points

_ALL = "all"


@dataclass(frozen=True, slots=True)
class GainPerHour:
    """Advise to stop when the learning curve promises less than `least` for the next hour.

    One power law e(n) = a n^-b + rest is fitted to the prequential losses of all sites together, n
    their training labels together, as the budget policy learning-curve fits it for each. The gain
    is the drop of log-loss that it expects of one more hour of reading, at the minutes per reading
    and labels per reading of the cycles so far. The hour begins at the labels there are after the
    last cycle: no report counts them yet, so its readings are taken to have given labels as those
    before them. No audit label enters. It says nothing before it has more losses than the curve has
    parameters, three, and nothing where the losses do not fall with labels: a curve without a fall
    would promise nothing of any hour, for cases that have changed as for a model that has learnt.

    Source: Hestness et al., arXiv 1712.00409, section 3, for the curve; stopping where labels are
    expected to cost more than they gain, Dimitrakakis and Savu-Krohn, arXiv 0708.1242.

    Attributes:
        least: drop of log-loss in nats that an hour must be worth, above 0.
        cycles: in how many successive cycles it was not, at least 1.
    """

    least: float = 0.005
    cycles: int = 2

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not (math.isfinite(self.least) and self.least > 0):
            raise ValueError(f"least = {self.least!r}: accepted is a number above 0")
        if isinstance(self.cycles, bool) or not isinstance(self.cycles, int) or self.cycles < 1:
            raise ValueError(f"cycles = {self.cycles!r}: accepted is a whole number of at least 1")

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """The advice after the last cycle of `past`; see `Stopping`."""
        if len(past) < self.cycles:
            return ""
        ends = range(len(past) - self.cycles + 1, len(past) + 1)
        found = [expected(past[:end]) for end in ends]
        if not all(f is not None and f < self.least for f in found):
            return ""
        values = ", ".join(f"{f:.4f}" for f in found)
        return (
            "Another hour is expected to buy little, stopping may be considered: the fitted "
            f"learning curve promised a drop of log-loss of {values} per physician hour in the "
            f"last {self.cycles} cycles ({self.least:g} wanted). A curve fitted to few noisy "
            "losses is a guess: look at the audit set."
        )


def expected(past: Sequence[CycleRecord]) -> float | None:
    """The drop of log-loss that the next hour is expected to bring; None where nothing says it.

    Args:
        past: finished cycles, oldest first; the last one's readings are not measured yet.
    """
    curves = fit({_ALL: _together(past)})
    done = [p for record in past for p in record.progress.values()]
    minutes, labels = sum(p.minutes for p in done), _labels(past)
    if curves is None or not curves.falling or not minutes or not labels:
        return None
    more = 60 * labels / minutes
    a, b = curves.a[_ALL], curves.exponent
    return float(a * labels**-b - a * (labels + more) ** -b)


def _labels(past: Sequence[CycleRecord]) -> float:
    """The training labels after the last cycle, as its readings and the labels before it have it.

    0 where the last report counts no label, or no reading stands behind those that it counts.
    """
    read = [sum(p.readings for p in record.progress.values()) for record in past]
    before = sum(read[:-1])
    counted = sum(report.labeled for report in past[-1].reports.values()) if past else 0
    return counted * sum(read) / before if before else 0.0


def _together(past: Sequence[CycleRecord]) -> list[Point]:
    """Every cycle's prequential loss over all sites, at the labels of all sites."""
    if not past:
        return []
    by_site = points(list(past[-1].reports.values()), past[:-1])
    by_cycle: dict[int, list[Point]] = {}
    for rows in by_site.values():
        for point in rows:
            by_cycle.setdefault(point.cycle, []).append(point)
    labels = {r.cycle: sum(s.labeled for s in r.reports.values()) for r in past}
    return [
        Point(
            cycle,
            labels[cycle],
            math.fsum(p.loss * p.count for p in rows) / sum(p.count for p in rows),
            sum(p.count for p in rows),
        )
        for cycle, rows in sorted(by_cycle.items())
        if labels.get(cycle)
    ]
