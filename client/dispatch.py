"""One request in, one reply out, once: approval, epoch, memory, the step, and its memo."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from client.queue import progress
from client.site import Site
from client.steps.evaluate import evaluate
from client.steps.outcome import Outcome
from client.steps.report import report
from client.steps.select import select
from client.steps.train import train
from client.store.step_shelf import StepRefused
from client.store.store import now
from client.versions import versions
from protocol.codec import digest, encode, pack, unpack
from protocol.steps import REPLIES, VERSION, Code, Hello, Reply, StepRequest
from protocol.study import Study

STEPS: Mapping[str, Callable[[Site, Study, StepRequest], Outcome]] = {
    "report": report,
    "select": select,
    "train": train,
    "evaluate": evaluate,
}


def answer(site: Site, request: StepRequest) -> Reply:
    """The reply to a request; for a repeated one the stored reply, with nothing done again.

    Raises:
        StepRefused: not approved, an older ServerApp, or the same key with another payload.
    """
    key, store = request.key, site.store
    study = store.steps.study(key.study)
    with store.transaction():
        store.steps.raise_epoch(key.study, request.epoch)
    if key.step == "hello":
        return Hello(site.name, site.number, VERSION, versions())
    if key.step == "progress":
        return progress(store, study, key.cycle, site.name)
    if key.step not in STEPS:
        raise StepRefused(Code.BAD_REQUEST, f"no step is called {key.step!r}")
    payload = _payload(request)
    known = store.steps.recall(key, payload)
    if known is not None:
        return unpack(REPLIES[key.step], known)
    outcome = STEPS[key.step](site, study, request)
    with store.transaction():
        outcome.write()
        store.steps.remember(key, payload, pack(outcome.reply), now())
    store.rest()
    return outcome.reply


def _payload(request: StepRequest) -> str:
    """What makes two requests of one key the same: arrays and grant, not the epoch."""
    grant = encode(request.grant)[0] if request.grant else None
    return digest(request.arrays, json.dumps(grant, sort_keys=True))
