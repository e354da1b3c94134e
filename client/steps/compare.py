"""The compare step: two models on the audit cases read so far; nothing steers by what it finds."""

from __future__ import annotations

import numpy as np

from client.learning.score import predict
from client.site import Site
from client.steps.evaluate import audit_labels
from client.steps.outcome import Outcome, resident
from client.steps.pixels import readable
from client.steps.shares import shares
from protocol.gain import Pair, SiteGain, taken_apart
from protocol.records import Evaluation
from protocol.seeds import Purpose, generator
from protocol.steps import StepRequest
from protocol.study import Study
from strategies.metrics.difference import across
from strategies.metrics.measure import measure


def compare(site: Site, study: Study, request: StepRequest) -> Outcome:
    """Measure both models on the same audit cases, and how their sums vary together."""
    own = shares(site, study, request.key.cycle)
    pair = _pair(site, study, request)
    return Outcome(SiteGain(site.name, len(own.random), own.apart, pair))


def _pair(site: Site, study: Study, request: StepRequest) -> Pair | None:
    ids, targets, unsettled = audit_labels(site, study)
    kept, images = readable(site, study, ids)
    if not len(kept):
        return None
    unsettled += len(ids) - len(kept)
    targets = targets.reshape(len(ids), len(study.task.classes))[kept]
    patients = site.store.cases.patients(ids[kept])
    models = taken_apart(request.arrays)
    probs = [predict(resident(study, m), images, task=study.task).probs for m in models]
    key = request.key

    def measured(of: int) -> Evaluation:
        return measure(
            probs[of],
            targets,
            patients,
            study.task,
            clustered=bool(site.store.cases.fact("clustered")),
            unsettled=unsettled,
            rng=generator(study.seed, site.number, key.cycle, key.round, Purpose.EVALUATE),
        )

    crossed = across(np.asarray(probs[0]), np.asarray(probs[1]), targets, patients, study.task)
    return Pair(measured(0), measured(1), crossed)
