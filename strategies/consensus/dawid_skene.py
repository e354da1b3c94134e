"""Labels from readers who err in their own ways, and how each of them errs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from protocol.records import Label, Reading
from strategies.consensus.votes import Votes, votes

RIGHT = 0.99
"""Share of a reader's pseudo-readings that are right; the rest is spread over the other answers."""
TOLERANCE = 1e-6
ITERATIONS = 100


@dataclass(frozen=True, slots=True)
class Fit:
    """What expectation-maximisation made of r readers' answers to n cases in c classes.

    Attributes:
        cases: (n,) keys.
        readers: (r,) names.
        prior: (c,) estimated share of each class; sums to 1.
        confusion: (r, c, c) probability that a reader answers the column when the row is true.
        posteriors: (n, c) probability of each class; rows sum to 1.
        iterations: how many were made.
        converged: no posterior moved by more than TOLERANCE in the last one.
    """

    cases: tuple[str, ...]
    readers: tuple[str, ...]
    prior: NDArray[np.float64]
    confusion: NDArray[np.float64]
    posteriors: NDArray[np.float64]
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """Posterior class probabilities that weigh every reader by their estimated errors.

    In a multi-label task each class is a problem of its own, absent or present.

    Source: Dawid & Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM
    Algorithm, Applied Statistics 28 (1979), equations 2.3 to 2.5, started from the shares of the
    answers. It differs by pseudo-readings: every reader begins with `smoothing` of them in each
    true class, 99 in 100 of them right, so that a reader of few cases is neither damned nor
    trusted blindly, and the classes cannot change places.

    Attributes:
        multi_label: a case may belong to several classes.
        smoothing: pseudo-readings per reader and true class, finite, above 0.
    """

    multi_label: bool = False
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        _check_smoothing(self.smoothing)

    def settle(self, readings: Sequence[Reading]) -> Mapping[str, Label]:
        """Labels as posteriors; see `Consensus`."""
        given = votes(readings, multi_label=self.multi_label)
        if given is None:
            return {}
        if not self.multi_label:
            return given.labels(_fit(given, given.value, self.smoothing).posteriors)
        present = [
            _fit(given, _binary(answers), self.smoothing).posteriors[:, 1]
            for answers in given.value.T
        ]
        return given.labels(np.stack(present, axis=1))


def fit(readings: Sequence[Reading], smoothing: float = 1.0) -> Fit:
    """The readers' confusion, the classes' shares and the posteriors of a single-label task.

    Raises:
        ValueError: no answered reading; else see `Consensus.settle`.
    """
    _check_smoothing(smoothing)
    given = _some(votes(readings, multi_label=False))
    return _fit(given, given.value, smoothing)


def fit_classes(readings: Sequence[Reading], smoothing: float = 1.0) -> tuple[Fit, ...]:
    """The same for a multi-label task: per class a fit of two classes, absent and present.

    Raises:
        ValueError: no answered reading; else see `Consensus.settle`.
    """
    _check_smoothing(smoothing)
    given = _some(votes(readings, multi_label=True))
    return tuple(_fit(given, _binary(answers), smoothing) for answers in given.value.T)


def _fit(given: Votes, value: NDArray[np.float64], smoothing: float) -> Fit:
    """Expectation-maximisation from the shares of the answers.

    Args:
        given: who answered which case.
        value: (m, c) one-hot answers.
        smoothing: pseudo-readings per reader and class.
    """
    n, r, c = len(given.cases), len(given.readers), value.shape[1]
    answer = given.reader * c + value.argmax(axis=1)  # (m,) which row of the evidence
    begins = np.concatenate([[0], np.cumsum(given.counts)])
    by_case = csr_array((np.ones(len(answer)), answer, begins), shape=(n, r * c))
    by_answer = by_case.T.tocsr()
    pseudo = smoothing * _belief(c)
    posteriors = by_case @ np.tile(np.eye(c), (r, 1)) / given.counts[:, None]
    iterations, moved = 0, math.inf
    while True:
        prior = posteriors.mean(axis=0)
        counts = (by_answer @ posteriors).reshape(r, c, c).transpose(0, 2, 1)
        confusion = counts + pseudo
        confusion /= confusion.sum(axis=2, keepdims=True)
        if moved <= TOLERANCE or iterations == ITERATIONS:
            break
        evidence = np.log(confusion).transpose(0, 2, 1).reshape(r * c, c)
        after = _posteriors(by_case @ evidence, prior)
        moved = float(np.abs(after - posteriors).max())
        posteriors, iterations = after, iterations + 1
    return Fit(
        given.cases, given.readers, prior, confusion, posteriors, iterations, moved <= TOLERANCE
    )


def _posteriors(evidence: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, c) probability of every class, equation 2.5, from the log-likelihood of the answers."""
    with np.errstate(divide="ignore"):  # a class that nobody chose: log 0, posterior 0
        log = (evidence + np.log(prior)).T.copy()  # numpy is fast along a long axis
    odds: NDArray[np.float64] = np.exp(log - log.max(axis=0))
    odds /= odds.sum(axis=0)
    return odds.T.copy()


def _belief(c: int) -> NDArray[np.float64]:
    """(c, c) what one pseudo-reading of each true class adds to a confusion."""
    wrong = (1 - RIGHT) / max(c - 1, 1)
    return np.full((c, c), wrong) + (RIGHT - wrong) * np.eye(c)


def _binary(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, 2) one-hot, absent and present, from (m,) of 0 and 1."""
    return np.stack([1 - answers, answers], axis=1)


def _some(given: Votes | None) -> Votes:
    """The votes, refused where there are none."""
    if given is None:
        raise ValueError("no answered reading to fit: accepted is at least one")
    return given


def _check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that would let a probability be 0."""
    if not (math.isfinite(smoothing) and smoothing > 0):
        raise ValueError(f"smoothing = {smoothing!r}: accepted is a finite number above 0")
