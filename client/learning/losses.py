"""The training loss with soft targets, and what is done against rare classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from protocol.study import Study

ANNEALED = 10
"""Rounds over which the evidential loss comes to ask wrong classes for no evidence."""

EVIDENCE = 0.01
"""Weight of that, and of evidence for the right class, in the evidential loss."""


def loss_of(
    study: Study, targets: NDArray[np.float64], round_: int, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The study's loss of a batch's logits and targets, both (n, classes).

    Args:
        study: which loss, and what is done against rare classes.
        targets: (m, classes) of all of the site's training cases, m at least 1.
        round_: within the cycle, from 0.
        device: of the batches.
    """
    training, multi_label = study.training, study.task.multi_label
    if training.loss == "evidential":
        prior = torch.from_numpy(targets.mean(axis=0)).float().to(device)
        return partial(evidential, prior=prior, annealing=min(1.0, round_ / ANNEALED))
    weights: Tensor | None = None
    if training.balancing == "weights":
        shares = class_weights(targets, multi_label=multi_label)
        weights = torch.from_numpy(shares).float().to(device)
    gamma = training.focal_gamma if training.loss == "focal" else 0.0
    return partial(cross_entropy, multi_label=multi_label, gamma=gamma, weights=weights)


def evidential(logits: Tensor, targets: Tensor, *, prior: Tensor, annealing: float) -> Tensor:
    """The mean evidential loss over a batch of a single-label task, at least roughly 0.

    The network's evidence e = relu(logits) makes a Dirichlet distribution a = e + 1 of the class
    probabilities, S = sum a. The loss is the expected cross-entropy sum_c y_c (2 - prior_c)
    (digamma(S) - digamma(a_c)), and 0.01 times the divergence from the flat Dirichlet once the
    right class's evidence is taken out, less K / S times the right class's logit, without which
    no gradient passes where evidence is 0.

    Args:
        logits: (n, classes).
        targets: (n, classes) probabilities; soft ones are ours.
        prior: (classes,) share of each class in the site's labels.
        annealing: of the divergence, 0 to 1.

    Source: Chen et al., CVPR 2024 (FEAL), as in its authors' code; our re-implementation.
    """
    alpha = F.relu(logits) + 1
    total = alpha.sum(dim=1, keepdim=True)
    expected = targets * (2 - prior) * (torch.digamma(total) - torch.digamma(alpha))
    boost = logits.shape[1] / total.detach() * targets * logits
    wrong = (alpha - 1) * (1 - targets) + 1
    flat = annealing * _divergence(wrong)
    return (expected.sum(dim=1) + EVIDENCE * (flat - boost.sum(dim=1))).mean()


def _divergence(alpha: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each Dirichlet from the flat one, (n,)."""
    total = alpha.sum(dim=1, keepdim=True)
    classes = torch.tensor(float(alpha.shape[1]), device=alpha.device)
    scale = torch.lgamma(total[:, 0]) - torch.lgamma(alpha).sum(dim=1) - torch.lgamma(classes)
    return scale + ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(total))).sum(dim=1)


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
