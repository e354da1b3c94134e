"""In a real browser: pauses are left out, choices outlive a kill, an auditor's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Made = Callable[..., Any]

PRESSED = "#classes [aria-pressed=true]"
MANY = "task.kind=multi-label"


def rows(room: Any, sql: str) -> list[tuple[Any, ...]]:
    with room.store() as store:
        return list(store.connection.execute(sql))


def chosen_again(screen: Any) -> bool:
    """Whether the first and third class, confidence 2 and the comment are there."""
    every, page = f"[...document.querySelectorAll('{PRESSED}')].map(b => b.innerText)", screen.page
    return bool(
        screen.view == "desk"
        and page.input_value("#comment") == "left base"
        and [words.split()[1] for words in page.evaluate(every)] == ["clear", "effusion"]
        and page.get_attribute("#confidence button:nth-child(2)", "aria-pressed") == "true"
    )


def test_what_is_chosen_outlives_a_reload_and_a_killed_browser(
    make_room: Made,
    serve: Made,
    launch: Made,
    kill_browser: Made,
    new_screen: Made,
    until: Made,
) -> None:
    room = make_room(MANY)
    room.open(3, 9)
    room.let_in(ann="reader")
    address = serve(room)
    screen = new_screen(launch(), address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.text("#loading") == "")
    screen.press("1", "3", "f", "f", "c")
    screen.page.keyboard.type("left base")
    screen.press("Escape")
    until(lambda: rows(room, "SELECT reader FROM drafts") == [("ann",)])
    screen.page.reload()

    until(lambda: chosen_again(screen))
    assert screen.page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    screen.press("2")
    until(lambda: "[1, 1, 1]" in rows(room, "SELECT content FROM drafts")[0][0])
    screen.press("2")
    until(lambda: "[1, 0, 1]" in rows(room, "SELECT content FROM drafts")[0][0])
    assert rows(room, "SELECT count(*) FROM readings") == [(0,)]
    kill_browser()
    screen = new_screen(launch(), address)
    until(lambda: screen.view in ("door", "desk"))
    if screen.view == "door":
        screen.sign_in("ann")
    until(lambda: chosen_again(screen))
    screen.press("Enter")
    until(lambda: rows(room, "SELECT value, confidence, comment FROM readings"))
    assert rows(room, "SELECT value, confidence, comment FROM readings") == [
        ("[1, 0, 1]", 2, "left base")
    ]
    assert rows(room, "SELECT count(*) FROM drafts") == [(0,)]
    until(lambda: screen.view == "desk" and screen.page.input_value("#comment") == "")
    assert not screen.page.query_selector_all(PRESSED)


def test_pauses_and_hidden_tabs_are_no_minutes(
    make_room: Made, serve: Made, screen_on: Made, until: Made
) -> None:
    room = make_room()
    counted = screen_on(serve(room)).page.evaluate(
        """async () => {
          const { Clock } = await import("/page/clock.js");
          let at = 0;
          const clock = new Clock(() => at);
          const told = [];
          clock.start();
          at += 20000; clock.touch(); told.push(clock.seconds);   // at work
          at += 300000; told.push(clock.seconds);                 // nobody for five minutes
          clock.touch(); at += 5000; told.push(clock.seconds);    // back
          clock.hide(true); at += 10000; clock.hide(false); told.push(clock.seconds);
          at += 2000; clock.touch(); told.push(clock.seconds);
          clock.start(); told.push(clock.seconds);                // the next case
          return told;
        }"""
    )
    assert counted == [20, 50, 55, 55, 57, 0]


def test_a_page_with_nobody_before_it_counts_half_a_minute(
    make_room: Made, serve: Made, screen_on: Made, until: Made
) -> None:
    room = make_room()
    room.open(3, 9)
    room.let_in(ann="reader")
    screen = screen_on("about:blank")
    screen.page.clock.install()
    screen.page.goto(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.text("#loading") == "")
    sent: list[float] = []
    screen.page.on(
        "request",
        lambda r: sent.append(json.loads(r.post_data)["seconds"]) if "answer" in r.url else None,
    )
    screen.press("i")
    screen.page.clock.fast_forward(240_000)
    screen.press("1")
    until(lambda: rows(room, "SELECT seconds FROM readings"))
    assert 29 < sent[0] < 60  # of four minutes; the page's own clock ran on a little
    assert rows(room, "SELECT seconds FROM readings")[0][0] < 40  # and the room counts its own


def test_an_auditor_s_page_shows_the_log_and_no_case(
    make_room: Made, serve: Made, screen_on: Made, pages: Made, until: Made
) -> None:
    room = make_room()
    room.open(3, 9)
    room.let_in(ann="reader", otto="auditor")
    ann = pages(room, "ann")
    ann.answer(ann.answer(ann.next()).json(), chosen=None)
    assert ann.post("/api/undo", study=room.study.identity).status_code == 200
    screen = screen_on(serve(room))
    screen.sign_in("otto")
    until(lambda: screen.view == "audit" and "otto signed in" in screen.text("#audit-lines"))
    assert "NOT WHOLE" not in screen.text("#audit-chain")
    assert "took back" in screen.text("#audit-lines")
    screen.page.select_option("#audit-kind", "left")
    until(lambda: screen.text("#audit-lines") == "")
    assert not screen.page.is_visible("#canvas")
    screen.page.select_option("#audit-kind", "")
    until(lambda: "otto signed in" in screen.text("#audit-lines"))
    screen.picture("auditor")
    assert not screen.wrong
