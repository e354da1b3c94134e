"""What a server sees of a few images: updates that the site's own code makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.learning.resident import Resident
from client.learning.train import Pace, train
from client.privacy.accounting import best_order, noise_for, room
from client.privacy.chance import SeededChance
from client.privacy.dp_sgd import Labeled, Schedule, train_privately
from protocol.records import Arrays
from protocol.study import Study

ONE_STEP = (
    "training.optimizer=sgd",
    "training.momentum=0.0",
    "training.min_steps=1",
    "training.max_steps=1",
    "training.schedule=constant",
    "training.batch_size=64",
)
"""Overrides of a study under which an update is the gradient itself: the attacker's best case."""


def update(
    study: Study,
    start: Arrays,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """How far a round of training on these cases takes the weights, with its sign turned.

    Args:
        study: how it trains.
        start: the global weights, honest or not.
        images: (n, *task.image).
        labels: (n,) classes.
        seed: of the order of cases.
    """
    resident = _loaded(study, start)
    targets = np.eye(len(study.task.classes), dtype=np.float32)[labels]
    rng = np.random.default_rng(seed)
    train(resident, images, targets, study, round_=0, mu=0.0, rng=rng)
    return _way(start, resident.arrays())


def private_update(
    study: Study,
    start: Arrays,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    epsilon: float,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """The same of one step of DP-SGD on all cases, that spends the whole epsilon at delta 1e-4.

    No study spends so much on a step: it is the least noise that an attacker can ask for.
    """
    resident = _loaded(study, start)
    order = best_order(epsilon, 1e-4)
    noise = noise_for(room(epsilon, order, 1e-4), 1.0, 1, order)
    targets = np.eye(len(study.task.classes), dtype=np.float32)[labels]
    train_privately(
        resident,
        Labeled(images, targets, np.arange(len(images))),
        study,
        Schedule(noise, 1.0, 1, float(len(images))),
        SeededChance(np.random.default_rng(seed)),
        Pace(study.training.learning_rate),
        np.random.default_rng(seed),
    )
    return _way(start, resident.arrays())


def summed(
    updates: Sequence[dict[str, NDArray[np.float64]]],
) -> dict[str, NDArray[np.float64]]:
    """What secure aggregation lets a server see of several sites' updates."""
    return {name: np.sum([u[name] for u in updates], axis=0) for name in updates[0]}


def _loaded(study: Study, start: Arrays) -> Resident:
    resident = Resident(study.network, study.task.image, len(study.task.classes))
    resident.load(start)
    return resident


def _way(start: Arrays, end: Arrays) -> dict[str, NDArray[np.float64]]:
    return {name: np.asarray(a, np.float64) - end[name] for name, a in start.items()}
