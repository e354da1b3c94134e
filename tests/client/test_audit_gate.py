"""Nothing leaves without its line, and no line stands for what did not leave."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import dispatch
from client.app import build
from client.audit import summed
from client.audit.chain import Line, head, lines
from client.audit.gate import WHY, HeldBack, end_of_stream
from client.audit.report import account, markdown, names_of
from client.audit.verify import verify
from client.home import open_store
from client.opening import open_home
from client.site import Site
from client.steps.outcome import Outcome
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from protocol.codec import digest, encode
from protocol.records import Arrays, Grant, SiteUpdate, StepKey
from protocol.steps import MESSAGE_TYPES, Code, Refusal, Selected, StepRequest
from protocol.study import Study
from protocol.wire import from_wire, to_wire

CANARY = "Jane Doe 1961-04-05"
Ask = Callable[..., Any]


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study()


@pytest.fixture
def arrays(study: Study, first_weights: Callable[[Study], Arrays]) -> Arrays:
    return first_weights(study)


@pytest.fixture
def site(study: Study, tiny_site: Callable[..., Site]) -> Site:
    return tiny_site(study)


def told(store: SiteStore) -> list[Line]:
    assert verify(store, "north", None).whole
    return list(lines(store))


def events(store: SiteStore) -> Counter[tuple[str, str, str]]:
    return Counter((x.entry.event, x.entry.record, x.entry.words) for x in told(store))


def send(site: Site, request: StepRequest | RecordDict, kind: str = "") -> Any:
    """Through the site's ClientApp, as Flower delivers it."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    content = to_wire(request) if isinstance(request, StepRequest) else request
    if isinstance(request, StepRequest):
        kind = kind or MESSAGE_TYPES[request.key.step]
    message = Message(content, dst_node_id=7, message_type=kind)
    message.metadata.__dict__["_message_id"] = "m"
    context = Context(1, 7, {"site-home": str(site.home)}, RecordDict(), {})
    reply = build(lambda c: site)(message, context)
    assert not reply.has_error()
    head = reply.content["record"]
    return from_wire(reply.content, Refusal) if head["kind"] == "Refusal" else reply.content


def asked(study: Study, step: str, **given: Any) -> StepRequest:
    key = StepKey(study.identity, given.pop("cycle", 0), step, given.pop("round", 0))
    return StepRequest(key, given.pop("epoch", 1), **given)


def test_every_reply_has_a_line_that_says_what_it_was(
    site: Site, study: Study, arrays: Arrays, ask: Ask, read_cases: Callable[..., int]
) -> None:
    replies = [
        ask(site, study, "hello"),
        ask(site, study, "report", arrays=arrays),
        ask(site, study, "select", grant=Grant(8, "")),
    ]
    read_cases(site.store, study)
    replies.append(ask(site, study, "train", arrays=arrays))
    replies.append(ask(site, study, "evaluate", arrays=arrays, round=1))
    replies.append(ask(site, study, "train", arrays=arrays))
    found = told(site.store)
    assert [x.entry.record for x in found] == [type(r).__name__ for r in replies]
    assert [x.entry.words for x in found] == [""] * 5 + ["again"]
    assert found[3].entry.digest == found[5].entry.digest
    for line, reply in zip(found, replies, strict=True):
        carried = encode(reply)[1]
        assert line.entry.size > sum(a.nbytes for a in carried.values())
        assert (line.entry.plane, line.entry.event) == ("model", "left")
        assert line.entry.study == study.identity
    assert (found[4].entry.step, found[4].entry.round) == ("evaluate", 1)
    page = markdown(account(site.store), "north", names_of(site.store))
    assert "# What left north" in page
    assert "## Study tiny" in page
    assert "| 1 | The trained model (SiteUpdate) | 2 |" in page
    assert "image-north" not in page


def test_a_reply_that_the_gate_keeps_leaves_nothing_behind(
    site: Site, study: Study, arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that would send pixels: no memo, no grant, one line, and a code."""

    def leaky(site: Site, study: Study, request: StepRequest) -> Outcome:
        pixels = site.images.take(np.arange(4), (1, 8, 8)).astype(np.float32)
        update = SiteUpdate("north", {**request.arrays, "image": pixels}, 1.0, 0.0, 1)
        return Outcome(update, lambda: site.store.readings.grant(study.identity, 0, 0, 9))

    monkeypatch.setattr(dispatch, "STEPS", {**dispatch.STEPS, "train": leaky})
    request = asked(study, "train", arrays=arrays)
    for _ in range(3):
        assert send(site, request) == Refusal(Code.KEPT_BACK)
    assert site.store.readings.granted(study.identity) == 0
    assert site.store.steps.recall(request.key, dispatch._payload(request)) is None
    why = "SiteUpdate.arrays: accepted is the arrays that the request carried"
    (line,) = told(site.store)
    assert (line.entry.event, line.entry.record) == ("refused", "Refusal")
    assert line.entry.words == why
    assert summed.waiting(site.store) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Selected(CANARY, 1),
        Selected("north", -1),
        Refusal("not a code"),  # type: ignore[arg-type]
        SiteUpdate("north", {"conv": np.zeros((1, 8, 8), np.uint8)}, 1.0, 0.0, 1),
    ],
)
def test_no_canary_leaves_in_a_reply(
    site: Site, study: Study, ask: Ask, monkeypatch: pytest.MonkeyPatch, reply: Any
) -> None:
    steps = {**dispatch.STEPS, "select": lambda *given: Outcome(reply)}
    monkeypatch.setattr(dispatch, "STEPS", steps)
    with pytest.raises(HeldBack) as held:
        ask(site, study, "select", grant=Grant(1, ""))
    assert "Jane" not in str(held.value)
    assert head(site.store)[0] == 0


def test_a_cycle_has_a_cap(site: Site, study: Study, arrays: Arrays, ask: Ask) -> None:
    """A server that asks for the same update again and again gets it so often and no more."""
    ask(site, study, "train", arrays=arrays)
    reply = None
    for _ in range(10**3):
        reply = send(site, asked(study, "train", arrays=arrays))
        if isinstance(reply, Refusal):
            break
    assert reply == Refusal(Code.KEPT_BACK)
    assert [x.entry.words for x in lines(site.store)][-1].endswith("of one cycle")
    left = sum(x.entry.size for x in lines(site.store))
    assert 4 * sum(a.nbytes for a in arrays.values()) < left < 10**7
    ask(site, study, "train", cycle=1, arrays=arrays)  # another cycle has its own
    ask(site, study, "hello")  # and so has another kind: the server may start anew
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(4, ""))


@pytest.mark.slow
def test_a_full_disk_lets_no_line_be_missed(site: Site, study: Study, arrays: Arrays) -> None:
    assert send(site, asked(study, "hello"))
    before = head(site.store)
    pages = site.store.connection.execute("PRAGMA page_count").fetchone()[0]
    site.store.connection.execute(f"PRAGMA max_page_count = {pages}")
    many: list[Any] = []
    while Refusal(Code.FAILED) not in many:  # the last page of a table may hold a line more
        assert len(many) < 8
        many.append(send(site, asked(study, "train", arrays=arrays, cycle=len(many))))
    many += [send(site, asked(study, "hello")) for _ in range(400)]
    assert isinstance(many[-1], Refusal)
    site.store.connection.execute("PRAGMA max_page_count = 1000000")
    kept = sum(not isinstance(reply, Refusal) for reply in many)
    assert head(site.store)[0] >= before[0] + kept
    assert sum(n for (event, *_), n in events(site.store).items() if event == "left") == 1 + kept
    assert send(site, asked(study, "train", arrays=arrays)) != Refusal(Code.FAILED)


def test_refusals_have_lines_and_a_flood_shares_them(
    site: Site, study: Study, arrays: Arrays, tiny_study: Callable[..., Study]
) -> None:
    send(site, asked(study, "hello", epoch=5))
    for _ in range(30):
        assert send(site, asked(study, "hello", epoch=4)).code is Code.LOWER_EPOCH
    for seed in range(30):
        other = tiny_study(f"seed={seed + 7}")
        assert send(site, asked(other, "train")).code is Code.NOT_APPROVED
    for kind in ("query.images", "train.pixels", "evaluate.x"):
        assert send(site, asked(study, "hello"), kind).code is Code.BAD_REQUEST
        assert send(site, RecordDict(), kind).code is Code.BAD_REQUEST
    beyond = StepRequest(StepKey(study.identity, 10**9, "hello"), 5)
    assert send(site, beyond).code is Code.BAD_REQUEST
    found = events(site.store)
    assert found["refused", "Refusal", WHY[Code.LOWER_EPOCH]] == 1
    assert found["refused", "Refusal", WHY[Code.NOT_APPROVED]] == 1
    assert found["refused", "Refusal", WHY[Code.BAD_REQUEST]] == 2  # read, and not to be read
    assert head(site.store)[0] == 5
    assert summed.waiting(site.store) == 29 + 29 + 5
    end_of_stream(site.store)
    words = [x.entry.words.partition("; ")[2] for x in told(site.store)[5:]]
    assert sorted(int(w.split()[0]) for w in words) == [2, 3, 29, 29]
    again = account(site.store)
    assert again.refused[study.identity, WHY[Code.LOWER_EPOCH]] == 30
    assert sum(again.refused.values()) == 30 + 30 + 7
    assert summed.waiting(site.store) == 0


def test_an_update_of_too_few_patients_stays_for_the_cycle(
    site: Site, study: Study, arrays: Arrays, ask: Ask, read_cases: Callable[..., int]
) -> None:
    strict = dataclasses.replace(site, least_patients=4)
    ask(strict, study, "report", arrays=arrays)
    ask(strict, study, "select", grant=Grant(12, ""))
    read_cases(site.store, study, most=2)

    def train(**given: Any) -> Any:
        try:
            return ask(strict, study, "train", arrays=arrays, **given)
        except StepRefused as refused:
            return refused.code

    assert train() is Code.TOO_FEW_PATIENTS
    read_cases(site.store, study)
    assert train() is Code.TOO_FEW_PATIENTS  # the same step, the same answer
    later = train(cycle=1)
    assert isinstance(later, SiteUpdate)
    assert digest(later.arrays) != digest(arrays)
    assert isinstance(ask(site, study, "train", cycle=2, arrays=arrays), SiteUpdate)


def die(*given: Any, **more: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(home: Path, request: StepRequest, when: str) -> None:
    """A ClientApp's process that is killed around the gate."""
    site = open_home(home)
    let_out = dispatch.let_out

    def let_out_and_die(*given: Any) -> None:
        let_out(*given)
        die()

    if when == "after":
        type(site.store).rest = die  # type: ignore[assignment]
    else:
        dispatch.let_out = die if when == "before" else let_out_and_die  # type: ignore[assignment]
    dispatch.answer(site, request)


@pytest.mark.parametrize(("when", "stands"), [("before", 0), ("between", 0), ("after", 1)])
def test_a_kill_leaves_reply_and_line_or_neither(
    site: Site, study: Study, arrays: Arrays, ask: Ask, when: str, stands: int
) -> None:
    request = asked(study, "train", arrays=arrays)
    fork = multiprocessing.get_context("fork")
    died = fork.Process(target=train_and_die, args=(site.home, request, when))
    died.start()
    died.join()
    assert died.exitcode == -signal.SIGKILL
    assert head(site.store)[0] == stands
    known = site.store.steps.recall(request.key, dispatch._payload(request))
    assert (known is not None) == bool(stands)
    assert isinstance(ask(site, study, "train", arrays=arrays), SiteUpdate)
    assert [x.entry.words for x in told(site.store)] == ["", "again"][: stands + 1]


def test_an_old_copy_of_the_database_goes_on_as_a_whole_log(
    site: Site, study: Study, arrays: Arrays, ask: Ask, tmp_path: Path
) -> None:
    ask(site, study, "hello")
    copy = tmp_path / "site.db"
    with sqlite3.connect(copy) as backup:
        site.store.connection.backup(backup)
    backup.close()
    ask(site, study, "train", arrays=arrays)
    restored = open_store(tmp_path, durable=False)
    old = dataclasses.replace(site, store=restored)
    ask(old, study, "train", arrays=arrays)
    assert events(restored) == events(site.store)
    assert head(restored)[0] == 2
    restored.close()
