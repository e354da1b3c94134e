"""Cases that come back in a later cycle, in a study that shows the model's opinion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.store.opinion_shelf import Opinion
from client.store.reading_shelf import Opening

AFTER = 'reading.show_ai="after"'
MAP = bytes(range(16))


@pytest.mark.slow
def test_a_case_of_an_earlier_cycle_does_not_come_back_with_another_model_s_opinion(
    make_room: Callable[..., Any],
    pages: Callable[..., Any],
    look: Callable[..., Any],
    rows: Callable[..., Any],
) -> None:
    """The first cycle's model had learned from nothing, and the page says so of its opinions."""
    room = make_room(AFTER, "reading.repeats=0.49")
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    for cycle, why in enumerate(("first", "second")):
        with room.store() as store, store.transaction():
            ids = range(1 + 10 * cycle, 11 + 10 * cycle)
            store.readings.grant(room.study.identity, cycle, 0, 40)
            found = [Opening(i, "query", (0.125, 0.75, 0.125)) for i in ids]
            store.readings.open(room.study.identity, cycle, found)
            said = [Opinion(i, (0.125, 0.75, 0.125), why, MAP, 4) for i in ids]
            store.opinions.put(room.study.identity, cycle, said)
        offer = ann.next()
        while offer["case"] is not None:
            number = offer["case"]["position"]
            offer = ann.answer(offer).json()
            if cycle:
                told = look(ann, number, cycle=1).json()["opinion"]
                assert (told["why"], told["untrained"]) == ("second", False)
    sql = (
        'SELECT b.cycle, r.cycle FROM readings b JOIN readings r USING ("case") '
        "WHERE b.stage = 'blind' AND r.stage = 'repeat'"
    )
    back = rows(room, sql)
    assert back
    assert all(first == again for first, again in back)
