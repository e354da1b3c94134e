"""Images from an update: those whose gradient points where the update does.

Geiping et al., NeurIPS 2020 (Inverting gradients): cosine distance and total variation, signed
gradients with Adam. It starts from what the attacker expects of any image, which helps far more
than starting from noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from client.learning.images import FULL_SCALE
from client.learning.resident import Resident
from protocol.records import Arrays
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Search:
    """How hard the attacker tries.

    Attributes:
        steps: of the optimizer.
        rate: of the optimizer, in units of normalised images.
        smooth: weight of total variation.
        spread: of the noise that sets starts apart.
        seed: of that noise.
    """

    steps: int = 1000
    rate: float = 0.05
    smooth: float = 3e-3
    spread: float = 0.1
    seed: int = 0


def invert(
    study: Study,
    start: Arrays,
    update: dict[str, NDArray[np.float64]],
    labels: NDArray[np.int64],
    expected: NDArray[np.uint8],
    search: Search,
) -> NDArray[np.uint8]:
    """(n, *task.image) images that fit the update best, for n labels that the attacker knows.

    Args:
        study: whose network it is.
        start: the global weights.
        update: by parameter, along the gradient.
        labels: (n,) classes; who knows none tries all.
        expected: (m, *task.image) images of others, whose mean the search starts from.
        search: how hard.
    """
    resident = Resident(study.network, study.task.image, len(study.task.classes))
    resident.load(start)
    resident.module.eval()
    wanted = torch.cat([torch.from_numpy(update[s.name]).float().flatten() for s in resident.slots])
    wanted /= wanted.norm().clamp_min(1e-20)
    rng = np.random.default_rng(search.seed)
    mean = (expected.mean(axis=0) / 255 - 0.5) * FULL_SCALE
    first = mean + search.spread * rng.standard_normal((len(labels), *study.task.image))
    asked = _Asked(resident, wanted, torch.from_numpy(labels), search)
    best = asked.descend(torch.from_numpy(first).float())
    pixels = (best / FULL_SCALE + 0.5).clamp(0, 1) * 255
    shown: NDArray[np.uint8] = np.rint(pixels.numpy()).astype(np.uint8)
    return shown


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One search."""

    resident: Resident
    wanted: Tensor
    labels: Tensor
    search: Search

    def descend(self, images: Tensor) -> Tensor:
        """The images at the end."""
        images = images.requires_grad_()
        first, second = torch.zeros_like(images), torch.zeros_like(images)
        for step in range(1, self.search.steps + 1):
            cost = self.distance(images) + self.search.smooth * _roughness(images)
            (slope,) = torch.autograd.grad(cost, images)
            with torch.no_grad():
                sign = slope.sign()
                first.mul_(0.9).add_(sign, alpha=0.1)
                second.mul_(0.999).addcmul_(sign, sign, value=0.001)
                even = first / (1 - 0.9**step)
                scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
                way = (1 + math.cos(math.pi * step / self.search.steps)) / 2
                images -= self.search.rate * way * even / scale
                images.clamp_(-FULL_SCALE / 2, FULL_SCALE / 2)
        return images.detach()

    def distance(self, images: Tensor) -> Tensor:
        """One less the cosine between the update and the images' gradient."""
        loss = F.cross_entropy(self.resident.module(images), self.labels)
        parameters = [slot.parameter for slot in self.resident.slots]
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        apart: Tensor = 1 - (flat @ self.wanted) / flat.norm().clamp_min(1e-20)
        return apart


def _roughness(images: Tensor) -> Tensor:
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
    across = (images[..., 1:] - images[..., :-1]).abs().mean()
    total: Tensor = down + across
    return total
