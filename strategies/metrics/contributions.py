"""What every case adds to its site's sums, gathered by patient. Stays at the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from protocol.measures import CALIBRATION_BINS, FINE_BINS
from strategies.metrics.sums import (
    BINS,
    EDGES,
    FINE_EDGES,
    LEAST_PROBABILITY,
    Float,
    Layout,
    decide,
    layout,
)
from strategies.pool import NotFinite

if TYPE_CHECKING:
    from protocol.sections import Task

Whole: TypeAlias = NDArray[np.int64]


def checked(
    probs: NDArray[Any], targets: NDArray[Any], patients: NDArray[Any], task: Task
) -> tuple[Float, Whole, Whole]:
    """The three arrays as float64, int64 and int64, or one sentence about what is wrong.

    Raises:
        NotFinite: a probability or target is NaN or infinite.
        ValueError: wrong shapes, no probabilities, no 0/1 targets, no whole numbers.
    """
    probs, targets, patients = np.asarray(probs), np.asarray(targets), np.asarray(patients)
    n, classes = len(patients), len(task.classes)
    if patients.ndim != 1 or patients.dtype.kind not in "iu":
        raise ValueError(
            f"patients are {patients.dtype} of shape {patients.shape}; accepted are (n,) integers"
        )
    for name, array in (("probs", probs), ("targets", targets)):
        if array.shape != (n, classes):
            raise ValueError(
                f"{name} have shape {array.shape}; accepted is ({n}, {classes}), cases by classes"
            )
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise NotFinite(f"{name} hold {bad} values that are not finite; accepted are none")
    probs = probs.astype(np.float64)
    if n:
        _check_values(probs, targets, task)
    return probs, targets.astype(np.int64), patients.astype(np.int64)


def _check_values(probs: Float, targets: NDArray[Any], task: Task) -> None:
    if probs.min() < 0 or probs.max() > 1:
        raise ValueError(
            f"probs lie in [{probs.min():g}, {probs.max():g}]; accepted is within [0, 1]"
        )
    if not np.isin(targets, (0, 1)).all():
        raise ValueError("targets hold values other than 0 and 1; accepted are 0 and 1")
    if task.multi_label:
        return
    off = float(np.abs(probs.sum(axis=1) - 1).max())
    if off > 1e-3:
        raise ValueError(f"a case's probs sum to 1 only within {off:g}; accepted is within 0.001")
    several = int(np.count_nonzero(targets.sum(axis=1) != 1))
    if several:
        raise ValueError(
            f"{several} cases of a single-label task have no or several classes; accepted is one"
        )


def by_patient(probs: Float, targets: Whole, patient: Whole, task: Task) -> Any:
    """The sums of every patient's cases, (P, m), sparse.

    Args:
        probs: (n, classes).
        targets: (n, classes) of 0 and 1.
        patient: (n,) of 0 .. P - 1, none skipped.
        task: the study's.
    """
    where = layout(task)
    parts = (
        _scores(probs, targets, where),
        _decisions(probs, targets, task, where),
        _losses(probs, targets, task, where),
        _confidences(probs, targets, task, where),
    )
    columns = np.concatenate([c for c, _ in parts], axis=1)  # (n, entries per case)
    values = np.concatenate([v for _, v in parts], axis=1)
    rows = np.repeat(patient, columns.shape[1])
    shape = (int(patient.max()) + 1 if len(patient) else 0, where.size)
    return sparse.csr_array((values.ravel(), (rows, columns.ravel())), shape=shape)


def fine(probs: Float, targets: Whole, task: Task) -> Float:
    """Positives and negatives of every scored class by fine score bin, (K, 2, FINE_BINS)."""
    scored = list(layout(task).scored)
    bins = np.searchsorted(FINE_EDGES, probs[:, scored], side="right")  # (n, K)
    counts = np.zeros((len(scored), 2, FINE_BINS))
    which = np.broadcast_to(np.arange(len(scored)), bins.shape)
    np.add.at(counts, (which, 1 - targets[:, scored], bins), 1)
    return counts


def _scores(probs: Float, targets: Whole, where: Layout) -> tuple[Whole, Float]:
    """One count per scored class: in the score's bin, among positives or negatives."""
    scored = list(where.scored)
    bins = np.searchsorted(EDGES, probs[:, scored], side="right")  # (n, K)
    side = (1 - targets[:, scored]) * where.starts[0]
    columns = side + np.arange(len(scored)) * BINS + bins
    return columns, np.ones(columns.shape)


def _decisions(probs: Float, targets: Whole, task: Task, where: Layout) -> tuple[Whole, Float]:
    """One count, or one per class in a multi-label task: by truth and decision."""
    decided = decide(probs, task)
    if task.multi_label:
        columns = np.arange(targets.shape[1]) * 4 + targets * 2 + decided
    else:
        columns = (targets.argmax(axis=1) * targets.shape[1] + decided)[:, None]
    return where.starts[1] + columns, np.ones(columns.shape)


def _losses(probs: Float, targets: Whole, task: Task, where: Layout) -> tuple[Whole, Float]:
    """1, the Brier score and the log-loss of every case.

    Brier is half the squared distance to the target, in a multi-label task its mean over the
    classes, so that it is in [0, 1] and for two classes the usual (p - y)^2.
    """
    clipped = np.clip(probs, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    square = (probs - targets) ** 2
    if task.multi_label:
        brier = square.mean(axis=1)
        loss = -np.log(np.where(targets == 1, clipped, 1 - clipped)).mean(axis=1)
    else:
        brier = square.sum(axis=1) / 2
        loss = -(targets * np.log(clipped)).sum(axis=1)
    values = np.stack([np.ones(len(probs)), brier, loss], axis=1)
    return np.broadcast_to(where.starts[2] + np.arange(3), values.shape), values


def _confidences(probs: Float, targets: Whole, task: Task, where: Layout) -> tuple[Whole, Float]:
    """Count, confidence and correctness in the bin of the likeliest answer.

    In a multi-label task every class of a case is an answer of its own, present or absent.
    """
    if task.multi_label:
        confidence = np.maximum(probs, 1 - probs)  # (n, classes)
        correct = (probs >= 0.5) == (targets == 1)
    else:
        best = probs.argmax(axis=1)[:, None]
        confidence = np.take_along_axis(probs, best, axis=1)  # (n, 1)
        correct = np.take_along_axis(targets, best, axis=1) == 1
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    columns = where.starts[3] + 3 * bins[..., None] + np.arange(3)  # (n, answers, 3)
    values = np.stack([np.ones(bins.shape), confidence, correct.astype(np.float64)], axis=-1)
    entries = 3 * confidence.shape[1]
    return columns.reshape(-1, entries), values.reshape(-1, entries)
