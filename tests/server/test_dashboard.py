"""The dashboard: nothing without signing in, nothing from elsewhere, and what the pages say."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tomli_w
import uvicorn

from daemons.ports import free_port
from daemons.web.headers import on_loopback
from daemons.web.passwords import PasswordRefused
from daemons.web.sessions import GUESSES, LASTS, Sessions
from protocol.codec import digest, pack
from protocol.records import GlobalState, Grant
from protocol.study import Study, document
from server.dashboard.app import build
from server.dashboard.passwords import right_password, set_password
from server.home import HomeConfig, ServerPaths, make_home
from server.ledger import Ledger, Stage
from server.registry.alarm_shelf import AlarmShelf
from server.registry.presence_shelf import PresenceShelf, Reached
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf
from server.study_folder import StudyFolder, Submission

PASSWORD = "correct horse battery"  # noqa: S105 - of a dashboard that lives for a second
PAGES = ("/", "/sites", "/studies/{identity}")
TWINS = ("/api/overview", "/api/sites", "/api/studies/{identity}")


@pytest.fixture
def home(tmp_path: Path, tiny_study: Callable[..., Study]) -> Path:
    """A server with two sites, one of them away, and a study whose first cycle is being read."""
    home, study = tmp_path / "server", tiny_study()
    make_home(home, HomeConfig(address="localhost:4443", dashboard=f"127.0.0.1:{free_port()}"))
    paths = ServerPaths(home)
    for folder in (paths.pki, paths.studies):
        folder.mkdir()
    set_password(paths.pki / "dashboard.json", PASSWORD)
    registry = Registry.open(paths.registry)
    for number, name in enumerate(("north", "south")):
        registry.connection.execute(
            "INSERT INTO sites VALUES (?, ?, 'active', 'key', NULL, 'ab', ?, ?)",
            (name, number, "2099-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
        )
    weights = {"w": np.zeros(3, np.float32)}
    StudyShelf(registry.connection).add(
        StudyRow(
            study.identity,
            study.name,
            "tiny",
            digest(weights),
            "Dr <b>Lead</b>",
            ("north", "south"),
        )
    )
    shelf = PresenceShelf(registry.connection)
    shelf.arrive("north", {"wardround": "0.1.0"})
    shelf.stand("north", study.identity, "approved")
    shelf.tell("north", study.identity, 0, Reached(6, 4, 4, 2, 1.5))
    AlarmShelf(registry.connection).sound("clock-skew", "its clock is far off", "south")
    registry.close()
    folder = StudyFolder(paths.studies / "tiny")
    text = tomli_w.dumps(document(study)).encode()
    submission = Submission(sites=("north", "south"), server=str(home))
    folder.write(text, pack(GlobalState(weights)), submission)
    ledger = Ledger.open(folder.folder / "ledger.db", study, digest(weights))
    ledger.settle_sites(["north", "south"])
    ledger.commit(Stage(0, "evaluate"), {})
    ledger.commit(Stage(0, "report"), {})
    grants = {"north": Grant(6, "an even share"), "south": Grant(6, "an even share, too")}
    ledger.commit(Stage(0, "allocate"), grants)
    ledger.close()
    return home


@contextmanager
def browser(home: Path, *, secure: bool = False) -> Iterator[httpx.Client]:
    """A client of the application, served for real."""
    app = build(ServerPaths(home), ["127.0.0.1"], secure=secure)
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    address = httpx.URL(scheme="http", host="127.0.0.1", port=server.config.port)
    with httpx.Client(base_url=address, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with browser(home) as client:
        yield client


def identity(home: Path) -> str:
    return StudyFolder(ServerPaths(home).studies / "tiny").study().identity


def sign_in(client: httpx.Client) -> None:
    answer = client.post("/login", data={"password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("path", [*PAGES, *TWINS])
def test_nothing_is_shown_without_a_login(client: httpx.Client, home: Path, path: str) -> None:
    answer = client.get(path.format(identity=identity(home)))
    assert answer.status_code == (401 if path.startswith("/api") else 303)
    assert "north" not in answer.text
    guess = {"cookie": "wardround=guess"}
    forged = client.get(path.format(identity=identity(home)), headers=guess)
    assert forged.status_code in (401, 303)


@pytest.mark.slow
def test_what_the_pages_say(client: httpx.Client, home: Path) -> None:
    sign_in(client)
    page = client.get("/").text
    assert "people are reading" in page
    assert "Sites online: 1 of 2" in page
    assert "its clock is far off" in page
    study = client.get(f"/studies/{identity(home)}").text
    assert "an even share, too" in study
    assert "Dr &lt;b&gt;Lead&lt;/b&gt;" in study
    assert "<b>Lead" not in study
    assert "has not answered" in study
    sites = client.get("/sites").text
    assert "wardround 0.1.0" in sites
    assert "never" in sites


def test_every_page_has_a_twin(client: httpx.Client, home: Path) -> None:
    sign_in(client)
    found = client.get(f"/api/studies/{identity(home)}").json()
    assert found["format"] == 1
    assert found["study"]["granted"] == 12
    assert found["mute"] == ""  # its rule may speak
    assert [s["waiting"] for s in found["sites"]] == [2, 0]
    assert found["cycles"][0]["grants"][0]["reason"] == "an even share"
    assert client.get("/api/sites").json()["sites"][1]["online"] is False
    assert client.get("/api/overview").json()["alarms"][0]["kind"] == "clock-skew"
    assert client.get("/api/studies/unknown").status_code == 404
    assert client.get("/studies/unknown").status_code == 404


@pytest.mark.slow
def test_programs_sign_in_with_the_password_itself(client: httpx.Client) -> None:
    assert client.get("/api/sites", auth=("anyone", PASSWORD)).status_code == 200
    assert client.get("/api/sites", auth=("anyone", "wrong")).status_code == 401
    for odd in (b"%%%", b"\xff\xfe", b"YTrtoIA="):
        answer = client.get("/api/sites", headers={b"authorization": b"Basic " + odd})
        assert answer.status_code == 401
    many = "&".join(f"password={n}" for n in range(9))
    assert client.post("/login", content=many).status_code in (401, 429)


@pytest.mark.slow
def test_guessing_is_slowed_down_for_everybody(client: httpx.Client) -> None:
    for _ in range(GUESSES):
        client.post("/login", data={"password": "wrong"})
    assert client.post("/login", data={"password": PASSWORD}).status_code == 429


def test_signing_out_ends_the_session(client: httpx.Client) -> None:
    sign_in(client)
    token = client.cookies["wardround"]
    client.post("/logout")
    client.cookies.set("wardround", token)
    assert client.get("/").status_code == 303


def test_a_cookie_is_kept_from_scripts_and_other_pages(home: Path) -> None:
    with browser(home, secure=True) as client:
        answer = client.post("/login", data={"password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "secure"))


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(client: httpx.Client, home: Path) -> None:
    sign_in(client)
    for path in PAGES:
        answer = client.get(path.format(identity=identity(home)))
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"<script|https?:|//[a-z]", answer.text)


def test_another_host_name_is_refused(client: httpx.Client) -> None:
    assert client.get("/login", headers={"host": "evil.test"}).status_code == 400


@pytest.mark.slow
def test_reading_changes_nothing(client: httpx.Client, home: Path) -> None:
    sign_in(client)
    for method in ("post", "put", "delete"):
        assert getattr(client, method)("/").status_code == 405
    assert client.post("/login", content=b"x" * 100_000).status_code == 401


def test_without_a_password_nobody_gets_in(client: httpx.Client, home: Path) -> None:
    (ServerPaths(home).pki / "dashboard.json").unlink()
    answer = client.get("/login")
    assert answer.status_code == 403
    assert "wardround-server password" in answer.text
    assert client.post("/login", data={"password": ""}).status_code == 403


@pytest.mark.slow
def test_a_password_is_kept_as_a_hash_and_not_short(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    with pytest.raises(PasswordRefused, match="accepted are 12 or more"):
        set_password(file, "short")
    assert not file.exists()
    set_password(file, PASSWORD)
    assert PASSWORD not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert right_password(file, PASSWORD)
    assert not right_password(file, PASSWORD + "!")
    file.write_text("{}")
    assert not right_password(file, PASSWORD)


def test_a_session_ends_by_itself() -> None:
    clock = [0.0]
    sessions = Sessions(lambda: clock[0])
    token = sessions.begin()
    clock[0] = LASTS + 1
    assert not sessions.alive(token)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("192.0.2.1", False),
        ("h.test", False),
    ],
)
def test_what_loopback_is(host: str, inside: bool) -> None:
    assert on_loopback(host) is inside


@pytest.fixture
def served(home: Path) -> Iterator[http.client.HTTPConnection]:
    daemon = subprocess.Popen([sys.executable, "-m", "server.dashboard", "--home", str(home)])
    host, _, port = json.loads(json.dumps(_config(home)))["dashboard"].rpartition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=10)
    for _ in range(100):
        try:
            link.connect()
            break
        except OSError:
            time.sleep(0.1)
    yield link
    link.close()
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait(10)


def _config(home: Path) -> dict[str, Any]:
    from server.home import read_config

    return read_config(home).model_dump()


@pytest.mark.slow
def test_the_real_process_serves_on_loopback(served: http.client.HTTPConnection) -> None:
    served.request("GET", "/")
    answer = served.getresponse()
    answer.read()
    assert (answer.status, answer.getheader("location")) == (303, "/login")
    assert answer.getheader("server") is None
