"""Budget policies against uniform with the same strategy: harm, gain per minute, what moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from simulations.benchmarks.labels.figures import CLAIMED, Figures, figures, runs_of
from simulations.benchmarks.labels.minutes import Saved, saved
from simulations.benchmarks.labels.tracks import Track
from simulations.results.paired import Paired
from simulations.results.records import Run

HARM = -0.005
"""The lower bound that a safe policy's mean difference must stay above."""

MORE_LOSS = 0.01
"""How far the mean of the worst site's final log-loss may be above uniform's."""


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy against uniform.

    Attributes:
        paired: AUBC, seed by seed.
        lower: one-sided 95 % lower bound of the mean difference; None with one pair.
        final_loss: mean difference of the worst site's final log-loss; None where not measured.
        moved: mean share of a cycle's budget that went elsewhere than uniform's, cycles after the
            first.
        saved: physician minutes; None where nobody can tell.
    """

    paired: Paired
    lower: float | None
    final_loss: float | None
    moved: float
    saved: Saved | None

    @property
    def safe(self) -> str:
        """Yes or no to both conditions of a safe policy; exploratory with fewer than 20 pairs."""
        if len(self.paired.seeds) < CLAIMED or self.lower is None:
            return "exploratory"
        if self.final_loss is None:
            return "cannot tell"
        return "yes" if self.lower > HARM and self.final_loss <= MORE_LOSS else "no"


def policies(
    track: Track, lines: Sequence[Mapping[str, object]], strategy: str
) -> dict[str, PolicyFigures]:
    """Every "strategy@policy" among the lines against "strategy" itself, which is uniform."""
    ours = [x for x in lines if str(x["arm"]).partition("@")[0] == strategy]
    numbers = figures(track, ours, strategy)
    runs = {(r.arm, r.seed): r for r in runs_of([dict(x) for x in ours]).runs}
    return {
        arm: _against(numbers, paired, runs)
        for arm, paired in numbers.aubc.items()
        if arm.startswith(f"{strategy}@")
    }


def _against(
    numbers: Figures, paired: Paired, runs: Mapping[tuple[str, int], Run]
) -> PolicyFigures:
    pairs = [(runs[paired.arm, s], runs[paired.reference, s]) for s in paired.seeds]
    return PolicyFigures(
        paired=paired,
        lower=lower_bound(paired.differences),
        final_loss=_loss(numbers, paired),
        moved=fmean(moved(arm) for arm, _ in pairs),
        saved=saved(pairs, numbers.track),
    )


def lower_bound(differences: Sequence[float]) -> float | None:
    """One-sided 95 % lower bound of the mean by Student's t; None with one value."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    return fmean(differences) - float(t.ppf(0.95, n - 1)) * stdev(differences) / math.sqrt(n)


def moved(run: Run) -> float:
    """The share of a cycle's budget that uniform would have given another site; a mean.

    Uniform's grants are equal, and one more for some sites where the budget is no multiple of
    their number: which ones moves nothing.
    """
    shares = []
    for cycle in run.evaluations[1:]:
        counts = sorted(cycle.granted.values(), reverse=True)
        total = sum(counts)
        if total:
            equal, more = divmod(total, len(counts))
            excess = sum(abs(c - equal - (i < more)) for i, c in enumerate(counts))
            shares.append(excess / 2 / total)
    return fmean(shares) if shares else 0.0


def _loss(numbers: Figures, paired: Paired) -> float | None:
    arms = {arm.name: arm.by_seed("worst_final") for arm in numbers.losses}
    ours, theirs = arms[paired.arm], arms[paired.reference]
    found = [ours[s] - theirs[s] for s in paired.seeds if s in ours and s in theirs]
    return round(fmean(found), 12) if found else None  # so that 0.01 is 0.01
