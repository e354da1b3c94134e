"""Volumes, several classes, and what the page must never do, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Make = Callable[..., Any]
SLICES = 12


@pytest.fixture
def stack(make_room: Make, tmp_path: Path) -> Any:
    """A room whose one case is a CT of twelve slices, feet first, imported from DICOM."""
    from dataclasses import replace

    from client.home import open_store
    from client.joining import make_site
    from client.patients import site_key
    from client.sources.decoder import Decoder
    from client.sources.dicom_folder import DicomFolder
    from client.sources.importing import Import
    from simulations.benchmarks.dicom_files import series

    home = tmp_path / "hospital"
    series(tmp_path / "source", SLICES)
    make_site(home, "north")
    store = open_store(home)
    with Decoder() as decoder:
        source = DicomFolder(tmp_path / "source", decoder)
        assert Import(store, site_key(home), decoder).run(source).taken.total() == 1
    room = replace(make_room(), home=home)
    with store.transaction():
        store.steps.approve(room.study, "w")
    store.close()
    room.open(1, 3)
    room.let_in(ann="reader")
    return room


def test_slices_of_a_volume_by_keys_and_wheel(
    screen_on: Callable[[str], Any],
    stack: Any,
    serve: Callable[[Any], str],
    until: Callable[..., Any],
) -> None:
    screen = screen_on(serve(stack))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 2)

    def number() -> int:
        words = str(screen.page.text_content("#readout"))
        assert f" of {SLICES}" in words
        return int(words.split("slice ")[1].split(" ")[0])

    assert number() == SLICES // 2 + 1
    edges = [screen.text(f"#edge-{side}") for side in ("left", "right", "top", "bottom")]
    assert edges == ["R", "L", "A", "P"]  # as a radiologist looks at it, from the feet
    middle = screen.bright()
    for keys, wanted in (("jj", 9), ("k", 8), ("jjjjjjjjj", 12), ("kkkkkkkkkkkkkkk", 1)):
        screen.press(*keys)
        until(lambda wanted=wanted: number() == wanted)
    assert screen.bright() != middle
    screen.press("PageDown")
    until(lambda: number() == 2)
    screen.page.mouse.move(400, 400)
    for _ in range(3):
        screen.page.mouse.wheel(0, 100)
    until(lambda: number() == 5)
    screen.picture("volume")
    screen.press("2")
    until(lambda: screen.view == "empty")
    assert not screen.wrong


def test_several_classes_by_number_keys_and_none_of_them(
    screen_on: Callable[[str], Any],
    make_room: Make,
    serve: Callable[[Any], str],
    until: Callable[..., Any],
    readings: Callable[[Any], Any],
) -> None:
    room = make_room("task.kind=multi-label")
    room.open(3, 9)
    room.let_in(ann="reader")
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    assert "Which of these does it show?" in screen.text("#question")
    pressed = "[...document.querySelectorAll('#classes button')].map((b) => b.ariaPressed)"
    screen.press("1", "3", "2", "1")
    assert screen.page.evaluate(pressed) == ["false", "true", "true"]
    assert readings(room) == []  # a number chooses, and saves nothing
    for keys, done in ((["Enter"], 1), (["Enter"], 2), (["1", "Enter"], 3)):
        until(lambda: screen.view == "desk" and screen.bright() > 5)
        screen.press(*keys)
        until(lambda done=done: len(readings(room)) == done and screen.text("#state") == "Saved.")
    assert [row[2] for row in readings(room)] == ["[0, 1, 1]", "[0, 0, 0]", "[1, 0, 0]"]
    assert not screen.wrong


def test_the_page_breaks_no_rule_of_its_own_and_asks_nobody_else(
    browser: Any,
    screen_on: Callable[[str], Any],
    make_room: Make,
    serve: Callable[[Any], str],
    until: Callable[..., Any],
) -> None:
    browser.add_init_script(
        "window.broken = []; window.addEventListener('securitypolicyviolation', "
        "(event) => window.broken.push(event.violatedDirective), true);"
    )
    everything: list[str] = []
    browser.on("request", lambda request: everything.append(request.url))
    room = make_room()
    room.open(2, 4)
    room.let_in(ann="reader")
    address = serve(room)
    screen = screen_on(address)
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    assert screen.page.evaluate(
        "document.createElement('canvas').getContext('webgl') === null"
    )  # so it was drawn without
    screen.press("i", "r", "Shift+ArrowUp", "?", "Escape", "c", "Escape", "1")
    until(lambda: screen.text("#state") == "Saved." and screen.bright() > 5)
    screen.page.click("#light")
    screen.press("x")
    until(lambda: screen.page.evaluate("document.getElementById('why').open"))
    screen.press("1")
    until(lambda: screen.view == "empty")
    assert screen.page.evaluate("window.broken") == []
    screen.page.click("#sign-out")
    until(lambda: screen.view == "door")
    assert not screen.wrong
    assert len(everything) > 10
    assert {url.startswith(address) for url in everything} == {True}
    # the listener works: what the policy forbids is heard of
    screen.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.x = 1';"
        " document.head.append(s); }"
    )
    until(lambda: screen.page.evaluate("window.broken"))
    assert screen.page.evaluate("window.x === undefined")


def test_a_killed_browser_loses_nothing_and_gets_its_case_back(
    screen_on: Callable[[str], Any],
    make_room: Make,
    serve: Callable[[Any], str],
    pages: Callable[..., Any],
    until: Callable[..., Any],
    readings: Callable[[Any], Any],
    kill_browser: Callable[[], None],
) -> None:
    room = make_room()
    room.open(4, 8)
    room.let_in(ann="reader")
    screen = screen_on(serve(room))
    screen.sign_in("ann")
    until(lambda: screen.view == "desk" and screen.bright() > 5)
    screen.press("1")
    until(lambda: screen.text("#state") == "Saved." and screen.bright() > 5)
    with room.store() as store:
        before = store.leases.of("ann")
    kill_browser()
    again = pages(room, "ann")
    offer = again.next()
    with room.store() as store:
        lease = store.leases.of("ann")
    assert (lease.case, lease.since) == (before.case, before.since)
    assert len(readings(room)) == 1
    assert again.answer(offer, 1).status_code == 200
    assert [row[2] for row in readings(room)] == ["[1, 0, 0]", "[0, 1, 0]"]
