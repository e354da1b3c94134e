"""The second look: no byte of the model before one's own answer."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from client.queue import ReadingRefused

Made = Callable[..., Any]

AFTER = 'reading.show_ai="after"'
MARK = "the model was unsure of this very case"


@pytest.mark.slow
def test_after_one_s_own_answer_the_model_s_opinion_is_there(
    room: Any, pages: Made, look: Made, rows: Made
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    ann.answer(offer, 0)
    told = look(ann, 0).json()
    assert told["own"] == {"answer": "answered", "value": [1, 0, 0]}
    assert told["changed"] is None
    said = told["opinion"]
    assert (said["probs"], said["likeliest"], said["why"]) == ([0.125, 0.75, 0.125], 1, MARK)
    assert (said["rows"], said["columns"], said["planes"]) == (4, 4, 1)
    assert np.array_equal(np.frombuffer(b64decode(said["saliency"]), np.uint8), range(16))
    assert said["untrained"] is True
    shown = rows(room, "SELECT reader, what FROM shown")
    assert shown == [("ann", "model")]
    assert look(ann, 0).json() == told
    assert rows(room, "SELECT count(*) FROM shown") == [(1,)]
    line = rows(room, "SELECT reader, case_id FROM audit WHERE event = 'opinion shown'")
    assert line == [("ann", 1)]


@pytest.mark.slow
def test_who_has_not_answered_gets_nothing_by_any_route(
    room: Any, pages: Made, look: Made, change: Made, rows: Made, stages: Made
) -> None:
    """Ben and Ann look everywhere before their own answers; only Ann has answered case 0."""
    ann, ben, cleo, dora = (pages(room, name) for name in ("ann", "ben", "cleo", "dora"))
    ann.answer(ann.next(), 0)
    ben.next()
    told: list[httpx.Response] = []
    for page in (ann, ben, cleo, dora):
        told += [look(page, p) for p in range(-1, 9) if not (page is ann and p == 0)]
        told += [change(page, p, 1) for p in range(8)]
        told += [page.client.get(path) for path in ("/api/me", "/api/overview", "/api/opinion")]
        told += [page.post("/api/next", study=room.study.identity)]
        told += [page.post("/api/undo", study="f" * 64), page.post("/api/renew")]
        told += [page.image(p) for p in range(8)]
    for answer in told:
        text = answer.content.decode("latin-1")
        for trace in (MARK, "0.125", "0.75", "opinion_", '"probs"', "saliency", "likeliest"):
            assert trace not in text
    assert not any(r[1] == "model" for r in rows(room, "SELECT reader, what FROM shown"))
    assert [r[1] for r in stages(room)] == ["blind"]


@pytest.mark.slow
def test_refusals_before_the_answer_are_all_the_same(
    make_room: Made, pages: Made, with_opinions: Made, look: Made
) -> None:
    """A case with an opinion, one without, one that is not there, one of a colleague's."""
    room = with_opinions(make_room(AFTER), missing=2)
    room.let_in(ann="reader", ben="reader")
    ann, ben = pages(room, "ann"), pages(room, "ben")
    ben.next()
    ann.answer(ann.next(), 0)
    refused = [look(ben, p) for p in (0, 1, 4, 5, 77, 2**31 - 1)] + [look(ben, 0, cycle=3)]
    assert {(r.status_code, r.text) for r in refused} == {(409, refused[0].text)}
    assert "you have answered" in refused[0].json()["error"]


@pytest.mark.slow
def test_nothing_of_the_model_is_looked_up_before_the_own_answer_was_found(
    room: Any, pages: Made, monkeypatch: pytest.MonkeyPatch, look: Made
) -> None:
    from client.store.opinion_shelf import OpinionShelf

    asked: list[int] = []
    real = OpinionShelf.of

    def of(self: OpinionShelf, study: str, cycle: int, case: int) -> Any:
        asked.append(case)
        return real(self, study, cycle, case)

    monkeypatch.setattr(OpinionShelf, "of", of)
    ann, ben = pages(room, "ann"), pages(room, "ben")
    ann.answer(ann.next(), 0)
    for position in range(7):
        look(ben, position)
    assert asked == []
    look(ann, 0)
    assert asked == [1]


@pytest.mark.slow
def test_a_study_that_shows_none_shows_none(
    make_room: Made, pages: Made, with_opinions: Made, look: Made, change: Made, rows: Made
) -> None:
    room = with_opinions(make_room())
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    assert ann.client.get("/api/me").json()["studies"][0]["show_ai"] == "never"
    ann.answer(ann.next(), 0)
    assert look(ann, 0).status_code == 409
    assert change(ann, 0, 1).status_code == 409
    assert rows(room, "SELECT count(*) FROM shown") == [(0,)]


def test_what_was_taken_back_opens_nothing(room: Any, pages: Made, look: Made) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    ann.post("/api/undo", study=room.study.identity)
    assert look(ann, 0).status_code == 409


def test_a_case_that_is_on_the_screen_again_shows_nothing(
    room: Any, pages: Made, look: Made
) -> None:
    """As a hidden repeat is: the first answer stands, and the second is not given yet."""
    from client.store.lease_shelf import Lease

    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    with room.store() as store, store.transaction():
        store.leases.put(Lease(room.study.identity, 0, 1, "ann", 0.0, 1.0, "repeat"))
    assert look(ann, 0).status_code == 409
    ann.post("/api/leave")
    assert look(ann, 0).status_code == 200


def test_a_case_that_came_back_looks_like_any_other(make_room: Made, with_opinions: Made) -> None:
    """Its own number, and the answer given under it."""
    from client.room.desk import Given
    from client.room.names import Names
    from client.room.second import SecondLook
    from client.store.reader_shelf import Account
    from protocol.records import Reading

    room = with_opinions(make_room(AFTER, "reading.repeats=0.4"), cases=2)
    ann = Account("ann", "reader", "x", "2026")
    with room.store() as store:
        identity, first = room.study.identity, (1, 0, 0)
        with store.transaction():
            for stage, value in (("blind", first), ("repeat", (0, 0, 1))):
                reading = Reading("", "ann", "2026-01-05T08:00:00+00:00", 1.0, "answered", value)
                told = replace(reading, stage=stage)  # type: ignore[arg-type]  # of the three
                store.readings.add(identity, 0, 2, "query", told)
        number = Names(store, room.study, 0, "ann").of(2, -1, "repeat")
        look = SecondLook(store)
        for other in (1, 2, number + 1, Names(store, room.study, 0, "ann").of(1, 0)):
            with pytest.raises(ReadingRefused, match="have answered"):
                look.opinion(room.study, ann, 0, other)
        seen = look.opinion(room.study, ann, 0, number)
        assert seen.own.value == (0, 0, 1)
        assert (seen.opinion and seen.opinion.why, seen.cycle) == (MARK, 0)
        look.change(room.study, ann, Given("k" * 16, 0, number, "answered", (0, 1, 0), 1.0))
        for after_ai, value in ((False, first), (True, (0, 1, 0))):
            trained = store.labels.training(identity, through=0, after_ai=after_ai)
            assert [r.value for r in trained] == [value]
        assert store.repeats.past(identity, "ann").may == {}


@pytest.mark.slow
def test_a_case_without_an_opinion_says_so_and_nothing_was_shown(
    make_room: Made, pages: Made, with_opinions: Made, look: Made, change: Made
) -> None:
    room = with_opinions(make_room(AFTER), cases=1, missing=1)
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    told = look(ann, 0)
    assert (told.status_code, told.json()["opinion"]) == (200, None)
    assert change(ann, 0, 1).status_code == 409
    assert ann.post("/api/undo", study=room.study.identity).status_code == 200


@pytest.mark.slow
def test_after_the_look_the_first_answer_stays(room: Any, pages: Made, look: Made) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    undone = ann.post("/api/undo", study=room.study.identity)
    assert undone.status_code == 409
    assert "you have seen the model's opinion" in undone.json()["error"]


@pytest.mark.slow
def test_a_colleague_s_look_keeps_nobody_from_taking_back(
    room: Any, pages: Made, look: Made
) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    ann.answer(ann.next(), 0)
    ann.post("/api/leave")
    with room.store() as store, store.transaction():
        store.connection.execute("DELETE FROM leases")
    offer = ben.next()
    assert offer["case"]["position"] == 0
    ben.answer(offer, 1)
    look(ben, 0)
    undone = ann.post("/api/undo", study=room.study.identity)
    assert undone.status_code == 200, undone.text


def test_the_image_of_the_case_looked_back_at_may_be_had(
    room: Any, pages: Made, look: Made
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    offer = ann.answer(offer, 0).json()
    assert ann.image(0).status_code == 403
    look(ann, 0)
    assert ann.image(0).status_code == 200
    assert ann.image(offer["case"]["position"]).status_code == 200
