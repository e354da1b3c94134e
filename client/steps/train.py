"""The train step: settle the readings into labels, train on them, return the arrays."""

from __future__ import annotations

from client.learning.train import train as learn
from client.site import Site
from client.steps.outcome import Outcome, decided, resident
from protocol.records import SiteUpdate
from protocol.seeds import Purpose, generator
from protocol.steps import StepRequest
from protocol.study import Study


def train(site: Site, study: Study, request: StepRequest) -> Outcome:
    """One round of local training. A site without labels returns the arrays it got, weight 0."""
    key = request.key
    chosen = decided(site, study)
    if key.round == 0:
        _settle(site, study)
    ids, targets = site.store.readings.labels(key.study)
    if not len(ids):
        return Outcome(SiteUpdate(site.name, request.arrays, weight=0.0, loss=0.0, steps=0))
    network = resident(study, request.arrays)
    trained = learn(
        network,
        site.images.take(site.store.cases.rows(ids)),
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
    labels = decided(site, study).consensus.settle(site.store.readings.training(study.identity))
    with site.store.transaction():
        site.store.readings.settle(study.identity, labels)
