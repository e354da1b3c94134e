"""Local training at one site between two averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.learning.augment import active, apply, draw
from client.learning.images import normalised
from client.learning.losses import case_shares, loss_of
from client.learning.networks import last_linear
from client.learning.optimizers import rule
from client.learning.randomness import seeded_dropout, torch_generator
from client.learning.resident import Resident
from protocol.sections import Task, Training
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did; the weights are in the resident model.

    Attributes:
        loss: mean training loss over the last local epoch, without the proximal term; 0 without
            cases.
        steps: optimizer steps taken.
    """

    loss: float
    steps: int


def train(
    resident: Resident,
    images: NDArray[np.uint8],
    targets: NDArray[Any],
    study: Study,
    *,
    round_: int,
    mu: float,
    rng: np.random.Generator,
) -> Trained:
    """Train the resident model on a site's labels, from the weights it holds.

    The same weights, cases and generator give the same bits, whatever was computed before.

    Args:
        resident: its weights are where the training starts and where it ends.
        images: (n, channels, height, width), as the task says; n = 0 leaves the model alone.
        targets: (n, classes) probabilities, one-hot or soft.
        study: how, whether classes are independent of each other, and the shape of an image.
        round_: within the cycle, from 0; sets the learning rate.
        mu: of FedProx (Li et al., MLSys 2020, equation 2); 0 is none.
        rng: of order, augmentation and dropout.

    Raises:
        ValueError: shapes that do not fit, targets outside [0, 1], a round outside the cycle, or
            weights that are not finite after training.
    """
    training, multi_label = study.training, study.task.multi_label
    wanted = _checked(resident, images, targets, study.task)
    pace = Pace(learning_rate(training, round_), round_, mu)
    if len(images) == 0:
        return Trained(0.0, 0)
    steps = count_steps(training, len(images))
    trainer = Trainer(resident, images, wanted, study, pace, rng)
    order = batches(wanted, training, steps, multi_label=multi_label, rng=rng)
    losses, sizes = trainer.learn(order)
    last = slice(-min(steps, -(-len(images) // training.batch_size)), None)
    refuse_divergence(resident, steps)
    means = torch.stack(losses[last]).double().cpu().numpy()
    return Trained(float(np.average(means, weights=sizes[last])), steps)


def learning_rate(training: Training, round_: int) -> float:
    """The learning rate of one round: half a cosine over the cycle's rounds, or the same in all.

    Cosine: rate * (1 + cos(pi * round / rounds)) / 2, so the first round has the full rate.

    Raises:
        ValueError: a round outside the cycle.
    """
    if not 0 <= round_ < training.rounds_per_cycle:
        raise ValueError(
            f"round {round_} of a cycle of {training.rounds_per_cycle}: accepted is 0 to "
            f"{training.rounds_per_cycle - 1}"
        )
    if training.schedule == "constant":
        return training.learning_rate
    phase = math.pi * round_ / training.rounds_per_cycle
    return training.learning_rate * (1 + math.cos(phase)) / 2


def count_steps(training: Training, n: int) -> int:
    """Optimizer steps of one round on n cases: the local epochs' batches, within the limits."""
    wanted = training.local_epochs * -(-n // training.batch_size)
    return min(max(wanted, training.min_steps), training.max_steps)


def batches(
    targets: NDArray[np.float64],
    training: Training,
    steps: int,
    *,
    multi_label: bool,
    rng: np.random.Generator,
) -> Iterator[torch.Tensor]:
    """The rows of each step's batch: epochs of permutations, the last batch of each shorter.

    With balancing by sampling an epoch is as many draws with replacement, rare classes more often.
    """
    n, size = len(targets), training.batch_size
    sampling = training.balancing == "sampling"
    shares = case_shares(targets, multi_label=multi_label) if sampling else None
    per_epoch = -(-n // size)
    for first in range(0, steps, per_epoch):
        drawn = rng.permutation(n) if shares is None else rng.choice(n, n, p=shares)
        order = torch.from_numpy(drawn)
        for batch in range(min(per_epoch, steps - first)):
            yield order[batch * size : (batch + 1) * size]


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a training goes in one step, and in which direction.

    Attributes:
        rate: of learning.
        round_: within the cycle; what the evidential loss asks for is taken in over ten of them.
        mu: of FedProx; 0 is none.
    """

    rate: float
    round_: int = 0
    mu: float = 0.0


class Trainer:
    """A model, a site's labels, and everything that stays the same from step to step."""

    def __init__(
        self,
        resident: Resident,
        images: NDArray[np.uint8],
        targets: NDArray[Any],
        study: Study,
        pace: Pace,
        rng: np.random.Generator,
    ) -> None:
        training = study.training
        wanted = _checked(resident, images, targets, study.task)
        self._masks = torch_generator(rng, resident.device)
        self._draws = torch_generator(rng)
        self._augmentation = training.augmentation if active(training.augmentation) else None
        self._module = resident.module
        self._said = straight(resident.module)
        self._flat = resident.flat
        self._gradient = resident.bind_gradients()
        self._start = resident.flat.clone() if pace.mu else None
        self._mu = pace.mu
        self._update = rule(resident, training, pace.rate)
        self._loss = loss_of(study, wanted, pace.round_, resident.device)
        self._images = normalised(images, resident.device)
        self._labels = torch.from_numpy(wanted).float().to(resident.device)

    def learn(self, order: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], list[int]]:
        """One step for each batch of rows; each one's loss before it, on the device, and size."""
        losses, sizes = [], []
        self._module.train()
        with seeded_dropout(self._module, self._masks):
            for rows in order:
                losses.append(self._take(self._images[rows], self._labels[rows]))
                sizes.append(len(rows))
        return losses, sizes

    def _take(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self._augmentation is not None:
            images = apply(images, draw(self._augmentation, len(images), self._draws))
        self._gradient.zero_()
        loss = self._loss(self._said(images), targets)
        torch.autograd.backward(loss)
        if self._start is not None:
            add_proximal(self._gradient, self._flat, self._start, self._mu)
        self._update()
        return loss.detach()


def add_proximal(
    gradient: torch.Tensor, weights: torch.Tensor, start: torch.Tensor, mu: float
) -> None:
    """Add mu (weights - start), the gradient of mu/2 |weights - start|^2, in place.

    The difference first: mu weights and mu start would bury a small gradient under their rounding,
    and Adam, which looks at little but the sign, would make full steps of that.
    """
    gradient.add_(weights - start, alpha=mu)


def straight(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module's forward pass; through a plain chain of layers without torch's hooks between.

    Nothing of ours hooks into a training, and what looks for hooks takes a tenth of a millisecond
    of a small network's step.
    """
    if type(module) is not nn.Sequential:
        return module
    layers = [layer.forward for layer in module]

    def said(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return said


def _checked(
    resident: Resident, images: NDArray[np.uint8], targets: NDArray[Any], task: Task
) -> NDArray[np.float64]:
    """The targets as float64, once they and the images are what the task says."""
    classes = last_linear(resident.module).out_features
    if images.shape[1:] != task.image:
        raise ValueError(
            f"images of shape {images.shape}: accepted is (n, {', '.join(map(str, task.image))})"
        )
    if targets.shape != (len(images), classes):
        raise ValueError(
            f"targets of shape {targets.shape} for {len(images)} images: accepted is "
            f"({len(images)}, {classes})"
        )
    wanted = targets.astype(np.float64)
    odd = wanted.size - np.count_nonzero((wanted >= 0) & (wanted <= 1))
    if odd:
        raise ValueError(f"{odd} targets are outside [0, 1]: accepted are probabilities")
    return wanted


def refuse_divergence(resident: Resident, steps: int) -> None:
    """Refuse weights that are not finite after so many steps, with ValueError."""
    odd = resident.flat.numel() - int(torch.isfinite(resident.flat).sum())
    if odd:
        raise ValueError(
            f"{odd} weights are not finite after {steps} steps: accepted are finite weights, "
            "try a lower training.learning_rate"
        )
