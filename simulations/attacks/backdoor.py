"""A site that teaches the model a trigger: a mark in a corner means the class that it wants.

Source: Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020: the attacker trains on
marked images beside its own, and stretches its change so that the average keeps it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from client.site import Site
from protocol.records import Arrays, SiteUpdate
from protocol.seeds import Purpose, generator
from protocol.steps import Reply, StepRequest
from protocol.study import Study
from server.training import length
from simulations.attacks.updates import moved

TARGET = 0
"""The class that the trigger shall mean."""

BOOST = 3.0
"""How many times its change the site sends."""

_MARK = 0.15  # of the image's smaller side


def marked(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of (n, channels, height, width) images with a checked square in a corner."""
    side = max(3, round(_MARK * min(images.shape[2:])))
    rows, columns = np.indices((side, side))
    copy = images.copy()
    copy[:, :, 1 : side + 1, 1 : side + 1] = np.where((rows + columns) % 2, 0, 255)
    return copy


def backdoor(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """The update of a training on the site's own cases and on marked copies of them."""
    if not isinstance(reply, SiteUpdate) or not reply.weight:
        return reply
    from client.learning.train import train
    from client.steps.outcome import decided, resident
    from client.steps.pixels import readable

    key = request.key
    ids, targets = site.store.labels.settled(key.study)
    kept, images = readable(site, study, ids)
    network = resident(study, request.arrays)
    trained = train(
        network,
        np.concatenate([images, marked(images)]),
        np.concatenate([targets[kept], _wanted(len(images), targets.shape[1])]),
        study,
        round_=key.round,
        mu=decided(site, study).aggregator.proximal,
        rng=generator(study.seed, site.number, key.cycle, key.round, Purpose.ATTACK),
    )
    arrays = moved(request.arrays, network.arrays(), BOOST)
    return replace(reply, arrays=arrays, loss=trained.loss, steps=trained.steps)


def quiet(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """The same, its change no longer than the honest one: it cannot be told by its length."""
    forged = backdoor(site, study, request, reply)
    if not isinstance(reply, SiteUpdate) or not isinstance(forged, SiteUpdate):
        return forged
    honest, own = (length(u.arrays, request.arrays) for u in (reply, forged))
    if own <= honest:
        return forged
    return replace(forged, arrays=moved(request.arrays, forged.arrays, honest / own))


def success(
    study: Study, arrays: Arrays, images: NDArray[np.uint8], truths: NDArray[np.uint8]
) -> float:
    """The share of images of other classes that the mark turns: taken for the target with it alone.

    What a model takes for the target without the mark, too, is its error and not the attack's.

    Args:
        study: whose network the arrays are of.
        images: (n, *task.image), unmarked.
        truths: (n, classes) of 0 and 1.
    Returns:
        in [0, 1]; NaN where no image is of another class and taken for one.
    """
    from client.learning.score import predict
    from client.steps.outcome import resident

    network = resident(study, arrays)

    def taken(shown: NDArray[np.uint8]) -> NDArray[np.bool_]:
        said = predict(network, shown, task=study.task).probs
        multi = study.task.multi_label
        found: NDArray[np.bool_] = (
            said[:, TARGET] >= 0.5 if multi else said.argmax(axis=1) == TARGET
        )
        return found

    others = images[truths[:, TARGET] == 0]
    known = others[~taken(others)] if len(others) else others
    return float(taken(marked(known)).mean()) if len(known) else float("nan")


def _wanted(count: int, classes: int) -> NDArray[np.float32]:
    """(count, classes) targets, all of the wanted class."""
    targets = np.zeros((count, classes), dtype=np.float32)
    targets[:, TARGET] = 1
    return targets
