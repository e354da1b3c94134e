"""A whole federation whose readers are people: real CT and MR at one site, ultrasound at another.

Two readers and an adjudicator sign in in a browser and work by keyboard alone; the readers of the
other site use the same doors without one.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.home import read_config
from simulations.poc.commands import installed
from simulations.poc.layout import Layout, site_names

pytestmark = [pytest.mark.faults, pytest.mark.browser]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ULTRASOUND = DATA / "cls_breastmnist_28.npz"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
STUDY = Path(__file__).resolve().parents[2] / "simulations" / "studies" / "reading.toml"
CYCLES = 2


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens browsers, each with a profile of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = []

        def one() -> Any:
            browser = driver.chromium.launch_persistent_context(
                str(tmp_path / f"profile-{len(opened)}"),
                executable_path=chromium,
                headless=True,
                args=FLAGS,
            )
            opened.append(browser)
            return browser

        yield one
        for browser in opened:
            browser.close()


@pytest.fixture
def sources() -> dict[str, Path]:
    """Real images by site."""
    found = {"site-01": DATA / "dicom", "site-02": ULTRASOUND}
    if not all(path.exists() for path in found.values()):
        pytest.skip("the real images for tests are not on this machine")
    return found


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


class Screen:
    """One person's browser; everything after the sign-in page is keys."""

    def __init__(self, browser: Any, address: str, account: dict[str, str]) -> None:
        self.page = browser.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        until(lambda: self.view == "door", 15, "the door")
        self.press(*account["name"], "Tab", *account["password"], "Enter")
        until(lambda: self.view in ("desk", "empty"), 15, "signed in")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def view(self) -> str:
        return str(self.page.evaluate("document.body.dataset.view"))

    def bright(self) -> float:
        return float(
            self.page.evaluate(
                """() => { const c = document.getElementById("canvas");
                const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                let sum = 0; for (let i = 0; i < d.length; i += 4) sum += d[i];
                return sum / (d.length / 4); }"""
            )
        )

    def answer(self, key: str) -> bool:
        """Whether a case was on the screen, and its answer was said to be saved."""
        if self.view != "desk":
            return False
        until(lambda: self.bright() > 1, 60, "an image")
        fresh = "'fresh' in document.body.dataset"  # it has just come, and takes no answer yet
        until(lambda: not self.page.evaluate(fresh), 60, "time to look at it")
        before = self.page.inner_text("#today")
        ends = time.monotonic() + 90
        while self.page.inner_text("#today") == before:  # no key counts before its image
            assert time.monotonic() < ends, self.page.inner_text("#state")
            self.press(key)
            with suppress(AssertionError):
                until(lambda: self.page.inner_text("#today") != before, 3, "saved")
        return True


class Elsewhere:
    """A reader of the other site, who answers by the page's own requests."""

    def __init__(self, address: str, account: dict[str, str]) -> None:
        self.client = httpx.Client(base_url=address, trust_env=False, timeout=20)
        signed = self.client.post(
            "/api/sign-in", json={k: account[k] for k in ("name", "password")}
        )
        assert signed.status_code == 200

    def answer(self, chosen: int) -> bool:
        studies = self.client.get("/api/me").json()["studies"]
        if not studies:
            return False
        study = studies[0]["identity"]
        offer = self.client.post("/api/next", json={"study": study}).json()
        if not offer.get("case"):
            return False
        body = {
            "study": study,
            "submission": secrets.token_hex(16),
            "cycle": offer["cycle"],
            "position": offer["case"]["position"],
            "answer": "answered",
            "value": [int(chosen == 0), int(chosen == 1)],
            "seconds": 3.0,
        }
        return self.client.post("/api/answer", json=body).status_code == 200


def accounts(layout: Layout, name: str) -> dict[str, dict[str, str]]:
    told = json.loads(layout.accounts(name).read_text(encoding="utf-8"))
    return {one["name"]: one for one in told}


def address(layout: Layout, name: str) -> str:
    deployment = read_config(layout.site(name)).deployment
    assert deployment is not None
    return f"http://{deployment.room}"


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "site.db", timeout=30.0)) as connection:
        return connection.execute(sql).fetchall()


def reachable(place: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(place, trust_env=False, timeout=2).status_code == 200
    return False


def test_people_read_real_images_at_two_sites_and_settle_what_they_disagree_on(
    tmp_path: Path, context: Callable[[], Any], sources: dict[str, Path]
) -> None:
    file = tmp_path / "study.toml"
    text = STUDY.read_text(encoding="utf-8")
    file.write_text(
        text.replace("total = 48", "total = 32").replace("per_cycle = 24", "per_cycle = 16"),
        encoding="utf-8",
    )
    out, said = tmp_path / "poc", tmp_path / "said"
    layout = Layout(out, site_names(2))
    words = [w for name, path in sources.items() for w in ("--source", f"{name}={path}")]
    command = [installed("wardround"), "poc", "-n", "2", "--out", str(out), "--study", str(file)]
    with said.open("w") as told:
        poc = subprocess.Popen([*command, *words, "--readers", "people"], stdout=told, stderr=told)
        try:
            _read(layout, poc, context)
            assert poc.wait(180) == 0, said.read_text()
        finally:
            if poc.poll() is None:
                poc.terminate()
                poc.wait(120)
    report = said.read_text()
    assert "study reading ended" in report
    assert report.count("verified") + report.count("whole") >= 2, report
    _check(layout)


def _read(layout: Layout, poc: subprocess.Popen[bytes], context: Callable[[], Any]) -> None:
    """Everybody reads until the study is over."""
    until(lambda: layout.ready.exists() or poc.poll() is not None, 240, "prepared")
    assert poc.poll() is None
    here, there = (address(layout, name) for name in layout.names)
    until(lambda: reachable(here) and reachable(there), 240, "the rooms")
    known = accounts(layout, "site-01")
    screens = {n: Screen(context(), here, known[n]) for n in ("ann", "ben", "cleo")}
    others = accounts(layout, "site-02")
    away = [Elsewhere(there, others[n]) for n in ("ann", "ben", "cleo")]
    bens = 0
    while poc.poll() is None and not _over(layout):
        worked = screens["ann"].answer("1")
        if screens["ben"].answer("2" if bens % 4 == 0 else "1"):  # every fourth they disagree
            bens, worked = bens + 1, True
        worked |= screens["cleo"].answer("2")
        worked |= sum(one.answer(i % 2) for i, one in enumerate(away)) > 0
        if not worked:
            time.sleep(0.5)
    for one in away:
        one.client.close()
    for screen in screens.values():
        assert not screen.wrong
        assert {url.startswith(here) for url in screen.asked} == {True}


def _over(layout: Layout) -> bool:
    """Whether every cycle is closed at both sites, and so nobody is asked any more."""
    return all(
        rows(layout.site(name), "SELECT count(*) FROM closings")[0][0] == CYCLES
        for name in layout.names
    )


def _check(layout: Layout) -> None:
    dicom, ultrasound = (layout.site(name) for name in layout.names)
    kinds = {json.loads(f)["modality"] for (f,) in rows(dicom, "SELECT facts FROM locators")}
    assert kinds == {"CT", "MR"}
    assert rows(ultrasound, "SELECT count(*) FROM locators")[0][0] > 400
    for home in (dicom, ultrasound):
        given = rows(home, "SELECT reader, cycle, adjudicating FROM standing")
        assert {reader for reader, _, _ in given} == {"ann", "ben", "cleo"}
        assert {cycle for _, cycle, _ in given} == set(range(CYCLES))
        assert all(bool(settles) is (reader == "cleo") for reader, _, settles in given)
        granted = rows(home, "SELECT sum(count) FROM grants")[0][0]
        assert len(given) <= granted == 16
        trained = rows(home, "SELECT cycle, count(*) FROM steps WHERE step = 'train' GROUP BY 1")
        assert trained == [(cycle, 2) for cycle in range(CYCLES)]
        assert rows(home, "SELECT count(*) FROM labels")[0][0] > 0
    settled = rows(
        dicom,
        'SELECT l.target FROM labels l JOIN standing s ON s."case" = l."case" WHERE s.adjudicating',
    )
    assert settled
    assert all(json.loads(target)[1] == 1.0 for (target,) in settled)  # as cleo said
