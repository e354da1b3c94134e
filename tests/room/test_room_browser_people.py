"""In a real browser: pauses are left out, choices outlive a kill, an auditor's page."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-3d-apis",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
PRESSED = "#classes [aria-pressed=true]"
MANY = "task.kind=multi-label"


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a browser on an address as somebody, with its profile."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened: list[Any] = []

        def one(address: str, name: str, *, clock: bool = False) -> Any:
            context = driver.chromium.launch_persistent_context(
                str(tmp_path / "profile"), executable_path=chromium, headless=True, args=FLAGS
            )
            opened.append(context)
            page = context.new_page()
            if clock:
                page.clock.install()
            page.goto(address)
            until(lambda: view(page) == "door")
            page.fill("#name", name)
            page.fill("#password", PASSWORD)
            page.keyboard.press("Enter")
            until(lambda: view(page) not in ("door", "waiting"))
            return page

        yield one
        for context in opened:
            with suppress(playwright.Error):  # a browser that was killed cannot be closed
                context.close()


def until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def view(page: Any) -> str:
    try:
        return str(page.evaluate("document.body.dataset.view"))
    except Exception:  # the page is being loaded anew
        return ""


def rows(room: Any, sql: str) -> list[tuple[Any, ...]]:
    with room.store() as store:
        return list(store.connection.execute(sql))


def kill(profile: Path) -> None:
    """kill -9 of the browser that has this profile, with all its parts."""
    wanted = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(profile).encode() in (folder / "cmdline").read_bytes():
                wanted.append(int(folder.name))
    assert wanted
    for pid in wanted:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_is_chosen_outlives_a_reload_and_a_killed_browser(
    make_room: Callable[..., Any],
    serve: Callable[[Any], str],
    launch: Callable[..., Any],
    tmp_path: Path,
) -> None:
    room = make_room(MANY)
    room.open(3, 9)
    room.let_in(ann="reader")
    address = serve(room)
    page = launch(address, "ann")
    until(lambda: view(page) == "desk" and page.inner_text("#loading") == "")
    for key in ("1", "3", "f", "f", "c"):
        page.keyboard.press(key)
    page.keyboard.type("left base")
    page.keyboard.press("Escape")
    until(lambda: rows(room, "SELECT reader FROM drafts") == [("ann",)])
    page.reload()

    def back(one: Any) -> bool:
        pressed = (
            "[...document.querySelectorAll('#classes [aria-pressed=true]')].map(b => b.innerText)"
        )
        return (
            view(one) == "desk"
            and one.input_value("#comment") == "left base"
            and [words.split()[1] for words in one.evaluate(pressed)] == ["clear", "effusion"]
            and one.get_attribute("#confidence button:nth-child(2)", "aria-pressed") == "true"
        )

    until(lambda: back(page))
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    page.keyboard.press("2")
    until(lambda: "[1, 1, 1]" in rows(room, "SELECT content FROM drafts")[0][0])
    page.keyboard.press("2")
    until(lambda: "[1, 0, 1]" in rows(room, "SELECT content FROM drafts")[0][0])
    kill(tmp_path / "profile")
    assert rows(room, "SELECT count(*) FROM readings") == [(0,)]
    page = launch(address, "ann")
    until(lambda: back(page))
    page.keyboard.press("Enter")
    until(lambda: rows(room, "SELECT value, confidence, comment FROM readings"))
    assert rows(room, "SELECT value, confidence, comment FROM readings") == [
        ("[1, 0, 1]", 2, "left base")
    ]
    assert rows(room, "SELECT count(*) FROM drafts") == [(0,)]
    until(lambda: view(page) == "desk" and page.input_value("#comment") == "")
    assert not page.query_selector_all(PRESSED)


def test_pauses_and_hidden_tabs_are_no_minutes(
    make_room: Callable[..., Any], serve: Callable[[Any], str], launch: Callable[..., Any]
) -> None:
    room = make_room()
    room.open(3, 9)
    room.let_in(ann="reader")
    page = launch(serve(room), "ann")
    counted = page.evaluate(
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
    make_room: Callable[..., Any], serve: Callable[[Any], str], launch: Callable[..., Any]
) -> None:
    room = make_room()
    room.open(3, 9)
    room.let_in(ann="reader")
    page = launch(serve(room), "ann", clock=True)
    until(lambda: view(page) == "desk" and page.inner_text("#loading") == "")
    sent: list[float] = []
    page.on(
        "request",
        lambda r: sent.append(json.loads(r.post_data)["seconds"]) if "answer" in r.url else None,
    )
    page.keyboard.press("i")
    page.clock.fast_forward(240_000)
    page.keyboard.press("1")
    until(lambda: rows(room, "SELECT seconds FROM readings"))
    assert 29 < sent[0] < 60  # of four minutes; the page's own clock ran on a little
    assert rows(room, "SELECT seconds FROM readings")[0][0] < 40  # and the room counts its own


def test_an_auditor_s_page_shows_the_log_and_no_case(
    make_room: Callable[..., Any], serve: Callable[[Any], str], launch: Callable[..., Any]
) -> None:
    room = make_room()
    room.open(3, 9)
    room.let_in(ann="reader", otto="auditor")
    page = launch(serve(room), "otto")
    until(lambda: "otto signed in" in page.inner_text("#audit-lines"))
    assert "NOT WHOLE" not in page.inner_text("#audit-chain")
    page.select_option("#audit-kind", "left")
    until(lambda: page.inner_text("#audit-lines") == "")
    assert not page.is_visible("#canvas")
    if folder := os.environ.get("ROOM_PICTURES"):
        page.select_option("#audit-kind", "")
        page.screenshot(path=str(Path(folder) / "auditor.jpg"), type="jpeg", quality=88)
