"""The second look: no byte of the model before one's own answer, and a changed mind beside it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.queue import ReadingRefused, progress, spent
from client.store.opinion_shelf import Opinion
from strategies.consensus import CONSENSUS

AFTER = 'reading.show_ai="after"'
MARK = "the model was unsure of this very case"
MAP = bytes(range(16))


def with_opinions(room: Any, cases: int = 6, missing: int = 0) -> Any:
    """An open cycle whose cases the model has an opinion of, less the last so many."""
    room.open(cases, 4 * cases)
    with room.store() as store, store.transaction():
        store.opinions.put(
            room.study.identity,
            0,
            [Opinion(i, (0.125, 0.75, 0.125), MARK, MAP, 4) for i in range(1, cases + 1 - missing)],
        )
    return room


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = with_opinions(make_room(AFTER, "reading.readers_per_case=2"))
    made.let_in(ann="reader", ben="reader", cleo="adjudicator", dora="admin")
    return made


def look(page: Any, position: int, **more: Any) -> httpx.Response:
    body = {"study": page.study.identity, "cycle": 0, "position": position, **more}
    return page.post("/api/opinion", **body)  # type: ignore[no-any-return]


def change(page: Any, position: int, chosen: int | None, **more: Any) -> httpx.Response:
    value = [] if chosen is None else [int(i == chosen) for i in range(3)]
    body = {
        "study": page.study.identity,
        "submission": secrets.token_hex(16),
        "cycle": 0,
        "position": position,
        "answer": "answered" if value else "unsure",
        "value": value,
        "seconds": 3.0,
        **more,
    }
    return page.post("/api/second-look", **body)  # type: ignore[no-any-return]


def rows(room: Any, sql: str) -> list[tuple[Any, ...]]:
    with room.store() as store:
        return list(store.connection.execute(sql))


def stages(room: Any) -> list[tuple[Any, ...]]:
    return rows(room, "SELECT reader, stage, value FROM readings ORDER BY id")


# ---- the opinion


def test_after_one_s_own_answer_the_model_s_opinion_is_there(
    room: Any, pages: Callable[..., Any]
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
    assert np.array_equal(
        np.frombuffer(__import__("base64").b64decode(said["saliency"]), np.uint8), range(16)
    )
    assert said["untrained"] is True
    shown = rows(room, "SELECT reader, what FROM shown")
    assert shown == [("ann", "model")]
    assert look(ann, 0).json() == told
    assert rows(room, "SELECT count(*) FROM shown") == [(1,)]
    line = rows(room, "SELECT reader, case_id FROM audit WHERE event = 'opinion shown'")
    assert line == [("ann", 1)]


def test_who_has_not_answered_gets_nothing_by_any_route(
    room: Any, pages: Callable[..., Any]
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


def test_refusals_before_the_answer_are_all_the_same(
    make_room: Callable[..., Any], pages: Callable[..., Any]
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


def test_nothing_of_the_model_is_looked_up_before_the_own_answer_was_found(
    room: Any, pages: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
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


def test_a_study_that_shows_none_shows_none(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = with_opinions(make_room())
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    assert ann.client.get("/api/me").json()["studies"][0]["show_ai"] == "never"
    ann.answer(ann.next(), 0)
    assert look(ann, 0).status_code == 409
    assert change(ann, 0, 1).status_code == 409
    assert rows(room, "SELECT count(*) FROM shown") == [(0,)]


def test_what_was_taken_back_opens_nothing(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    ann.post("/api/undo", study=room.study.identity)
    assert look(ann, 0).status_code == 409


def test_a_case_that_is_on_the_screen_again_shows_nothing(
    room: Any, pages: Callable[..., Any]
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


def test_a_case_that_came_back_looks_like_any_other(make_room: Callable[..., Any]) -> None:
    """Its own number, the answer given under it, the opinion of its own cycle."""
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
            store.readings.grant(identity, 1, 0, 9)
            for cycle, stage, value in ((0, "blind", first), (1, "repeat", (0, 0, 1))):
                reading = Reading("", "ann", "2026-01-05T08:00:00+00:00", 1.0, "answered", value)
                told = replace(reading, stage=stage)  # type: ignore[arg-type]  # of the three
                store.readings.add(identity, cycle, 2, "query", told)
        number = Names(store, room.study, 1, "ann").of(2, -1, "repeat")
        look = SecondLook(store)
        for other in (1, 2, number + 1, Names(store, room.study, 1, "ann").of(2, 1)):
            with pytest.raises(ReadingRefused, match="have answered"):
                look.opinion(room.study, ann, 1, other)
        seen = look.opinion(room.study, ann, 1, number)
        assert seen.own.value == (0, 0, 1)
        assert (seen.opinion and seen.opinion.why, seen.cycle) == (MARK, 0)
        look.change(room.study, ann, Given("k" * 16, 1, number, "answered", (0, 1, 0), 1.0))
        for after_ai, value in ((False, first), (True, (0, 1, 0))):
            trained = store.readings.training(identity, through=0, after_ai=after_ai)
            assert [r.value for r in trained] == [value]
        assert store.repeats.past(identity, "ann").may == {}


def test_a_case_without_an_opinion_says_so_and_nothing_was_shown(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = with_opinions(make_room(AFTER), cases=1, missing=1)
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    told = look(ann, 0)
    assert (told.status_code, told.json()["opinion"]) == (200, None)
    assert change(ann, 0, 1).status_code == 409
    assert ann.post("/api/undo", study=room.study.identity).status_code == 200


def test_after_the_look_the_first_answer_stays(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    undone = ann.post("/api/undo", study=room.study.identity)
    assert undone.status_code == 409
    assert "you have seen the model's opinion" in undone.json()["error"]


def test_a_colleague_s_look_keeps_nobody_from_taking_back(
    room: Any, pages: Callable[..., Any]
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
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    offer = ann.answer(offer, 0).json()
    assert ann.image(0).status_code == 403
    look(ann, 0)
    assert ann.image(0).status_code == 200
    assert ann.image(offer["case"]["position"]).status_code == 200


# ---- the changed mind


def test_a_changed_mind_is_kept_beside_the_first_and_costs_nothing(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    assert change(ann, 0, 1).status_code == 409  # not before it was shown
    look(ann, 0)
    with room.store() as store:
        before = spent(store, room.study, 0), progress(store, room.study, 0, "s")
    assert change(ann, 0, 1, comment="the base, too", confidence=4).status_code == 200
    assert stages(room) == [("ann", "blind", "[1, 0, 0]"), ("ann", "after-ai", "[0, 1, 0]")]
    with room.store() as store:
        assert (spent(store, room.study, 0), progress(store, room.study, 0, "s")) == before
        shelf, identity = store.readings, room.study.identity
        assert [r.value for r in shelf.training(identity)] == [(1, 0, 0)]
        assert [r.value for r in shelf.training(identity, after_ai=True)] == [(0, 1, 0)]
    assert look(ann, 0).json()["changed"] == {"answer": "answered", "value": [0, 1, 0]}
    ((seconds,),) = rows(room, "SELECT seconds FROM readings WHERE stage = 'after-ai'")
    assert seconds == 3.0


def test_a_changed_mind_sent_twice_is_one_and_the_newest_counts(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    key = "k" * 20
    assert [change(ann, 0, 1, submission=key).status_code for _ in range(2)] == [200, 200]
    assert change(ann, 0, 2, submission=key).status_code == 409
    assert len(stages(room)) == 2
    assert change(ann, 0, 2).status_code == 200
    assert rows(room, "SELECT value FROM changed") == [("[0, 0, 1]",)]
    assert len(stages(room)) == 3
    assert rows(room, "SELECT count(*) FROM withdrawals") == [(1,)]
    with room.store() as store:
        assert spent(store, room.study, 0) == 1
        assert store.leases.owed(room.study.identity, 0) == {}
    assert change(ann, 0, 1, submission=key).status_code in (200, 409)  # an old page, sent late
    assert rows(room, "SELECT value FROM changed") == [("[0, 0, 1]",)]


@pytest.mark.parametrize(
    "body",
    [
        {"value": [1, 1, 0]},
        {"value": [1, 0]},
        {"answer": "unsure"},
        {"answer": "unreadable", "value": []},
        {"cycle": 1},
    ],
)
def test_a_changed_mind_has_the_grammar_of_an_answer(
    room: Any, pages: Callable[..., Any], body: dict[str, Any]
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    assert change(ann, 0, 1, **body).status_code in (400, 409)
    assert len(stages(room)) == 1


def test_a_key_of_a_first_answer_makes_no_changed_mind(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0, submission="f" * 20)
    look(ann, 0)
    assert change(ann, 0, 0, submission="f" * 20).status_code == 409
    assert change(ann, 0, 1, submission="g" * 20).status_code == 200
    assert ann.answer(ann.next(), 1, submission="g" * 20).status_code == 409
    assert len(stages(room)) == 2


def test_a_closed_cycle_takes_no_second_look(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    with room.store() as store, store.transaction():
        store.cycles.close(room.study.identity, 0, "2026")
    assert look(ann, 0).status_code == change(ann, 0, 1).status_code == 409
    assert ann.image(0).status_code == 403


def test_an_adjudicator_sees_first_answers_and_looks_back_at_their_own(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = with_opinions(make_room(AFTER, "reading.readers_per_case=2"), cases=1)
    room.let_in(ann="reader", ben="reader", cleo="adjudicator")
    ann, ben, cleo = (pages(room, name) for name in ("ann", "ben", "cleo"))
    for page, chosen in ((ann, 0), (ben, 2)):
        page.answer(page.next(), chosen)
        look(page, 0)
        assert change(page, 0, 1).status_code == 200
    assert look(cleo, 0).status_code == 409
    offer = cleo.next()
    told = json.dumps(offer["case"]["readings"])
    assert sorted(r["value"] for r in offer["case"]["readings"]) == [[0, 0, 1], [1, 0, 0]]
    assert "[0, 1, 0]" not in told
    assert look(cleo, 0).status_code == 409  # the case is on the screen, and not settled
    cleo.answer(offer, 0)
    assert look(cleo, 0).status_code == 200
    assert change(cleo, 0, 1).status_code == 200
    with room.store() as store:
        for after_ai, target in ((False, (1.0, 0.0, 0.0)), (True, (0.0, 1.0, 0.0))):
            readings = store.readings.training(room.study.identity, after_ai=after_ai)
            (label,) = CONSENSUS["majority"]().settle(readings).values()
            assert label.target == target
            assert [r.adjudicating for r in readings] == [False, False, True]
    assert rows(room, "SELECT adjudicating FROM changed ORDER BY id") == [(0,), (0,), (1,)]


def test_who_has_seen_the_model_gives_no_blind_answer_any_more(
    make_room: Callable[..., Any],
) -> None:
    """Not even by a way that no page has: the store itself refuses."""
    from client.queue import accept
    from client.store.reading_shelf import Opening
    from protocol.records import Reading

    room = with_opinions(make_room(AFTER), cases=2)
    first = Reading("", "cleo", "2026-01-05T08:00:00+00:00", 1.0, "answered", (1, 0, 0))
    for adjudicating in (True, False):
        with room.store() as store:
            with store.transaction():
                store.leases.show(room.study.identity, 2, "cleo", "model", "2026")
            reading = replace(first, adjudicating=adjudicating)
            with pytest.raises(ReadingRefused, match="blind"), store.transaction():
                accept(store, room.study, 0, Opening(2, "query"), reading)
            assert store.readings.answers(room.study.identity, 0) == {}


# ---- what trains


def read_and_change(room: Any, pages: Callable[..., Any]) -> None:
    """Ann says class 0 of three cases (one of them for the audit) and thinks better of two."""
    ann = pages(room, "ann")
    for position in range(4):
        offer = ann.next()
        assert offer["case"]["position"] == position
        ann.answer(offer, 0)
        look(ann, position)
    for position, chosen in ((2, None), (0, 2), (1, 2), (3, 1)):
        assert change(ann, position, chosen).status_code == 200


@pytest.mark.parametrize("trains", ["blind", "after-ai"])
def test_the_study_says_which_answer_trains_and_the_audit_takes_the_blind_one(
    make_room: Callable[..., Any], pages: Callable[..., Any], trains: str
) -> None:
    from client.opening import open_home
    from client.steps.train import _settle

    room = with_opinions(make_room(AFTER, f'reading.trains="{trains}"'), cases=4)
    room.let_in(ann="reader")
    read_and_change(room, pages)
    site = open_home(room.home)
    _settle(site, room.study)
    ids, targets = site.store.readings.labels(room.study.identity)
    labels = dict(zip(ids.tolist(), targets.tolist(), strict=True))
    audit = site.store.readings.audit(room.study.identity)
    site.store.close()
    clear, _, effusion = np.eye(3).tolist()
    if trains == "blind":  # position 3 is case 4, which is for the audit
        assert labels == {1: clear, 2: clear, 3: clear}
    else:  # the doubt of case 3 makes no label
        assert labels == {1: effusion, 2: effusion}
    assert {r.value for r in audit} == {(1, 0, 0)}
    assert {r.stage for r in audit} == {"blind"}


# ---- one invariant over everything


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_is_asked_nobody_sees_before_they_answered(data: st.DataObject) -> None:
    """Any order of acts by two readers: an opinion is served only to who has answered the case."""
    from tempfile import TemporaryDirectory

    from client.room.desk import Desk, Given
    from client.room.second import SecondLook
    from client.store.reader_shelf import Account

    with TemporaryDirectory() as folder:
        room = small(Path(folder))
        people = {n: Account(n, "reader", "x", "2026") for n in ("ann", "ben")}
        with room.store() as store:
            desk, second = Desk(store), SecondLook(store)
            for _ in range(data.draw(st.integers(5, 25))):
                who = people[data.draw(st.sampled_from(("ann", "ben")))]
                act = data.draw(st.sampled_from(("read", "look", "change", "undo")))
                position = data.draw(st.integers(0, 3))
                answer = Given(secrets.token_hex(8), 0, position, "answered", (0, 1, 0), 1.0)
                own = rows_of(store, who.name, position)
                try:
                    if act == "read":
                        desk.next(room.study, who)
                        desk.answer(room.study, who, answer)
                    elif act == "look":
                        second.opinion(room.study, who, 0, position)
                        assert own
                    elif act == "change":
                        second.change(room.study, who, answer)
                        assert own
                    else:
                        desk.undo(room.study, who)
                except ReadingRefused:
                    pass
            blind_after_shown = store.connection.execute(
                'SELECT count(*) FROM shown h JOIN readings r ON r."case" = h."case" '
                "AND r.reader = h.reader AND r.stage = 'blind' WHERE h.what = 'model' AND "
                "(r.id IN (SELECT reading FROM withdrawals) AND NOT EXISTS "
                '(SELECT 1 FROM standing s WHERE s."case" = r."case" AND s.reader = r.reader))'
            ).fetchone()
            assert blind_after_shown == (0,)


def rows_of(store: Any, reader: str, position: int) -> list[Any]:
    sql = (
        'SELECT 1 FROM standing s JOIN openings o ON o."case" = s."case" '
        "WHERE reader = ? AND position = ?"
    )
    return list(store.connection.execute(sql, (reader, position)))


def small(folder: Path) -> Any:
    """A room of four cases without any image."""
    from contextlib import closing
    from types import SimpleNamespace

    from client.home import open_store
    from client.keys import SiteKey
    from client.site import Arrival, enrol
    from client.store.reader_shelf import Account
    from client.store.reading_shelf import Opening
    from protocol.study import parse

    document = {
        "schema": 1,
        "name": "second",
        "task": {
            "image": [1, 8, 8],
            "classes": [{"name": n, "definition": n} for n in ("a", "b", "c")],
        },
        "network": {"name": "tiny-cnn"},
    }
    study = parse(document, (AFTER, "reading.readers_per_case=2"))
    store = open_store(folder, durable=False)
    names = [str(i) for i in range(4)]
    enrol(store, SiteKey(bytes(16)), Arrival(names, names, ["pool"] * 4, range(4)), clustered=False)
    with store.transaction():
        store.steps.approve(study, "w")
        for name in ("ann", "ben"):
            store.readers.add(Account(name, "reader", "x", "2026"))
        store.readings.grant(study.identity, 0, 0, 20)
        store.readings.open(study.identity, 0, [Opening(i, "query") for i in range(1, 5)])
        store.opinions.put(
            study.identity, 0, [Opinion(i, (0.2, 0.5, 0.3), "w") for i in range(1, 5)]
        )
    store.close()
    return SimpleNamespace(study=study, store=lambda: closing(open_store(folder, durable=False)))
