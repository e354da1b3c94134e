"""What a comparison with asking at random says, in numbers and in words. Advice only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from strategies.metrics.difference import difference
from strategies.metrics.intervals import Interval
from strategies.metrics.table import METRICS

if TYPE_CHECKING:
    from protocol.gain import SiteGain
    from protocol.sections import Task

Verdict: TypeAlias = Literal["better", "worse", "cannot tell"]

DECIDES = "auroc"
"""The metric of the verdict. Log-loss and Brier score stand beside it: a queried sample has other
class shares than the patients, which they punish and ranks do not."""

SHOWN = (DECIDES, "log_loss", "brier")
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Gain:
    """One comparison, all sites together.

    Attributes:
        cycle: after which it was made.
        labels: that each model had.
        apart: how many of these the two models do not share.
        cases: audit cases that both were measured on.
        metrics: by name of `SHOWN`, how much better the queried model is; positive is better.
    """

    cycle: int
    labels: int
    apart: int
    cases: int
    metrics: Mapping[str, Interval]

    @property
    def verdict(self) -> Verdict:
        """Better or worse than random where the interval leaves out 0."""
        found = self.metrics[DECIDES]
        if found.low > 0:
            return "better"
        return "worse" if found.high < 0 else "cannot tell"

    @property
    def words(self) -> str:
        """The verdict with its numbers, in a few sentences."""
        numbers = "; ".join(_said(name, self.metrics[name]) for name in SHOWN)
        return (
            f"Asking as the strategy does, held against asking at random: {self._verdict()} "
            f"Differences, where above 0 is better: {numbers}. Two models for this alone, "
            f"{self.labels} labels each, of which {self.apart} are not the other's, on "
            f"{self.cases} audit cases. Approximate: of so few labels, not of all that the study "
            "has; not corrected for repeated looks."
        )

    def document(self) -> dict[str, Any]:
        """All of it as plain values; null where not estimable."""
        metrics = {
            name: [None if math.isnan(x) else x for x in (i.estimate, i.low, i.high)]
            for name, i in self.metrics.items()
        }
        counts = {"labels": self.labels, "apart": self.apart, "cases": self.cases}
        said = {"verdict": self.verdict, "words": self.words}
        return {"cycle": self.cycle, **counts, "metrics": metrics, **said}

    def _verdict(self) -> str:
        if self.verdict != "cannot tell":
            return f"{self.verdict}."
        if not self.apart:
            return "cannot tell, since no reading of a later cycle was drawn at random yet."
        if math.isnan(self.metrics[DECIDES].estimate):
            return f"cannot tell, {METRICS[DECIDES].label} is not estimable."
        return "cannot tell, the interval spans 0."


def gain(cycle: int, heard: Mapping[str, SiteGain], task: Task) -> Gain:
    """What the sites' comparisons say together.

    Args:
        cycle: after which they were made.
        heard: by site, at least one.
        task: the study's.
    """
    pairs = {site: told.pair for site, told in heard.items() if told.pair is not None}
    found = difference(pairs, task)
    return Gain(
        cycle=cycle,
        labels=sum(told.labels for told in heard.values()),
        apart=sum(told.apart for told in heard.values()),
        cases=sum(pair.random.cases for pair in pairs.values()),
        metrics={name: found[name] for name in SHOWN},
    )


def _said(name: str, found: Interval) -> str:
    label = METRICS[name].label
    if math.isnan(found.estimate):
        return f"{label} not estimable"
    numbers = [f"{x:+.3f}".replace("-", _MINUS) for x in (found.estimate, found.low, found.high)]
    return f"{label} {numbers[0]} (95 % interval {numbers[1]} to {numbers[2]})"
