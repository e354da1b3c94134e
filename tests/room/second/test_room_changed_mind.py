"""A changed mind is kept beside the first answer; which of them trains, and which never."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from client.cost import spent
from client.queue import ReadingRefused, progress
from strategies.consensus import CONSENSUS

Made = Callable[..., Any]

AFTER = 'reading.show_ai="after"'
MARK = "the model was unsure of this very case"


@pytest.mark.slow
def test_a_changed_mind_is_kept_beside_the_first_and_costs_nothing(
    room: Any, pages: Made, look: Made, change: Made, rows: Made, stages: Made
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
        shelf, identity = store.labels, room.study.identity
        assert [r.value for r in shelf.training(identity)] == [(1, 0, 0)]
        assert [r.value for r in shelf.training(identity, after_ai=True)] == [(0, 1, 0)]
    assert look(ann, 0).json()["changed"] == {"answer": "answered", "value": [0, 1, 0]}
    ((seconds,),) = rows(room, "SELECT seconds FROM readings WHERE stage = 'after-ai'")
    assert seconds == 3.0


@pytest.mark.slow
def test_a_changed_mind_sent_twice_is_one_and_the_newest_counts(
    room: Any, pages: Made, look: Made, change: Made, rows: Made, stages: Made
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


@pytest.mark.slow
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
    room: Any, pages: Made, body: dict[str, Any], look: Made, change: Made, stages: Made
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    assert change(ann, 0, 1, **body).status_code in (400, 409)
    assert len(stages(room)) == 1


@pytest.mark.slow
def test_a_key_of_a_first_answer_makes_no_changed_mind(
    room: Any, pages: Made, look: Made, change: Made, stages: Made
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0, submission="f" * 20)
    look(ann, 0)
    assert change(ann, 0, 0, submission="f" * 20).status_code == 409
    assert change(ann, 0, 1, submission="g" * 20).status_code == 200
    assert ann.answer(ann.next(), 1, submission="g" * 20).status_code == 409
    assert len(stages(room)) == 2


@pytest.mark.slow
def test_a_closed_cycle_takes_no_second_look(
    room: Any, pages: Made, look: Made, change: Made
) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 0)
    look(ann, 0)
    with room.store() as store, store.transaction():
        store.cycles.close(room.study.identity, 0, "2026")
    assert look(ann, 0).status_code == change(ann, 0, 1).status_code == 409
    assert ann.image(0).status_code == 403


@pytest.mark.slow
def test_an_adjudicator_sees_first_answers_and_looks_back_at_their_own(
    make_room: Made, pages: Made, with_opinions: Made, look: Made, change: Made, rows: Made
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
            readings = store.labels.training(room.study.identity, after_ai=after_ai)
            (label,) = CONSENSUS["majority"]().settle(readings).values()
            assert label.target == target
            assert [r.adjudicating for r in readings] == [False, False, True]
    assert rows(room, "SELECT adjudicating FROM changed ORDER BY id") == [(0,), (0,), (1,)]


def test_who_has_seen_the_model_gives_no_blind_answer_any_more(
    make_room: Made, with_opinions: Made
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


def read_and_change(room: Any, pages: Made, look: Made, change: Made) -> None:
    """Ann says class 0 of three cases (one of them for the audit) and thinks better of two."""
    ann = pages(room, "ann")
    for position in range(4):
        offer = ann.next()
        assert offer["case"]["position"] == position
        ann.answer(offer, 0)
        look(ann, position)
    for position, chosen in ((2, None), (0, 2), (1, 2), (3, 1)):
        assert change(ann, position, chosen).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("trains", ["blind", "after-ai"])
def test_the_study_says_which_answer_trains_and_the_audit_takes_the_blind_one(
    make_room: Made, pages: Made, trains: str, with_opinions: Made, look: Made, change: Made
) -> None:
    from client.opening import open_home
    from client.steps.train import _settle

    room = with_opinions(make_room(AFTER, f'reading.trains="{trains}"'), cases=4)
    room.let_in(ann="reader")
    read_and_change(room, pages, look, change)
    site = open_home(room.home)
    _settle(site, room.study)
    ids, targets = site.store.labels.settled(room.study.identity)
    labels = dict(zip(ids.tolist(), targets.tolist(), strict=True))
    audit = site.store.labels.audit(room.study.identity)
    site.store.close()
    clear, _, effusion = np.eye(3).tolist()
    if trains == "blind":  # position 3 is case 4, which is for the audit
        assert labels == {1: clear, 2: clear, 3: clear}
    else:  # the doubt of case 3 makes no label
        assert labels == {1: effusion, 2: effusion}
    assert {r.value for r in audit} == {(1, 0, 0)}
    assert {r.stage for r in audit} == {"blind"}
