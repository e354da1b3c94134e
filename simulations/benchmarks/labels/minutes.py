"""Physician minutes that a policy saves on the way to what uniform reaches, by mean curves.

The curve of one seed goes up and down by more than a policy is worth, so that uniform holds its own
last value long before its end in some seeds, and another run of the same policy never does in
others. Curves are therefore averaged over the seeds before anything is read off them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.benchmarks.labels.tracks import Track
from simulations.results.curves import curve
from simulations.results.records import Run

Floats = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Saved:
    """The share of uniform's minutes that a policy did not need for the same mean AUROC.

    Attributes:
        share: minus infinity where the policy's mean curve never stays at the goal.
        low, high: the 95 % percentile interval over resampled seeds; may be minus infinity.
    """

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_told(self.share)} ({_told(self.low)} to {_told(self.high)})"


def saved(pairs: Sequence[tuple[Run, Run]], track: Track) -> Saved | None:
    """What the first of each pair saved against the second, which is uniform.

    The goal is uniform's mean AUROC at its whole budget; both sides count the mean minutes from
    which on their mean curve stays at the goal, on straight lines between evaluations.

    Returns:
        None with fewer than two seeds whose curves are whole, or where uniform takes no minutes.
    """
    lines = [tuple(_line(run, track) for run in pair) for pair in pairs]
    whole = max((line.shape[1] for pair in lines for line in pair), default=0)
    both = np.array([pair for pair in lines if {line.shape[1] for line in pair} == {whole}])
    if len(both) < 2 or whole < 2 or not both[:, 1, 0, -1].any():
        return None
    n = len(both)
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = [_share(means) for means in np.tensordot(times / n, both, axes=1)]
    low, high = np.quantile(drawn, (0.025, 0.975), method="nearest")
    return Saved(_share(both.mean(axis=0)), float(low), float(high))


def _line(run: Run, track: Track) -> Floats:
    """(2, n): minutes and AUROC at the evaluations."""
    found = curve(run, "locked", track.scope, "auroc")
    return np.array([[cycle.minutes for cycle in found.cycles], found.values])


def _share(means: Floats) -> float:
    """Of (2, 2, n) mean minutes and AUROC of a policy and of uniform."""
    goal = float(means[1, 1, -1])
    ours, theirs = (_minutes(line, goal) for line in means)
    return 1 - ours / theirs if theirs else -math.inf


def _minutes(line: Floats, goal: float) -> float:
    """From which minute on a (2, n) curve stays at the goal; infinite where it ends below."""
    minutes, values = line
    below = np.flatnonzero(values < goal)
    if not below.size:
        return float(minutes[0])
    last = int(below[-1])
    if last == len(values) - 1:
        return math.inf
    return float(np.interp(goal, values[last : last + 2], minutes[last : last + 2]))


def _told(share: float) -> str:
    return f"{share:+.1%}" if math.isfinite(share) else "never"
