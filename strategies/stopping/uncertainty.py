"""Advice to stop once the model is sure of the whole pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.records import CycleRecord


@dataclass(frozen=True, slots=True)
class OverallUncertainty:
    """Advise to stop when the model is, on average, sure of what it says of the unlabeled cases.

    The mean normalised predictive entropy of all sites' pools together, from the histograms of
    their reports, each case taken at the middle of its bin: within 1/64 of the exact mean. A model
    that is sure is not right for that: overconfident ones advise too early, and a pool that the
    model has never been wrong about teaches nothing of those who come later.

    Source: Zhu, Wang, Hovy and Ma, Confidence-Based Stopping Criteria for Active Learning for Data
    Annotation, ACM TSLP 6 (2010), the overall-uncertainty method.

    Attributes:
        threshold: largest mean, in (0, 1); 0.1 is about 1.3 % against 98.7 % in two classes.
        cycles: how many successive cycles must be under it, at least 1.
    """

    threshold: float = 0.1
    cycles: int = 2

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold = {self.threshold!r}: accepted is a number in (0, 1)")
        if isinstance(self.cycles, bool) or not isinstance(self.cycles, int) or self.cycles < 1:
            raise ValueError(f"cycles = {self.cycles!r}: accepted is a whole number of at least 1")

    def advise(self, past: Sequence[CycleRecord]) -> str:
        """The advice after the last cycle of `past`; see `Stopping`."""
        last = [mean_uncertainty(record) for record in past[-self.cycles :] if _trained(record)]
        if len(last) < self.cycles or not all(0 <= m <= self.threshold for m, _ in last):
            return ""
        means = ", ".join(f"{mean:.3f}" for mean, _ in last)
        return (
            "The model is sure of the pool, stopping may be considered: its mean uncertainty was "
            f"{means} in the last {self.cycles} cycles (at most {self.threshold:g} wanted) on "
            f"{last[-1][1]} unlabeled cases. Sure is not right: look at the audit set."
        )


def mean_uncertainty(record: CycleRecord) -> tuple[float, int]:
    """The mean normalised entropy over all sites' pools, and of how many cases; -1 of none.

    Raises:
        ValueError: histograms of different lengths, or a negative count.
    """
    counts = [r.uncertainty for r in record.reports.values()]
    if len({len(c) for c in counts}) > 1 or any(n < 0 for c in counts for n in c):
        raise ValueError(
            f"cycle {record.cycle + 1} has uncertainty histograms that do not fit each other: "
            "accepted are counts of at least 0 in equally many bins"
        )
    total = sum(n for c in counts for n in c)
    if not total:
        return -1.0, 0
    middles = sum(n * (i + 0.5) / len(c) for c in counts for i, n in enumerate(c))
    return middles / total, total


def _trained(record: CycleRecord) -> bool:
    """Whether some label stood behind the model that reported."""
    return any(report.labeled for report in record.reports.values())
