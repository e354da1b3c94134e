"""The ClientApp through Flower's own messages: replies and codes leave, words never do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import build, log_failure, site_of_node
from client.site import Site
from protocol import bundle
from protocol.records import Arrays, Grant, SiteReport, SiteUpdate, StepKey
from protocol.steps import MESSAGE_TYPES, REPLIES, Code, Hello, Refusal, StepRequest
from protocol.study import Study
from protocol.wire import from_wire, to_wire

CANARY = "Jane Doe 1961-04-05"


@pytest.fixture
def envelope() -> Callable[..., Message]:
    """Makes messages as they arrive at a SuperNode."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1

    def make(content: RecordDict, message_type: str) -> Message:
        message = Message(content, dst_node_id=7, message_type=message_type)
        message.metadata.__dict__["_message_id"] = "m"
        return message

    return make


@dataclasses.dataclass
class Phone:
    """Calls a site's ClientApp in this process."""

    site: Site
    study: Study
    envelope: Callable[..., Message]

    def request(self, step: str, **given: Any) -> StepRequest:
        key = StepKey(self.study.identity, given.pop("cycle", 0), step, given.pop("round", 0))
        return StepRequest(key, given.pop("epoch", 1), **given)

    def send(self, content: RecordDict, message_type: str) -> RecordDict:
        app = build(lambda context: self.site)
        reply = app(self.envelope(content, message_type), context_of(self.site.home))
        assert not reply.has_error()
        assert reply.metadata.reply_to_message_id == "m"
        return reply.content

    def ask(self, step: str, **given: Any) -> Any:
        content = to_wire(self.request(step, **given))
        return from_wire(self.send(content, MESSAGE_TYPES[step]), REPLIES[step], Refusal)


def context_of(home: Path) -> Context:
    return Context(1, 7, {"site-home": str(home)}, RecordDict(), {})


@pytest.fixture
def phone(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    envelope: Callable[..., Message],
) -> Phone:
    study = tiny_study()
    return Phone(tiny_site(study), study, envelope)


@pytest.fixture
def arrays(phone: Phone, first_weights: Callable[[Study], Arrays]) -> Arrays:
    return first_weights(phone.study)


def test_a_cycle_through_messages(
    phone: Phone, arrays: Arrays, read_cases: Callable[..., int]
) -> None:
    assert isinstance(phone.ask("hello"), Hello)
    assert isinstance(phone.ask("report", arrays=arrays), SiteReport)
    assert phone.ask("select", grant=Grant(8, "equal")).opened == 8
    read_cases(phone.site.store, phone.study)
    closed = phone.ask("close")
    assert (closed.spent, closed.returned, closed.waiting) == (8, 0, 0)
    update = phone.ask("train", arrays=arrays)
    assert isinstance(update, SiteUpdate)
    assert phone.ask("evaluate", round=1, arrays=update.arrays).locked.cases == 8
    assert not (phone.site.home / "site.log").exists()


@pytest.mark.parametrize("step", ["report", "train", "evaluate"])
def test_the_words_of_an_error_stay_at_the_site_or_nowhere(
    phone: Phone, arrays: Arrays, read_cases: Callable[..., int], step: str
) -> None:
    class Torn:
        def take(self, *given: Any) -> Any:
            raise ValueError(f"cannot decode /scans/{CANARY}.dcm")

    if step != "report":
        phone.ask("report", arrays=arrays)
        phone.ask("select", grant=Grant(8, ""))
        read_cases(phone.site.store, phone.study)
    phone.site = dataclasses.replace(phone.site, images=Torn())
    content = to_wire(phone.request(step, arrays=arrays))
    reply = phone.send(content, MESSAGE_TYPES[step])
    assert from_wire(reply, Refusal) == Refusal(Code.FAILED)
    assert str(dict(reply["record"])) == "{'kind': 'Refusal', 'document': '{\"code\": \"failed\"}'}"
    log = (phone.site.home / "site.log").read_text(encoding="utf-8")
    assert f"step {step} failed: ValueError\n" in log
    assert f"{step}.py:" in log
    assert "test_client_app.py:" in log  # where it was raised
    assert "Jane" not in log


def test_the_words_of_our_own_refusals_are_in_the_log(phone: Phone, arrays: Arrays) -> None:
    class Floats:
        def take(self, rows: Any, *given: Any) -> Any:
            return np.zeros((len(rows), 1, 8, 8), np.float32)

    phone.site = dataclasses.replace(phone.site, images=Floats())
    assert phone.ask("evaluate", arrays=arrays) == Refusal(Code.FAILED)
    assert "ValueError: images are float32" in (phone.site.home / "site.log").read_text()


def test_only_a_simulated_site_keeps_every_word_of_an_error(
    phone: Phone, arrays: Arrays, tmp_path: Path
) -> None:
    class Torn:
        def take(self, *given: Any) -> Any:
            raise KeyError("two\nlines")

    homes = {real: tmp_path / f"home-{real}" for real in (False, True)}
    for real, home in homes.items():
        home.mkdir()
        kinds = {"durable": real, "allow_import": True, "images": Torn(), "home": home}
        phone.site = dataclasses.replace(phone.site, **kinds)  # type: ignore[arg-type]
        assert phone.ask("evaluate", arrays=arrays) == Refusal(Code.FAILED)
    first, *more = (homes[False] / "site.log").read_text().splitlines()
    assert first.startswith("step evaluate failed: KeyError: 'two\\nlines' (test_client_app.py:")
    assert more[0].startswith("Traceback")
    log = (homes[True] / "site.log").read_text()
    assert log.startswith("step evaluate failed: KeyError\n")
    assert "lines" not in log


def test_failures_are_appended(tmp_path: Path) -> None:
    for word in ("one", "two"):
        log_failure(tmp_path, word, KeyError(CANARY))
    log = (tmp_path / "site.log").read_text()
    assert [line.split()[1] for line in log.splitlines()] == ["one", "two"]
    assert "Jane" not in log  # an error without a stack is nobody's: its words are not trusted


def test_a_log_that_cannot_be_written_does_not_let_words_out(phone: Phone, arrays: Arrays) -> None:
    (phone.site.home / "site.log").mkdir()
    phone.site = dataclasses.replace(phone.site, images=None)  # type: ignore[arg-type]
    assert phone.ask("evaluate", arrays=arrays) == Refusal(Code.FAILED)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"epoch": 0}, Code.LOWER_EPOCH),
        ({"grant": None}, Code.BAD_REQUEST),
    ],
)
def test_refusals_leave_as_codes(phone: Phone, given: dict[str, Any], code: Code) -> None:
    phone.ask("hello", epoch=1)
    assert phone.ask("select", **given) == Refusal(code)
    assert not (phone.site.home / "site.log").exists()


def test_a_study_that_nobody_approved_is_refused(
    phone: Phone, arrays: Arrays, tiny_study: Callable[..., Study]
) -> None:
    phone.study = tiny_study("seed=9")
    for step in MESSAGE_TYPES:
        assert phone.ask(step, arrays=arrays) == Refusal(Code.NOT_APPROVED)


@pytest.mark.parametrize("step", ["report", "select", "close", "train", "evaluate"])
def test_a_request_in_the_envelope_of_another_step_is_refused(phone: Phone, step: str) -> None:
    content = to_wire(phone.request(step))
    assert from_wire(phone.send(content, "query.hello"), Refusal).code is Code.BAD_REQUEST
    assert from_wire(phone.send(to_wire(phone.request("hello")), MESSAGE_TYPES[step]), Refusal)


def malformed(good: RecordDict) -> dict[str, RecordDict]:
    """One wrong thing each."""
    head, body = dict(good["record"]), good["arrays"]
    document = str(head["document"])

    def record(**changes: Any) -> RecordDict:
        return RecordDict({"record": ConfigRecord({**head, **changes}), "arrays": body})

    return {
        "empty": RecordDict(),
        "no arrays": RecordDict({"record": ConfigRecord(head)}),
        "an extra part": RecordDict({**good, "more": ConfigRecord({"a": 1})}),
        "parts swapped": RecordDict({"record": body, "arrays": ConfigRecord(head)}),
        "another kind": record(kind="Hello"),
        "no JSON": record(document="{"),
        "a list": record(document="[]"),
        "deeply nested": record(document="[" * 100_000),
        "a misspelt field": record(document=document.replace('"epoch"', '"epok"')),
        "an extra field": record(document=document.replace('"epoch"', '"x": 1, "epoch"')),
        "a wrong type": record(document=document.replace('"epoch": 1', '"epoch": "1"')),
        "not whole": record(document=document.replace('"epoch": 1', '"epoch": NaN')),
        "an extra key": record(more="x"),
        "a stray array": RecordDict(
            {"record": ConfigRecord(head), "arrays": ArrayRecord({"x": as_array(np.ones(1))})}
        ),
    }


def as_array(array: Any) -> Any:
    from flwr.app import Array

    return Array(array)


WRONG = [
    "empty", "no arrays", "an extra part", "parts swapped", "another kind", "no JSON", "a list",
    "deeply nested", "a misspelt field", "an extra field", "a wrong type", "not whole",
    "an extra key", "a stray array",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_malformed_content_is_refused_by_code(phone: Phone, wrong: str) -> None:
    cases = malformed(to_wire(phone.request("hello")))
    assert list(cases) == WRONG
    for message_type in ("query.hello", "train"):
        reply = phone.send(cases[wrong], message_type)
        assert from_wire(reply, Refusal).code is Code.BAD_REQUEST


def test_a_home_that_cannot_be_opened_leaves_as_a_code(
    phone: Phone, envelope: Callable[..., Message]
) -> None:
    app = build(site_of_node)
    content = to_wire(phone.request("hello"))
    found = app(envelope(content, "query.hello"), context_of(phone.site.home))
    assert from_wire(found.content, Hello).site == "north"
    lost = app(envelope(content, "query.hello"), context_of(Path("/nowhere") / CANARY))
    assert from_wire(lost.content, Refusal) == Refusal(Code.FAILED)


def test_flower_finds_the_app_where_the_project_names_it() -> None:
    import tomllib

    from flwr.clientapp import ClientApp

    import client.app

    project = tomllib.loads((Path(bundle.__file__).parent / "fab" / "pyproject.toml").read_text())
    assert project["tool"]["flwr"]["app"]["components"]["clientapp"] == "client.app:app"
    assert isinstance(client.app.app, ClientApp)
