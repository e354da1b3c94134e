"""The train step of a private study: DP-SGD by the schedule that was charged."""

from __future__ import annotations

import os

import numpy as np

from client.learning.train import Pace, learning_rate
from client.privacy.chance import chance, rehearsal
from client.privacy.dp_sgd import Labeled, Schedule, train_privately
from client.privacy.spending import TRAINING, public_cases
from client.site import Site
from client.steps.outcome import Outcome, decided, resident
from client.steps.pixels import readable
from protocol.records import SiteUpdate, StepKey
from protocol.seeds import Purpose, generator
from protocol.steps import StepRequest
from protocol.study import Study


def private_update(site: Site, study: Study, request: StepRequest) -> Outcome:
    """One round on what is labeled, be it nothing: the noise is there all the same.

    The weight is the number of cases that the grants pay for; the loss is not told.
    """
    key, store = request.key, site.store
    cases = public_cases(store, study, key.cycle)
    charges = [c for c in store.privacy.of_step(key) if c.what == TRAINING]
    if not charges:
        return Outcome(SiteUpdate(site.name, request.arrays, weight=0.0, loss=0.0, steps=0))
    charge = charges[0]
    ids, targets = store.labels.settled(key.study)
    kept, images = readable(site, study, ids)
    targets = targets.reshape(len(ids), len(study.task.classes))[kept]
    network = resident(study, request.arrays)
    train_privately(
        network,
        Labeled(images, targets, store.cases.patients(ids[kept])),
        study,
        Schedule(charge.noise, charge.share, charge.steps, charge.share * cases),
        chance(site, study, key, Purpose.PRIVATE_TRAIN),
        Pace(
            learning_rate(study.training, key.round),
            key.round,
            decided(site, study).aggregator.proximal,
        ),
        _draws(site, study, key),
    )
    arrays = {name: np.asarray(array) for name, array in network.arrays().items()}
    return Outcome(SiteUpdate(site.name, arrays, float(cases), loss=0.0, steps=charge.steps))


def _draws(site: Site, study: Study, key: StepKey) -> np.random.Generator:
    """Of augmentation and dropout: the server knows the study's seed, so a hospital draws its own.

    Which draw a patient gets depends on who was sampled before it. Were the draws known, one
    patient more would change the gradients of all behind it, and clipping bounds those of one.
    """
    if not rehearsal(site):
        return np.random.default_rng(int.from_bytes(os.urandom(32)))
    return generator(study.seed, site.number, key.cycle, key.round, Purpose.TRAIN)
