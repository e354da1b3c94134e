"""The train step: settle the readings into labels, train on them, return the arrays."""

from __future__ import annotations

import numpy as np

from client.learning.train import train as learn
from client.privacy.training import private_update
from client.site import Site
from client.steps.outcome import Outcome, decided, resident
from client.steps.pixels import readable
from client.steps.shares import shares
from client.store.step_shelf import StepRefused
from protocol.records import Indices, SiteUpdate, StepKey
from protocol.seeds import Purpose, generator
from protocol.steps import Code, StepRequest
from protocol.study import Study


def train(site: Site, study: Study, request: StepRequest) -> Outcome:
    """One round of local training. A site without labels returns the arrays it got, weight 0.

    A step with a sequence number trains a model of the comparison with random asking, on its part
    of the labels that the cycle's own training was on.

    Raises:
        StepRefused: the labels are of fewer patients than the site asks for.
    """
    key = request.key
    chosen = decided(site, study)
    if (key.round, key.sequence) == (0, 0):
        _settle(site, study)
    if study.privacy is not None:
        return private_update(site, study, request)
    ids, targets = site.store.labels.settled(key.study)
    if key.sequence:
        own = shares(site, study, key.cycle)
        for part in (own.random, own.queried):  # in both models, or in neither
            _check_patients(site, key, part)
        mine = np.isin(ids, own.of(key.sequence))
        ids, targets = ids[mine], targets[mine]
    kept, images = readable(site, study, ids)
    ids, targets = ids[kept], targets[kept]
    _check_patients(site, key, ids)
    if not len(ids):
        return Outcome(SiteUpdate(site.name, request.arrays, weight=0.0, loss=0.0, steps=0))
    network = resident(study, request.arrays)
    trained = learn(
        network,
        images,
        targets,
        study,
        round_=key.round,
        mu=chosen.aggregator.proximal,
        rng=generator(study.seed, site.number, key.cycle, key.round, Purpose.TRAIN),
    )
    update = SiteUpdate(
        site.name, network.arrays(), float(len(ids)), trained.loss, steps=trained.steps
    )
    return Outcome(update)


def _settle(site: Site, study: Study) -> None:
    """Make labels of all training readings; a cycle's rounds then all see the same ones."""
    after_ai = study.reading.trains == "after-ai"
    readings = site.store.labels.training(study.identity, after_ai=after_ai)
    labels = decided(site, study).consensus.settle(readings)
    with site.store.transaction():
        site.store.labels.settle(study.identity, labels)


def _check_patients(site: Site, key: StepKey, ids: Indices) -> None:
    """Refuse an update that would tell of few patients; then for the rest of the cycle.

    A refusal is no memo: labels may come, and count from the next cycle, as any do. But they must
    not turn a refused step into an answered one when it is repeated, so the cycle is written down.
    """
    store, fact = site.store, f"too-few-patients {key.study}"
    if key.sequence:  # a model of its own, that keeps the study's out of nothing
        fact += " compared"
    few = len(np.unique(store.cases.patients(ids))) < site.least_patients
    if few and store.cases.fact(fact) != str(key.cycle):
        with store.transaction():
            store.cases.set_fact(fact, str(key.cycle))
    if few or (site.least_patients and store.cases.fact(fact) == str(key.cycle)):
        raise StepRefused(Code.TOO_FEW_PATIENTS, "labels of too few patients")
