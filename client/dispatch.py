"""One request in, one reply out, once: approval, epoch, memory, the step, and its memo."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256

from client.asked import check_arrays, check_request
from client.audit.gate import let_out
from client.privacy.spending import reserve
from client.site import Site
from client.steps.close import close
from client.steps.outcome import Outcome
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore, now
from client.versions import versions
from protocol.codec import digest, encode, pack, unpack
from protocol.egress import Asking
from protocol.records import StepKey
from protocol.steps import REPLIES, VERSION, Code, Hello, Reply, StepRequest
from protocol.study import Study


def _report(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.report import report  # brings torch, as train and evaluate do

    return report(site, study, request)


def _cluster(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.cluster import cluster

    return cluster(site, study, request)


def _select(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.select import select

    return select(site, study, request)


def _train(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.train import train

    return train(site, study, request)


def _evaluate(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.evaluate import evaluate

    return evaluate(site, study, request)


def _compare(site: Site, study: Study, request: StepRequest) -> Outcome:
    from client.steps.compare import compare

    return compare(site, study, request)


STEPS: Mapping[str, Callable[[Site, Study, StepRequest], Outcome]] = {
    "report": _report,
    "cluster": _cluster,
    "select": _select,
    "train": _train,
    "evaluate": _evaluate,
    "compare": _compare,
}


def answer(site: Site, request: StepRequest, *, masked: bool = False) -> Reply:
    """The reply to a request; for a repeated one the stored reply, with nothing done again.

    Whatever is returned has passed the gate, and its line in the audit log is committed: of a first
    reply together with the step's memo, so that a kill leaves both or neither.

    Args:
        site: opened.
        request: of the server.
        masked: the reply goes out under SecAgg+'s mask (`client/secagg.py`).

    Raises:
        StepRefused: not approved, an older ServerApp, the same key with another payload, what no
            run of the study asks, or a reply that the gate keeps back.
    """
    key, store = request.key, site.store
    study = store.steps.study(key.study)
    check_request(study, request)
    if key.step == "train" and masked != study.aggregation.secure:
        raise StepRefused(Code.BAD_REQUEST, "an update without the mask that the study promises")
    with store.transaction():
        store.steps.raise_epoch(key.study, request.epoch)
    asking = Asking(site.name, study, request.arrays)
    if key.step in UNREMEMBERED:
        return _again(store, UNREMEMBERED[key.step](site, study, key), key, asking, "")
    if key.step not in STEPS:
        raise StepRefused(Code.BAD_REQUEST, f"no step is called {key.step!r}")
    payload = _payload(request)
    known = store.steps.recall(key, payload)
    if known is not None:
        words = "again, masked" if masked else "again"
        return _again(store, unpack(REPLIES[key.step], known), key, asking, words)
    check_arrays(study, request)
    reserve(site, study, key)  # privacy is charged before anything is looked at
    outcome = STEPS[key.step](site, study, request)
    with store.transaction():
        store.steps.study(key.study)  # paused or withdrawn meanwhile: nothing of it may leave
        outcome.write()
        reply = pack(outcome.reply)
        store.privacy.release(key, sha256(reply).hexdigest())
        store.steps.remember(key, payload, reply, now())
        let_out(store, outcome.reply, key, asking, "masked" if masked else "")
    store.rest()
    return outcome.reply


def _again(store: SiteStore, reply: Reply, key: StepKey, asking: Asking, words: str) -> Reply:
    """A reply that is not remembered now, with its line."""
    with store.transaction():
        store.steps.study(key.study)  # it may have been paused or withdrawn since it was looked up
        let_out(store, reply, key, asking, words)
    return reply


def _hello(site: Site, study: Study, key: StepKey) -> Reply:
    return Hello(site.name, site.number, VERSION, versions())


def _close(site: Site, study: Study, key: StepKey) -> Reply:
    return close(site, study, key.cycle)


UNREMEMBERED: Mapping[str, Callable[[Site, Study, StepKey], Reply]] = {
    "hello": _hello,
    "close": _close,  # the closing itself is remembered, and its answer stays the same
}


def _payload(request: StepRequest) -> str:
    """What makes two requests of one key the same: arrays and grant, not the epoch."""
    grant = encode(request.grant)[0] if request.grant else None
    return digest(request.arrays, json.dumps(grant, sort_keys=True))
