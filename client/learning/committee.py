"""A site's own models beside the global one, and the signals that compare what they say.

They are made anew at every report step from what is there then: the global model's arrays, the
site's labels and the study's seed. Nothing of them is kept or leaves, so a repeated step gives the
same bits, and a withdrawn patient is in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.learning.images import looks
from client.learning.networks import initial_arrays
from client.learning.resident import Resident
from client.learning.score import GLOBAL, frozen, of_a_model, predict, signals
from client.learning.train import Pace, Trainer, batches, refuse_divergence, train
from protocol.records import Arrays
from protocol.study import Study
from strategies.pool import MODELS, Needs

EPOCHS = 50
"""Passes of the scratch model over the labels at most."""

STEPS = 500
"""Its optimizer steps at most, so that a site of many labels waits no longer."""

ACCURATE = 0.99
"""Share of the labels it must get right to stop before."""

Rng: TypeAlias = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a site has to look at.

    Attributes:
        pool: (n, channels, height, width) uint8.
        labeled: (m, channels, height, width) uint8, m may be 0.
        targets: (m, classes) probabilities.
    """

    pool: NDArray[np.uint8]
    labeled: NDArray[np.uint8]
    targets: NDArray[Any]


def every_signal(
    resident: Resident,
    arrays: Arrays,
    study: Study,
    needs: Needs,
    seen: Seen,
    rngs: Mapping[str, Rng],
) -> dict[str, NDArray[Any]]:
    """The signals that a strategy needs of any model, and no others, read-only.

    Args:
        resident: holds one of the models afterwards.
        arrays: of the global model.
        study: how to train the site's own.
        needs: which signals; "minutes" is not of a model and left alone.
        seen: cases and labels; without labels no model but the global one is asked.
        rngs: of "dropout", and of the training of "local" and of "scratch".

    Raises:
        NotFinite: an output is NaN or infinite.
        ValueError: a signal that cannot be had, or weights that are not finite after training.
    """
    resident.load(arrays)
    of_global = needs.signals & GLOBAL | needs.of("")
    found = signals(
        resident,
        Needs(of_global, needs.members),
        seen.pool,
        seen.labeled,
        seen.targets,
        task=study.task,
        rng=rngs["dropout"],
    )
    makers: Mapping[str, Callable[[Rng], object]] = {
        "local_": lambda rng: learn_on(resident, arrays, study, seen, rng),
        "scratch_": lambda rng: learn_alone(resident, study, seen, rng),
    }
    for before, make in makers.items():
        if wanted := needs.of(before):
            make(rngs[MODELS[before]])
            said = of_a_model(resident, wanted, seen.pool, seen.labeled, task=study.task)
            found |= {before + name: said[name] for name in wanted}
    if "ensemble_probs" in needs.signals:
        found["ensemble_probs"] = np.stack([found[m + "probs"] for m in MODELS], axis=1)
    if "looks" in needs.signals:
        found["looks"] = looks(seen.pool)
    if "cluster_centres" in needs.signals:  # none until the federation's are handed out
        found["cluster_centres"] = np.empty((0, found["features"].shape[1]))
        found["cluster_turns"] = np.empty(0)
    return frozen({name: array for name, array in found.items() if name in needs.signals})


def learn_on(resident: Resident, arrays: Arrays, study: Study, seen: Seen, rng: Rng) -> None:
    """Make the resident model the global one after one more round of the site's own training.

    That is the local model of the papers, the global one after the site's last update, but for the
    last update's learning rate, at which a cosine leaves nothing of it: here it is the rate of the
    cycle's middle round.
    """
    resident.load(arrays)
    middle = study.training.rounds_per_cycle // 2
    train(resident, seen.labeled, seen.targets, study, round_=middle, mu=0.0, rng=rng)


def learn_alone(resident: Resident, study: Study, seen: Seen, rng: Rng) -> int:
    """Make the resident model one trained on the site's labels alone; the steps that it took.

    It starts from the study's untrained network, whether or not the study itself starts from
    pretrained weights, and keeps the learning rate. It stops after 50 passes, 500 steps, or when it
    gets 99 % of the labels right.

    Source: Kim et al., CVPR 2023 (LoGo), the passes and the stop from its authors' code; the bound
    on steps is ours.
    """
    resident.load(initial_arrays(study))
    if not len(seen.labeled):
        return 0
    training, task = study.training, study.task
    targets = seen.targets.astype(np.float64)
    pace = Pace(training.learning_rate, training.rounds_per_cycle // 2)
    trainer = Trainer(resident, seen.labeled, seen.targets, study, pace, rng)
    per_epoch = -(-len(seen.labeled) // training.batch_size)
    taken = 0
    for _ in range(EPOCHS):
        steps = min(per_epoch, STEPS - taken)
        trainer.learn(batches(targets, training, steps, multi_label=task.multi_label, rng=rng))
        taken += steps
        if taken >= STEPS or _right(resident, study, seen) >= ACCURATE:
            break
    refuse_divergence(resident, taken)
    return taken


def _right(resident: Resident, study: Study, seen: Seen) -> float:
    """Share of the labels that the model gets right; of a multi-label task, of its yes-or-nos."""
    probs = predict(resident, seen.labeled, task=study.task).probs
    if study.task.multi_label:
        return float(((probs >= 0.5) == (seen.targets >= 0.5)).mean())
    return float((probs.argmax(axis=1) == seen.targets.argmax(axis=1)).mean())
