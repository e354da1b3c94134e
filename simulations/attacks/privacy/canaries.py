"""Membership of canaries in the final model of a private training, through the site's own code.

The attacker is the server at its strongest: it knows every canary, chose the network, and sees the
first and the final weights, nothing in between. Canaries are images of noise with labels by coin,
so that their gradients hardly overlap; each is a patient, in the training or out of it by a coin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client.learning.networks import initial_arrays
from client.learning.resident import Resident
from client.learning.score import predict
from client.learning.train import Pace
from client.privacy.account import due_delta
from client.privacy.accounting import Cost, best_order, epsilon, noise_for, room
from client.privacy.chance import SeededChance
from client.privacy.dp_sgd import SOUND, Labeled, Planted, Schedule, train_privately
from protocol.study import Study, parse
from simulations.attacks.privacy.bounds import Found, judged

_RATE = 0.05  # so small a way that a loss changes as its gradient says


@dataclass(frozen=True, slots=True)
class Audit:
    """One training with canaries.

    Attributes:
        canaries: how many coins; half of these patients are in, roughly.
        epsilon: what the training spends by the account, at the delta of so many patients.
        share: probability with which a patient is in a step's sample.
        steps: how many.
        seed: of coins, images, labels, sampling and noise.
        planted: a fault that the audit is to find.
    """

    canaries: int = 10_000
    epsilon: float = 1.0
    share: float = 0.5
    steps: int = 8
    seed: int = 0
    planted: Planted = field(default=SOUND)


def audit(asked: Audit) -> Found:
    """Train once on the canaries that are in, and guess from the final model which those are."""
    rng = np.random.default_rng(asked.seed)
    study = _study(asked)
    images = 255 * rng.integers(0, 2, (asked.canaries, *study.task.image), dtype=np.uint8)
    labels = rng.integers(0, 2, asked.canaries)
    inside = rng.random(asked.canaries) < 0.5
    schedule, claimed, delta = charged(asked)
    resident = Resident(study.network, study.task.image, 2)
    resident.load(initial_arrays(study))
    before = losses(resident, study, images, labels)
    train_privately(
        resident,
        Labeled(
            images[inside], np.eye(2, dtype=np.float32)[labels[inside]], np.flatnonzero(inside)
        ),
        study,
        schedule,
        SeededChance(np.random.default_rng([asked.seed, 1])),
        Pace(_RATE),
        rng,
    )
    scores = before - losses(resident, study, images, labels)
    for label in (0, 1):  # what the last biases did to all of one label tells nothing of one
        scores[labels == label] -= np.median(scores[labels == label])
    return judged(scores, inside, claimed, delta)


def charged(asked: Audit) -> tuple[Schedule, float, float]:
    """The schedule that the account sells for that epsilon; what it costs at which delta."""
    study = _study(asked)
    assert study.privacy is not None  # noqa: S101 - it was just written
    delta = due_delta(study.privacy, asked.canaries)
    order = best_order(asked.epsilon, delta)
    noise = noise_for(room(asked.epsilon, order, delta), asked.share, asked.steps, order)
    spent = Cost("dp-sgd", noise, asked.share, asked.steps).rdp(order)
    expected = asked.share * asked.canaries / 2
    schedule = Schedule(noise, asked.share, asked.steps, expected, asked.planted)
    return schedule, epsilon(spent, order, delta), delta


def losses(
    resident: Resident, study: Study, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) cross-entropies of single-label cases."""
    probs = predict(resident, images, task=study.task).probs
    found: NDArray[np.float64] = -np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-300))
    return found


def _study(asked: Audit) -> Study:
    """A private study of a network so wide that canaries find room beside each other."""
    return parse(
        {
            "schema": 1,
            "name": "canaries",
            "seed": asked.seed,
            "task": {"image": [1, 48, 48], "classes": [{"name": n, "definition": n} for n in "ab"]},
            "network": {"name": "mlp", "hidden": [8]},
            "training": {"start": "warm", "optimizer": "sgd", "momentum": 0.0},
            "privacy": {"epsilon": asked.epsilon, "physical_batch": 500},
        }
    )
