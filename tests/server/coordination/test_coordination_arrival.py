"""Who may open a stream, how it begins, and what ends it."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protocol.coordination_pb2 import Arrival, FromSite, Greeting, Heartbeat, NewestHeadRequest

Code = grpc.StatusCode
NAME = "wardround.v1.Coordination"


def test_a_site_arrives_and_is_there(server: Any, make_site: Any, wait: Any) -> None:
    site = make_site("arriver")
    before = time.time()
    welcome = site.arrive(versions={"wardround": "0.1.0"}).welcome
    assert (welcome.protocol, welcome.heartbeat_seconds) == (1, pytest.approx(0.3))
    assert before - 1 <= welcome.time <= time.time() + 1
    assert {"wardround", "flwr", "python"} <= set(welcome.versions)
    assert (welcome.newest.lines, welcome.newest.branch) == (0, 0)
    assert server.online("arriver")
    assert server.rows("SELECT versions FROM presence WHERE site = 'arriver'") == [
        ('{"wardround": "0.1.0"}',)
    ]
    site.said.put(None)
    assert site.end()[0] == Code.OK
    wait(lambda: not server.online("arriver"))


def test_the_socket_is_for_owner_and_group(server: Any) -> None:
    mode = (server.home / "run" / "coord.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


DN = "x-wr-client-dn"
SERIAL = "x-wr-client-serial"
WRONG = {
    "nobody": ((), Code.UNAUTHENTICATED, "no client certificate"),
    "no serial": (((DN, "CN=known"),), Code.UNAUTHENTICATED, "no client certificate"),
    "no name": (((DN, "O=known"), (SERIAL, "0A1")), Code.UNAUTHENTICATED, "names no site"),
    "two names": (
        ((DN, "CN=known,CN=other"), (SERIAL, "0A1")),
        Code.UNAUTHENTICATED,
        "names no site",
    ),
    "two headers": (
        ((DN, "CN=known"), (DN, "CN=known"), (SERIAL, "0A1")),
        Code.UNAUTHENTICATED,
        "no client certificate",
    ),
    "a name in a name": (
        ((DN, r"O=x\,CN=known"), (SERIAL, "0A1")),
        Code.UNAUTHENTICATED,
        "names no site",
    ),
    "odd name": (((DN, "CN=../known"), (SERIAL, "0A1")), Code.UNAUTHENTICATED, "names no site"),
    "unknown": (((DN, "CN=stranger"), (SERIAL, "0A1")), Code.PERMISSION_DENIED, "not registered"),
    "old serial": (
        ((DN, "CN=known"), (SERIAL, "0A0")),
        Code.UNAUTHENTICATED,
        "not one of the site",
    ),
    "odd serial": (((DN, "CN=known"), (SERIAL, "x")), Code.UNAUTHENTICATED, "not one of the site"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_nobody_else_is_let_in(make_site: Any, wrong: str) -> None:
    metadata, code, words = WRONG[wrong]
    stub = make_site("known").stub
    calls: list[Callable[[], object]] = [
        lambda: stub.NewestHead(NewestHeadRequest(), metadata=metadata, timeout=5),
        lambda: stub.Greet(Greeting(), metadata=metadata, timeout=5),
        lambda: list(stub.Attend(iter([FromSite()]), metadata=metadata, timeout=5)),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert (refused.value.code(), words in refused.value.details()) == (code, True)


def test_a_serial_is_a_number_however_it_is_written(make_site: Any) -> None:
    assert make_site("number", serial="00a1").arrive().welcome.protocol == 1


def test_a_revoked_site_is_cut_off_and_refused(server: Any, make_site: Any) -> None:
    site = make_site("revoked")
    site.arrive()
    server.rows("UPDATE sites SET state = 'revoked' WHERE name = 'revoked'")
    assert site.end() == (Code.PERMISSION_DENIED, "this site was revoked")
    assert not server.online("revoked")
    again = make_site("revoked")
    again.open()
    assert again.end() == (Code.PERMISSION_DENIED, "this site was revoked")


def test_a_renewed_site_goes_on_with_the_old_certificate_until_that_is_taken_back(
    server: Any, make_site: Any
) -> None:
    site = make_site("renewed")
    site.arrive()
    for serial in ("0A1", "B2"):
        server.rows("INSERT INTO certificates VALUES (?, 'renewed', '', '', '')", f"{serial}0")
    server.rows("UPDATE sites SET serial = 'B20' WHERE name = 'renewed'")
    assert site.end() == (Code.UNAUTHENTICATED, "this certificate is not one of the site's")
    old = make_site("renewed", serial="a10")
    old.arrive()
    old.hear("heartbeat")
    server.rows("INSERT INTO burned VALUES ('0A10', 'renewed', '', NULL, '', '')")
    assert old.end()[0] == Code.UNAUTHENTICATED
    assert make_site("renewed", serial="b20").arrive().welcome.protocol == 1


@pytest.mark.slow
def test_a_stream_that_never_arrives_ends(make_site: Any) -> None:
    site = make_site("shy")
    site.open()
    assert site.end() == (Code.DEADLINE_EXCEEDED, "no arrival")


def test_a_hundred_health_watchers_do_not_keep_the_sites_out(make_site: Any) -> None:
    site = make_site("watcher")
    stub = health_pb2_grpc.HealthStub(site.channel)
    calls = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(100)]
    codes = [call.code() for call in calls if not _watches(call)]
    assert codes == [Code.RESOURCE_EXHAUSTED] * 50
    for call in calls:
        call.cancel()
    assert site.arrive().welcome.protocol == 1


def _watches(call: Any) -> bool:
    try:
        return next(call).status == health_pb2.HealthCheckResponse.SERVING
    except grpc.RpcError:
        return False


FIRST = {
    "another protocol": (FromSite(arrival=Arrival(protocol=2)), Code.FAILED_PRECONDITION),
    "no protocol": (FromSite(arrival=Arrival()), Code.FAILED_PRECONDITION),
    "a heartbeat": (FromSite(heartbeat=Heartbeat()), Code.INVALID_ARGUMENT),
    "nothing": (FromSite(), Code.INVALID_ARGUMENT),
    "an end": (None, Code.INVALID_ARGUMENT),
    "noise": (b"\xff\xff\xff", Code.INVALID_ARGUMENT),
}


@pytest.mark.parametrize("first", FIRST)
def test_a_stream_begins_with_an_arrival(make_site: Any, first: str) -> None:
    message, code = FIRST[first]
    site = make_site("beginner")
    site.open()
    site.said.put(message)
    assert site.end()[0] == code


def test_the_newer_of_two_streams_stays(server: Any, make_site: Any) -> None:
    older, newer = make_site("twice"), make_site("twice")
    older.arrive()
    newer.arrive()
    assert older.hear("goodbye").goodbye.reason == "another stream of this site has opened"
    assert older.end()[0] == Code.ABORTED
    newer.hear("heartbeat")
    assert server.online("twice")


def test_unknown_calls_are_unknown(make_site: Any) -> None:
    site = make_site("caller")
    for path in (f"/{NAME}/Images", "/other.Service/Call"):
        call = site.channel.unary_unary(path, lambda x: x, lambda x: x)
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=site.metadata, timeout=5)
        assert refused.value.code() == Code.UNIMPLEMENTED


def test_a_malformed_call_says_nothing_of_our_insides(make_site: Any) -> None:
    site = make_site("malformer")
    call = site.channel.unary_unary(f"/{NAME}/Greet", lambda x: x, lambda x: x)
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff\xff", metadata=site.metadata, timeout=5)
    assert refused.value.code() == Code.INVALID_ARGUMENT
    assert refused.value.details() == "a message that cannot be read"


@pytest.mark.parametrize("service", ["", NAME])
def test_health_is_the_standard_one(make_site: Any, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(make_site("asker").channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_greeting_tells_versions_and_time(server: Any, make_site: Any) -> None:
    site = make_site("greeter")
    mine = Greeting(protocol=9, versions={"wardround": "9"}, time=time.time() - 200)
    answer = site.stub.Greet(mine, metadata=site.metadata, timeout=5)
    assert answer.protocol == 1
    assert "wardround" in answer.versions
    assert abs(answer.time - time.time()) < 5
    assert server.alarms("greeter") == []
    mine.time = time.time() + 60
    site.stub.Greet(mine, metadata=site.metadata, timeout=5)
    assert server.alarms("greeter") == ["clock-skew"]
