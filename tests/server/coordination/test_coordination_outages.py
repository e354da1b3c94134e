"""Nothing is lost and nothing comes twice: kill -9, planned stops, frozen sites, old registries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from protocol.coordination_pb2 import Arrival, Heartbeat, Offer, Order
from server.coordination.__main__ import main
from server.registry.outbox_shelf import OutboxShelf

Code = grpc.StatusCode
GONE = {Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN}


def put(server: Any, site: str, *kinds: str) -> None:
    """From this process, as `submit` and the keeper do."""
    registry = server.registry()
    for kind in kinds:
        OutboxShelf(registry.connection).put(site, "order", Order(kind=kind).SerializeToString())
    registry.close()


def orders(site: Any, count: int) -> list[tuple[int, str]]:
    found = [site.hear("order") for _ in range(count)]
    return [(message.sequence, message.order.kind) for message in found]


def test_what_waits_is_delivered_in_order_and_taken_up_again(server: Any, make_site: Any) -> None:
    site = make_site("taker")
    put(server, "taker", "a", "b")
    site.arrive()
    assert orders(site, 2) == [(1, "a"), (2, "b")]
    put(server, "taker", "c")
    assert orders(site, 1) == [(3, "c")]
    again = make_site("taker")
    again.arrive(acknowledged=1)  # it carried out the first only
    assert orders(again, 2) == [(2, "b"), (3, "c")]
    put(server, "taker", "d")
    assert orders(again, 1) == [(4, "d")]


def test_an_offer_travels_whole(server: Any, make_site: Any) -> None:
    site = make_site("offered")
    offer = Offer(study="ab" * 32, document="x" * 200_000, sites=3)
    registry = server.registry()
    for _ in range(20):
        OutboxShelf(registry.connection).put("offered", "offer", offer.SerializeToString())
    registry.close()
    site.arrive()
    for sequence in range(1, 21):
        message = site.hear("offer")
        assert (message.sequence, message.offer) == (sequence, offer)


def test_acknowledgements_reach_the_registry(server: Any, make_site: Any, wait: Any) -> None:
    site = make_site("acknowledger")
    put(server, "acknowledger", "a", "b")
    site.arrive()
    orders(site, 2)
    site.say(heartbeat=Heartbeat(acknowledged=1))
    query = "SELECT sequence FROM acknowledged WHERE site = 'acknowledger'"
    wait(lambda: server.rows(query) == [(1,)])
    site.say(heartbeat=Heartbeat(acknowledged=2))
    site.said.put(None)  # and what was said last is kept as well
    wait(lambda: not server.online("acknowledger"))
    assert server.rows(query) == [(2,)]


def test_a_site_ahead_of_an_old_registry_misses_nothing(server: Any, make_site: Any) -> None:
    site = make_site("ahead")
    put(server, "ahead", "a")
    site.arrive(acknowledged=7)
    assert orders(site, 1) == [(8, "a")]
    put(server, "ahead", "b")
    assert orders(site, 1) == [(9, "b")]
    assert server.alarms("ahead") == ["registry-restored"]


@pytest.mark.slow
def test_kill_nine_loses_nothing_and_doubles_nothing(server: Any, make_site: Any) -> None:
    site = make_site("survivor")
    carried: list[tuple[int, str]] = []
    put(server, "survivor", "a", "b", "c")
    site.arrive()
    carried += orders(site, 2)
    server.stop(signal.SIGKILL)
    assert site.end()[0] in GONE
    assert server.online("survivor")  # nobody could write that it is not
    put(server, "survivor", "d")  # meanwhile
    server.start()
    assert not server.online("survivor")
    back = make_site("survivor")
    back.arrive(acknowledged=len(carried))
    carried += orders(back, 2)
    assert carried == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert server.online("survivor")


@pytest.mark.slow
def test_a_planned_stop_says_goodbye(server: Any, make_site: Any) -> None:
    sites = [make_site(name) for name in ("one", "two")]
    for site in sites:
        site.arrive()
    begun = time.monotonic()
    assert server.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 4
    for site in sites:
        assert site.hear("goodbye").goodbye.reason == "the service stops as planned"
        assert site.end()[0] == Code.UNAVAILABLE
        assert not server.online(site.name)
    log = (server.home / "log").read_text()
    server.start()
    assert "server/coordination" not in log  # grpc's own tracebacks of cancelled calls aside
    assert "failed" not in log


@pytest.mark.slow
def test_a_silent_site_is_offline(server: Any, make_site: Any, wait: Any) -> None:
    site, talker = make_site("silent", silent=True), make_site("talker")
    site.arrive()
    talker.arrive()
    assert site.end() == (Code.UNAVAILABLE, "3 heartbeats were missed")
    assert not server.online("silent")
    assert server.online("talker")


FROZEN = """
import sys, time, grpc
from protocol.coordination_pb2 import Arrival, FromSite, Heartbeat
from protocol.coordination_pb2_grpc import CoordinationStub
def say():
    yield FromSite(arrival=Arrival(protocol=1))
    while True:
        time.sleep(0.1)
        yield FromSite(heartbeat=Heartbeat())
who = (("x-wr-client-dn", "CN=frozen"), ("x-wr-client-serial", "0A1"))
for message in CoordinationStub(grpc.insecure_channel(sys.argv[1])).Attend(say(), metadata=who):
    print(message.WhichOneof("said"), flush=True)
"""


@pytest.mark.slow
def test_a_frozen_site_is_offline_and_may_come_back(server: Any, make_site: Any, wait: Any) -> None:
    make_site("frozen")
    child = subprocess.Popen(
        [sys.executable, "-c", FROZEN, server.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"welcome\n"
        wait(lambda: server.online("frozen"))
        os.kill(child.pid, signal.SIGSTOP)
        put(server, "frozen", *["order"] * 100)  # nobody reads them
        wait(lambda: not server.online("frozen"))
        back = make_site("frozen")  # a new process, while the old one hangs
        back.arrive(acknowledged=98)
        assert orders(back, 2) == [(99, "order"), (100, "order")]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.slow
def test_a_frozen_service_does_not_blame_its_sites(server: Any, make_site: Any) -> None:
    site = make_site("patient", silent=True)
    site.arrive()
    os.kill(server.running.pid, signal.SIGSTOP)
    time.sleep(1.2)  # longer than the silence a site may keep
    os.kill(server.running.pid, signal.SIGCONT)
    for _ in range(3):
        site.say(heartbeat=Heartbeat())
        site.hear("heartbeat")
    assert server.online("patient")
    assert site.heard.empty()


@pytest.mark.slow
def test_a_locked_registry_is_waited_for(server: Any, make_site: Any) -> None:
    site = make_site("waiter")
    registry = server.registry()
    registry.connection.execute("BEGIN IMMEDIATE")
    site.open()
    site.say(arrival=Arrival(protocol=1))
    assert site.end() == (Code.UNAVAILABLE, "the registry cannot be used at the moment")
    registry.connection.execute("ROLLBACK")
    registry.close()
    assert make_site("waiter").arrive().welcome.protocol == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bind", "0.0.0.0:50000"], "accepted is unix:FILE or a port of 127.0.0.1"),
        ([], "server.toml is missing"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # it goes to the home by itself: put back afterwards
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    assert main(["--home", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())
