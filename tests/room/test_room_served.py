"""The real program: killed in mid-answer, with TLS and without, and the commands beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from client.cli import app
from client.home import Deployment, HomeError, make_home, read_config
from client.room.encryption import encryption
from daemons.ports import free_port

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second


def deploy(home: Path, **deployment: Any) -> None:
    config = read_config(home)
    make_home(home, config.model_copy(update={"deployment": Deployment(**deployment)}))


class Program:
    """`python -m client.room` on one home, started again and again."""

    def __init__(self, home: Path, scheme: str = "http") -> None:
        self.home, self.port = home, free_port()
        self.address = httpx.URL(scheme=scheme, host="127.0.0.1", port=self.port)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "room.log").open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-Iu", "-m", "client.room", "--home", str(self.home)], stderr=log
            )

    def kill(self) -> None:
        if self.child is not None:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait(10)

    def until_it_answers(self, client: httpx.Client) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self.child is not None
            assert self.child.poll() is None, (self.home / "room.log").read_text()
            with suppress(httpx.TransportError):
                client.get("/")
                return
            time.sleep(0.05)
        raise AssertionError("the room did not start")


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def make(home: Path, scheme: str = "http") -> Program:
        made.append(Program(home, scheme))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def read_on(one: Program, room: Any, submissions: dict[str, int]) -> None:
    """A stubborn page: signs in, answers, and sends again what it has no word about."""
    study, waiting = {"study": room.study.identity}, None
    with httpx.Client(base_url=one.address, trust_env=False, timeout=5) as client:
        end = time.monotonic() + 40
        while time.monotonic() < end:
            try:
                if waiting is None:
                    offer = client.post("/api/next", json=study)
                    if offer.status_code == 200:
                        case = offer.json()["case"]
                        if case is None:
                            return
                        waiting = study | {
                            "cycle": 0,
                            "position": case["position"],
                            "answer": "answered",
                            "value": [1, 0, 0],
                            "seconds": 1.0,
                            "submission": f"{threading.get_ident()}-{case['position']:016d}",
                        }
                        continue
                    client.post("/api/sign-in", json={"name": "ann", "password": PASSWORD})
                    continue
                answer = client.post("/api/answer", json=waiting)
                if answer.status_code == 200:
                    submissions[answer.json()["saved"]] = waiting["position"]
                    waiting = None
                elif answer.status_code == 401:
                    client.post("/api/sign-in", json={"name": "ann", "password": PASSWORD})
            except httpx.TransportError:
                time.sleep(0.02)
    raise AssertionError("the queue did not empty")


@pytest.mark.slow
def test_kill_9_loses_no_answer_and_makes_none_twice(
    make_room: Callable[..., Any], program: Callable[..., Program]
) -> None:
    room = make_room(durable=True)
    room.open(20, 30)
    room.let_in(ann="reader")
    one = program(room.home)
    deploy(room.home, room=f"127.0.0.1:{one.port}")
    saved: dict[str, int] = {}
    one.start()
    reader = threading.Thread(target=read_on, args=(one, room, saved), daemon=True)
    reader.start()
    for kills in range(1, 5):
        end = time.monotonic() + 10
        while len(saved) < 4 * kills and reader.is_alive() and time.monotonic() < end:
            time.sleep(0.002)
        one.kill()
        with room.store() as store:
            rows = store.connection.execute("SELECT submission FROM readings").fetchall()
        assert saved.keys() <= {row[0] for row in rows}
        one.start()
    reader.join(45)
    assert len(saved) == 20
    with room.store() as store:
        sql = 'SELECT count(*), count(DISTINCT "case") FROM readings'
        assert store.connection.execute(sql).fetchone() == (20, 20)
    log = (room.home / "room.log").read_text()
    assert "ann" not in log
    assert "jane" not in log


@pytest.mark.slow
def test_beyond_loopback_there_is_tls_or_no_room(
    make_room: Callable[..., Any], tmp_path: Path, program: Callable[..., Program]
) -> None:
    room = make_room()
    with pytest.raises(HomeError, match=r"192\.0\.2\.1:8443' without a certificate"):
        encryption(room.home, Deployment(room="192.0.2.1:8443"))
    with pytest.raises(HomeError, match="both or neither"):
        encryption(room.home, Deployment(room_key="x"))
    with pytest.raises(HomeError, match="accepted are PEM files"):
        encryption(room.home, Deployment(room_certificate="site.toml", room_key="site.toml"))
    deploy(room.home, room=f"0.0.0.0:{free_port()}")
    done = subprocess.run(
        [sys.executable, "-m", "client.room", "--home", str(room.home)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1 and its key."""
    import ipaddress
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, at = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "room")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, at, at + timedelta(days=1))
        .add_extension(names, False)
        .sign(key, hashes.SHA256())
    )
    (folder / "room.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "room.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.mark.slow
def test_with_a_certificate_the_room_speaks_tls(
    make_room: Callable[..., Any], program: Callable[..., Program]
) -> None:
    import ssl

    room = make_room()
    room.open(2, 2)
    room.let_in(ann="reader")
    certificate(room.home)
    one = program(room.home, "https")
    files = {"room_certificate": "room.crt", "room_key": "room.key"}
    deploy(room.home, room=f"127.0.0.1:{one.port}", **files)
    trust = ssl.create_default_context(cafile=str(room.home / "room.crt"))
    one.start()
    with httpx.Client(base_url=one.address, trust_env=False, verify=trust, timeout=5) as client:
        one.until_it_answers(client)
        signed = client.post("/api/sign-in", json={"name": "ann", "password": PASSWORD})
        assert signed.status_code == 200
        assert "secure" in signed.headers["set-cookie"].lower()
        assert client.get("/api/me").json()["role"] == "reader"


@pytest.mark.slow
def test_the_admin_keeps_the_accounts(make_room: Callable[..., Any]) -> None:
    home = make_room().home

    def readers(*words: str, typed: str = "") -> tuple[str, str]:
        """What was printed, and why it was refused."""
        words = ("readers", *words, "--home", str(home))
        done = CliRunner().invoke(app, words, input=f"{typed}\n")
        assert done.exception is None or isinstance(done.exception, ValueError)
        return done.output, str(done.exception or "")

    assert "nobody may sign in" in readers("list")[0]
    said = readers("add", "ann", "--role", "adjudicator", typed=PASSWORD)
    assert said == ("ann may sign in as adjudicator\n", "")
    for words, typed, sentence in (
        (("add", "ann"), PASSWORD, "ann has an account"),
        (("add", "Dr. Who"), PASSWORD, "accepted are 1 to 41 of a to z"),
        (("add", "ben", "--role", "boss"), PASSWORD, "accepted is one of reader, adjudicator"),
        (("add", "ben"), "short", "accepted are 12 or more"),
        (("remove", "ben"), "", "no account 'ben'"),
    ):
        assert sentence in readers(*words, typed=typed)[1]
    assert readers("password", "ann", typed="another long word")[1] == ""
    listed = json.loads(readers("list", "--format", "json")[0])
    assert [(a["name"], a["role"]) for a in listed["readers"]] == [("ann", "adjudicator")]
    assert "another long word" not in (home / "site.db").read_bytes().decode("latin1")
    assert readers("remove", "ann")[1] == ""
    assert "nobody may sign in" in readers("list")[0]
