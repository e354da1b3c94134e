"""Budget policies against uniform with the same strategy: harm, gain per minute, what moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from simulations.benchmarks.labels.figures import Figures, figures, runs_of
from simulations.benchmarks.labels.tracks import Track
from simulations.results.curves import curve, reach
from simulations.results.paired import Paired
from simulations.results.records import Run

HARM = -0.005
"""The lower bound that a safe policy's mean difference must stay above."""


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy against uniform.

    Attributes:
        paired: AUBC, seed by seed.
        lower: one-sided 95 % lower bound of the mean difference; None with one pair.
        final_loss: mean difference of the worst site's final log-loss; None where not measured.
        moved: mean share of a cycle's budget that went elsewhere than uniform's, cycles after the
            first.
        saved: mean share of uniform's physician minutes that were not needed to hold the AUROC at
            which uniform ended; a seed that did not hold it saved nothing.
        held: seeds that held it.
    """

    paired: Paired
    lower: float | None
    final_loss: float | None
    moved: float
    saved: float
    held: int


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
    spared = [saving(arm, uniform, numbers.track) for arm, uniform in pairs]
    return PolicyFigures(
        paired=paired,
        lower=lower_bound(paired.differences),
        final_loss=_loss(numbers, paired),
        moved=fmean(moved(arm) for arm, _ in pairs),
        saved=fmean(s or 0.0 for s in spared),
        held=sum(s is not None for s in spared),
    )


def lower_bound(differences: Sequence[float]) -> float | None:
    """One-sided 95 % lower bound of the mean by Student's t; None with one value."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    return fmean(differences) - float(t.ppf(0.95, n - 1)) * stdev(differences) / math.sqrt(n)


def moved(run: Run) -> float:
    """Half the absolute differences between a cycle's grants and equal ones, as a share; a mean."""
    shares = []
    for cycle in run.evaluations[1:]:
        counts = list(cycle.granted.values())
        total = sum(counts)
        if total:
            equal = total / len(counts)
            excess = sum(max(0.0, abs(c - equal) - 0.5) for c in counts)  # rounding moves nothing
            shares.append(excess / 2 / total)
    return fmean(shares) if shares else 0.0


def saving(run: Run, uniform: Run, track: Track) -> float | None:
    """The share of uniform's minutes that a run did not need for uniform's final AUROC, or None."""
    goal = curve(uniform, "locked", track.scope, "auroc")
    line = curve(run, "locked", track.scope, "auroc")
    if not goal.values.size or not line.values.size:
        return None
    found = reach(line, float(goal.values[-1]), "auroc")
    if found is None or not uniform.cycles[-1].minutes:
        return None
    return 1 - found.minutes / uniform.cycles[-1].minutes


def _loss(numbers: Figures, paired: Paired) -> float | None:
    arms = {arm.name: arm.by_seed("worst_final") for arm in numbers.losses}
    ours, theirs = arms[paired.arm], arms[paired.reference]
    found = [ours[s] - theirs[s] for s in paired.seeds if s in ours and s in theirs]
    return fmean(found) if found else None
