"""Optimizers over one flat vector: torch's fused kernels without what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.optim.sgd import sgd

from client.learning.resident import Resident
from protocol.sections import Training


def rule(resident: Resident, training: Training, rate: float) -> Callable[[], None]:
    """A fresh optimizer: each call updates the flat vector by the flat gradient, in place.

    Torch's fused functions without `torch.optim.Optimizer` around them, which would import torch's
    compiler, a second or more in every process, and costs a site more than the update itself.
    Adam decays weights decoupled (AdamW; Loshchilov and Hutter, ICLR 2019).
    """
    weights, gradients = [resident.flat], [resident.gradient]
    if training.optimizer == "sgd":
        return partial(
            sgd,
            weights,
            gradients,
            [None],
            fused=True,
            lr=rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
    return adam(resident, rate, training.weight_decay)


def adam(resident: Resident, rate: float, decay: float) -> Callable[[], None]:
    """AdamW's own kernel: torch's Python around it costs more than it does for a small network."""
    weights, gradients = [resident.flat], [resident.gradient]
    means, squares = [torch.zeros_like(resident.flat)], [torch.zeros_like(resident.flat)]
    step = torch.zeros((), device=resident.device)

    @torch.no_grad()
    def update() -> None:
        step.add_(1)
        torch._fused_adamw_(
            weights,
            gradients,
            means,
            squares,
            [],
            [step],
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    return update
