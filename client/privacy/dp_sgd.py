"""DP-SGD at one site: patients drawn by chance, one image of each, gradients clipped, noise added.

Abadi et al., CCS 2016, algorithm 1, with the patient as the unit. Nothing here depends on how many
patients there are: share, steps and the number that a sum is divided by are public.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.learning.augment import active, apply, draw
from client.learning.images import normalised
from client.learning.losses import loss_of
from client.learning.optimizers import rule
from client.learning.randomness import seeded_dropout, torch_generator
from client.learning.resident import Resident
from client.learning.train import Pace, add_proximal, refuse_divergence
from client.privacy.chance import Chance
from client.privacy.patients import sampled
from client.privacy.per_patient import Watched, add_clipped, per_sample
from protocol.privacy import Privacy
from protocol.records import Indices
from protocol.study import Study

_PACE = 0.2  # of adaptive clipping: Andrew et al., NeurIPS 2021, section 2.2
_COUNTING = 10.0  # noise of the count of short gradients, over that of the whole step


@dataclass(frozen=True, slots=True)
class Planted:
    """Faults for the audit that must find them: never set but in a test.

    Attributes:
        noise: factor of the noise, 1 where nothing is wrong.
        clipping: whether gradients are clipped.
    """

    noise: float = 1.0
    clipping: bool = True


SOUND = Planted()


@dataclass(frozen=True, slots=True)
class Schedule:
    """What was charged for a round, and so what is done.

    Attributes:
        noise: multiplier of the whole step's sensitivity.
        share: probability with which a patient is in a step's sample.
        steps: how many.
        expected: patients in a sample on average, by the public count; the sum is divided by it.
        planted: faults of a test.
    """

    noise: float
    share: float
    steps: int
    expected: float
    planted: Planted = SOUND


@dataclass(frozen=True, slots=True)
class Labeled:
    """A site's training cases.

    Attributes:
        images: (n, channels, height, width) uint8.
        targets: (n, classes) probabilities.
        patients: (n,) numbers, equal for cases of one patient.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    patients: Indices


def train_privately(
    resident: Resident,
    labeled: Labeled,
    study: Study,
    schedule: Schedule,
    source: Chance,
    pace: Pace,
    rng: np.random.Generator,
) -> None:
    """Train the resident model, from the weights it holds, by the schedule's steps.

    Args:
        resident: its weights are where the training starts and where it ends.
        labeled: the cases; there may be none, and the noise is added all the same.
        study: a private one.
        schedule: what was charged.
        source: of the sampling and the noise.
        pace: FedProx's term looks at no data and is added after the noise.
        rng: of augmentation and dropout. A patient more moves the draws of those after it, so at
            a hospital it must be as secret as the sampling.

    Raises:
        ValueError: weights that are not finite after training.
    """
    step = Step(resident, labeled, study, schedule, source, rng)
    start = resident.flat.clone()
    update = rule(resident, study.training, pace.rate)
    masks = torch_generator(rng, resident.device)
    resident.module.train()
    with step.watching(), seeded_dropout(resident.module, masks):
        for _ in range(schedule.steps):
            gradient = step.noisy(sampled(labeled.patients, schedule.share, source))
            resident.gradient.copy_(gradient)
            if pace.mu:
                add_proximal(resident.gradient, resident.flat, start, pace.mu)
            update()
    refuse_divergence(resident, schedule.steps)


class Step:
    """One step's noisy gradient, and the clipping norm, which may follow it."""

    def __init__(
        self,
        resident: Resident,
        labeled: Labeled,
        study: Study,
        schedule: Schedule,
        source: Chance,
        rng: np.random.Generator,
    ) -> None:
        assert study.privacy is not None  # noqa: S101 - the caller has looked
        self._privacy: Privacy = study.privacy
        self._resident, self._schedule = resident, schedule
        self._source, self._planted = source, schedule.planted
        self._clip = self._privacy.clip
        resident.bind_gradients()
        self._real = torch.zeros_like(resident.flat)  # without what lies between parameters
        for slot in resident.slots:
            self._real[slot.rows] = 1.0
        self._data = normalised(labeled.images, resident.device)
        self._targets = torch.from_numpy(labeled.targets.astype(np.float32)).to(resident.device)
        wanted = labeled.targets.astype(np.float64)
        self._loss: Callable[[Tensor, Tensor], Tensor] = loss_of(study, wanted, 0, resident.device)
        training = study.training
        self._augmentation = training.augmentation if active(training.augmentation) else None
        self._draws = torch_generator(rng)
        self._watched = Watched()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block gradients can be told apart by patient."""
        with per_sample(self._resident.module) as self._watched:
            yield

    def noisy(self, rows: Indices) -> Tensor:
        """The mean gradient over the expected number of patients, with noise, laid out flat."""
        total = torch.zeros_like(self._resident.flat)
        norms = [self._add(total, part) for part in self._parts(rows)]
        noise = torch.from_numpy(self._source.normal(total.numel())).to(total.device)
        noise *= self._real
        total.add_(noise, alpha=self._gradient_noise() * self._clip * self._planted.noise)
        if self._privacy.clipping == "adaptive":
            self._follow(torch.cat(norms) if norms else torch.zeros(0))
        return total.div_(self._schedule.expected)

    def _add(self, total: Tensor, rows: Tensor) -> Tensor:
        images = self._data[rows]
        if self._augmentation is not None:
            images = apply(images, draw(self._augmentation, len(images), self._draws))
        targets, part = self._targets[rows], torch.zeros_like(total)
        norms = self._clipped(part, images, targets)
        if torch.isfinite(part).all():
            total += part
            return norms
        for row in range(len(rows)):  # weights chosen for it let some images overflow: 0 of those
            part.zero_()
            self._clipped(part, images[row : row + 1], targets[row : row + 1])
            if torch.isfinite(part).all():
                total += part
        return norms

    def _clipped(self, total: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """Add their clipped gradients to the total; their norms before."""
        loss = self._loss(self._resident.module(images), targets) * len(images)
        clipping = self._planted.clipping
        return add_clipped(
            self._resident, self._watched, loss, total, self._clip, clipping=clipping
        )

    def _parts(self, rows: Indices) -> Iterator[Tensor]:
        size = self._privacy.physical_batch
        for first in range(0, len(rows), size):
            yield torch.from_numpy(rows[first : first + size])

    def _gradient_noise(self) -> float:
        """The gradients' own multiplier: the count of adaptive clipping takes a part of the cost.

        Both together are one Gaussian mechanism with noise z where 1/z^2 is the sum of both.
        """
        z = self._schedule.noise
        if self._privacy.clipping == "flat":
            return z
        return z / math.sqrt(1 - _COUNTING**-2)

    def _follow(self, norms: Tensor) -> None:
        """Move the norm towards the wanted quantile; one patient moves the count by one half."""
        short = float((norms <= self._clip).double().sub(0.5).sum())
        deviation = 0.5 * _COUNTING * self._schedule.noise * self._planted.noise
        told = short + deviation * float(self._source.normal(1)[0])
        share = min(max(told / self._schedule.expected + 0.5, 0.0), 1.0)
        self._clip *= math.exp(-_PACE * (share - self._privacy.quantile))
