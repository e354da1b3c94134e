"""Two models on the same cases: how much better the second is, with a paired interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strategies.metrics import contributions
from strategies.metrics.combine import combine
from strategies.metrics.intervals import NOTHING, Interval, Z, slopes
from strategies.metrics.sums import Float, layout, square
from strategies.metrics.table import METRICS

if TYPE_CHECKING:
    from protocol.gain import Pair
    from protocol.sections import Task


def across(
    random: NDArray[np.floating[Any]],
    queried: NDArray[np.floating[Any]],
    targets: NDArray[Any],
    patients: NDArray[np.integer[Any]],
    task: Task,
) -> NDArray[np.float32]:
    """(m m,) covariance of the two models' sums under the bootstrap of patients, row by row.

    In closed form, as `measure` has that of one model: the sum over patients of x y' - P m n', with
    x and y a patient's sums under the two models and m and n their means.

    Args:
        random, queried: (n, classes) probabilities of the same cases.
        targets: (n, classes) of 0 and 1.
        patients: (n,) whole numbers.
        task: the study's.
    """
    size = layout(task).size
    if not len(patients):
        return np.zeros(size * size, dtype=np.float32)
    distinct, patient = np.unique(patients, return_inverse=True)
    rows = []
    for probs in (random, queried):
        scores, answers, _ = contributions.checked(probs, targets, patients, task)
        rows.append(contributions.by_patient(scores, answers, patient, task))
    sums = [np.asarray(part.sum(axis=0), dtype=np.float64).ravel() for part in rows]
    products = np.asarray((rows[0].T @ rows[1]).toarray(), dtype=np.float64)
    covariance = products - np.outer(sums[0], sums[1]) / len(distinct)
    return covariance.astype(np.float32).ravel()


def difference(pairs: Mapping[str, Pair], task: Task) -> dict[str, Interval]:
    """By how much the queried model is better than the random one, all sites' cases together.

    Positive is better, also in a metric of errors. The interval is the estimate and 1.96 standard
    errors, to first order in both models' sums, patients drawn anew within each site; NaN where
    the metric is not estimable for both.

    Args:
        pairs: by site.
        task: the study's.
    """
    one = combine({site: p.random for site, p in pairs.items()}, task).pooled
    two = combine({site: p.queried for site, p in pairs.items()}, task).pooled
    sums, covariance = _stacked(pairs, layout(task).size)
    known = sums.any() and np.isfinite(covariance).all()
    errors = _standard_errors(sums, covariance, task) if known else {}
    found = {}
    for name, metric in METRICS.items():
        sign = 1.0 if metric.higher_is_better else -1.0
        gain = sign * (two[name].estimate - one[name].estimate)
        half = Z * errors.get(name, math.nan)
        finite = math.isfinite(gain) and math.isfinite(half)
        found[name] = Interval(gain, gain - half, gain + half) if finite else NOTHING
    return found


def _stacked(pairs: Mapping[str, Pair], m: int) -> tuple[Float, Float]:
    """(2 m,) both models' sums, the random one's first, and their (2 m, 2 m) covariance."""
    sums, covariance = np.zeros(2 * m), np.zeros((2 * m, 2 * m))
    for site in sorted(pairs):
        pair = pairs[site]
        sums += np.concatenate([pair.random.sums, pair.queried.sums])
        mixed = pair.across.reshape(m, m).astype(np.float64)
        whole = np.block(
            [[square(pair.random.covariance), mixed], [mixed.T, square(pair.queried.covariance)]]
        )
        patients = pair.random.patients  # the bootstrap draws from them: too little by (P - 1) / P
        covariance += whole * (patients / max(patients - 1, 1))
    counts = [p.random.patients for p in pairs.values()]
    seen = sum(c for c in counts if c > 1)
    return sums, covariance * (sum(counts) / seen) if seen else np.full_like(covariance, np.nan)


def _standard_errors(sums: Float, covariance: Float, task: Task) -> dict[str, float]:
    """Of the difference of every metric."""
    where, m = layout(task), layout(task).size
    diagonal = np.diag(covariance)
    parts = [np.flatnonzero(diagonal[:m] > 0), np.flatnonzero(diagonal[m:] > 0)]
    slope_of = [
        slopes(sums[start : start + m], moved, where, task)
        for start, moved in zip((0, m), parts, strict=True)
    ]
    places = np.concatenate([parts[0], m + parts[1]])
    inner = covariance[np.ix_(places, places)]
    errors = {}
    for name in METRICS:
        slope = np.concatenate([-slope_of[0][name], slope_of[1][name]])
        variance = float(slope @ inner @ slope)
        errors[name] = math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
    return errors
