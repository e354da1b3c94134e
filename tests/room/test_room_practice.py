"""Practice before the first real case: what the page gets, and what it never gets too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.store.practice_shelf import PracticeCase

MakeRoom = Callable[..., Any]
CASES = (21, 22, 23, 24)


def with_set(room: Any, cases: tuple[int, ...] = CASES, **value: int) -> None:
    told = {"clear": 0, "pneumonia": 1, "effusion": 0, **value}
    with room.store() as store, store.transaction():
        for case in cases:
            store.practice.put(PracticeCase(case, told, "Air bronchogram."))


def practise(page: Any, position: int, chosen: int | None = 1) -> Any:
    value = [] if chosen is None else [int(i == chosen) for i in range(3)]
    answer = "answered" if value else "unsure"
    body = {"study": page.study.identity, "position": position, "answer": answer, "value": value}
    return page.post("/api/practice", **body)


def practice_image(page: Any, position: int) -> int:
    query = {"study": page.study.identity, "cycle": 0, "position": position, "practice": "1"}
    return int(page.client.get("/api/image", params=query).status_code)


def test_practice_comes_first_with_feedback_and_costs_nothing(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=3")
    room.open(4, 9)
    room.let_in(ann="reader")
    with_set(room)
    page = pages(room, "ann")
    for number, chosen in enumerate((1, 0, None)):
        offer = page.next()
        assert offer["case"] is None
        assert offer["practice"] == {
            "position": number, "of": 3, "ahead": [number + 1] if number < 2 else [],
        }  # fmt: skip
        for word in ("bronchogram", "pneumonia", "value"):
            assert word not in str(offer)
        told = practise(page, number, chosen)
        assert told.status_code == 200, told.text
        assert told.json() == {
            "format": 1,
            "position": number,
            "right": number == 0,
            "answer": {"answer": "answered", "value": [0, 1, 0]},
            "yours": {
                "answer": "unsure" if chosen is None else "answered",
                "value": [] if chosen is None else [int(i == chosen) for i in range(3)],
            },
            "words": "Air bronchogram.",
        }
    offer = page.next()
    assert "practice" not in offer
    assert offer["case"]["position"] == 0
    assert offer["work"]["today"] == {"readings": 0, "seconds": 0}
    with room.store() as store:
        assert store.readings.spent(room.study.identity) == (0, 0.0)
        assert store.labels.training(room.study.identity) == []


@pytest.mark.slow
def test_a_case_s_answer_is_told_only_once_an_answer_is_kept(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=2")
    room.let_in(ann="reader", cleo="adjudicator", dora="admin")  # before any cycle is open, too
    with_set(room)
    page = pages(room, "ann")
    assert practise(page, 1).status_code == 409  # not the next one
    assert practise(page, 0, chosen=7).status_code == 409  # no class at all
    with room.store() as store:
        assert store.practice.tried(room.study.identity, "ann") == []
    first = practise(page, 0)
    assert first.status_code == 200
    assert practise(page, 0).json() == first.json()  # sent again, it is the same answer
    assert practise(page, 0, chosen=0).status_code == 409
    for name, code in (("cleo", 403), ("dora", 403)):
        assert practise(pages(room, name), 1).status_code == code
    nobody = pages(room)
    assert practise(nobody, 0).status_code == 401
    assert "practice" not in pages(room, "cleo").next()


@pytest.mark.slow
def test_images_of_practice_are_those_answered_and_the_next_ones(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=3")
    room.open(4, 9)
    room.let_in(ann="reader", cleo="adjudicator")
    with_set(room)
    page = pages(room, "ann")
    assert [practice_image(page, n) for n in range(4)] == [200, 200, 403, 403]
    assert page.image(0).status_code == 200  # the queue's own first case may come meanwhile
    practise(page, 0)
    assert [practice_image(page, n) for n in range(4)] == [200, 200, 200, 403]
    assert practice_image(pages(room, "cleo"), 0) == 403
    practise(page, 1)
    practise(page, 2)
    assert page.answer(page.next()).status_code == 200
    assert practice_image(page, 0) == 403  # practice is over


@pytest.mark.slow
def test_no_case_is_answered_before_practice_but_one_on_the_screen(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=2")
    room.open(4, 9)
    room.let_in(ann="reader", ben="reader")
    ann, ben = pages(room, "ann"), pages(room, "ben")
    offer = ben.next()  # there is no practice set yet
    with_set(room)
    early = ann.answer({"cycle": 0, "case": {"position": 2}})
    assert early.status_code == 409
    assert "practice" in early.json()["error"]
    assert ben.answer(offer).status_code == 200


@pytest.mark.parametrize(("there", "asked"), [((), 0), ((21,), 1), (CASES, 3)])
def test_a_reader_practises_on_what_there_is(
    make_room: MakeRoom, pages: Callable[..., Any], there: tuple[int, ...], asked: int
) -> None:
    room = make_room("reading.practice=3")
    room.open(4, 9)
    room.let_in(ann="reader")
    with_set(room, there)
    page = pages(room, "ann")
    for number in range(asked):
        assert page.next()["practice"]["of"] == asked
        practise(page, number)
    assert page.next()["case"] is not None


@pytest.mark.slow
def test_who_has_read_a_real_case_practises_no_more(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=3")
    room.open(4, 9)
    room.let_in(ann="reader", ben="reader")
    page = pages(room, "ann")
    assert page.answer(page.next()).status_code == 200
    with_set(room)
    assert page.next()["case"] is not None
    assert pages(room, "ben").next()["practice"]["of"] == 3


def test_practice_cases_fit_the_study_s_classes_or_are_not_used(
    make_room: MakeRoom, pages: Callable[..., Any]
) -> None:
    room = make_room("reading.practice=3")
    room.open(4, 9)
    room.let_in(ann="reader")
    with_set(room, (21,), effusion=1)  # two classes, and the study asks for one
    with room.store() as store, store.transaction():
        store.practice.put(PracticeCase(22, {"fracture": 1}))
        store.practice.put(PracticeCase(23, {"clear": 1, "pneumonia": 0, "effusion": 0}))
    page = pages(room, "ann")
    assert page.next()["practice"]["of"] == 1
    assert practise(page, 0).json()["answer"]["value"] == [1, 0, 0]
    assert page.next()["case"] is not None
