"""The second look in a real browser: the model's opinion, its map, a changed mind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Made = Callable[..., Any]


def two_cases(make_room: Made) -> Any:
    """A room whose model points at one place of either case."""
    from client.store.opinion_shelf import Opinion

    room = make_room('reading.show_ai="after"')
    room.open(2, 9)
    room.let_in(ann="reader")
    with room.store() as store, store.transaction():
        seen = bytes([0] * 5 + [255] + [0] * 10)  # row 1, column 1 of 4 x 4
        said = [Opinion(i, (0.1, 0.7, 0.2), "It was drawn at random.", seen, 4) for i in (1, 2)]
        store.opinions.put(room.study.identity, 0, said)
    return room


def test_a_second_look_by_keyboard_changes_a_mind_and_costs_nothing(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = two_cases(make_room)
    address = serve(room)
    screen = screen_on(address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    screen.press("a")
    until(lambda: "no answer of yours" in screen.text("#state"))
    screen.press("1")
    until(lambda: screen.text("#state") == "Saved." and screen.bright() > 5)
    waiting = screen.bright()
    screen.press("f", "a")  # the next case keeps what was said of it already
    until(lambda: screen.page.evaluate("document.body.dataset.second") == "on")
    assert "You said: clear" in screen.text("#second")
    assert "drawn at random" in screen.text("#second")
    assert [w.split("\n")[1:] for w in screen.page.locator("#second-classes li").all_inner_texts()]
    assert screen.text("#second-classes").count("70 %") == 1
    until(lambda: screen.tint() > 1)
    with_map, corner = screen.tint(), screen.tint_at(0.375, 0.375)
    assert corner > 10 * max(screen.tint_at(0.8, 0.8), 0.1)
    screen.picture("second-look")
    screen.press("h")
    until(lambda: screen.tint() < 0.1)
    screen.press("h", "+", "+")
    until(lambda: screen.tint() > 1.2 * with_map)  # the map grows with its image
    screen.press("2")
    until(lambda: "stays beside it" in screen.text("#state"))
    assert screen.view == "desk"
    until(lambda: abs(screen.bright() - waiting) < 0.5 and screen.tint() < 0.1)
    assert screen.page.get_attribute("#confidence button:nth-child(1)", "aria-pressed") == "true"
    with room.store() as store:
        sql = "SELECT stage, value FROM readings ORDER BY id"
        assert list(store.connection.execute(sql)) == [
            ("blind", "[1, 0, 0]"), ("after-ai", "[0, 1, 0]")
        ]  # fmt: skip
        assert store.readings.spent(room.study.identity)[0] == 1
    assert not screen.wrong


def test_the_last_case_of_all_can_be_looked_back_at(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    room = two_cases(make_room)
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    for done in range(2):
        until(lambda: screen.view == "desk" and screen.bright() > 5)
        screen.press("3")
        until(lambda done=done: len(readings(room)) == done + 1)
    until(lambda: screen.view == "empty")
    screen.press("a")
    until(lambda: "You said: effusion" in screen.text("#second"))
    screen.press("Escape")
    until(lambda: screen.view == "empty")
    assert len(readings(room)) == 2
    assert not screen.wrong


def test_a_second_look_at_several_classes_saves_what_enter_is_pressed_on(
    screen_on: Made, until: Made, readings: Made, make_room: Made, serve: Made
) -> None:
    from client.store.opinion_shelf import Opinion

    room = make_room('reading.show_ai="after"', 'task.kind="multi-label"')
    room.open(1, 9)
    room.let_in(ann="reader")
    with room.store() as store, store.transaction():
        said = [Opinion(1, (0.1, 0.7, 0.6), "The model was unsure whether it shows effusion.")]
        store.opinions.put(room.study.identity, 0, said)
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    screen.press("2", "Enter")
    until(lambda: screen.view == "empty")
    for keys, stays in ((("Enter",), True), (("3", "3", "Enter"), True), (("3", "Enter"), False)):
        screen.press("a")
        until(lambda: "You said: pneumonia" in screen.text("#second"))
        assert "no map" in screen.text("#second-note")
        assert screen.page.is_hidden("#second-veil")
        screen.press(*keys)
        until(lambda: screen.view == "empty")
        with room.store() as store:
            sql = "SELECT value FROM readings WHERE stage = 'after-ai'"
            found = list(store.connection.execute(sql))
        assert found == ([] if stays else [("[0, 1, 1]",)])
    screen.press("a")
    until(lambda: "You changed your answer to: pneumonia, effusion" in screen.text("#second"))
    assert readings(room)[0][2] == "[0, 1, 0]"
    assert not screen.wrong


def test_page_and_site_agree_on_the_slices_that_a_network_sees(
    screen_on: Made, make_room: Made, serve: Made
) -> None:
    from client.images import slices_seen

    screen = screen_on(serve(make_room()))
    asked = [[count, planes] for count in (1, 2, 3, 5, 24, 41) for planes in (1, 2, 3, 4)]
    told = screen.page.evaluate(
        """async (asked) => { const { slicesSeen } = await import("/page/second.js");
        return asked.map(([count, planes]) => slicesSeen(count, planes, false)); }""",
        asked,
    )
    assert told == [slices_seen(*one) for one in asked]
