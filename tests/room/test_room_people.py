"""Lines about people, the auditor's view of them, and sign-ins at once."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import PasswordHasher

from client.attendance.news import News
from client.audit import people
from client.audit.chain import lines
from client.audit.report import account, markdown, names_of
from client.audit.verify import verify
from client.home import open_store
from client.room import doors
from client.room.doors import AT_ONCE, WAITING, Crowded, Doors
from daemons.web.passwords import is_stale
from daemons.web.sessions import FROM_ONE_ADDRESS
from protocol.egress import release_message

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room("reading.readers_per_case=2")
    made.open(4, 20)
    made.let_in(ann="reader", ben="reader", cleo="adjudicator", dora="admin", otto="auditor")
    return made


def told(room: Any) -> list[tuple[str, str, int]]:
    with room.store() as store:
        assert verify(store, "north", None).whole
        return [(x.entry.event, x.entry.reader, x.entry.case_id) for x in lines(store)]


@pytest.mark.slow
def test_every_sign_in_view_and_answer_has_its_line(room: Any, pages: Callable[..., Any]) -> None:
    page = pages(room)
    page.sign_in("ann", "wrong")
    page.sign_in("my-password-typed-as-a-name", "wrong")
    page.sign_in("ann")
    page.answer(page.next(), 1)
    page.next()  # the same case is on the screen still
    page.post("/api/undo", study=room.study.identity)
    page.post("/api/sign-out")
    page.post("/api/sign-out")
    assert told(room) == [
        (people.REFUSED, "ann", 0),
        (people.REFUSED, "", 0),
        (people.SIGNED_IN, "ann", 0),
        (people.SHOWN, "ann", 1),
        (people.ANSWERED, "ann", 1),
        (people.SHOWN, "ann", 2),
        (people.TAKEN_BACK, "ann", 1),
        (people.SHOWN, "ann", 1),
        (people.SIGNED_OUT, "ann", 0),
    ]
    with room.store() as store:
        kept = json.dumps([line.document for line in lines(store)])
        salts = {line.entry.salt for line in lines(store)}
    assert "my-password" not in kept
    assert len(salts) == 9  # a hash that the server sees is not to be guessed at
    assert {len(salt) for salt in salts} == {32}


@pytest.mark.slow
def test_what_is_refused_has_no_line(room: Any, pages: Callable[..., Any]) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    offer = ann.next()
    ben.next()
    before = told(room)
    assert ben.answer(offer, 1).status_code == 409  # another has the case
    assert ann.answer(offer, value=[1, 1, 1]).status_code == 409
    assert told(room) == before
    body = {"submission": "s" * 20}
    assert [ann.answer(offer, 1, **body).status_code for _ in range(3)] == [200, 200, 200]
    assert [line[0] for line in told(room)].count(people.ANSWERED) == 1


@pytest.mark.slow
def test_readings_of_colleagues_are_a_view_of_their_own(
    room: Any, pages: Callable[..., Any]
) -> None:
    for name, chosen in (("ann", 1), ("ben", 2)):
        page = pages(room, name)
        page.answer(page.next(), chosen)
    pages(room, "cleo").next()
    assert (people.COLLEAGUES, "cleo", 1) in told(room)


@pytest.mark.slow
def test_an_auditor_reads_the_log_in_words(room: Any, pages: Callable[..., Any]) -> None:
    ann, otto = pages(room, "ann"), pages(room, "otto")
    ann.answer(ann.next(), 1, comment="surely-this", seconds=3.0)
    seen = otto.post("/api/audit").json()
    assert seen["chain"]["whole"]
    words = [line["words"] for line in seen["lines"]]
    assert "ann answered case 1; study chest, cycle 1" in words
    assert words[-1] == "ann signed in; as reader"
    assert [(r["study"], r["cycle"], r["readings"]) for r in seen["read"]] == [("chest", 0, 1)]
    assert "surely-this" not in json.dumps(seen)
    day = seen["lines"][0]["at"][:10]
    counts = {
        kind: len(otto.post("/api/audit", kind=kind, day=day).json()["lines"])
        for kind in ("", "cases", "people", "left", "refused", "decided")
    }
    assert counts == {"": 5, "cases": 3, "people": 2, "left": 0, "refused": 0, "decided": 0}
    assert otto.post("/api/audit", day="2001-01-01").json()["lines"] == []
    older = otto.post("/api/audit", before=3).json()["lines"]
    assert [line["line"] for line in older] == [2, 1]
    assert otto.post("/api/audit", day="' OR 1").status_code == 400


def test_an_auditor_is_told_of_a_broken_chain(room: Any, pages: Callable[..., Any]) -> None:
    otto = pages(room, "otto")
    with room.store() as store:
        store.connection.execute("DROP TRIGGER audit_is_never_changed")
        store.connection.execute("UPDATE audit SET reader = 'ben' WHERE line = 1")
    chain = otto.post("/api/audit").json()["chain"]
    assert not chain["whole"]
    assert "line 1 was changed" in chain["words"][0]


def test_the_report_says_who_read_how_much(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    for _ in range(2):
        ann.answer(ann.next(), 1)
    with room.store() as store:
        page = markdown(account(store), "north", names_of(store))
    assert "ann read 2 cases, signed in 1 time, was shown 3 cases" in page


def test_nothing_about_people_leaves(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    for _ in range(2):
        ann.answer(ann.next(), 1, seconds=1.0, comment="surely-this")
    with room.store() as store:
        news = News(store, "north", 0.0)
        messages = [news.arrival(), *news.due(), news.heartbeat()]
        salts = [line.entry.salt for line in lines(store)]
        assert any(m.HasField("progress") for m in messages)
        left = b"".join(m.SerializeToString() for m in messages) + repr(messages).encode()
        for message in messages:
            release_message(message)  # the gate lets it by
    for word in ("ann", "ben", "surely", *salts):
        assert word.encode() not in left


def append(home: Path, name: str, count: int) -> None:
    store = open_store(home, durable=False)
    for case in range(count):
        with store.transaction():
            people.seen(store, people.SHOWN, name, study="s", case=case + 1)
    store.close()


@pytest.mark.slow
def test_the_chain_stands_whoever_writes_at_once(room: Any) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=append, args=(room.home, f"p{n}", 60)) for n in range(3)]
    for child in children:
        child.start()
    append(room.home, "here", 60)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    with room.store() as store:
        verdict = verify(store, "north", None)
        assert verdict.whole
        assert verdict.lines == 240


@pytest.mark.slow
def test_lines_are_fast_in_a_long_log(room: Any) -> None:
    append(room.home, "ann", 2000)
    begun = time.process_time()
    append(room.home, "ann", 200)
    assert time.process_time() - begun < 200 * 0.005  # seconds; a tenth of that was measured


def test_a_password_of_another_cost_is_hashed_anew(room: Any, pages: Callable[..., Any]) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with room.store() as store, store.transaction():
        store.readers.set_password("ann", cheap)
    ann = pages(room, "ann")
    assert ann.client.get("/api/me").status_code == 200  # the session outlives it
    with room.store() as store:
        kept = store.readers.find("ann").password
    assert kept != cheap
    assert not is_stale(kept)


@pytest.mark.slow
def test_many_names_from_one_address_close_it(room: Any, pages: Callable[..., Any]) -> None:
    page = pages(room)
    for number in range(FROM_ONE_ADDRESS):
        assert page.sign_in(f"name-{number}", "wrong").status_code == 401
    assert page.sign_in("ann").status_code == 429
    assert page.sign_in("name-99").json() == page.sign_in("ann").json()
    flood = [line for line in told(room) if line == (people.REFUSED, "", 0)]
    assert len(flood) == FROM_ONE_ADDRESS + 1  # those that were turned away share a line


def test_few_passwords_are_tried_at_once(monkeypatch: pytest.MonkeyPatch, room: Any) -> None:
    trying, most = [0], [0]

    def slow(kept: str, password: str) -> bool:
        trying[0] += 1
        most[0] = max(most[0], trying[0])
        time.sleep(0.01)
        trying[0] -= 1
        return True

    monkeypatch.setattr(doors, "is_right", slow)

    async def crowd() -> list[Any]:
        door = Doors()

        async def ask(question: Callable[[Any], Any]) -> Any:
            with room.store() as store:
                return question(SimpleNamespace(store=store))

        tries = (door.open(ask, f"name-{n}", "x", "") for n in range(WAITING + 5))
        found = await asyncio.gather(*tries, return_exceptions=True)
        door.shut()
        return found

    found = asyncio.run(crowd())
    assert most[0] <= AT_ONCE
    assert sum(isinstance(one, Crowded) for one in found) == 5


@pytest.mark.slow
def test_signing_in_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, room: Any, pages: Callable[..., Any]
) -> None:
    ann, ben = pages(room, "ann"), pages(room)

    def slow(kept: str, password: str) -> bool:
        time.sleep(1.5)
        return False

    monkeypatch.setattr(doors, "is_right", slow)
    with ThreadPoolExecutor(1) as pool:
        tried = pool.submit(ben.sign_in, "ben", "wrong")
        time.sleep(0.2)
        begun = time.monotonic()
        assert ann.client.get("/api/me").status_code == 200
        assert time.monotonic() - begun < 1.0
        assert not tried.done()
        assert tried.result().status_code == 401
