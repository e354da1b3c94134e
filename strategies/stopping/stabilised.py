"""Advice to stop once successive models predict the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import CycleRecord


@dataclass(frozen=True, slots=True)
class Stabilised:
    """Advise to stop when Cohen's kappa of successive models stays high.

    Kappa is taken on the sites' pools together, from the `kept` counts of their reports. A kappa
    that is not estimable (no case yet, or both models say one class for every case) is no evidence
    and begins the count anew.

    Source: Bloodgood & Vijay-Shanker, A Method for Stopping Active Learning Based on Stabilizing
    Predictions, CoNLL 2009: kappa >= 0.99 over 3 cycles. The bound in the advice is that of
    Bloodgood & Grothendieck, Analysis of Stopping Active Learning based on Stabilizing Predictions,
    CoNLL 2013 (arXiv 1504.06329): where kappa of two models exceeds T > 0, their F differs by at
    most 4 (1 - T) / T. It holds for two classes and the cases compared, so with more classes it is
    applied to each class against the rest, and the largest bound is told. In a multi-label task,
    where one table is the sum over the classes, it holds for F over all classes together.

    Attributes:
        threshold: least kappa, above 0, at most 1. At 0.99 the bound is 0.040, at 0.95 it is 0.21.
        cycles: how many successive cycles must reach it, at least 1.
    """

    threshold: float = 0.99
    cycles: int = 3

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold = {self.threshold!r}: accepted is a number in (0, 1]")
        if isinstance(self.cycles, bool) or not isinstance(self.cycles, int) or self.cycles < 1:
            raise ValueError(f"cycles = {self.cycles!r}: accepted is a whole number of at least 1")

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """The advice after the last cycle of `past`; see `Stopping`."""
        if len(past) < self.cycles:
            return ""
        last = past[-self.cycles :]
        tables = [pooled(record) for record in last]
        kappas = [kappa(table) for table in tables]
        if not all(k >= self.threshold for k in kappas):  # NaN is no evidence
            return ""
        bound = change_bound(tables)
        values = ", ".join(f"{k:.3f}" for k in kappas)
        numbers = ", ".join(str(r.cycle + 1) for r in last)
        when = f"cycle{'s' if len(last) > 1 else ''} {numbers}"
        cases = min(int(t.sum()) for t in tables)
        return (
            "Predictions have stabilised, stopping may be considered: Cohen's kappa of successive "
            f"models was {values} in {when} ({self.threshold:g} wanted) on at least "
            f"{cases} unlabeled cases{_bound_words(bound, summed=any(map(_summed, last)))}."
        )


def pooled(record: CycleRecord) -> NDArray[np.int64]:
    """(classes, classes) cases of all sites by class predicted before (row) and now (column).

    Raises:
        ValueError: the sites' tables are not square, not of one shape, or hold a negative count.
    """
    tables = [np.array(r.kept, dtype=np.int64) for r in record.reports.values()]
    shapes = {t.shape for t in tables}
    if any(len(s) != 2 or s[0] != s[1] for s in shapes) or len(shapes) > 1:
        raise ValueError(
            f"cycle {record.cycle + 1} has kept tables of shapes {sorted(shapes)}: "
            "accepted is classes x classes, the same at every site"
        )
    if any((t < 0).any() for t in tables):
        raise ValueError(
            f"cycle {record.cycle + 1} has a negative kept count: accepted is 0 or more"
        )
    total: NDArray[np.int64] = sum(tables, start=np.zeros(next(iter(shapes), (0, 0)), np.int64))
    return total


def kappa(table: NDArray[np.int64]) -> float:
    """Cohen's kappa, (observed - expected) / (1 - expected) agreement; NaN where not estimable.

    Args:
        table: (classes, classes) counts.
    """
    n = int(table.sum())
    by_chance = int(table.sum(axis=1) @ table.sum(axis=0))  # n^2 times expected agreement
    if n * n == by_chance:  # no case at all, or one class only
        return math.nan
    return (n * int(np.trace(table)) - by_chance) / (n * n - by_chance)


def change_bound(tables: Sequence[NDArray[np.int64]]) -> float:
    """The largest 4 (1 - T) / T, with T the kappa of a class against the rest in any table.

    Infinite where such a kappa is not positive; classes without any case in a table are left out.
    """
    lowest = min(
        (
            k
            for t in tables
            for c in range(len(t))
            if not math.isnan(k := kappa(against_rest(t, c)))
        ),
        default=math.nan,
    )
    return 4 * (1 - lowest) / lowest if lowest > 0 else math.inf


def against_rest(table: NDArray[np.int64], c: int) -> NDArray[np.int64]:
    """(2, 2) counts of one class, first, against all others."""
    both, row, column = table[c, c], table[c].sum(), table[:, c].sum()
    rest = table.sum() - row - column + both
    return np.array([[both, row - both], [column - both, rest]], dtype=np.int64)


def _summed(record: CycleRecord) -> bool:
    """Whether the tables are sums over the classes of a multi-label task; see `SiteReport.kept`."""
    return any(
        len(r.kept) != len(r.predicted) or sum(map(sum, r.kept)) > r.pool
        for r in record.reports.values()
    )


def _bound_words(bound: float, *, summed: bool) -> str:
    """What follows for F, where the bound says anything: no two F differ by more than 1."""
    if bound >= 1:
        return ""
    told = (
        f"F over all classes together changed by no more than {bound:.3f}"
        if summed
        else f"F of no class changed by more than {bound:.3f}"
    )
    return f"; there, from one model to the next, {told} (bound 4(1-T)/T)"
