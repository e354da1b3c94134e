"""The site's end of the gate: what may leave is checked, and its line stands before it leaves.

A line and what it tells of are written in one transaction, so after a kill at any moment there is
no reply without its line, and no line of a reply that was not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from google.protobuf.message import Message

from client.audit.chain import Entry, append
from client.audit.summed import ARRIVAL, flush, hourly, repeated
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from protocol.egress import (
    Asking,
    KeptBack,
    Released,
    cycle_cap,
    release,
    release_message,
    release_refusal,
)
from protocol.records import StepKey
from protocol.steps import Code, Refusal, Reply

WHY: Mapping[Code, str] = {
    Code.NOT_APPROVED: "a study that is not approved here",
    Code.LOWER_EPOCH: "an older start of the server",
    Code.CONFLICT: "a step that was asked before, or approved weights, with other content",
    Code.FORGOTTEN: "a step that later ones have followed",
    Code.BAD_REQUEST: "a request that is malformed or of an unknown kind",
    Code.FAILED: "a step that failed here; site.log says where",
    Code.PAUSED: "a study that is paused here",
    Code.WITHDRAWN: "a study that is withdrawn here",
    Code.TOO_FEW_PATIENTS: "an update from the labels of too few patients",
    Code.OVER_BUDGET: "a step that would spend more of the patients' privacy than the study may",
    Code.KEPT_BACK: "a record that the gate does not let through",
}
"""What was refused, in the log's own words and none of the request's."""

NO_STEP = StepKey("", 0, "")
"""Stands for a request that could not be read."""

IDENTITY = re.compile("[0-9a-f]{64}")
"""Of a study; no other text that a request calls one is written down."""


class HeldBack(StepRefused):
    """A reply that the gate keeps here; its words name a field of ours and no content."""

    def __init__(self, words: str) -> None:
        super().__init__(Code.KEPT_BACK, words)


def let_out(store: SiteStore, reply: Reply, key: StepKey, asking: Asking, words: str = "") -> None:
    """Check a reply and write its line, within the caller's transaction.

    Args:
        store: of the site, with a transaction open.
        reply: as it will be sent.
        key: of the step.
        asking: site, study and arrays of the request.
        words: of the line; "again" where the step was not done anew.
    Raises:
        HeldBack: it may not leave; the caller's transaction must not stand.
    """
    try:
        released = release(reply, asking)
    except KeptBack as kept:
        raise HeldBack(str(kept)) from None
    kind, cap = released.kind, cycle_cap(asking, released.kind)
    if _left(store, key, kind) + released.size > cap:
        raise HeldBack(f"{kind}: more than {cap} bytes of one cycle")
    flush(store)
    append(store, _entry("left", key, released, words))


def let_out_masking(store: SiteStore, key: StepKey, stage: str, message: Released) -> None:
    """The line of one of SecAgg+'s messages: keys, sealed shares of keys, or the masked numbers.

    What is under the mask has passed the gate before, and has its own line.
    """
    with store.transaction():
        append(store, _entry("left", key, message, stage.replace("_", " ")))


def refuse(store: SiteStore, key: StepKey, code: Code, words: str = "") -> Refusal:
    """A refusal as it may leave, its line committed; the same ones soon after share a line.

    Args:
        store: of the site, with no transaction open.
        key: of the step; `NO_STEP` where the request could not be read.
        code: all that leaves.
        words: the gate's own, where it kept a record back.
    """
    refusal = Refusal(code)
    approved = bool(store.steps.weights(key.study))
    if not approved:  # nothing that such a request says is worth a line's room but its identity
        key = StepKey(key.study if IDENTITY.fullmatch(key.study) else "", 0, "")
    entry = _entry("refused", key, release_refusal(refusal), words or WHY[code])
    with store.transaction():
        repeated(store, entry, like="" if approved else f"unknown/{code}")
    return refusal


def let_out_message(store: SiteStore, message: Message) -> bytes:
    """The bytes of a message of the coordination plane that may be sent; its line is committed.

    Heartbeats share a line: one an hour, or where the stream ends (`end_of_stream`). So do arrivals
    that follow one another soon: of a site that is turned away, or whose server is down.

    Args:
        store: of the site, with no transaction open.
        message: FromSite, NewestHeadRequest or Greeting.
    Raises:
        KeptBack: it may not leave; that has its line, too.
    """
    try:
        released = release_message(message)
    except KeptBack as kept:
        with store.transaction():
            repeated(store, Entry("coordination", "refused", words=str(kept)))
        raise
    entry = _entry("left", _about(message), released, "", plane="coordination")
    with store.transaction():
        if released.kind == "Heartbeat":
            hourly(store, entry)
        else:
            arrival = released.kind == "Arrival"
            flush(store, everything=arrival)
            if arrival:  # attempts that lead to nothing would write one each, for days
                repeated(store, entry, like=ARRIVAL)
            else:
                append(store, entry)
    return message.SerializeToString(deterministic=True)


def end_of_stream(store: SiteStore) -> None:
    """Write the lines of what was counted so far; committed on return."""
    with store.transaction():
        flush(store, everything=True)


def _entry(event: str, key: StepKey, released: Released, words: str, plane: str = "model") -> Entry:
    return Entry(
        plane,
        event,
        released.kind,
        key.study,
        key.cycle,
        key.step,
        key.round,
        key.sequence,
        released.size,
        released.digest,
        words,
    )


def _about(message: Message) -> StepKey:
    """Study and cycle of a message that is about one."""
    said = message.WhichOneof("said") if message.DESCRIPTOR.name == "FromSite" else None
    inner = getattr(message, said) if said else message
    return replace(
        NO_STEP, study=getattr(inner, "study", ""), cycle=int(getattr(inner, "cycle", 0))
    )


def _left(store: SiteStore, key: StepKey, kind: str) -> int:
    """Bytes of a kind of record that have left in the step's cycle."""
    row = store.connection.execute(
        "SELECT coalesce(sum(size), 0) FROM audit "
        "WHERE study = ? AND cycle = ? AND plane = 'model' AND event = 'left' AND record = ?",
        (key.study, key.cycle, kind),
    ).fetchone()
    return int(row[0])
