"""A site's preflight against a real server that demands its certificate."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from client.greeting import Greeted
from client.home import Deployment, HomeConfig, make_home, open_store, read_config
from client.paths import HomePaths
from client.preflight import check_clock, check_gpu, check_room, check_versions, preflight
from client.versions import versions
from daemons.certificates import (
    new_authority,
    pem,
    read_signing_request,
    server_certificate,
    signing_request,
    site_certificate,
)
from daemons.ports import free_port
from daemons.preflight import Check
from daemons.secrets import new_tls_key, private_pem
from protocol.coordination import PROTOCOL
from protocol.coordination_pb2 import Greeting
from protocol.coordination_pb2_grpc import (
    CoordinationServicer,
    add_CoordinationServicer_to_server,
)

NOW = datetime.now(UTC)
SERVER_CA, SITE_CA = new_authority("server", NOW), new_authority("sites", NOW)


class Coordination(CoordinationServicer):  # type: ignore[misc]  # grpc has no types
    """Greets, by a clock that may be wrong."""

    def __init__(self, behind: float, refusal: grpc.StatusCode | None) -> None:
        self.behind, self.refusal = behind, refusal

    def Greet(self, request: Greeting, context: Any) -> Greeting:  # noqa: N802 - the service's name
        if self.refusal:
            context.abort(self.refusal, "secret words")
        return Greeting(protocol=PROTOCOL, versions=versions(), time=time.time() - self.behind)


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts a coordination service with mutual TLS; its port."""
    servers = []

    def start(behind: float = 0.0, refusal: grpc.StatusCode | None = None) -> int:
        key = new_tls_key()
        shown = pem(server_certificate(SERVER_CA, key.public_key(), ["127.0.0.1"], NOW))
        credentials = grpc.ssl_server_credentials(
            [(private_pem(key), shown)], SITE_CA.pem, require_client_auth=True
        )
        server = grpc.server(ThreadPoolExecutor(2))
        add_CoordinationServicer_to_server(Coordination(behind, refusal), server)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return int(port)

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Makes the home of a site that joined."""

    def make(port: int, signer: Any = SITE_CA, proxy: str = "") -> Path:
        paths, key = HomePaths(tmp_path), new_tls_key()
        deployment = Deployment(
            server=f"127.0.0.1:{port}",
            proxy=proxy,
            runtime_port=free_port(),
            room=f"127.0.0.1:{free_port()}",
        )
        make_home(tmp_path, HomeConfig(name="north", deployment=deployment))
        for folder in (paths.keys, paths.kit):
            folder.mkdir(mode=0o700)
        request = read_signing_request(signing_request(key, "north"), "north")
        for file, block in (
            (paths.keys / "coordination.key", private_pem(key)),
            (paths.kit / "site.crt", pem(site_certificate(signer, request, NOW))),
            (paths.kit / "server-ca.crt", SERVER_CA.pem),
        ):
            file.write_bytes(block)
            file.chmod(0o600)
        open_store(tmp_path).close()
        return tmp_path

    return make


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start takes seconds; one test of its own asks for it."""
    monkeypatch.setattr("client.preflight._GPU", "import no_such_module")


def by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


Serve = Callable[..., int]
Site = Callable[..., Path]


def test_a_site_that_may_start(serve: Serve, site: Site) -> None:
    checks = by_name(preflight(site(serve())))
    assert [n for n, c in checks.items() if c.verdict == "fail"] == ["gpu"]
    assert checks["greeting"].verdict == checks["clock"].verdict == "ok"
    assert checks["versions"].verdict == checks["certificates"].verdict == "ok"
    assert checks["gpu"].found == "torch is missing or does not start"
    assert all(check.mend for check in checks.values() if check.verdict != "ok")


def test_a_room_that_cannot_be_served(serve: Serve, site: Site) -> None:
    home = site(serve())
    checks = by_name(preflight(home))
    assert checks["room-port"].found.endswith(" is free")
    assert checks["room-encryption"].found.endswith(", on this machine alone")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        open_to_all = {"room": "192.0.2.1:8443"}
        cases = [
            ({"room": f"127.0.0.1:{taken.getsockname()[1]}"}, "room-port", "cannot be had"),
            (open_to_all, "room-encryption", "without a certificate"),
            (
                open_to_all | {"room_certificate": "site.toml", "room_key": "site.toml"},
                "room-encryption",
                "accepted are PEM files",
            ),
        ]
        for changed, name, words in cases:
            config = read_config(home)
            assert config.deployment
            deployment = config.deployment.model_copy(update=changed)
            make_home(home, config.model_copy(update={"deployment": deployment}))
            check = by_name(preflight(home))[name]
            assert check.verdict == "fail"
            assert words in check.found


def test_a_rooms_certificate_that_ends_soon(tmp_path: Path) -> None:
    key, early = new_tls_key(), NOW - timedelta(days=3645, hours=-1)
    shown = server_certificate(SERVER_CA, key.public_key(), ["127.0.0.1"], early)
    (tmp_path / "room.crt").write_bytes(pem(shown))
    (tmp_path / "room.key").write_bytes(private_pem(key))
    deployment = Deployment(room="192.0.2.1:8443", room_certificate="room.crt", room_key="room.key")
    found = check_room(tmp_path, deployment)
    assert (found.verdict, found.what) == ("warn", "room.crt ends in 5 days")


@pytest.mark.parametrize(("behind", "words"), [(30.0, " s ahead of"), (-400.0, " s behind")])
def test_a_clock_that_is_too_far_off(serve: Serve, site: Site, behind: float, words: str) -> None:
    check = by_name(preflight(site(serve(behind))))["clock"]
    assert check.verdict == "fail"
    assert words in check.found


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(-301, "fail"), (-299, "warn"), (-3, "warn"), (0.5, "ok"), (3, "warn"), (5.1, "fail")],
)
def test_what_a_clock_may_be_off(ahead: float, verdict: str) -> None:
    assert check_clock(Greeted(1, {}, ahead, 0.01)).verdict == verdict


def test_versions_of_both_sides() -> None:
    ours = dict(versions())
    assert check_versions(Greeted(PROTOCOL, ours, 0, 0)).verdict == "ok"
    other = check_versions(Greeted(PROTOCOL, ours | {"flwr": "0.1"}, 0, 0))
    assert (other.verdict, "flwr 0.1 there" in other.what) == ("warn", True)
    assert check_versions(Greeted(PROTOCOL + 1, ours, 0, 0)).verdict == "fail"


def test_a_certificate_that_the_server_does_not_know(serve: Serve, site: Site) -> None:
    checks = by_name(preflight(site(serve(), signer=new_authority("strangers", NOW))))
    assert checks["tls"].verdict == "ok"  # the server is right; it is us
    assert checks["greeting"].verdict == "fail"
    assert checks["clock"].found == "not checked, because greeting failed"


def test_a_site_that_the_server_does_not_admit(serve: Serve, site: Site) -> None:
    home = site(serve(refusal=grpc.StatusCode.PERMISSION_DENIED))
    check = by_name(preflight(home))["greeting"]
    assert check.found == "the server does not admit this site (PERMISSION_DENIED)"
    assert "secret" not in check.found + check.mend


def test_a_server_that_is_not_there(site: Site) -> None:
    checks = by_name(preflight(site(free_port())))
    assert checks["port"].verdict == "fail"
    assert {checks[name].verdict for name in ("tls", "greeting", "clock")} == {"warn"}


def test_a_site_that_has_not_joined(site: Site) -> None:
    home = site(1)
    (home / "kit" / "site.crt").unlink()
    checks = preflight(home)
    assert (checks[-1].name, checks[-1].verdict) == ("joined", "fail")


def test_a_proxy_that_is_none(site: Site) -> None:
    check = by_name(preflight(site(1, proxy="ann:secret@nowhere")))["proxy"]
    assert check.verdict == "fail"
    assert "secret" not in check.found + check.mend


def test_a_damaged_database(serve: Serve, site: Site) -> None:
    home = site(serve())
    with (home / "site.db").open("r+b") as file:
        file.write(b"\xff" * 9000)
    check = by_name(preflight(home))["database"]
    assert (check.found, "newest backup" in check.mend) == ("site.db is damaged", True)


@pytest.mark.slow
def test_the_command(site: Site) -> None:
    words = [sys.executable, "-P", "-c", "from client.cli import main; main()", "preflight"]
    words += ["--home", str(site(free_port())), "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert (said["format"], said["ok"]) == (1, False)
    assert {"name", "verdict", "found", "mend"} == {*said["checks"][0]}


@pytest.mark.slow
def test_what_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "torch" in check_gpu().what
