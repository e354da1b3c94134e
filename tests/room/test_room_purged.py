"""A patient who is purged while the room is at work: what was spent stays spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.cost import expected_seconds, spent
from client.store.reading_shelf import Opening
from client.store.store import now


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room()
    made.let_in(ann="reader", bob="reader")
    made.open(cases=4, grant=3)
    return made


@pytest.mark.slow
def test_a_purge_gives_no_reading_back(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.answer(ann.next()).json()
    ann.post("/api/undo", study=room.study.identity)
    offer = ann.answer(ann.next(), chosen=1).json()  # in its place: one reading, not two
    offer = ann.answer(offer).json()
    with room.store() as store:
        before = store.readings.spent(room.study.identity)
        whole = store.readings.so_far(room.study.identity, 0)
        pace = expected_seconds(store, room.study)
    assert before[0] == 2
    purge(room, 1)
    purge(room, 2)
    with room.store() as store:
        assert spent(store, room.study, 0) == 2
        assert store.readings.spent(room.study.identity) == pytest.approx(before)
        assert store.readings.spent(room.study.identity, 1) == (0, 0.0)
        after = store.readings.so_far(room.study.identity, 0)
        assert (after.readings, after.audit) == (whole.readings, whole.audit)
        assert expected_seconds(store, room.study) == pytest.approx(pace)
    assert ann.answer(offer).json()["case"] is None  # the third is the last
    assert ann.next()["case"] is None


@pytest.mark.slow
def test_an_answer_to_a_purged_case_is_not_kept_for_one_that_came_later(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    for _ in range(2):
        offer = ann.answer(offer).json()
    with room.store() as store, store.transaction():  # the one before the last has its place still
        store.cases.purge(_patient_of(store, 4), now())
    purge(room, 3)  # on ann's screen
    with room.store() as store, store.transaction():
        store.readings.grant(room.study.identity, 0, 1, 5)
        store.readings.open(room.study.identity, 0, [Opening(i, "query") for i in (9, 10)])
        opened = store.readings.opened(room.study.identity, 0)
        assert [o.position for o in opened] == [0, 1, 4, 5]
    assert ann.image(offer["case"]["position"]).status_code == 403
    assert ann.answer(offer).status_code == 409
    assert ann.next()["case"]["position"] == 4
    with room.store() as store:
        assert spent(store, room.study, 0) == 2


def purge(room: Any, case: int) -> None:
    with room.store() as store, store.transaction():
        assert store.cases.purge(_patient_of(store, case), now()) == 1


def _patient_of(store: Any, case: int) -> str:
    sql = "SELECT p.key FROM patients p JOIN cases c ON c.patient = p.id WHERE c.id = ?"
    return str(store.connection.execute(sql, (case,)).fetchone()[0])
