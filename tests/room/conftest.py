"""A reading room that is served for real: a home with images, a study, an open cycle, accounts."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import uvicorn

from client.home import HomeConfig, make_home, open_store
from client.keys import SiteKey
from client.room.app import build
from client.room.library import Library
from client.site import Arrival, enrol
from client.store.reader_shelf import Account, Role
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from daemons.web.passwords import hashed
from protocol.study import Study, parse

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
SIZE = 256

DOCUMENT = {
    "schema": 1,
    "name": "chest",
    "task": {
        "image": [1, SIZE, SIZE],
        "classes": [
            {"name": "clear", "definition": "No consolidation and no effusion."},
            {"name": "pneumonia", "definition": "Airspace consolidation in any lobe."},
            {"name": "effusion", "definition": "Fluid that blunts an angle or layers."},
        ],
    },
    "network": {"name": "tiny-cnn"},
    "budget": {"total": 80, "per_cycle": 40},
}


@cache
def hashed_once() -> str:
    """What is kept of the password; argon2 is slow on purpose."""
    return hashed(PASSWORD)


@cache
def phantoms(count: int) -> np.ndarray:
    """(count, 1, SIZE, SIZE) uint8 pictures that look a little like a chest."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    ribs = 16 * np.maximum(np.sin(16 * (y + 0.45 * np.abs(x) ** 1.6)), 0) ** 3
    made = []
    for number in range(count):
        body = np.exp(-((np.abs(x) / 0.93) ** 7) - (np.abs(y + 0.1) / 1.2) ** 9)
        lungs = sum(
            np.exp(-((np.abs(x - s * (1 + 0.18 * y)) / 0.33) ** 4) - (np.abs(y + 0.1) / 0.66) ** 5)
            for s in (-0.44, 0.44)
        )
        heart = np.exp(-(((x - 0.14) / 0.27) ** 4) - ((y - 0.32) / 0.3) ** 4)
        spot = np.exp(-(((x - 0.42) / 0.13) ** 2) - ((y - rng.uniform(-0.4, 0.1)) / 0.16) ** 2)
        picture = 165 * body + ribs * body - 120 * lungs + 85 * heart * lungs + 25 * heart
        picture += (75 * spot * lungs if number % 3 else 0) + rng.normal(0, 5, x.shape)
        made.append(np.clip(picture + 20, 0, 255))
    return np.array(made, dtype=np.uint8)[:, None]


@dataclass(frozen=True)
class Room:
    """A site with a room; the model's opinion of every case is 0.125 and 0.75 and 0.125."""

    home: Path
    study: Study

    def store(self) -> Any:
        """The site's database, closed after use."""
        return closing(open_store(self.home, durable=False))

    def let_in(self, **roles: str) -> None:
        """Accounts by name and role."""
        with self.store() as store, store.transaction():
            for name, role in roles.items():
                account = Account(
                    name, cast(Role, role), hashed_once(), "2026-01-05T08:00:00+00:00"
                )
                assert store.readers.add(account)

    def open(self, cases: int, grant: int, cycle: int = 0) -> None:
        """A cycle of so many cases, every fourth an audit case."""
        with self.store() as store, store.transaction():
            store.readings.grant(self.study.identity, cycle, 0, grant)
            opinion = (0.125, 0.75, 0.125)
            store.readings.open(
                self.study.identity,
                cycle,
                [
                    Opening(i, "audit") if i % 4 == 0 else Opening(i, "query", opinion)
                    for i in range(1, cases + 1)
                ],
            )


@pytest.fixture
def make_room(tmp_path: Path) -> Callable[..., Room]:
    """Makes a room of 24 images, after overrides of the study; nothing is open yet."""

    def make(*overrides: str, durable: bool = False) -> Room:
        home, study = tmp_path / "site", parse(DOCUMENT, overrides)
        make_home(home, HomeConfig(name="north", images="i.npy", durable=durable))
        np.save(home / "i.npy", phantoms(24))
        store: SiteStore = open_store(home, durable=durable)
        names = [f"scan-of-jane-doe-{i}" for i in range(24)]
        arrival = Arrival(names, names, ["pool"] * 24, range(24))
        enrol(store, SiteKey(bytes(16)), arrival, clustered=False)
        with store.transaction():
            store.steps.approve(study, "w")
        store.close()
        return Room(home, study)

    return make


class Page:
    """What one browser sends."""

    def __init__(self, client: httpx.Client, study: Study) -> None:
        self.client, self.study = client, study

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.post("/api/sign-in", name=name, password=password)

    def next(self) -> dict[str, Any]:
        answer = self.post("/api/next", study=self.study.identity)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def answer(self, offer: dict[str, Any], chosen: int | None = 0, **more: Any) -> httpx.Response:
        value = [] if chosen is None else [int(i == chosen) for i in range(3)]
        body = {
            "study": self.study.identity,
            "submission": secrets.token_hex(16),
            "cycle": offer["cycle"],
            "position": offer["case"]["position"],
            "answer": "answered" if value else "unsure",
            "value": value,
            "seconds": 4.2,
            **more,
        }
        return self.client.post("/api/answer", json=body)

    def image(self, position: int, cycle: int = 0, **more: Any) -> httpx.Response:
        query = {"study": self.study.identity, "cycle": cycle, "position": position, **more}
        return self.client.get("/api/image", params=query)


@contextmanager
def serving(room: Room) -> Iterator[str]:
    """Serve it in a thread; the address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = build(Library(room.home), ["127.0.0.1"], secure=False)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", server_header=False, ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until, "the room did not start"
        time.sleep(0.01)
    try:
        yield str(httpx.URL(scheme="http", host="127.0.0.1", port=listening.getsockname()[1]))
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Room], str]]:
    """Serves rooms as long as the test lasts; says their addresses."""
    with ExitStack() as stack:
        yield lambda room: stack.enter_context(serving(room))


@pytest.fixture
def pages() -> Iterator[Callable[..., Page]]:
    """Opens pages of a room, which is served as long as the test lasts."""
    served: dict[Path, str] = {}
    with ExitStack() as stack:

        def page(room: Room, name: str = "") -> Page:
            if room.home not in served:
                served[room.home] = stack.enter_context(serving(room))
            client = httpx.Client(base_url=served[room.home], trust_env=False, timeout=10)
            made = Page(stack.enter_context(client), room.study)
            if name:
                assert made.sign_in(name).status_code == 200
            return made

        yield page
