"""A real browser with a fresh profile, and what a test does with a page of the room.

`ROOM_PICTURES=FOLDER` keeps the screenshots.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

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
def launch(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Starts Debian's chromium with this test's profile, which is fresh at first."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = []

        def one() -> Any:
            context = driver.chromium.launch_persistent_context(
                str(tmp_path / "profile"),
                executable_path=chromium,
                headless=True,
                args=FLAGS,
                viewport={"width": 1360, "height": 820},
            )
            context.set_default_timeout(15_000)
            opened.append(context)
            return context

        yield one
        for context in opened:
            with suppress(playwright.Error):  # a test may have killed it
                context.close()


@pytest.fixture
def browser(launch: Callable[[], Any]) -> Any:
    """One browser for the whole test."""
    return launch()


@pytest.fixture
def kill_browser(tmp_path: Path) -> Callable[[], None]:
    """kill -9 of this test's browser, with all its parts."""
    profile = f"--user-data-dir={tmp_path / 'profile'}"

    def kill() -> None:
        mine = [p for p in psutil.process_iter(["cmdline"]) if profile in (p.info["cmdline"] or [])]
        main = [p.pid for p in mine if not any(w.startswith("--type=") for w in p.info["cmdline"])]
        assert len(main) == 1
        os.kill(main[0], signal.SIGKILL)
        psutil.wait_procs(mine, timeout=10)

    return kill


def until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
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
        """As somebody who has looked at the case."""
        until(lambda: not self.fresh)
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def fresh(self) -> bool:
        """Whether the case has just come to the screen, and takes no answer yet."""
        return bool(self.page.evaluate("'fresh' in document.body.dataset"))

    def bright(self) -> float:
        """Mean brightness of what the canvas shows."""
        return float(
            self.page.evaluate(
                """() => { const c = document.getElementById("canvas");
                if (!c.width || !c.height) return 0; // not laid out yet
                const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                let sum = 0; for (let i = 0; i < d.length; i += 4) sum += d[i];
                return sum / (d.length / 4); }"""
            )
        )

    def tint(self, x: float = 0.5, y: float = 0.5, half: float = 0.5) -> float:
        """How much redder than blue the canvas is, in the mean."""
        return float(
            self.page.evaluate(
                """([x, y, half]) => { const c = document.getElementById("canvas");
                const side = Math.min(c.width, c.height), left = (c.width - side) / 2;
                const wide = 2 * half * side, top = (c.height - side) / 2;
                const d = c.getContext("2d").getImageData(left + x * side - wide / 2,
                  top + y * side - wide / 2, wide, wide).data;
                let sum = 0; for (let i = 0; i < d.length; i += 4) sum += d[i] - d[i + 2];
                return sum / (d.length / 4); }""",
                [x, y, half],
            )
        )

    def tint_at(self, x: float, y: float) -> float:
        """The same about a place of the image, each from 0 to 1."""
        return self.tint(x, y, 0.05)

    def picture(self, name: str) -> None:
        """Keep what is on the screen."""
        if folder := os.environ.get("ROOM_PICTURES"):
            file = Path(folder) / f"{name}.jpg"
            self.page.screenshot(path=str(file), type="jpeg", quality=88)


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    """Waits for the first true answer."""
    return until


@pytest.fixture
def new_screen() -> Callable[[Any, str], Screen]:
    """Opens a page of a browser at an address."""
    return Screen


@pytest.fixture
def screen_on(browser: Any) -> Callable[[str], Screen]:
    """Opens a page at an address."""
    return lambda address: Screen(browser, address)


@pytest.fixture
def readings() -> Callable[[Any], list[tuple[Any, ...]]]:
    """What readers said first and did not take back."""

    def kept(room: Any) -> list[tuple[Any, ...]]:
        sql = "SELECT reader, answer, value, confidence, reason, comment FROM standing ORDER BY id"
        with room.store() as store:
            return list(store.connection.execute(sql))

    return kept
