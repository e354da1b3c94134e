"""Cases that come back, as a page gets them: nothing in any answer tells them from others."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

MakeRoom = Callable[..., Any]


def stages(room: Any) -> list[tuple[int, str]]:
    with room.store() as store:
        sql = 'SELECT "case", stage FROM readings ORDER BY id'
        return list(store.connection.execute(sql))


def shape(told: Any) -> Any:
    """What keys and types an answer has."""
    if isinstance(told, dict):
        return {k: shape(v) for k, v in sorted(told.items())}
    return [shape(v) for v in told[:1]] if isinstance(told, list) else type(told).__name__


def read_all(page: Any, offer: dict[str, Any]) -> list[dict[str, Any]]:
    """Every offer until there is nothing to read, each image fetched as the page does."""
    found = []
    while offer["case"] is not None:
        found.append(offer)
        for position in (offer["case"]["position"], *offer["ahead"]):
            assert page.image(position).status_code == 200
        answer = page.answer(offer, chosen=1)
        assert answer.status_code == 200, answer.text
        offer = answer.json()
    return found


@pytest.mark.slow
def test_nothing_that_a_page_gets_tells_a_case_that_came_back(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.repeats=0.49")
    room.open(20, 60)
    room.let_in(ann="reader", ben="reader")
    page = pages(room, "ann")
    offers = read_all(page, page.next())
    given = stages(room)
    back = [i for i, (_, stage) in enumerate(given) if stage == "repeat"]
    assert len(given) == len(offers)
    assert 3 <= len(back) <= 17
    positions = [offer["case"]["position"] for offer in offers]
    assert len(set(positions)) == len(positions)
    assert max(positions) > 2**31  # no place in any order
    kinds = {repr(shape({**o, "ahead": [1]})) for o in offers[1:] if o["ahead"]}
    assert len(kinds) == 1
    for i in range(1, len(offers)):  # every case was announced, whether it came back or not
        assert positions[i] in offers[i - 1]["ahead"]
    assert [offer["work"]["today"]["readings"] for offer in offers] == list(range(len(offers)))
    other = pages(room, "ben").next()
    assert other["case"] is None or other["case"]["position"] not in positions


@pytest.mark.slow
def test_a_case_that_came_back_is_the_same_picture_under_another_number(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.repeats=0.49")
    room.open(20, 60)
    room.let_in(ann="reader")
    page, seen = pages(room, "ann"), []
    offer = page.next()
    while offer["case"] is not None:
        position = offer["case"]["position"]
        seen.append((position, page.image(position).content))
        offer = page.answer(offer).json()
    given = stages(room)
    for i, (case, stage) in enumerate(given):
        if stage == "repeat":
            first = given.index((case, "blind"))
            assert seen[first][1] == seen[i][1]
            assert seen[first][0] != seen[i][0]


@pytest.mark.slow
def test_an_answer_sent_twice_and_one_taken_back_work_for_it_as_for_any_other(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.repeats=0.49")
    room.open(20, 60)
    room.let_in(ann="reader")
    page = pages(room, "ann")
    offer, key = page.next(), ""
    while not any(stage == "repeat" for _, stage in stages(room)):
        key, last = secrets.token_hex(16), offer
        offer = page.answer(last, submission=key).json()
    count = len(stages(room))
    again = page.answer(last, submission=key)
    assert again.status_code == 200
    assert len(stages(room)) == count
    assert page.answer(last, chosen=2, submission=key).status_code == 409
    undone = page.post("/api/undo", study=room.study.identity).json()
    assert undone["undone"] == undone["case"]["position"] == last["case"]["position"]
    assert undone["work"]["today"]["readings"] == count - 1
    assert page.next()["case"]["position"] == last["case"]["position"]
    after = page.answer(undone, chosen=2).json()
    assert after["work"]["today"]["readings"] == count
    with room.store() as store:
        pair = store.repeats.twice(room.study.identity)
        assert [(p.first, p.second) for p in pair] == [((1, 0, 0), (0, 0, 1))]
        told = store.readings.spent(room.study.identity, 0)
        assert told[0] == count  # the new one in its place costs nothing
    assert after["case"] is not None


@pytest.mark.slow
def test_a_draft_and_a_lease_of_a_case_that_came_back(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.repeats=0.49", "reading.readers_per_case=2")
    room.open(12, 60)
    room.let_in(ann="reader", ben="reader")
    page, colleague = pages(room, "ann"), pages(room, "ben")
    offer = page.next()
    held = ""
    while held != "repeat":
        offer = page.answer(offer).json()
        with room.store() as store:
            lease = store.leases.of("ann")
            held = lease.stage
    place = {"cycle": 0, "position": offer["case"]["position"]}
    told = page.post("/api/draft", study=room.study.identity, **place, comment="left base")
    assert told.json()["kept"]
    assert page.next()["case"]["draft"]["comment"] == "left base"
    assert page.post("/api/renew").json()["held"]
    seen = set()
    theirs = colleague.next()
    while theirs["case"] is not None:  # nobody is kept from a case by another's repeat of it
        with room.store() as store:
            seen.add(store.leases.of("ben").case)
        theirs = colleague.answer(theirs).json()
    assert lease.case in seen
    assert page.answer(offer).status_code == 200  # on the screen in time, so it is kept
    assert stages(room)[-1] == (lease.case, "repeat")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["adjudicator"])
def test_nothing_comes_back_to_an_adjudicator(
    make_room: MakeRoom, pages: Callable[..., Any], role: str
) -> None:
    room = make_room("reading.repeats=0.49", "reading.readers_per_case=2")
    room.open(10, 80)
    room.let_in(ann="reader", ben="reader", cleo=role)
    for name, chosen in (("ann", 0), ("ben", 1)):
        page = pages(room, name)
        offer = page.next()
        while offer["case"] is not None:
            offer = page.answer(offer, chosen=chosen).json()
    page = pages(room, "cleo")
    offers = read_all(page, page.next())
    assert len(offers) == 10
    with room.store() as store:
        sql = "SELECT DISTINCT stage, adjudicating FROM readings WHERE reader = 'cleo'"
        assert store.connection.execute(sql).fetchall() == [("blind", 1)]


@pytest.mark.slow
def test_the_adjudicator_sees_both_readings_in_random_order_without_names(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.readers_per_case=2")
    room.open(1, 4)
    room.let_in(ann="reader", ben="reader", cleo="adjudicator")
    for name, chosen in (("ann", 0), ("ben", 2)):
        page = pages(room, name)
        assert page.answer(page.next(), chosen=chosen, confidence=3).status_code == 200
    page = pages(room, "cleo")
    orders = set()
    for _ in range(40):  # the same case, asked for again: 1 in 2^39 that the order never changes
        offer = page.next()
        told = offer["case"]["readings"]
        assert {tuple(r) for r in told} == {("answer", "value", "confidence", "reason", "comment")}
        assert "ann" not in str(told)
        assert "ben" not in str(told)
        orders.add(tuple(tuple(r["value"]) for r in told))
    assert orders == {((1, 0, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0))}


@pytest.mark.slow
def test_agreement_is_for_the_admin_alone(make_room: MakeRoom, pages: Callable[..., Any]) -> None:
    room = make_room("reading.readers_per_case=2")
    room.open(6, 40)
    room.let_in(ann="reader", ben="reader", cleo="adjudicator", dora="admin", otto="auditor")
    for name in ("ann", "ben"):
        page = pages(room, name)
        read_all(page, page.next())
    told = pages(room, "dora").client.get("/api/agreement")
    assert told.status_code == 200
    (study,) = told.json()["studies"]
    assert study["double"] == 5  # in steps of five
    assert study["pairs"][0]["readers"] == ["ann", "ben"]
    for name in ("ann", "cleo", "otto"):
        assert pages(room, name).client.get("/api/agreement").status_code == 403
    assert pages(room).client.get("/api/agreement").status_code == 401
