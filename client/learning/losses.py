"""The training loss with soft targets, and what is done against rare classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits: Tensor, targets: Tensor, *, multi_label: bool, gamma: float, weights: Tensor | None
) -> Tensor:
    """The mean loss over a batch: cross-entropy, or binary cross-entropy averaged over the classes.

    gamma > 0 makes it the focal loss, equation 4 of Lin et al., ICCV 2017, summed over the target's
    probability mass.

    Args:
        logits: (n, classes).
        targets: (n, classes) probabilities, one-hot or soft.
        multi_label: whether the classes are independent of each other.
        gamma: the focal exponent; 0 is cross-entropy.
        weights: of `class_weights`, or none.
    """
    if not multi_label:
        terms = _term(F.log_softmax(logits, dim=1), targets, gamma)
        return (terms if weights is None else terms * weights).sum(dim=1).mean()
    present = _term(F.logsigmoid(logits), targets, gamma)
    absent = _term(F.logsigmoid(-logits), 1 - targets, gamma)
    if weights is not None:
        present, absent = present * weights[1], absent * weights[0]
    return (present + absent).mean()


def _term(log_p: Tensor, target: Tensor, gamma: float) -> Tensor:
    """-target (1 - p)^gamma log p, elementwise."""
    loss = -target * log_p
    # 1 - p from the logarithm: exact for p near 1, where a power of a rounded 0 has no gradient.
    return loss if gamma == 0 else loss * (-log_p.expm1()).clamp_min(1e-12) ** gamma


def class_weights(targets: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.float64]:
    """What makes the classes that a site has weigh the same: n / (classes present * soft count).

    A soft count below 1 is taken as 1, so that a trace of doubt does not rule the loss. Absent
    classes get 0, which nothing is multiplied with.

    Args:
        targets: (n, classes), n at least 1.
        multi_label: whether the classes are independent of each other.

    Returns:
        (classes,), or in a multi-label task (2, classes): absent, present.
    """
    counts = targets.sum(axis=0)
    if multi_label:
        counts = np.stack((len(targets) - counts, counts))
    there = counts > 0
    parts = np.maximum(there.sum(axis=0), 1)
    weights: NDArray[np.float64] = np.where(
        there, len(targets) / (parts * np.maximum(counts, 1)), 0.0
    )
    return weights


def case_shares(targets: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.float64]:
    """How often each case is drawn so that the classes come up alike: (n,), they sum to 1.

    Args:
        targets: (n, classes), n at least 1.
        multi_label: whether the classes are independent of each other.
    """
    weights = class_weights(targets, multi_label=multi_label)
    if multi_label:
        shares = (targets * weights[1] + (1 - targets) * weights[0]).sum(axis=1)
    else:
        shares = (targets * weights).sum(axis=1)
    normed: NDArray[np.float64] = shares / shares.sum()
    return normed
