"""What is chosen and not sent, and what a reader is told of their own work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room("reading.readers_per_case=2")
    made.open(4, 20)
    made.let_in(ann="reader", ben="reader")
    return made


@pytest.mark.slow
def test_what_is_chosen_waits_for_its_reader(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    place = {"study": room.study.identity, "cycle": 0, "position": offer["case"]["position"]}
    assert offer["case"]["draft"] is None
    draft = {"value": [1, 0, 1], "confidence": 4, "comment": "left base"}
    assert ann.post("/api/draft", **place, **draft).json()["kept"]
    assert ann.next()["case"]["draft"] == draft  # the page was loaded anew
    left = ann.post("/api/leave", draft={**place, **draft, "confidence": 5}).json()
    assert left["kept"]
    again = pages(room, "ann").next()
    assert again["case"]["draft"] == {**draft, "confidence": 5}
    with room.store() as store:
        assert store.readings.spent(room.study.identity) == (0, 0.0)
        assert not store.readings.answers(room.study.identity, 0)
    ann.answer(again, 1)
    with room.store() as store:
        assert store.connection.execute("SELECT count(*) FROM drafts").fetchone() == (0,)
    assert not ann.post("/api/draft", **place, **draft).json()["kept"]  # it came too late


@pytest.mark.slow
def test_a_draft_goes_with_its_case(room: Any, pages: Callable[..., Any]) -> None:
    def drafts() -> int:
        with room.store() as store:
            return int(store.connection.execute("SELECT count(*) FROM drafts").fetchone()[0])

    ann, ben = pages(room, "ann"), pages(room, "ben")
    place = {"study": room.study.identity, "cycle": 0, "position": 0}
    assert not ben.post("/api/draft", **place, comment="mine").json()["kept"]  # nothing is his
    ann.next()
    assert not ben.post("/api/draft", **place, comment="mine").json()["kept"]
    assert ann.post("/api/leave", draft={**place, "comment": "so"}).json()["kept"]
    assert drafts() == 1
    assert ben.next()["case"]["draft"] is None  # a colleague has the case: what she chose is gone
    assert drafts() == 0
    ben.post("/api/draft", **place, comment="mine")
    with room.store() as store, store.transaction():
        patient = store.connection.execute(
            "SELECT p.key FROM patients p JOIN cases c ON c.patient = p.id WHERE c.id = 1"
        ).fetchone()[0]
        store.cases.purge(patient, "2026-01-05T08:00:00+00:00")
    assert drafts() == 0


@pytest.mark.slow
def test_a_reader_sees_their_own_work_alone(room: Any, pages: Callable[..., Any]) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    for _ in range(2):
        offer = ann.answer(ann.next(), 1, seconds=2.0).json()
    assert offer["work"]["today"] == {"readings": 2, "seconds": 4}
    assert offer["work"]["week"] == {"readings": 2, "seconds": 4}
    assert ben.next()["work"]["today"] == {"readings": 0, "seconds": 0}
    back = ann.post("/api/undo", study=room.study.identity).json()
    assert back["work"]["today"] == {"readings": 1, "seconds": 4}  # the time was spent
