"""A reading session in a real browser, by keyboard alone; it makes the picture of the docs, too.

`ROOM_PICTURES=FOLDER` keeps the screenshots.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-3d-apis",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Debian's chromium with a fresh profile, and every address that it asked for."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium,
            headless=True,
            args=FLAGS,
            viewport={"width": 1360, "height": 820},
        )
        context.set_default_timeout(15_000)
        yield context
        context.close()


def until(true: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true answer: the page's policy forbids the eval that playwright would wait with."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Screen:
    """One page of the room, and what went wrong on it."""

    def __init__(self, context: Any, address: str) -> None:
        self.page = context.new_page()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(address)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "status of 401" not in message.text:
            self.wrong.append(message.text)

    def sign_in(self, name: str) -> None:
        until(lambda: self.view == "door")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")

    @property
    def view(self) -> str:
        try:
            return str(self.page.evaluate("document.body.dataset.view"))
        except Exception:  # the page is being loaded anew
            return ""

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def bright(self) -> float:
        """Mean brightness of what the canvas shows."""
        return float(
            self.page.evaluate(
                """() => { const c = document.getElementById("canvas");
                const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                let sum = 0; for (let i = 0; i < d.length; i += 4) sum += d[i];
                return sum / (d.length / 4); }"""
            )
        )

    def picture(self, name: str) -> None:
        if folder := os.environ.get("ROOM_PICTURES"):
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


def readings(room: Any) -> list[tuple[Any, ...]]:
    with room.store() as store:
        sql = "SELECT reader, answer, value, confidence, reason, comment FROM standing ORDER BY id"
        return list(store.connection.execute(sql))


def test_a_session_by_keyboard_alone(
    browser: Any, make_room: Callable[..., Any], serve: Callable[[Any], str]
) -> None:
    room = make_room()
    room.open(5, 20)
    room.let_in(ann="reader")
    address = serve(room)
    screen = Screen(browser, address)
    screen.picture("door")
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
    screen.picture("keys")
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
    screen.picture("why")
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


def test_two_readers_disagree_and_an_adjudicator_settles_it(
    browser: Any, make_room: Callable[..., Any], serve: Callable[[Any], str]
) -> None:
    room = make_room("reading.readers_per_case=2")
    room.open(1, 4)
    room.let_in(ann="reader", ben="reader", cleo="adjudicator")
    address = serve(room)
    for name, key in (("ann", "1"), ("ben", "3"), ("cleo", "3")):
        screen = Screen(browser, address)
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
    browser: Any, make_room: Callable[..., Any], serve: Callable[[Any], Any]
) -> None:
    room = make_room()
    room.open(4, 9)
    room.let_in(ann="reader")
    address = serve(room)
    screen = Screen(browser, address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    screen.page.route("**/api/answer", lambda route: _lost(route))  # kept, and the answer is lost
    screen.press("2")
    until(lambda: "Not saved yet" in screen.text("#state"))
    assert len(readings(room)) == 1
    screen.page.unroute("**/api/answer")
    until(lambda: "Saved." in screen.text("#state"))
    assert len(readings(room)) == 1
    assert "1 reading, " in screen.text("#today")


def test_an_admin_sees_how_far_the_room_is_and_no_case(
    browser: Any, make_room: Callable[..., Any], serve: Callable[[Any], str]
) -> None:
    room = make_room()
    room.open(4, 9)
    room.let_in(dora="admin", ann="reader")
    screen = Screen(browser, serve(room))
    screen.sign_in("dora")
    until(lambda: screen.view == "admin")
    said = screen.text("#admin").split()
    assert said[said.index("chest") :][:7] == ["chest", "1", "9", "readings", "0", "0", "4"]
    screen.picture("admin")
    assert not screen.wrong


def _lost(route: Any) -> None:
    route.fetch()
    route.abort()
