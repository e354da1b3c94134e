"""The report step: score the pool once, keep the signals, and tell counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client import kept_model, scored_pool
from client.cost import capacity, expected_seconds
from client.learning.committee import Seen, every_signal
from client.minutes import expected_minutes
from client.privacy.statistics import private_report, private_threshold
from client.scored_pool import ScoredPool
from client.site import Site
from client.steps.outcome import Outcome, decided, network_of, strategy_of
from client.steps.pixels import readable
from client.store.step_shelf import StepRefused
from protocol.codec import digest
from protocol.records import UNCERTAINTY_BINS, Indices, SiteReport
from protocol.seeds import Purpose, generator
from protocol.steps import Code, StepRequest
from protocol.study import Study
from strategies.pool import Needs


def report(site: Site, study: Study, request: StepRequest) -> Outcome:
    """Counts, one histogram and minutes; see `SiteReport` for what they tell."""
    key = request.key
    if key.cycle == 0 and digest(request.arrays) != site.store.steps.weights(key.study):
        raise StepRefused(Code.CONFLICT, "the first weights are not those that were approved")
    scored = _score(site, study, request)
    multi_label = study.task.multi_label
    uncertain = uncertainty(scored.signals["probs"], multi_label=multi_label)
    told = private_report(site, study, scored, uncertain) if study.privacy is not None else None
    if strategy_of(site, study, key.cycle).needs.share:
        threshold = _threshold(site, study, scored, uncertain, told)
        scored = replace(scored, signals={**scored.signals, "threshold": np.array([threshold])})
    scored_pool.write(site.home, scored, sync=site.durable)
    if study.reading.show_ai == "after":
        kept_model.write(site.home, key.study, key.cycle, request.arrays, sync=site.durable)
    return Outcome(told or _tell(site, study, scored))


def _threshold(
    site: Site,
    study: Study,
    scored: ScoredPool,
    uncertain: NDArray[np.float64],
    told: SiteReport | None,
) -> float:
    """What the strategy's share of the pool reaches; in a private study with noise.

    0, so that every case reaches it, where the site told of no pool.
    """
    share = strategy_of(site, study, scored.cycle).needs.share
    if told is not None:
        return private_threshold(site, study, scored, uncertain, share) if told.pool else 0.0
    return float(np.quantile(uncertain, 1 - share)) if len(uncertain) else 0.0


def _score(site: Site, study: Study, request: StepRequest) -> ScoredPool:
    key, store = request.key, site.store
    ids = store.cases.pool(key.study, study.audit.patients, key.cycle)
    labeled, targets = store.labels.settled(key.study)
    needs = _needs(site, study, key.cycle)
    kept, images = readable(site, study, ids)
    usable, seen = readable(site, study, labeled)
    targets = targets.reshape(len(labeled), len(study.task.classes))[usable]
    streams = {"dropout": Purpose.DROPOUT, "local": Purpose.LOCAL, "scratch": Purpose.SCRATCH}
    computed = every_signal(
        network_of(study),
        request.arrays,
        study,
        needs,
        Seen(images, seen, targets),
        {
            name: generator(study.seed, site.number, key.cycle, 0, stream)
            for name, stream in streams.items()
        },
    )
    if "minutes" in needs.signals:
        computed["minutes"] = expected_minutes(store, study, ids[kept])
    return ScoredPool(key.study, key.cycle, ids[kept], computed)


def _needs(site: Site, study: Study, cycle: int) -> Needs:
    """Of the strategy in force, and what the report itself tells from.

    A strategy that needs labels gives way to the cold start where they are withdrawn between this
    step and select, so that one's signals are there, too.
    """
    needs = strategy_of(site, study, cycle).needs
    signals = needs.signals | {"probs"}
    if not needs.models <= {"global"}:
        signals |= decided(site, study).cold_start.needs.signals
    return Needs(signals, needs.members)


def _tell(site: Site, study: Study, scored: ScoredPool) -> SiteReport:
    store, identity, cycle = site.store, scored.study, scored.cycle
    probs = scored.signals["probs"]
    _, targets = store.labels.settled(identity)
    audit_left = len(store.cases.audit_left(identity, study.audit.patients, cycle))
    loss, count = _prequential(site, study, cycle - 1)
    entropy = uncertainty(probs, multi_label=study.task.multi_label)
    count_read, seconds = store.readings.spent(identity)
    return SiteReport(
        site=site.name,
        pool=len(scored.ids),
        labeled=len(targets),
        audit_left=audit_left,
        capacity=capacity(study, len(scored.ids) + audit_left, expected_seconds(store, study)),
        seconds_per_reading=round(seconds / count_read, 1) if count_read else 0.0,
        uncertainty=_counts(np.histogram(entropy, UNCERTAINTY_BINS, (0.0, 1.0))[0]),
        predicted=_counts(_predicted(probs, study).sum(axis=0)),
        labels=_counts(np.rint(targets).sum(axis=0) if len(targets) else [0] * probs.shape[1]),
        kept=_kept(scored, scored_pool.read(site.home, identity, cycle - 1), study),
        prequential_loss=loss,
        prequential_count=count,
    )


def uncertainty(probs: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.float64]:
    """(n,) normalised predictive entropy in [0, 1]; the mean over classes in a multi-label task."""
    p = np.maximum(probs, 1e-12)
    nats: NDArray[np.float64]
    if multi_label:
        q = np.maximum(1.0 - probs, 1e-12)
        nats = -(p * np.log(p) + q * np.log(q)).mean(axis=1)
        most = np.log(2.0)
    else:
        nats = -(p * np.log(p)).sum(axis=1)
        most = np.log(probs.shape[1])
    shares: NDArray[np.float64] = np.minimum(nats / most, 1.0)
    return shares


def _predicted(probs: NDArray[np.float64], study: Study) -> NDArray[np.int64]:
    """(n, classes) of 0 and 1: the likeliest class, or every class above one half."""
    if study.task.multi_label:
        return (probs >= 0.5).astype(np.int64)
    chosen: NDArray[np.int64] = np.eye(probs.shape[1], dtype=np.int64)[probs.argmax(axis=1)]
    return chosen


def _kept(
    scored: ScoredPool, before: ScoredPool | None, study: Study
) -> tuple[tuple[int, ...], ...]:
    """How the predictions of the cases that were in both pools have moved; see `SiteReport`."""
    now = _predicted(scored.signals["probs"], study)
    size = 2 if study.task.multi_label else now.shape[1]
    table = np.zeros((size, size), dtype=np.int64)
    if before is not None:
        _, old_rows, new_rows = np.intersect1d(before.ids, scored.ids, return_indices=True)
        old = _predicted(before.signals["probs"], study)[old_rows]
        new = now[new_rows]
        if study.task.multi_label:
            np.add.at(table, (old.ravel(), new.ravel()), 1)
        else:
            np.add.at(table, (old.argmax(axis=1), new.argmax(axis=1)), 1)
    return tuple(_counts(row) for row in table)


def _prequential(site: Site, study: Study, cycle: int) -> tuple[float, int]:
    """Mean log-loss, and count, of a cycle's exploration labels under the model that chose them."""
    target_of = _blind_targets(site, study)
    losses = [
        _log_loss(np.array(o.probs), target_of[o.case], multi_label=study.task.multi_label)
        for o in site.store.readings.opened(study.identity, cycle)
        if o.purpose == "explore" and o.probs and o.case in target_of
    ]
    return (float(np.mean(losses)), len(losses)) if losses else (0.0, 0)


def _blind_targets(site: Site, study: Study) -> dict[int, NDArray[Any]]:
    """What the labeled cases are, by case; minds that the model's opinion changed say nothing of
    how good the model is.
    """
    ids, targets = site.store.labels.settled(study.identity)
    if study.reading.trains == "blind":
        return dict(zip(ids.tolist(), targets, strict=True))
    blind = decided(site, study).consensus.settle(site.store.labels.training(study.identity))
    keys = zip(ids.tolist(), site.store.cases.keys_of(ids), strict=True)
    return {case: np.array(blind[key].target) for case, key in keys if key in blind}


def _log_loss(probs: NDArray[np.float64], target: NDArray[Any], *, multi_label: bool) -> float:
    p = np.clip(probs, 1e-7, 1 - 1e-7)
    loss = -(target * np.log(p)).sum()
    if multi_label:
        loss = (loss - ((1 - target) * np.log(1 - p)).sum()) / len(p)
    return float(loss)


def _counts(values: NDArray[np.int64] | Indices | list[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
