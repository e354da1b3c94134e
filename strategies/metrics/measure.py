"""What a site measures on its own labeled cases: the record that leaves in place of the scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Evaluation
from strategies.metrics import contributions, curves
from strategies.metrics.sums import Float, Layout, layout, triangle
from strategies.metrics.table import METRICS
from strategies.metrics.totals import estimable, without_ranks

if TYPE_CHECKING:
    from protocol.sections import Task

REPLICATES = 200
"""Bootstrap draws of a site's patients: the standard errors are within 5 % (1 / sqrt(2 x 200))."""

AT_ONCE = 100_000
"""Weights held at a time, 0.8 MB: they stay in the processor's cache, whatever the site's size."""


@dataclass(frozen=True, slots=True)
class _Scored:
    probs: Float  # (n, classes)
    targets: NDArray[np.int64]  # (n, classes)
    patients: NDArray[np.int64]  # (n,) 0 .. P - 1
    totals: Any  # (P, m), sparse: scipy ships no types
    where: Layout
    task: Task


def measure(
    probs: NDArray[np.floating[Any]],
    targets: NDArray[Any],
    patients: NDArray[np.integer[Any]],
    task: Task,
    *,
    clustered: bool,
    unsettled: int,
    rng: np.random.Generator,
) -> Evaluation:
    """The site's sums with their covariance, and its own estimates with variances.

    The covariance, whose upper triangle leaves, is that of the bootstrap which draws P patients
    with replacement, in closed form: the sum over patients of x x' - P m m', with x a patient's
    sums and m their mean. Estimates come from the exact scores; their variances from that
    bootstrap's replicates, times P / (P - 1) since it draws from P patients and not from all. Fewer
    than two patients have no variance.

    Args:
        probs: (n, classes) in [0, 1]; they sum to 1 in a single-label task. n may be 0.
        targets: (n, classes) of 0 and 1, exactly one 1 in a single-label task.
        patients: (n,) whole numbers, equal for cases of the same patient; all different where the
            source names no patients.
        task: the study's.
        clustered: whether the source names patients.
        unsettled: cases left out since readers were unsure, at least 0.
        rng: draws the bootstrap's patients.
    Raises:
        ValueError: wrong shapes, values that are not finite, no probabilities or no 0/1 targets.
    """
    probs, targets, patients = contributions.checked(probs, targets, patients, task)
    if unsettled < 0:
        raise ValueError(f"{unsettled} unsettled cases; accepted is 0 or more")
    where = layout(task)
    distinct, patient = np.unique(patients, return_inverse=True)
    totals = contributions.by_patient(probs, targets, patient, task)
    scored = _Scored(probs, targets, patient, totals, where, task)
    vector = np.asarray(totals.sum(axis=0), dtype=np.float64).ravel()
    estimates, variances = _estimates(scored, vector, rng)
    return Evaluation(
        cases=len(probs),
        patients=len(distinct),
        clustered=clustered,
        unsettled=unsettled,
        sums=vector,
        covariance=triangle(_covariance(totals, vector)),
        fine=contributions.fine(probs, targets, task),
        estimates=estimates,
        variances=variances,
    )


def _covariance(totals: Any, vector: Float) -> Float:
    """(m, m), of the sums under the bootstrap of patients."""
    patients = totals.shape[0]
    if patients == 0:
        return np.zeros((len(vector), len(vector)))
    squares = np.asarray((totals.T @ totals).toarray(), dtype=np.float64)
    return np.asarray(squares - np.outer(vector, vector) / patients, dtype=np.float64)


def _estimates(
    scored: _Scored, vector: Float, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics that are estimable and their bootstrap variances; NaN for the others."""
    patients = scored.totals.shape[0]
    nan = dict.fromkeys(METRICS, math.nan)
    if patients == 0:
        return nan, dict(nan)
    allowed = estimable(vector, scored.where)
    ranks = allowed["auroc"]
    exact = _replicates(scored, np.ones((1, patients)), ranks)
    estimates = {name: float(exact[name][0]) if allowed[name] else math.nan for name in METRICS}
    if patients == 1:
        return estimates, nan
    drawn = _bootstrap(scored, rng, ranks)
    grow = patients / (patients - 1)
    variances = {
        name: _spread(drawn[name]) * grow if allowed[name] else math.nan for name in METRICS
    }
    return estimates, variances


def _bootstrap(scored: _Scored, rng: np.random.Generator, ranks: bool) -> dict[str, Float]:
    """Every metric in `REPLICATES` draws of the patients, (REPLICATES,) each."""
    patients = scored.totals.shape[0]
    step = max(1, AT_ONCE // max(len(scored.probs), 1))
    parts = []
    for start in range(0, REPLICATES, step):
        rows = min(step, REPLICATES - start)
        who = rng.integers(patients, size=(rows, patients), dtype=np.int64)
        who += np.arange(rows)[:, None] * patients
        times = np.bincount(who.ravel(), minlength=rows * patients)
        weights = times.reshape(rows, patients).astype(np.float64)
        parts.append(_replicates(scored, weights, ranks))
    return {name: np.concatenate([p[name] for p in parts]) for name in METRICS}


def _replicates(scored: _Scored, weights: Float, ranks: bool) -> dict[str, Float]:
    """Every metric with the patients weighted, (rows,) each.

    Args:
        scored: the site's cases.
        weights: (rows, P), how often each patient counts.
        ranks: whether rank metrics are wanted; NaN otherwise.
    """
    start = scored.where.starts[1]
    vectors = np.zeros((len(weights), scored.where.size))
    vectors[:, start:] = (scored.totals[:, start:].T @ weights.T).T
    values = without_ranks(vectors, scored.where, scored.task)
    by_class = np.full((3, len(weights), len(scored.where.scored)), np.nan)
    if ranks:
        for k, column in enumerate(scored.where.scored):
            by_class[:, :, k] = _ranked(scored, column, weights)
    auroc, auprc, sensitivity = by_class.mean(axis=-1)
    return {**values, "auroc": auroc, "auprc": auprc, "sensitivity": sensitivity}


def _ranked(scored: _Scored, column: int, weights: Float) -> Float:
    """AUROC, AUPRC and sensitivity of one class against the rest, (3, rows)."""
    score = scored.probs[:, column]
    order = np.argsort(-score, kind="stable")
    times = weights[:, scored.patients[order]]  # (rows, n), highest score first
    pos = times * scored.targets[order, column]
    neg = times - pos
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))
    if len(starts) < len(score):  # equal scores are one threshold
        pos, neg = np.add.reduceat(pos, starts, axis=1), np.add.reduceat(neg, starts, axis=1)
    groups = curves.ranking(pos, neg)
    sensitivity = curves.sensitivity_at(groups, scored.task.specificity)
    return np.stack([curves.auroc(groups), curves.average_precision(groups), sensitivity])


def _spread(values: Float) -> float:
    """The variance of the draws in which the metric exists; NaN where it exists in under half."""
    finite = values[np.isfinite(values)]
    return float(finite.var(ddof=1)) if 2 * len(finite) >= len(values) else math.nan
