"""Patients, people and answers that go while the room is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from client import accounts
from client.images import ArrayImages
from client.keys import SiteKey
from client.queue import waiting
from client.room.post import Post
from client.site import Arrival, Site, enrol
from client.store.store import now

AFTER = 'reading.show_ai="after"'


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room()
    made.let_in(ann="reader", bob="reader")
    made.open(cases=6, grant=6)
    return made


@pytest.mark.slow
def test_an_excluded_patient_s_answer_is_not_taken_back(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    assert ann.answer(offer).status_code == 200
    with room.store() as store, store.transaction():
        store.cases.exclude(_patient_of(store, 1))
    refused = ann.post("/api/undo", study=room.study.identity)
    assert refused.status_code == 409
    with room.store() as store:
        assert store.connection.execute("SELECT count(*) FROM withdrawals").fetchone() == (0,)


@pytest.mark.slow
def test_an_excluded_patient_s_case_that_came_back_is_not_looked_back_at(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = make_room(AFTER, "reading.repeats=0.3")
    room.let_in(ann="reader")
    room.open(cases=20, grant=40)
    ann = pages(room, "ann")
    offer, case, number = ann.next(), None, 0
    while case is None:
        number = offer["case"]["position"]
        offer = ann.answer(offer).json()
        with room.store() as store:
            found = store.connection.execute('SELECT "case" FROM repeated').fetchone()
        case = found and found[0]
    with room.store() as store, store.transaction():
        store.cases.exclude(_patient_of(store, case))
    look = {"study": room.study.identity, "cycle": 0, "position": number}
    assert ann.post("/api/opinion", **look).status_code == 409
    assert ann.image(number).status_code == 403


@pytest.mark.slow
def test_nobody_waits_for_a_reader_who_has_no_account_any_more(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann, bob = pages(room, "ann"), pages(room, "bob")
    offer = ann.next()
    for _ in range(5):
        offer = ann.answer(offer).json()
    ann.post("/api/leave")
    assert bob.answer(bob.next()).status_code == 200
    assert bob.post("/api/undo", study=room.study.identity).status_code == 200
    with room.store() as store:
        assert store.readings.spent(room.study.identity)[0] == 6
        assert len(waiting(store, room.study, 0)) == 1  # bob may give his answer again
        accounts.remove(store, "bob")
        assert waiting(store, room.study, 0) == []


@pytest.mark.slow
def test_a_doubt_taken_back_may_be_given_again_once_others_disagree(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = make_room("reading.readers_per_case=2")
    room.let_in(ann="reader", bob="reader", cat="reader", zoe="adjudicator")
    room.open(cases=1, grant=5)
    for name, chosen in (("ann", 0), ("cat", None), ("bob", 1)):
        page = pages(room, name)
        assert page.answer(page.next(), chosen).status_code == 200
    cat, zoe = pages(room, "cat"), pages(room, "zoe")
    assert cat.post("/api/undo", study=room.study.identity).json()["case"]["position"] == 0
    assert zoe.next()["case"] is None  # it is on cat's screen
    assert cat.answer(cat.next(), 1).status_code == 200
    assert len(zoe.next()["case"]["readings"]) == 3


@pytest.mark.slow
def test_what_was_taken_back_holds_no_colleague_s_reading_back(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = make_room()
    room.let_in(ann="reader", bob="reader")
    room.open(cases=3, grant=2)
    ann, bob = pages(room, "ann"), pages(room, "bob")
    assert bob.answer(bob.next()).status_code == 200
    assert bob.post("/api/undo", study=room.study.identity).status_code == 200
    offer = ann.next()
    assert offer["case"]["position"] == 1
    assert ann.answer(offer).json()["case"] is None
    assert bob.answer(bob.next()).status_code == 200
    with room.store() as store:
        assert store.readings.spent(room.study.identity)[0] == 2


def test_a_purged_case_s_picture_is_not_that_of_the_one_in_its_row(room: Any) -> None:
    array = np.stack([np.full((1, 8, 8), 7, np.uint8)] * 24)
    post = Post(room.home)

    def seen(site: Site, case: int) -> int:
        row = int(site.store.cases.rows(np.array([case]))[0])
        swapped = replace(site, images=ArrayImages(array))
        return int(post.volume(swapped, case, row).slices[0, 0, 0])

    def swap(site: Site) -> None:
        with site.store.transaction():
            site.store.cases.purge(_patient_of(site.store, 24), now())
            row = site.store.locators.next_row()
        array[row] = 9
        arrival = Arrival(["new"], ["new"], ["pool"], [row])
        enrol(site.store, SiteKey(bytes(16)), arrival, clustered=False)

    async def asked() -> tuple[int, int]:
        before = await post.ask(lambda site: seen(site, 24))
        await post.ask(swap)
        return before, await post.ask(lambda site: seen(site, 25))

    try:
        assert asyncio.run(asked()) == (7, 9)
    finally:
        post.close()


def _patient_of(store: Any, case: int) -> str:
    row = store.connection.execute(
        "SELECT patients.key FROM patients JOIN cases ON patient = patients.id WHERE cases.id = ?",
        (case,),
    ).fetchone()
    return str(row[0])
