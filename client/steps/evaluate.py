"""The evaluate step: the only reader of audit labels and of locked test answers.

What it finds leaves as sums and estimates for the report and the dashboard; nothing steers by it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.learning.score import predict
from client.privacy.chance import rehearsal
from client.privacy.statistics import AUDIT, LOCKED, private_evaluation
from client.site import Site
from client.steps.outcome import Outcome, decided, resident
from client.steps.pixels import readable
from protocol.records import Evaluation, Indices, SiteEvaluation
from protocol.seeds import Purpose, generator
from protocol.steps import StepRequest
from protocol.study import Study
from strategies.metrics.measure import measure


def evaluate(site: Site, study: Study, request: StepRequest) -> Outcome:
    """Measure the global model on the audit cases read so far, and on the locked test set."""
    audit_ids, audit_targets, unsettled = audit_labels(site, study)
    locked_ids, locked_targets = site.store.cases.locked()
    resident(study, request.arrays)
    if study.privacy is not None:
        return _privately(site, study, request)
    audit = _measure(site, study, request, audit_ids, audit_targets, unsettled)
    locked = _measure(site, study, request, locked_ids, locked_targets, 0)
    return Outcome(SiteEvaluation(site.name, audit, locked))


def _privately(site: Site, study: Study, request: StepRequest) -> Outcome:
    """The same from noisy counts; exactly on a simulation's locked set, which no hospital has."""
    audit_ids, audit_targets, _ = audit_labels(site, study)
    locked_ids, locked_targets = site.store.cases.locked()
    found = _noisy(site, study, request, AUDIT, (audit_ids, audit_targets))
    if rehearsal(site):
        locked = _measure(site, study, request, locked_ids, locked_targets, 0)
    else:
        locked = _noisy(site, study, request, LOCKED, (locked_ids, locked_targets))
    return Outcome(SiteEvaluation(site.name, found, locked))


def _noisy(
    site: Site,
    study: Study,
    request: StepRequest,
    what: str,
    answered: tuple[Indices, NDArray[np.uint8]],
) -> Evaluation | None:
    ids, targets = answered
    kept, images = readable(site, study, ids)
    targets = targets.reshape(len(ids), len(study.task.classes))[kept]
    probs = predict(resident(study, request.arrays), images, task=study.task).probs
    patients = site.store.cases.patients(ids[kept])
    return private_evaluation(site, study, request.key, what, (probs, targets, patients))


def _measure(
    site: Site,
    study: Study,
    request: StepRequest,
    ids: Indices,
    targets: NDArray[np.uint8],
    unsettled: int,
) -> Evaluation | None:
    if not len(ids) and not unsettled:
        return None
    key, store = request.key, site.store
    kept, images = readable(site, study, ids)
    unsettled += len(ids) - len(images)
    ids, targets = ids[kept], targets[kept]
    predicted = predict(resident(study, request.arrays), images, task=study.task)
    return measure(
        predicted.probs,
        targets.reshape(len(ids), len(study.task.classes)),
        store.cases.patients(ids),
        study.task,
        clustered=bool(store.cases.fact("clustered")),
        unsettled=unsettled,
        rng=generator(study.seed, site.number, key.cycle, key.round, Purpose.EVALUATE),
    )


def audit_labels(site: Site, study: Study) -> tuple[Indices, NDArray[np.uint8], int]:
    """Ids and hard answers of settled audit cases, and how many were read but left unsettled.

    A tie between readers settles nothing: such a case awaits adjudication.
    """
    readings = site.store.labels.audit(study.identity)
    labels = decided(site, study).consensus.settle(readings)
    hard: dict[str, NDArray[np.uint8]] = {}
    for key, label in labels.items():
        answer = _hard(np.array(label.target), multi_label=study.task.multi_label)
        if answer is not None:
            hard[key] = answer
    ids = site.store.cases.ids(sorted(hard))
    order = site.store.cases.keys_of(ids)
    targets = np.array([hard[key] for key in order], dtype=np.uint8)
    return ids, targets, len({r.case for r in readings}) - len(hard)


def _hard(target: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.uint8] | None:
    if multi_label:
        return None if (target == 0.5).any() else (target > 0.5).astype(np.uint8)
    if (target == target.max()).sum() > 1:
        return None
    chosen: NDArray[np.uint8] = np.eye(len(target), dtype=np.uint8)[int(target.argmax())]
    return chosen
