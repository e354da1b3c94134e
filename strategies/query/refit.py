"""A site's own model for a thousandth of a training: the last layer, fitted anew to its labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.pool import NotFinite, Pool
from strategies.query.distances import features_of

PULL = 0.1
"""How strongly the global layer holds the fitted one, against the sum of the labels' losses."""

_STEPS = 60


def own_probabilities(pool: Pool) -> NDArray[np.float64]:
    """What the site's own last layer says of the pool's cases, (n, classes).

    It minimises the labels' log-loss plus PULL / 2 times the squared distance to the global layer,
    on the global model's features over their standard deviation: a convex problem of a few hundred
    numbers and labels, for which neither an image is looked at nor the network trained. Without
    labels it is the global layer.

    Raises:
        MissingSignal: see `Pool.require`.
        NotFinite: a signal is not, or the fit overflows the features' precision.
        ValueError: shapes that do not fit.
    """
    features, labeled = features_of(pool)
    weights, bias = pool.require("head_weights"), pool.require("head_bias")
    targets = pool.require("labeled_targets")
    if weights.shape[1:] != features.shape[1:] or bias.shape != weights.shape[:1]:
        raise ValueError(
            f"signal 'head_weights' has shape {weights.shape}; accepted is a row of "
            f"{features.shape[1]} for each of {len(bias)} biases"
        )
    if targets.shape != (len(labeled), len(weights)):
        raise ValueError(
            f"signal 'labeled_targets' has shape {targets.shape}; accepted is "
            f"({len(labeled)}, {len(weights)}), as labeled cases and classes"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(features.std()) if features.size else 1.0
        spread = spread if spread > 0 else 1.0
        start = np.hstack([weights * spread, bias[:, None]]).astype(np.float64)
        known = _rows(labeled, spread)
        if not (np.isfinite(start).all() and np.isfinite(known).all()):
            raise NotFinite(f"the last layer over the features' spread overflows {features.dtype}")
        fitted = fit(known, targets, start, multi_label=pool.multi_label)
        found = said(_rows(features, spread) @ fitted.T, multi_label=pool.multi_label)
    if not np.isfinite(found).all():
        raise NotFinite("what the site's own last layer says overflows float64")
    return found


def fit(
    x: NDArray[np.float64], y: NDArray[Any], start: NDArray[np.float64], *, multi_label: bool
) -> NDArray[np.float64]:
    """The layer nearest to the start that explains the labels, as `own_probabilities`.

    Args:
        x: (m, d), a column of ones among them.
        y: (m, classes) probabilities; rows sum to 1 unless classes are independent.
        start: (classes, d).
        multi_label: classes are independent of each other.
    """
    if not len(x):
        return start
    from scipy.optimize import minimize  # a tenth of a second that few strategies need

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        layer = flat.reshape(start.shape)
        logits = x @ layer.T
        away = layer - start
        error = said(logits, multi_label=multi_label) - y
        total = _losses(logits, y, multi_label=multi_label) + PULL / 2 * float((away**2).sum())
        return total, (error.T @ x + PULL * away).ravel()

    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return np.asarray(found.x).reshape(start.shape)


def said(logits: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.float64]:
    """Softmax over the last axis, or of every number the sigmoid."""
    if multi_label:
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    return np.asarray(np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)))


def _losses(logits: NDArray[np.float64], y: NDArray[Any], *, multi_label: bool) -> float:
    if multi_label:
        return float((np.logaddexp(0, logits) - y * logits).sum())
    return float((np.logaddexp.reduce(logits, axis=-1) - (y * logits).sum(axis=-1)).sum())


def _rows(features: NDArray[Any], spread: float) -> NDArray[np.float64]:
    ones = np.ones((len(features), 1))
    return np.hstack([features.astype(np.float64) / spread, ones])
