"""Agreement of two readers beyond chance."""

from __future__ import annotations

import math

import numpy as np

from strategies.agreement.answers import Answers
from strategies.agreement.estimate import Estimate, undefined, within


def cohen(answers: Answers) -> Estimate:
    """Cohen's kappa of two readers, over the cases that both answered.

    kappa = (p_o - p_e) / (1 - p_e), where p_o is the share of cases on which they agree and p_e the
    share on which readers with their margins would agree by chance.

    Source: Cohen, A Coefficient of Agreement for Nominal Scales, Educational and Psychological
    Measurement 20 (1960), equation 1. Interval: the large-sample variance of Fleiss, Cohen &
    Everitt, Large sample standard errors of kappa and weighted kappa, Psychological Bulletin 72
    (1969), with the normal distribution.

    Raises:
        ValueError: not two readers.
    """
    if answers.category.shape[1] != 2:
        raise ValueError(f"{answers.category.shape[1]} readers: accepted are two")
    both = answers.pair(0, 1).category
    n, q = len(both), answers.categories
    if not n:
        return undefined(0)
    table = np.zeros((q, q))
    np.add.at(table, (both[:, 0], both[:, 1]), 1 / n)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, expected = float(np.trace(table)), float(rows @ columns)
    if expected > 1 - 1e-12:
        return undefined(n)
    kappa = (observed - expected) / (1 - expected)
    agreed = np.diag(table) * ((1 - expected) - (rows + columns) * (1 - observed)) ** 2
    apart = table * (columns[:, None] + rows[None, :]) ** 2
    apart[np.diag_indices(q)] = 0
    rest = (observed * expected - 2 * expected + observed) ** 2
    variance = float(agreed.sum()) + (1 - observed) ** 2 * float(apart.sum()) - rest
    error = math.sqrt(max(variance, 0.0) / n) / (1 - expected) ** 2
    return within(kappa, error, n)
