"""Aggregators that average the updates with the nearest neighbours, by one round or by all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocol.records import Arrays, GlobalState, SiteUpdate
from strategies.aggregation.stacked import Stacked, mean, stacked, stepped

_KEY = "history/"
_MOST = 1e100  # of a score: sums of it stay finite, and no honest one is near
_IDLE = 0.1  # of the median length: whoever moved less has not trained


@dataclass(frozen=True, slots=True)
class MultiKrum:
    """The mean of the updates that have the nearest neighbours among the others.

    An update's score is the sum of its squared distances to its n - f - 2 nearest; the `keep` with
    the lowest scores are averaged, each alike. Of the rules here the one that kept planted marks
    out of the model in `make bench-attacks` (docs/benchmarks-attacks.md), with one of six sites
    dishonest. A turned update among sites that differ by nature is not always told from them, nor
    a backdoor that is made no longer than honest updates.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient
    Descent, NeurIPS 2017, section 4. O(n^2 d) for n sites and d parameters.

    Attributes:
        f: how many sites may be dishonest, at least 1; it asks for 2 f + 3 sites.
        keep: how many updates are averaged, at most n - f; 0 for n - f.
    """

    f: int = 1
    keep: int = 0
    streaming: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        if self.f < 1:
            raise ValueError(f"f = {self.f!r}: accepted is 1 or more")
        if self.keep < 0:
            raise ValueError(f"keep = {self.keep!r}: accepted is 0 for all but f, or more")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """2 f + 3, as its proof asks."""
        return 2 * self.f + 3

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The mean of the chosen updates; see `Aggregator`."""
        stack = stacked(state, updates, self.least_sites)
        if stack is None:
            return replace(state, round=state.round + 1)
        chosen = self.chosen(stack.changes(state.arrays))
        return stepped(state, stack, lambda values: mean(values[chosen]))

    def chosen(self, changes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows of the updates to average, in the order given, of (n, parameters) changes."""
        keep = min(self.keep or len(changes), len(changes) - self.f)
        return np.sort(np.argsort(self.scores(changes), kind="stable")[:keep])

    def scores(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) of (n, parameters) changes: how far each is from its n - f - 2 nearest, squared."""
        return _apart(changes, len(changes) - self.f - 2)


@dataclass(frozen=True, slots=True)
class MultiKrumHistory:
    """Multi-Krum by what a site's scores come to over the rounds, and by fewer neighbours.

    In the first rounds of a training honest updates agree, and one that is turned, or learnt from
    wrong labels, lies far off. Later each site's own cases pull its way, updates are short and
    point apart, and a round alone no longer tells such a site from them: Multi-Krum takes it back.
    So each round's score, less the round's median score, is added to what the site has gathered;
    all but the f sites that have gathered most are averaged, each alike. Scores are squared
    lengths, so that the long first updates count most. A score is the sum of the squared distances
    to the f + 1 nearest: the fewest of which not all can be dishonest, since a site unlike most
    still has some like it. Of the rules here the one that held best in `make bench-attacks`
    (docs/benchmarks-attacks.md).

    A change under a tenth of the median length is no training, though it lies between all others:
    it scores twice the round's highest.

    A round without a site adds nothing to it, as if it had been in the middle; where it is one of
    the f that have gathered most, nobody else is left out in its place. The memory is one number
    for each site, "history/SITE"; it begins anew with each training from scratch. Where all are
    honest, the f sites least like others are left out, often the same ones through a training. A
    site that is honest at first and turns late is found late, or sooner with a `decay` below 1; a
    backdoor no longer than honest updates is not found.

    Source: Blanchard et al., NeurIPS 2017, section 4, for scores, there of n - f - 2 neighbours;
    that a round alone cannot do is shown by Karimireddy et al., Learning from History for Byzantine
    Robust Optimization, ICML 2021 (they average the updates over time); sums over all rounds are
    those of Alistarh et al., Byzantine Stochastic Gradient Descent, NeurIPS 2018. O(n^2 d) for n
    sites and d parameters.

    Attributes:
        f: how many sites may be dishonest, at least 1; it asks for 2 f + 3 sites.
        keep: how many updates are averaged, at most n - f; 0 for n - f.
        decay: what a round leaves of the history before it, in [0, 1].
    """

    f: int = 1
    keep: int = 0
    decay: float = 1.0
    streaming: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        MultiKrum(self.f, self.keep)
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay = {self.decay!r}: accepted is a number in [0, 1]")

    @property
    def proximal(self) -> float:
        """0: the sites' loss stays as it is."""
        return 0.0

    @property
    def least_sites(self) -> int:
        """2 f + 3, as for Multi-Krum."""
        return MultiKrum(self.f).least_sites

    def step(self, state: GlobalState, updates: Iterable[SiteUpdate]) -> GlobalState:
        """The mean of the chosen updates; see `Aggregator`.

        Raises:
            ValueError: also where the memory holds no histories.
        """
        stack = stacked(state, updates, self.least_sites)
        if stack is None:
            return replace(state, round=state.round + 1)
        past = self._gathered(state.memory, stack, state.arrays)
        out = set(sorted(past, key=lambda site: (past[site], site))[-self.f :])
        here = [row for row, site in enumerate(stack.sites) if site not in out]
        first = sorted(here, key=lambda row: (past[stack.sites[row]], stack.sites[row]))
        rows = sorted(first[: self.keep or len(first)])
        after = stepped(state, stack, lambda values: mean(values[rows]))
        told = {_KEY + site: np.array(value) for site, value in sorted(past.items())}
        return replace(after, memory={**state.memory, **told})

    def _gathered(self, memory: Arrays, stack: Stacked, start: Arrays) -> dict[str, float]:
        """What each site has gathered, this round with it; of sites that are away, too."""
        past = {site: self.decay * value for site, value in _remembered(memory).items()}
        scores = self._scores(stack.changes(start))
        middle = float(np.median(scores))
        for site, score in zip(stack.sites, scores, strict=True):
            past[site] = past.get(site, 0.0) + float(score) - middle
        return past

    def _scores(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) of (n, parameters) changes: how far each is from its f + 1 nearest, squared."""
        scores = np.minimum(_apart(changes, self.f + 1), _MOST)
        lengths = np.sqrt((changes**2).sum(axis=1))
        idle = lengths < _IDLE * np.median(lengths)
        return np.where(idle, 2 * scores.max(), scores)


def _remembered(memory: Arrays) -> dict[str, float]:
    """What each site has gathered, by its name."""
    found = {}
    for name, value in memory.items():
        if name.startswith(_KEY):
            if value.shape != () or not np.isfinite(value):
                raise ValueError(
                    f"memory '{name}' has shape {value.shape} or is not finite: accepted is one "
                    "finite number"
                )
            found[name.removeprefix(_KEY)] = float(value)
    return found


def _apart(changes: NDArray[np.float64], near: int) -> NDArray[np.float64]:
    """(n,) sums of each row's squared distances to so many nearest others."""
    apart = _squared_distances(changes)
    np.fill_diagonal(apart, np.inf)
    nearest: NDArray[np.float64] = np.sort(apart, axis=1)[:, :near]
    return np.asarray(nearest.sum(axis=1))


def _squared_distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n) squared distances, each pair by its own difference: no cancellation."""
    apart = np.zeros((len(rows), len(rows)))
    for i in range(len(rows)):
        for j in range(i):
            apart[i, j] = apart[j, i] = float(((rows[i] - rows[j]) ** 2).sum())
    return apart
