"""The SuperNode's one way out: whose certificates, which proxy, and words for what went wrong."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from client.flower.fleet import Fleet, fleet_http
from client.flower.trouble import Trouble
from client.home import Deployment
from client.joining import make_site
from client.paths import HomePaths
from daemons.certificates import (
    Authority,
    new_authority,
    pem,
    read_signing_request,
    server_certificate,
    site_certificate,
)
from daemons.ports import free_port
from daemons.secrets import new_tls_key, private_pem

NOW = datetime.now(UTC)


class Gateway(BaseHTTPRequestHandler):
    """Answers what its path asks for: /200, /401, ..."""

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """A status, and with /2004 the body that SuperLink has for it."""
        certificate: Any = self.connection
        self.seen.append(str(certificate.getpeercert()["subject"]))
        status = int(self.path[1:4])
        body = b'{"code": 2004, "message": "x"}' if self.path == "/500?2004" else b""
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authorities() -> tuple[Authority, Authority]:
    return new_authority("server CA", NOW), new_authority("site CA", NOW)


@pytest.fixture(scope="module")
def gateway(
    authorities: tuple[Authority, Authority], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of an HTTPS server that asks for a site's certificate."""
    folder, key = tmp_path_factory.mktemp("gateway"), new_tls_key()
    signed = server_certificate(authorities[0], key.public_key(), ["localhost"], NOW)
    (folder / "crt").write_bytes(pem(signed))
    (folder / "key").write_bytes(private_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    context.load_verify_locations(cadata=authorities[1].pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def paths(authorities: tuple[Authority, Authority], tmp_path: Path) -> HomePaths:
    """A site that joined."""
    found = HomePaths(tmp_path / "site")
    request = make_site(found.home, "north")
    signed = site_certificate(
        authorities[1], read_signing_request(request.csr.encode(), "north"), NOW
    )
    found.kit.mkdir()
    found.run.mkdir()
    (found.kit / "site.crt").write_bytes(pem(signed))
    (found.kit / "server-ca.crt").write_bytes(authorities[0].pem)
    return found


@pytest.fixture(autouse=True)
def _closed_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names proxies where nothing listens: they must never matter."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "nowhere")


def call(paths: HomePaths, address: str, path: str = "/200", proxy: str = "") -> int:
    with fleet_http(paths, Deployment(server=address, proxy=proxy)) as client:
        return client.post(f"https://{address}{path}").status_code


def words(paths: HomePaths, address: str, **given: Any) -> str:
    """What is noted of a call that fails."""
    with pytest.raises(httpx.TransportError):
        call(paths, address, **given)
    assert not paths.beat.exists()
    return Trouble(paths.trouble).read()[0]


def test_the_sites_certificate_is_shown_and_the_beat_touched(
    paths: HomePaths, gateway: str
) -> None:
    Trouble(paths.trouble).note("it was bad")
    assert call(paths, gateway) == 200
    assert "north" in Gateway.seen[-1]
    assert time.time() - paths.beat.stat().st_mtime < 5
    assert Trouble(paths.trouble).read() == ("", "")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/401", "does not accept this site's certificate"),
        ("/403", "forbids"),
        ("/502", "its SuperLink does not"),
        ("/429", "too often"),
        ("/500", "answers with an error (status 500)"),
        ("/500?2004", "for up to a minute"),
        ("/302", "status 302"),
    ],
)
def test_a_status_is_put_into_words(paths: HomePaths, gateway: str, path: str, said: str) -> None:
    calls = len(Gateway.seen)
    assert call(paths, gateway, path) == int(path[1:4])
    assert len(Gateway.seen) == calls + 1  # no redirection was followed
    assert said in Trouble(paths.trouble).read()[0]
    assert not paths.beat.exists()


def test_a_server_that_the_kit_does_not_know_is_not_spoken_to(
    paths: HomePaths, gateway: str
) -> None:
    (paths.kit / "server-ca.crt").write_bytes(new_authority("another", NOW).pem)
    assert "not signed as the kit says" in words(paths, gateway)


def test_a_server_of_another_name_is_not_spoken_to(paths: HomePaths, gateway: str) -> None:
    assert "not for this address" in words(paths, gateway.replace("localhost", "127.0.0.1"))


def test_a_certificate_that_the_server_does_not_know(
    paths: HomePaths, gateway: str, authorities: tuple[Authority, Authority]
) -> None:
    request = (paths.request).read_bytes()
    assert request
    from daemons.joining import read_request

    csr = read_signing_request(read_request(paths.request).csr.encode(), "north")
    signed = site_certificate(new_authority("another", NOW), csr, NOW)
    (paths.kit / "site.crt").write_bytes(pem(signed))
    assert "refuses this site's certificate" in words(paths, gateway)


def test_nobody_there(paths: HomePaths) -> None:
    assert "nothing listens" in words(paths, f"localhost:{free_port()}")


def test_trouble_keeps_the_time_of_the_first_of_its_kind(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path / "t.json")
    trouble.note("a")
    first = trouble.file.stat().st_mtime_ns
    trouble.note("a")
    assert trouble.file.stat().st_mtime_ns == first
    trouble.note("b")
    assert trouble.read()[0] == "b"
    trouble.clear()
    trouble.clear()
    assert trouble.read() == ("", "")


class Tunnel:
    """A proxy that speaks CONNECT and nothing else; asks for a password where one is set."""

    def __init__(self, password: str = "") -> None:
        self.wanted = base64.b64encode(f"ann:{password}".encode()).decode() if password else ""
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                threading.Thread(
                    target=self._serve, args=(self.listener.accept()[0],), daemon=True
                ).start()
            except OSError:
                return

    def _serve(self, inner: socket.socket) -> None:
        with inner:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += inner.recv(1)
            self.asked.append(head.decode())
            if self.wanted and self.wanted not in head.decode():
                inner.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            host, _, port = head.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as outer:
                inner.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self._pump(inner, outer)

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        while True:
            for ready in select.select([one, other], [], [])[0]:
                block = ready.recv(65536)
                if not block:
                    return
                (other if ready is one else one).sendall(block)


@pytest.mark.parametrize("password", ["", "p@ss:w%rd/"])
def test_through_the_hospitals_proxy(paths: HomePaths, gateway: str, password: str) -> None:
    tunnel = Tunnel(password)
    who = f"ann:{password}@" if password else ""
    assert call(paths, gateway, proxy=who + tunnel.address) == 200
    assert tunnel.asked[0].startswith(f"CONNECT {gateway} ")
    tunnel.listener.close()


def test_a_proxy_that_wants_another_password(paths: HomePaths, gateway: str) -> None:
    tunnel = Tunnel("right")
    said = words(paths, gateway, proxy=f"ann:wrong@{tunnel.address}")
    assert "the proxy wants a user and a password" in said
    tunnel.listener.close()


def test_a_proxy_that_is_away(paths: HomePaths, gateway: str) -> None:
    assert "or at the proxy's" in words(paths, gateway, proxy=f"127.0.0.1:{free_port()}")


def test_flwrs_client_goes_over_ours_and_never_without_tls(paths: HomePaths, gateway: str) -> None:
    fleet = Fleet(lambda: fleet_http(paths, Deployment(server=gateway)))
    with fleet.from_server_address(gateway, False, None, []) as client:
        assert client._client.post(f"{client._base_url}/200").status_code == 200
    with pytest.raises(ValueError, match="accepted is TLS"):
        fleet.from_server_address(gateway, True, None, [])
