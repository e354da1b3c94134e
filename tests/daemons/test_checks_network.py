"""Names, ports, proxies and certificates against real servers on loopback."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemons.certificates import Authority, new_authority, pem, server_certificate
from daemons.checks_network import Road, check_name, check_port, check_tls, road_probes
from daemons.ports import free_port, is_listening
from daemons.preflight import run_probes
from daemons.proxy import Proxy, ProxyRefused
from daemons.secrets import new_tls_key, private_pem

NOW = datetime.now(UTC)


class Server:
    """Accepts connections on loopback, with TLS where it has a certificate."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self._context is None:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")
            return
        with self._context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(6)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server whose certificate an authority signed."""
    servers = []

    def start(authority: Authority | None, host: str = "127.0.0.1", at: datetime = NOW) -> Server:
        context = None
        if authority:
            key = new_tls_key()
            shown = pem(server_certificate(authority, key.public_key(), [host], at))
            (tmp_path / "shown.pem").write_bytes(shown + private_pem(key))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tmp_path / "shown.pem")
        servers.append(Server(context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def ours() -> Authority:
    return new_authority("ours", NOW - timedelta(days=4000))


@pytest.fixture
def road(tmp_path: Path, ours: Authority) -> Callable[..., Road]:
    (tmp_path / "ca.crt").write_bytes(ours.pem)

    def make(port: int, proxy: str = "", host: str = "127.0.0.1") -> Road:
        return Road(host, port, tmp_path / "ca.crt", Proxy.parse(proxy), timeout=2)

    return make


Serve = Callable[..., Server]
Roads = Callable[..., Road]


def test_the_right_server(serve: Serve, road: Roads, ours: Authority) -> None:
    checks = run_probes(road_probes(road(serve(ours).port)))
    assert [(check.name, check.verdict) for check in checks] == [
        ("name", "ok"),
        ("port", "ok"),
        ("tls", "ok"),
    ]
    assert "signed as the kit says" in checks[2].found


def test_someone_who_opens_the_encryption(serve: Serve, road: Roads) -> None:
    found = check_tls(road(serve(new_authority("Corporate Inspection", NOW)).port))
    assert found.verdict == "fail"
    assert "Corporate Inspection" in found.what
    assert "something on the way opens the encryption" in found.what
    assert "excepted from TLS inspection" in found.mend


def test_an_inspector_with_the_same_name(serve: Serve, road: Roads) -> None:
    found = check_tls(road(serve(new_authority("ours", NOW)).port))
    assert (found.verdict, "not as the kit says" in found.what) == ("fail", True)


def test_an_expired_server(serve: Serve, road: Roads, ours: Authority) -> None:
    old = serve(ours, at=NOW - timedelta(days=3651))
    found = check_tls(road(old.port))
    assert found.verdict == "fail"
    assert "has expired" in found.what


def test_a_server_that_expires_soon(serve: Serve, road: Roads, ours: Authority) -> None:
    found = check_tls(road(serve(ours, at=NOW - timedelta(days=3640)).port))
    assert (found.verdict, found.what) == ("warn", "the server's certificate ends in 9 days")


def test_a_server_from_the_future(serve: Serve, road: Roads, ours: Authority) -> None:
    found = check_tls(road(serve(ours, at=NOW + timedelta(days=2)).port))
    assert "not yet valid" in found.what


def test_a_server_for_another_name(serve: Serve, road: Roads, ours: Authority) -> None:
    found = check_tls(road(serve(ours, host="elsewhere.example").port))
    assert found.what == "the server's certificate is not for 127.0.0.1"


def test_a_server_without_tls(serve: Serve, road: Roads) -> None:
    found = check_tls(road(serve(None).port))
    assert "not with TLS" in found.what


def test_a_closed_port_is_said_once(road: Roads) -> None:
    port = free_port()
    checks = run_probes(road_probes(road(port)))
    assert [check.verdict for check in checks] == ["ok", "fail", "warn"]
    assert checks[1].found == f"127.0.0.1:{port} refuses connections"
    assert "have outbound TCP" in checks[1].mend


@pytest.mark.slow
def test_a_port_that_swallows(road: Roads) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as open_:
        port = full.getsockname()[1]
        for _ in range(4):  # nobody accepts: the kernel stops answering
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        found = check_port(road(port))
    assert found.what == f"127.0.0.1:{port} does not answer within 2 s"


def test_names(road: Roads) -> None:
    assert check_name(road(1, host="localhost")).verdict == "ok"
    found = check_name(road(1, host="no-such-name.invalid"))
    assert (found.verdict, "no-such-name.invalid" in found.mend) == ("fail", True)
    behind = road(1, proxy="localhost:3128", host="no-such-name.invalid")
    assert check_name(behind).verdict == "ok"  # the proxy looks the server up


@pytest.mark.parametrize(
    ("text", "host", "port", "user", "password"),
    [
        ("proxy.example:3128", "proxy.example", 3128, "", ""),
        ("ann:p@ss:w@10.0.0.1:80", "10.0.0.1", 80, "ann", "p@ss:w"),
        ("[::1]:3128", "::1", 3128, "", ""),
    ],
)
def test_proxies(text: str, host: str, port: int, user: str, password: str) -> None:
    assert Proxy.parse(text) == Proxy(host, port, user, password)


@pytest.mark.parametrize("text", ["proxy", "a:b:c", "ann:secret@proxy", "proxy:0", "proxy:70000"])
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(ValueError, match=r"user:password@\]host:port") as refused:
        Proxy.parse(text)
    assert "secret" not in str(refused.value)


def test_a_password_is_not_shown() -> None:
    proxy = Proxy.parse("ann:secret@proxy.example:3128")
    assert proxy is not None
    assert "secret" not in repr(proxy) + proxy.address
    assert Proxy("p", 1, "a b", "c@d").url == "http" + "://a%20b:c%40d@p:1"


def test_something_else_at_the_proxys_port(serve: Serve, road: Roads) -> None:
    found = check_port(road(443, proxy=f"127.0.0.1:{serve(None).port}"))
    assert "refuses CONNECT to 127.0.0.1:443 (status 400)" in found.what


TINYPROXY = pytest.mark.skipif(not shutil.which("tinyproxy"), reason="tinyproxy is not installed")


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a real proxy that allows CONNECT to one port; its own port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(allowed: int, *lines: str) -> int:
        port = free_port()
        text = [f"Port {port}", "Listen 127.0.0.1", f"ConnectPort {allowed}", *lines]
        (tmp_path / "tinyproxy.conf").write_text("\n".join([*text, ""]))
        words = ["tinyproxy", "-d", "-c", str(tmp_path / "tinyproxy.conf")]
        started.append(
            subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        deadline = time.monotonic() + 5
        while not is_listening("127.0.0.1", port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return port

    yield start
    for child in started:
        child.kill()
        child.wait()


@TINYPROXY
def test_through_a_proxy(
    serve: Serve, road: Roads, ours: Authority, tinyproxy: Callable[..., int]
) -> None:
    server = serve(ours)
    proxy = tinyproxy(server.port, "BasicAuth ann secret")
    checks = run_probes(road_probes(road(server.port, f"ann:secret@127.0.0.1:{proxy}")))
    assert [check.verdict for check in checks] == ["ok", "ok", "ok"]
    assert f"through the proxy 127.0.0.1:{proxy}" in checks[1].found
    found = check_port(road(server.port, f"ann:wrong@127.0.0.1:{proxy}"))
    assert "wants a user and a password" in found.what
    assert "wrong" not in found.what + found.mend


@TINYPROXY
def test_a_proxy_that_refuses(
    serve: Serve, road: Roads, ours: Authority, tinyproxy: Callable[..., int]
) -> None:
    server, elsewhere = serve(ours), free_port()
    proxy = tinyproxy(elsewhere)
    found = check_port(road(server.port, f"127.0.0.1:{proxy}"))
    assert "(status 403)" in found.what
    assert f"have CONNECT to 127.0.0.1:{server.port} allowed" in found.mend
    found = check_port(road(elsewhere, f"127.0.0.1:{proxy}"))  # allowed, and nobody is there
    assert "does not reach" in found.what
    with pytest.raises(ProxyRefused, match="403"):
        Proxy("127.0.0.1", proxy).connect("127.0.0.1", server.port, 2)


def test_grpc_reads_the_proxys_url_as_we_mean_it() -> None:
    import grpc

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        proxy = Proxy.parse(f"ann:p@s:s%40/#x@127.0.0.1:{listening.getsockname()[1]}")
        assert proxy is not None
        options = [("grpc.http_proxy", proxy.url)]
        credentials = grpc.ssl_channel_credentials()
        with grpc.secure_channel("dns:///server.invalid:443", credentials, options) as channel:
            channel.subscribe(lambda state: None, try_to_connect=True)
            connection, _ = listening.accept()
            with connection:
                asked = connection.recv(4096).decode()
    assert asked.startswith("CONNECT server.invalid:443 ")  # the proxy looks the name up
    assert base64.b64encode(b"ann:p@s:s%40/#x").decode() in asked
