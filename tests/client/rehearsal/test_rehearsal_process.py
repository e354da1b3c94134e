"""The command `wardround-site demo` as a person runs it: to its end, and killed in the middle."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from daemons.secrets import secret_folder

pytestmark = pytest.mark.slow


def _heeded() -> None:
    """Tests that run in the background may have interrupts ignored, and their children, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def command(*words: str | Path) -> list[str]:
    main = "from client.cli import main; main()"
    return [sys.executable, "-c", main, "demo", *map(str, words)]


def test_a_newcomer_sees_the_model_learn(tmp_path: Path) -> None:
    # A site's secret decides which cases are the audit's; with a fresh one each run differs.
    secret_folder(tmp_path / "home" / "keys", {"site.secret": bytes([1]) * 32})
    words = command("--out", tmp_path / "home", "--readers", "simulated")
    done = subprocess.run(words, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"locked test cases: \d+\n +AUROC: ([0-9.]+)", done.stdout)
    assert len(found) == 3
    assert float(found[-1]) > 0.7


def until(true: Callable[[], Any], seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


class Demo:
    """The command, its folder, and whoever answers in its room."""

    def __init__(self, folder: Path) -> None:
        self.home, self.said = folder / "home", folder / "said"
        rng = np.random.default_rng(1)
        pixels = rng.integers(0, 255, (40, 20, 20)).astype(np.uint8)
        self.source = folder / "scans.npz"
        np.savez(self.source, train_images=pixels)
        self.clients: list[httpx.Client] = []
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        words = ("--out", self.home, "--source", self.source, "--cycles", "2", "--per-cycle", "6")
        with self.said.open("w") as file:
            self.started.append(
                subprocess.Popen(command(*words), stdout=file, stderr=file, preexec_fn=_heeded)
            )
        until(lambda: "are open" in self.said.read_text() or self.started[-1].poll() is not None)
        assert self.started[-1].poll() is None, self.said.read_text()
        return self.started[-1]

    def client(self, name: str) -> httpx.Client:
        text = self.said.read_text()
        found = re.search(r"http://(127\.0\.0\.1:\d+)", text)
        word = re.search(rf"{name} +\w+ +(\S+)", text)
        assert found
        assert word
        client = httpx.Client(
            base_url=httpx.URL(scheme="http", host="127.0.0.1", port=int(found[1].split(":")[1])),
            trust_env=False,
            timeout=20,
        )
        self.clients.append(client)
        until(lambda: _signed(client, name, word[1]))
        return client

    def readings(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "site.db", timeout=20)) as store:
            return store.execute("SELECT id, submission FROM readings ORDER BY id").fetchall()

    def room(self) -> list[psutil.Process]:
        """Processes that serve this home's room."""
        found = []
        for one in psutil.process_iter(["cmdline"]):
            words = one.info["cmdline"] or []
            if "client.room" in words and str(self.home) in words:
                found.append(one)
        return found


def _signed(client: httpx.Client, name: str, word: str) -> bool:
    try:
        told = client.post("/api/sign-in", json={"name": name, "password": word})
    except httpx.TransportError:
        return False
    return told.status_code == 200


def answer(client: httpx.Client, submission: str = "") -> bool:
    study = client.get("/api/me").json()["studies"][0]["identity"]
    offer = client.post("/api/next", json={"study": study}).json()
    if not offer.get("case"):
        return False
    body = {
        "study": study,
        "submission": submission or secrets.token_hex(16),
        "cycle": offer["cycle"],
        "position": offer["case"]["position"],
        "answer": "answered",
        "value": [1, 0],
        "seconds": 2.0,
    }
    return client.post("/api/answer", json=body).status_code == 200


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    for client in made.clients:
        client.close()
    for one in made.started:
        if one.poll() is None:
            one.kill()
        one.wait()


def test_people_read_it_is_killed_and_goes_on_to_its_end(demo: Demo) -> None:
    first = demo.start()
    ann = demo.client("ann")
    assert answer(ann)
    assert answer(ann)
    kept = demo.readings()
    assert len(kept) == 2
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    until(lambda: not demo.room(), 15)  # it dies with the command
    second = demo.start()
    assert demo.readings() == kept
    people = [demo.client(name) for name in ("ann", "ben", "cleo")]
    ends = time.monotonic() + 240
    while second.poll() is None and time.monotonic() < ends:
        try:
            worked = sum(answer(one) for one in people)
        except httpx.TransportError:  # the room closes with the last cycle
            break
        time.sleep(0 if worked else 0.3)
    assert second.wait(120) == 0, demo.said.read_text()
    text = demo.said.read_text()
    assert "2 cycles done" in text
    assert "AUROC: not estimable" in text
    assert len(demo.readings()) == 12
    assert not demo.room()
    assert json.loads((demo.home / "rehearsal" / "state.json").read_text())["step"] == "over"


def test_an_interrupt_leaves_no_room_behind_and_says_how_to_go_on(demo: Demo) -> None:
    running = demo.start()
    demo.client("ann")
    assert len(demo.room()) == 1
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 1
    assert "goes on" in demo.said.read_text()
    assert not demo.room()
