"""The API fuzzed from its own document, as nobody and as every role."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from client.room.openapi import EVERY, document

pytestmark = pytest.mark.slow
schemathesis = pytest.importorskip("schemathesis")
requests = pytest.importorskip("requests")

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
PEOPLE = {"": "", "ann": "reader", "cleo": "adjudicator", "otto": "auditor", "dora": "admin"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}
FEW = settings(
    max_examples=20,
    phases=[Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ROLES = {way.path: way.roles for way in EVERY}
ROLES["/api/image"] = frozenset({"reader", "adjudicator"})


class Fuzzed:
    """A served room, one session for each role, and what must be in no answer."""

    def __init__(self, room: Any, address: str) -> None:
        self.room, self.address = room, address
        self.secrets = [str(room.home), "jane", "scan-of", "0.125", "0.75"]
        with room.store() as store:
            for table in ("cases", "patients"):
                found = store.connection.execute(f"SELECT key FROM {table}")  # noqa: S608  # ours
                self.secrets += [row[0] for row in found]
            self.secrets += [
                row[0] for row in store.connection.execute("SELECT password FROM readers")
            ]
        self.sessions = {name: self._session(name) for name in PEOPLE}
        self.codes: dict[tuple[str, str], set[int]] = {}

    def _session(self, name: str) -> Any:
        session = requests.Session()
        session.trust_env = False
        if name:
            body = {"name": name, "password": PASSWORD}
            assert session.post(f"{self.address}/api/sign-in", json=body).status_code == 200
        return session

    def send(self, name: str, case: Any) -> Any:
        case.cookies = {}  # the session's own alone
        answer = case.call(base_url=self.address, session=self.sessions[name])
        self.codes.setdefault((name, case.path), set()).add(answer.status_code)
        return answer

    def check(self, case: Any, answer: Any) -> None:
        assert answer.status_code < 500, (case.path, answer.content)
        told = {k.lower(): ", ".join(v) for k, v in answer.headers.items()}
        assert HEADERS.items() <= told.items(), case.path
        assert told["content-security-policy"].startswith("default-src 'none'")
        words = json.dumps(told) + answer.content.decode("latin1")
        for secret in self.secrets:
            assert secret not in words, (case.path, secret)


@pytest.fixture
def fuzzed(make_room: Callable[..., Any], serve: Callable[[Any], str]) -> Fuzzed:
    room = make_room("reading.readers_per_case=2")
    room.open(6, 40)
    room.let_in(**{name: role for name, role in PEOPLE.items() if name})
    return Fuzzed(room, serve(room))


@pytest.fixture
def changes(fuzzed: Fuzzed) -> Iterator[Callable[[], int]]:
    """Grows with every commit of anybody else."""
    with closing(sqlite3.connect(fuzzed.room.home / "site.db")) as connection:
        yield lambda: int(connection.execute("PRAGMA data_version").fetchone()[0])


def operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(document())
    return [found.ok() for found in schema.get_all_operations()]


def aimed(case: Any, study: str, real: bool, place: int) -> Any:
    """The case, half of the time at a study and a case that there are."""
    for part in (case.body, case.query):
        if real and isinstance(part, dict) and "study" in part:
            part["study"] = study
            part |= {k: v for k, v in (("cycle", 0), ("position", place)) if k in part}
    return case


def cases_of(operation: Any) -> some.SearchStrategy[Any]:
    """Requests that fit the operation's forms, and as many that do not."""
    modes = schemathesis.GenerationMode
    return some.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def fuzz(fuzzed: Fuzzed, operation: Any, changes: Callable[[], int]) -> None:
    """Send requests as everybody; what a role may not do changes not a byte of the database."""
    allowed = ROLES.get(operation.path)

    @FEW
    @given(cases_of(operation), some.booleans(), some.integers(0, 7))
    def run(case: Any, real: bool, place: int) -> None:
        case = aimed(case, fuzzed.room.study.identity, real, place)
        for name, role in PEOPLE.items():
            if name and operation.path == "/api/sign-out":
                continue
            before = changes()
            answer = fuzzed.send(name, case)
            fuzzed.check(case, answer)
            if allowed is not None and role not in allowed:
                assert answer.status_code in (400, 403 if name else 401), case.path
                assert changes() == before, (name, case.path)

    run()


def test_no_request_breaks_the_room_or_does_what_its_sender_may_not(
    fuzzed: Fuzzed, changes: Callable[[], int], capfd: pytest.CaptureFixture[str]
) -> None:
    found = operations()
    assert {operation.path for operation in found} == {*document()["paths"]}
    for operation in found:
        fuzz(fuzzed, operation, changes)
    assert fuzzed.codes["ann", "/api/answer"] & {200, 409}
    assert 200 in fuzzed.codes["otto", "/api/audit"]
    assert 200 in fuzzed.codes["dora", "/api/overview"]
    said = "".join(capfd.readouterr())
    assert " at " not in said  # what the room prints where something failed
    assert not [secret for secret in fuzzed.secrets if secret in said]
