"""One task, ours and a peer's, in turn; and whether the goal was reached."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import median

import numpy as np

from simulations.benchmarks.selection.inputs import write
from simulations.benchmarks.selection.peers import work
from simulations.benchmarks.selection.worth import worth

LEAST_WORTH = 0.995
"""Of what the peer's batch tells; the ten cases that alone tell most have 0.989 of ours."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A task at a size, against a peer.

    Attributes:
        task: see `inputs.write`.
        peer: see `peers.NEEDS`.
        n: cases.
        k: picks.
        goal: times faster than the peer; none: told, not judged.
        equal: share of answers that must be the same, in the same place.
        floor: most times as long as one pass over the features for each pick; none: told.
    """

    task: str
    peer: str
    n: int
    k: int
    goal: float | None
    equal: float = 1.0
    floor: float | None = None

    def run(self, repeats: int) -> Line:
        """Both sides, in turn."""
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(self.task, folder, self.n)
            for i in range(repeats):
                print(f"  {self.task} against {self.peer}, {i + 1} of {repeats}", flush=True)
                ours.append(work("ours", self.task, folder, self.k))
                theirs.append(work(self.peer, self.task, folder, self.k))
            said = [np.load(folder / f"{self.task}-{side}.npy") for side in ("ours", self.peer)]
            probs = folder / "mc_probs.npy"
            told = worth(np.load(probs), *said) if probs.exists() else None
        return Line(self, tuple(ours), tuple(theirs), float((said[0] == said[1]).mean()), told)


@dataclass(frozen=True, slots=True)
class Line:
    """What a comparison came to.

    Attributes:
        comparison: of what.
        ours, theirs: what each repeat's worker said: "seconds", "cpu" (of them on the processor; a
            busy machine stretches only the others), "before" and "peak" (resident bytes); ours also
            "pass", the seconds of one pass over the features, where there are any.
        equal: share of answers that are the same, in the same place.
        worth: what our batch tells over what the peer's does, see `worth.worth`; None where the
            answers are to be the same.
    """

    comparison: Comparison
    ours: tuple[dict[str, float], ...]
    theirs: tuple[dict[str, float], ...]
    equal: float
    worth: float | None = None

    def ratios(self, of: str) -> list[float]:
        """Peer's over ours, by repeat."""
        return [p[of] / o[of] for p, o in zip(self.theirs, self.ours, strict=True)]

    @property
    def verdict(self) -> str:
        """Whether the goal was reached, in one word or two."""
        goal = self.comparison.goal
        if self.equal < self.comparison.equal:
            return "MISSED: answers differ"
        if self.worth is not None and self.worth < LEAST_WORTH:
            return "MISSED: our batch tells less"
        if goal is None:
            return "told"
        reached = min(median(self.ratios("seconds")), median(self.ratios("cpu"))) >= goal
        if reached and self.comparison.floor is not None:
            reached = self.of_floor() <= self.comparison.floor
        return f"{goal:g} x: {'reached' if reached else 'MISSED'}"

    def of_floor(self) -> float:
        """Our seconds over those of one pass over the features for each pick; NaN without them."""
        k = self.comparison.k
        return median(x["seconds"] / (k * x["pass"]) if "pass" in x else nan for x in self.ours)

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        ratios = self.ratios("seconds")
        added = [max(x["peak"] - x["before"] for x in side) / 1e6 for side in self._sides]
        return (
            self.comparison.task,
            self.comparison.peer,
            f"{self.comparison.n:,}",
            str(self.comparison.k or "-"),
            *(f"{median(x['seconds'] for x in side):.3f}" for side in self._sides),
            f"{median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
            f"{median(self.ratios('cpu')):.1f}",
            f"{self.equal:.1%}",
            "-" if self.worth is None else f"{self.worth:.2%}",
            *(f"{x:.0f}" for x in added),
            "-" if isnan(self.of_floor()) else f"{self.of_floor():.2f} x",
            self.verdict,
        )

    @property
    def _sides(self) -> tuple[tuple[dict[str, float], ...], ...]:
        return self.ours, self.theirs
