"""A reading session in a real browser, by keyboard alone; it makes the picture of the docs, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Made = Callable[..., Any]


def test_a_session_by_keyboard_alone(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room()
    room.open(5, 20)
    room.let_in(ann="reader")
    address = serve(room)
    screen = screen_on(address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    assert "Which of these is it?" in screen.text("#question")
    before = screen.bright()
    screen.press("i")
    until(lambda: abs(screen.bright() - before) > 5)
    screen.press("r")
    until(lambda: abs(screen.bright() - before) < 1)
    screen.press("Shift+ArrowRight", "Shift+ArrowUp", "+", "ArrowLeft", "Shift+Digit2")
    screen.press("?")
    until(lambda: screen.page.evaluate("document.getElementById('help').open"))
    screen.press("Escape", "r")
    screen.press("f", "f", "f", "c")
    screen.page.keyboard.type("left base")
    screen.press("Escape")
    screen.picture("case")
    screen.press("2")
    until(lambda: "1 reading, " in screen.text("#today"))
    assert screen.text("#state") == "Saved."
    assert readings(room) == [("ann", "answered", "[0, 1, 0]", 3, "", "left base")]
    until(lambda: screen.bright() > 5)
    screen.press("u")
    until(lambda: len(readings(room)) == 2 and screen.text("#state") == "Saved.")
    screen.press("x")
    until(lambda: screen.page.evaluate("document.getElementById('why').open"))
    screen.press("1")
    until(lambda: len(readings(room)) == 3 and screen.text("#state") == "Saved.")
    assert [row[1:5:3] for row in readings(room)[1:]] == [("unsure", ""), ("unreadable", "quality")]
    screen.press("z")
    until(lambda: "Taken back" in screen.text("#state"))
    assert len(readings(room)) == 2
    for done in range(3, 6):
        screen.press("1")
        until(lambda done=done: f"{done} readings, " in screen.text("#today"))
    until(lambda: screen.view == "empty")
    assert "5 labels came from you today" in screen.text("#empty")
    screen.picture("empty")
    assert not screen.wrong
    assert {url.startswith(address) for url in screen.asked} == {True}


def test_a_key_that_is_held_down_answers_one_case(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room()
    room.open(5, 20)
    room.let_in(ann="reader")
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    until(lambda: not screen.fresh)
    screen.page.keyboard.down("2")
    until(lambda: "1 reading, " in screen.text("#today") and screen.text("#state") == "Saved.")
    for _ in range(8):  # as the keyboard repeats it
        screen.page.keyboard.down("2")
        screen.page.wait_for_timeout(60)
    until(lambda: not screen.fresh)
    screen.page.keyboard.down("2")
    screen.page.keyboard.up("2")
    assert len(readings(room)) == 1
    screen.press("2")
    until(lambda: "2 readings, " in screen.text("#today"))
    assert not screen.wrong


def test_a_key_or_a_button_pressed_twice_answers_one_case(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room()
    room.open(8, 20)
    room.let_in(ann="reader")
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    done = 0
    for twice in ("2", "u", "x", "#unsure", "#classes li:nth-child(3) button"):
        done += 1
        until(lambda: not screen.fresh)
        # the second comes as soon as the next case can be seen
        screen.page.evaluate(
            """(twice) => {
              const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown",
                { key, code: `Digit${key}`, bubbles: true }));
              const act = () => (twice.startsWith("#") ? document.querySelector(twice).click()
                : press(twice === "x" ? "1" : twice));
              if (twice === "x") press("x");
              new PerformanceObserver((seen, all) => { all.disconnect(); act(); })
                .observe({ entryTypes: ["mark"] });
              act();
            }""",
            twice,
        )
        until(lambda done=done: len(readings(room)) == done and screen.text("#state") == "Saved.")
        until(lambda: not screen.fresh)
        assert len(readings(room)) == done
        pressed = "document.querySelectorAll('#classes [aria-pressed=true]').length"
        assert screen.page.evaluate(pressed) == 0
    assert [row[1] for row in readings(room)] == [
        "answered", "unsure", "unreadable", "unsure", "answered"
    ]  # fmt: skip
    screen.press("3")
    until(lambda: len(readings(room)) == done + 1)
    assert not screen.wrong


def test_two_readers_disagree_and_an_adjudicator_settles_it(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room("reading.readers_per_case=2")
    room.open(1, 4)
    room.let_in(ann="reader", ben="reader", cleo="adjudicator")
    address = serve(room)
    for name, key in (("ann", "1"), ("ben", "3"), ("cleo", "3")):
        screen = screen_on(address)
        screen.sign_in(name)
        until(lambda screen=screen: screen.view == "desk" and screen.bright() > 5)
        said = screen.text("#colleagues")
        assert ("A colleague said" in said) is (name == "cleo")
        assert "ann" not in said
        assert "ben" not in said
        if name == "cleo":
            assert {"A colleague said: clear", "A colleague said: effusion"} <= set(
                said.split("\n")
            )
            screen.picture("adjudication")
        screen.press(key)
        until(lambda screen=screen: screen.view == "empty")
        screen.page.click("#sign-out")
        until(lambda screen=screen: screen.view == "door")
        assert not screen.wrong
        screen.page.close()
    assert [row[0] for row in readings(room)] == ["ann", "ben", "cleo"]


def test_a_killed_room_loses_no_answer_and_says_saved_of_none_that_it_lacks(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room()
    room.open(4, 9)
    room.let_in(ann="reader")
    address = serve(room)
    screen = screen_on(address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    screen.page.route("**/api/answer", lambda route: _lost(route))  # kept, and the answer is lost
    screen.press("2")
    until(lambda: "Not saved yet" in screen.text("#state"))
    assert len(readings(room)) == 1
    screen.page.unroute("**/api/answer")
    until(lambda: "Saved." in screen.text("#state"))
    assert len(readings(room)) == 1
    until(lambda: "1 reading, " in screen.text("#today"))


def test_an_admin_sees_how_far_the_room_is_and_no_case(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = make_room()
    room.open(4, 9)
    room.let_in(dora="admin", ann="reader")
    screen = screen_on(serve(room))
    screen.sign_in("dora")
    until(lambda: screen.view == "admin")
    said = screen.text("#admin").split()
    assert said[said.index("chest") :][:7] == ["chest", "1", "9", "readings", "0", "0", "4"]
    assert not screen.wrong


def _lost(route: Any) -> None:
    route.fetch()
    route.abort()
