"""How wide the intervals will be, before anybody has read a case."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr, ndtri

from strategies.metrics.sums import LEAST_PROBABILITY, Float
from strategies.metrics.table import FEWEST_CASES, FEWEST_OF_A_CLASS, METRICS

Z = float(ndtri(0.975))
PLANNED_AUROC = 0.9
"""The AUROC that a study is planned for."""


def expected_half_width(
    positives: int, negatives: int, *, specificity: float = 0.9, auroc: float = PLANNED_AUROC
) -> Mapping[str, float]:
    """Half the width of each 95 % interval that so many audit cases will give, about.

    Supposes one class against the rest, independent cases (count patients, not images), scores of
    negatives N(0, 1) and of positives N(d, 1) with the d of that AUROC, and calibrated
    probabilities. NaN where not estimable, and for the metrics of which nothing is supposed (AUPRC,
    ECE and expected cost).

    Args:
        positives: audit cases of the class.
        negatives: audit cases not of the class.
        specificity: at which the sensitivity is reported, in (0, 1).
        auroc: supposed, in (0.5, 1).
    Raises:
        ValueError: a negative count, or a specificity or AUROC out of range.
    Source: AUROC after Hanley and McNeil, Radiology 1982; sensitivity and balanced accuracy
        binomial, the former with the noise of its threshold.
    """
    if positives < 0 or negatives < 0:
        raise ValueError(f"{positives} positives, {negatives} negatives; accepted is 0 or more")
    if not (0 < specificity < 1 and 0.5 < auroc < 1):
        raise ValueError(
            f"specificity {specificity:g} and AUROC {auroc:g}; accepted is within (0, 1), (0.5, 1)"
        )
    widths = dict.fromkeys(METRICS, math.nan)
    cases = positives + negatives
    d = math.sqrt(2) * float(ndtri(auroc))
    if min(positives, negatives) > 0:
        brier, log_loss = _loss_deviations(d, positives / cases)
        widths["brier"] = Z * brier / math.sqrt(cases)
        widths["log_loss"] = Z * log_loss / math.sqrt(cases)
    if cases >= FEWEST_CASES and min(positives, negatives) >= FEWEST_OF_A_CLASS:
        widths["auroc"] = Z * math.sqrt(hanley_mcneil(auroc, positives, negatives))
        widths["sensitivity"] = Z * math.sqrt(_sensitivity(d, specificity, positives, negatives))
        recall = float(ndtr(d / 2))  # of both sides, with the threshold halfway
        both = recall * (1 - recall) * (1 / positives + 1 / negatives) / 4
        widths["balanced_accuracy"] = Z * math.sqrt(both)
    return widths


def hanley_mcneil(auroc: float, positives: int, negatives: int) -> float:
    """The variance of an AUROC with exponential scores (Hanley and McNeil 1982, equation 1).

    Args:
        auroc: in [0, 1].
        positives: at least 1.
        negatives: at least 1.
    """
    q1 = auroc / (2 - auroc)
    q2 = 2 * auroc**2 / (1 + auroc)
    top = (
        auroc * (1 - auroc) + (positives - 1) * (q1 - auroc**2) + (negatives - 1) * (q2 - auroc**2)
    )
    return top / (positives * negatives)


def _sensitivity(d: float, specificity: float, positives: int, negatives: int) -> float:
    """The variance of the sensitivity, with that of the threshold found among the negatives."""
    threshold = float(ndtri(specificity))
    found = float(ndtr(d - threshold))
    slope = math.exp(d * threshold - d**2 / 2)  # of the ROC curve: the ratio of the densities
    return found * (1 - found) / positives + slope**2 * specificity * (1 - specificity) / negatives


def _loss_deviations(d: float, prevalence: float) -> tuple[float, float]:
    """Standard deviations over cases of the Brier score and the log-loss."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()
    mean, square = np.zeros(2), np.zeros(2)
    for truth, share in ((0, 1 - prevalence), (1, prevalence)):
        logit = d * (nodes + d * truth) - d**2 / 2 + math.log(prevalence / (1 - prevalence))
        p: Float = np.clip(1 / (1 + np.exp(-logit)), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        right = p if truth else 1 - p
        losses = np.stack([(1 - right) ** 2, -np.log(right)])  # (2, nodes)
        mean += share * (losses @ weights)
        square += share * (losses**2 @ weights)
    brier, log_loss = np.sqrt(square - mean**2)
    return float(brier), float(log_loss)
