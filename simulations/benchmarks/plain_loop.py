"""A study's training and inference as a plain PyTorch loop: what the engine is measured against.

One process, one thread, everything in memory; no messages, no database, no hospitals. It is
written as somebody would who knows PyTorch: one model, indexed tensors instead of a loader, the
fused optimizer, inference mode. The cases and their order are those of a finished run, so that
both sides do the same work down to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from client.learning.networks import build, last_linear
from client.learning.train import count_steps, learning_rate
from protocol.records import Arrays
from protocol.seeds import Purpose, generator
from protocol.study import Study

BATCH = 250


@dataclass(frozen=True, slots=True)
class SiteWork:
    """What one site does in one cycle, as rows of the images.

    Attributes:
        pool: scored under the model of the cycle before.
        before: labeled before this cycle; their features are taken with the pool's.
        labeled: trained on.
        targets: (len(labeled), classes) float32.
        evaluated: audit and locked cases, each measured in a pass of its own.
    """

    pool: NDArray[np.int64]
    before: NDArray[np.int64]
    labeled: NDArray[np.int64]
    targets: NDArray[np.float32]
    evaluated: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The work of one run.

    Attributes:
        study: what was run.
        weights: its first arrays.
        first: of each site, what is measured of the first weights.
        cycles: of each cycle and site.
    """

    study: Study
    weights: Arrays
    first: Sequence[tuple[NDArray[np.int64], ...]]
    cycles: Sequence[Sequence[SiteWork]]


@dataclass(slots=True)
class Done:
    """What the loop did: its last arrays, optimizer steps, and images that were only looked at."""

    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    steps: int = 0
    scored: int = 0


Augment = Callable[[Tensor, torch.Generator], Tensor]


def plain_loop(recipe: Recipe, images: NDArray[np.uint8], augment: Augment | None = None) -> Done:
    """Do the recipe's work; the images are (n, channels, height, width) uint8."""
    study, done = recipe.study, Done()
    data = normal(images)
    model = build(study.network, study.task.image, len(study.task.classes))
    frozen = {name: torch.from_numpy(np.array(a)) for name, a in recipe.weights.items()}
    model.load_state_dict(frozen)
    for rows in recipe.first:
        _evaluate(model, data, rows, done)
    state = frozen
    for cycle, sites in enumerate(recipe.cycles):
        model.load_state_dict(state)
        for work in sites:
            _score(model, data[work.pool], done)
            _score(model, data[work.before], done)
        state = frozen if study.training.start == "scratch" else state
        for round_ in range(study.training.rounds_per_cycle):
            loop = _Loop(model, data, study, done, augment)
            state = _round(loop, state, sites, (cycle, round_))
        model.load_state_dict(state)
        for work in sites:
            _evaluate(model, data, work.evaluated, done)
    done.arrays = {name: tensor.numpy() for name, tensor in state.items()}
    return done


def normal(images: NDArray[np.uint8]) -> Tensor:
    """What a network sees: float32 in [-2, 2]."""
    return (torch.from_numpy(np.array(images)).float() / 255 - 0.5) * 4


@dataclass(frozen=True, slots=True)
class _Loop:
    """What every round of a loop works with."""

    model: nn.Module
    data: Tensor
    study: Study
    done: Done
    augment: Augment | None


def _round(
    loop: _Loop, start: dict[str, Tensor], sites: Sequence[SiteWork], when: tuple[int, int]
) -> dict[str, Tensor]:
    """Federated averaging: every site trains from the same start; the mean by labels."""
    model, data, study = loop.model, loop.data, loop.study
    means = {name: torch.zeros(t.shape, dtype=torch.float64) for name, t in start.items()}
    total = 0
    for number, work in enumerate(sites):
        if not len(work.labeled):
            continue
        model.load_state_dict(start)
        rng = generator(study.seed, number, *when, Purpose.TRAIN)
        loop.done.steps += train_site(
            model, data[work.labeled], work.targets, study, when[1], rng, loop.augment
        )
        total += len(work.labeled)
        share = len(work.labeled) / total
        for name, tensor in model.state_dict().items():
            means[name] += (tensor.double() - means[name]) * share
    return {name: mean.float() for name, mean in means.items()}


def train_site(
    model: nn.Module,
    images: Tensor,
    targets: NDArray[np.float32],
    study: Study,
    round_: int,
    rng: np.random.Generator,
    augment: Augment | None,
) -> int:
    """The local epochs of one site; how many steps they were."""
    training, wanted = study.training, torch.from_numpy(targets)
    steps, size = count_steps(training, len(images)), training.batch_size
    rng.integers(2**63)  # a study draws the seeds of its dropout and of its augmentation first
    draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=learning_rate(training, round_),
        weight_decay=training.weight_decay,
        fused=True,
    )
    model.train()
    losses: list[Tensor] = []
    while len(losses) < steps:
        order = torch.from_numpy(rng.permutation(len(images)))
        for rows in torch.split(order, size)[: steps - len(losses)]:
            batch = images[rows] if augment is None else augment(images[rows], draws)
            optimizer.zero_grad(set_to_none=False)
            loss = -(wanted[rows] * F.log_softmax(model(batch), dim=1)).sum(dim=1).mean()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            losses.append(loss.detach())
    torch.stack(losses).mean().item()
    return steps


def _evaluate(
    model: nn.Module, data: Tensor, parts: Sequence[NDArray[np.int64]], done: Done
) -> None:
    for rows in parts:
        _score(model, data[rows], done)


def _score(model: nn.Module, images: Tensor, done: Done) -> tuple[Tensor, Tensor]:
    """Probabilities of the images, and their features at the last layer."""
    features: list[Tensor] = []
    hook = last_linear(model).register_forward_pre_hook(lambda _, given: features.append(given[0]))
    model.eval()
    with torch.inference_mode():
        logits = [model(part) for part in torch.split(images, BATCH) if len(part)]
    hook.remove()
    done.scored += len(images)
    empty = torch.zeros(0, 0)
    probabilities = torch.cat(logits).softmax(dim=1) if logits else empty
    return probabilities, torch.cat(features) if features else empty
