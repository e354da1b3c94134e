"""Practice by keyboard, and the admin's view of agreement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.store.practice_shelf import PracticeCase

pytestmark = pytest.mark.browser

Made = Callable[..., Any]


def test_practice_by_keyboard_and_then_the_first_real_case(
    screen_on: Made, until: Made, make_room: Made, serve: Made
) -> None:
    room = make_room("reading.practice=2")
    room.open(3, 9)
    room.let_in(ann="reader")
    with room.store() as store, store.transaction():
        for case in (20, 21, 22):
            value = {"clear": 0, "pneumonia": 1, "effusion": 0}
            store.practice.put(PracticeCase(case, value, "Air bronchogram."))
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    assert "Practice: case 1 of 2" in screen.text("#practice")
    assert "bronchogram" not in screen.page.content()
    screen.press("2")
    until(lambda: "Right: pneumonia." in screen.text("#practice"))
    screen.picture("practice")
    assert "Air bronchogram." in screen.text("#practice")
    screen.press("1", "3", "u")  # nothing more is to be said of it
    screen.press("Enter")
    until(lambda: "Practice: case 2 of 2" in screen.text("#practice"))
    screen.press("u")
    until(lambda: "You said: unsure." in screen.text("#practice"))
    assert "It is: pneumonia." in screen.text("#practice")
    screen.press("Enter")
    until(lambda: "Practice is over" in screen.text("#state"))
    until(lambda: screen.bright() > 5)
    assert not screen.page.is_visible("#practice")
    assert screen.text("#today").startswith("0 readings")
    screen.press("1")
    until(lambda: screen.text("#today").startswith("1 reading,"))
    with room.store() as store:
        sql = "SELECT reader, answer FROM practised ORDER BY rowid"
        assert store.connection.execute(sql).fetchall() == [("ann", "answered"), ("ann", "unsure")]
        assert store.readings.spent(room.study.identity)[0] == 1
    assert not screen.wrong


def test_the_admin_sees_how_far_readers_agree(
    screen_on: Made, until: Made, make_room: Made, serve: Made
) -> None:
    from client.queue import next_case, submit
    from protocol.records import Reading

    room = make_room("reading.readers_per_case=2")
    room.open(12, 40)
    room.let_in(dora="admin", ann="reader", ben="reader")
    with room.store() as store:
        for reader in ("ann", "ben"):
            while (opening := next_case(store, room.study, 0, reader)) is not None:
                said = opening.case % (3 if reader == "ann" else 2)
                value = tuple(int(i == said) for i in range(3))
                at = "2026-01-05T08:00:00+00:00"
                reading = Reading("", reader, at, 1.0, "answered", value)
                submit(store, room.study, 0, opening, reading)
    screen = screen_on(serve(room))
    screen.sign_in("dora")
    until(lambda: screen.view == "admin")
    screen.page.click("#agreement summary")
    until(lambda: "10 cases with two answers or more" in screen.text("#agreement"))
    told = screen.text("#agreement")
    assert "ann and ben" in told
    assert "Nothing of this leaves the site." in told
    screen.picture("agreement")
    assert not screen.wrong
