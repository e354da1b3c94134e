"""Debian's chromium on a reading room: how soon the next case is painted, how smooth a drag is."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from simulations.benchmarks.room_readers import PASSWORD

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Canvas without a GPU: what a hospital's thin client can do, too."""

_LOOKED = 1.0  # seconds that a reader looks at a case before the answer
# What was drawn counts once the browser asks for the next frame: it has been handed over by then.
_WATCH = """
    window.__keys = []; window.__painted = [];
    document.addEventListener("keydown", (event) => window.__keys.push(performance.now()), true);
    const mark = performance.mark.bind(performance);
    performance.mark = (name, ...more) => {
        if (name === "painted") {
            requestAnimationFrame(() => window.__painted.push(performance.now()));
        }
        return mark(name, ...more);
    };
"""
# A mouse tells of itself some 125 times a second; a move that playwright sends waits for a frame,
# and the next one is sent after that: no more than every second frame would be asked for.
_MOVE = """([x, y]) => {
    window.__painted = [];
    let step = 0;
    window.__moves = setInterval(() => {
        step += 1;
        const place = { clientX: x + step % 97, clientY: y + step % 53, pointerId: 1 };
        document.getElementById("canvas").dispatchEvent(new PointerEvent("pointermove", place));
    }, 8);
}"""
_PLACE = "() => JSON.stringify(document.getElementById('canvas').getBoundingClientRect())"


class NoBrowser(RuntimeError):
    """There is no chromium, or no playwright, to ask."""


@contextmanager
def desk(address: str) -> Iterator[Any]:
    """A signed-in page with a case on its screen.

    Raises:
        NoBrowser: there is none here.
    """
    try:
        playwright = import_module("playwright.sync_api")  # a tool of the tests, in `dev` alone
    except ImportError:
        raise NoBrowser("playwright is not installed") from None
    chromium = shutil.which("chromium")
    if chromium is None:
        raise NoBrowser("chromium is not installed")
    with playwright.sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=True,
            args=FLAGS,
            viewport={"width": 1360, "height": 820},
        )
        try:
            page = context.new_page()
            page.add_init_script(_WATCH)
            page.goto(address)
            _until(lambda: page.evaluate("document.body.dataset.view") == "door")
            page.keyboard.type("reader-0")
            page.keyboard.press("Tab")
            page.keyboard.type(PASSWORD)
            page.keyboard.press("Enter")
            _until(lambda: page.evaluate("window.__painted.length"))
            yield page
        finally:
            context.close()


def answered(address: str, count: int) -> list[float]:
    """Milliseconds from the key of each answer to the first paint of the case after it."""
    found = []
    with desk(address) as page:
        for _ in range(count):
            time.sleep(_LOOKED)
            page.evaluate("() => { window.__keys = []; window.__painted = []; }")
            page.keyboard.press("1")
            _until(lambda: page.evaluate("window.__painted.length"))
            key, painted = page.evaluate("() => [window.__keys[0], window.__painted[0]]")
            found.append(float(painted) - float(key))
    return found


def dragged(address: str, seconds: float = 3.0) -> float:
    """Frames painted in a second while the window is dragged over the image."""
    import json

    with desk(address) as page:
        time.sleep(_LOOKED)
        place = json.loads(page.evaluate(_PLACE))
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.evaluate(_MOVE, [x, y])
        time.sleep(seconds)
        painted: list[float] = page.evaluate(
            "() => { clearInterval(window.__moves); return window.__painted; }"
        )
        page.mouse.up()
    if len(painted) < 2:
        return 0.0
    return (len(painted) - 1) / (painted[-1] - painted[0]) * 1000


def _until(true: Callable[[], Any], seconds: float = 30.0) -> None:
    """The page's policy forbids the eval that playwright would wait with."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"the page did not get there within {seconds:.0f} s")
        time.sleep(0.01)
