"""The one port that sites reach, with a real nginx: what passes, what does not, and as whom."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protocol import coordination_pb2_grpc as stubs
from protocol.coordination_pb2 import Greeting
from server.flower import nginx

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
    reason="nginx is not installed (Debian package nginx)",
)


class Fleet(BaseHTTPRequestHandler):
    """Stands in for the SuperLink: every path answers, so that a path that is let through shows."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, int]] = []  # noqa: RUF012  # shared on purpose

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.asked.append((self.path, self.headers["host"], size))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST  # noqa: N815  # the library's name

    def log_message(self, *said: Any) -> None: ...


class Coordination(stubs.CoordinationServicer):  # type: ignore[misc]
    """Answers with the identity headers that it was given."""

    def Greet(self, request: Greeting, context: grpc.ServicerContext) -> Greeting:  # noqa: N802
        sent: dict[str, list[str]] = {}
        for name, value in context.invocation_metadata():
            sent.setdefault(name, []).append(str(value))
        said = {n: "|".join(v) for n, v in sent.items() if n.startswith("x-wr-")}
        return Greeting(protocol=1, versions=said)


@pytest.fixture(scope="module")
def front(house: Any) -> Iterator[Any]:
    """nginx in front of two stand-ins."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(house.paths.pki / "loop.crt", house.paths.pki / "loop.key")
    fleet = ThreadingHTTPServer(("127.0.0.1", house.config.superlink_port), Fleet)
    fleet.socket = context.wrap_socket(fleet.socket, server_side=True)
    threading.Thread(target=fleet.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(4))
    stubs.add_CoordinationServicer_to_server(Coordination(), server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(f"unix:{house.paths.run / 'coord.sock'}")
    server.start()
    with house.running("nginx", nginx.command(), {}, house.port) as child:
        house.nginx = child
        yield house
    server.stop(None)
    fleet.shutdown()
    fleet.server_close()


@pytest.fixture(scope="module")
def site(front: Any) -> Any:
    return front.pair("site-01")


def answer(
    front: Any, pair: Any, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """Status and body; the path goes out as it is written."""
    context = (
        pair.context(front.paths)
        if pair
        else ssl.create_default_context(cafile=str(front.paths.pki / "server-ca.crt"))
    )
    link = http.client.HTTPSConnection("127.0.0.1", front.port, context=context, timeout=10)
    link.request(method, path, body, headers)
    got = link.getresponse()
    try:
        return got.status, got.read()
    finally:
        link.close()


def greet(front: Any, pair: Any, *metadata: tuple[str, str]) -> Any:
    credentials = grpc.ssl_channel_credentials(
        (front.paths.pki / "server-ca.crt").read_bytes(),
        pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None,
    )
    with grpc.secure_channel(f"127.0.0.1:{front.port}", credentials) as channel:
        return stubs.CoordinationStub(channel).Greet(Greeting(), metadata=metadata, timeout=10)


def refused(front: Any, pair: Any) -> grpc.StatusCode:
    """How a greeting is refused; OK if it is not."""
    try:
        greet(front, pair)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_nginx_accepts_what_is_written(house: Any) -> None:
    assert nginx.accepted(house.home)
    wrong = house.home / "run" / "nginx.conf"
    text = wrong.read_text(encoding="utf-8")
    wrong.write_text(text.replace("server_tokens", "server_jokes"), encoding="utf-8")
    assert not nginx.accepted(house.home)
    wrong.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/control/list-nodes",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/health",
        "//v1/control/list-nodes",
        "/V1/control/list-nodes",
        "/v1/fleet/../control/list-nodes",
        "/v1/fleet/%2e%2e/control/list-nodes",
        "/v1/fleet/..%2fcontrol/list-nodes",
        "/v1/fleet/x/../../control/list-nodes",
        "/grpc.reflection.v1.ServerReflection/x",
    ],
)
def test_nothing_but_the_fleet_and_our_services_is_behind_it(
    front: Any, site: Any, method: str, path: str
) -> None:
    Fleet.asked.clear()
    assert answer(front, site, method, path)[0] == 404
    assert not Fleet.asked


def test_a_site_reaches_the_fleet_with_post_alone(front: Any, site: Any) -> None:
    Fleet.asked.clear()
    path = "/v1/fleet/pull-messages"
    assert answer(front, site, "POST", path, b"abc") == (200, b"ok")
    assert Fleet.asked == [(path, f"127.0.0.1:{front.config.superlink_port}", 3)]
    for method in ("GET", "PUT", "DELETE"):
        assert answer(front, site, method, path)[0] == 403
    assert len(Fleet.asked) == 1


def test_a_chunk_of_a_model_passes_and_more_does_not(front: Any, site: Any) -> None:
    assert answer(front, site, "POST", "/v1/fleet/push", bytes(6 << 20))[0] == 200
    assert Fleet.asked[-1][2] == 6 << 20
    link = http.client.HTTPSConnection(
        "127.0.0.1", front.port, context=site.context(front.paths), timeout=10
    )
    link.putrequest("POST", "/v1/fleet/push")
    link.putheader("content-length", str(17 << 20))
    link.endheaders()
    assert link.getresponse().status == 413
    link.close()


def test_without_a_certificate_or_with_a_foreign_one_nothing_passes(front: Any) -> None:
    Fleet.asked.clear()
    foreign = front.pair("site-01", foreign=True)
    for pair in (None, foreign):
        assert answer(front, pair, "POST", "/v1/fleet/pull-messages")[0] == 401
    assert not Fleet.asked
    assert refused(front, None) is grpc.StatusCode.PERMISSION_DENIED
    assert refused(front, foreign) is grpc.StatusCode.UNAUTHENTICATED


def test_the_service_is_told_the_certificates_name_and_no_other(front: Any, site: Any) -> None:
    said = greet(front, site, ("x-wr-client-dn", "CN=site-02"), ("x-wr-client-serial", "00"))
    assert dict(said.versions)["x-wr-client-dn"].split(",")[0] == "CN=site-01"
    assert "site-02" not in str(said)
    assert int(said.versions["x-wr-client-serial"], 16) == site.serial


def test_health_answers_a_site_alone(front: Any, site: Any) -> None:
    def ask(*pair: bytes | None) -> Any:
        root = (front.paths.pki / "server-ca.crt").read_bytes()
        credentials = grpc.ssl_channel_credentials(root, *pair)
        with grpc.secure_channel(f"127.0.0.1:{front.port}", credentials) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=10)

    found = ask(site.key.read_bytes(), site.certificate.read_bytes())
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as error:
        ask(None, None)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_service_that_is_down_is_said_to_be_unavailable(front: Any, site: Any) -> None:
    socket, aside = front.paths.run / "coord.sock", front.paths.run / "aside.sock"
    socket.rename(aside)
    os.kill(front.nginx.pid, signal.SIGHUP)  # new workers have no connection to it left
    try:
        front.until(lambda: refused(front, site) is grpc.StatusCode.UNAVAILABLE)
    finally:
        aside.rename(socket)
    front.until(lambda: refused(front, site) is grpc.StatusCode.OK)


def test_a_revoked_site_is_turned_away_once_nginx_has_read_the_list(front: Any) -> None:
    gone = front.pair("site-09")
    path = "/v1/fleet/pull-messages"
    assert answer(front, gone, "POST", path)[0] == 200
    front.revoke(gone.serial)
    os.kill(front.nginx.pid, signal.SIGHUP)
    front.until(lambda: answer(front, gone, "POST", path)[0] == 401)
    # an old worker may still take a connection or two until it has closed its listening socket
    front.until(lambda: refused(front, gone) is grpc.StatusCode.UNAUTHENTICATED)
    assert answer(front, front.pair("site-10"), "POST", path)[0] == 200


def test_the_log_holds_refusals_and_no_polls(front: Any, site: Any) -> None:
    answer(front, site, "POST", "/v1/fleet/a-poll")
    answer(front, site, "POST", "/nowhere")
    time.sleep(0.1)
    log = (front.paths.logs / "nginx.log").read_text(encoding="utf-8")
    assert "/nowhere" in log
    assert "a-poll" not in log
