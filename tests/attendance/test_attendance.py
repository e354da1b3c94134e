"""Attendance against a real TLS server: arrival, errands once, signatures, ways to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from client.audit.chain import head, note
from client.audit.heads import kept
from client.audit.summed import waiting
from protocol.coordination_pb2 import Order
from protocol.study import Study


def test_it_arrives_and_beats(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: len(desk.heard("heartbeat")) > 2)
        (arrival,) = desk.heard("arrival")
        assert arrival.protocol == 1
        assert "flwr" in arrival.versions
        assert arrival.acknowledged == 0
        told = await wait(lambda: hospital.told["state"] == "connected" and hospital.told)
        assert told["versions"] == {"wardround": "9.9.9"}
        await wait(lambda: abs(hospital.told["skew"]) < 1)  # 30 until the first heartbeat
        assert told["refusal"] == ""

    attending(scene)
    assert not hospital.told["news"]


@pytest.mark.slow
def test_an_offer_is_kept_told_of_and_acknowledged(
    attending: Any, hospital: Any, wait: Any, offer_of: Any, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()

    async def scene(desk: Any) -> None:
        desk.say(1, offer=offer_of(study, asked_by="Ann\x1b[2J"))
        await wait(lambda: desk.acknowledged() == 1, 30)
        await wait(lambda: [s.state for s in desk.heard("standing")] == ["waiting"])
        hospital.store.offers.decide(study.identity, "refused", "now")
        await wait(lambda: [s.state for s in desk.heard("standing")] == ["waiting", "refused"])

    attending(scene)
    (offer,) = hospital.store.offers.every()
    assert offer.asked_by == "Ann�[2J"
    assert not hospital.lines("refused")


@pytest.mark.slow
def test_an_offer_whose_acknowledgement_was_lost_is_one(
    attending: Any, hospital: Any, wait: Any, offer_of: Any, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()

    async def scene(desk: Any) -> None:
        desk.say(1, offer=offer_of(study))
        await wait(hospital.store.offers.every, 30)
        desk.hang_up()
        await wait(lambda: len(desk.streams) == 2)
        desk.say(1, offer=offer_of(study, asked_by="Ben"))
        desk.say(2, offer=offer_of(study, asked_by="Cem"))
        await wait(lambda: desk.acknowledged() == 2, 30)
        assert desk.heard("arrival")[1].acknowledged == 1

    attending(scene)
    assert [o.asked_by for o in hospital.store.offers.every()] == ["Ann"]


def test_an_offer_under_another_identity_is_not_kept(
    attending: Any, hospital: Any, wait: Any, offer_of: Any, tiny_study: Callable[..., Study]
) -> None:
    async def scene(desk: Any) -> None:
        study = tiny_study()
        desk.say(1, offer=offer_of(study, study="b" * 64))
        desk.say(2, offer=offer_of(study, document="[" * 100_000))
        desk.say(3, offer=offer_of(study, weights="../../x"))
        desk.say(4, offer=offer_of(study, document='{"schema": 1, "name": "x"}'))
        await wait(lambda: desk.acknowledged() == 4)

    attending(scene)
    assert not hospital.store.offers.every()
    identity, lists, weights, missing = hospital.lines("refused")
    assert "not the one offered" in identity
    assert "not JSON" in lists
    assert "64 hex digits" in weights
    assert missing.startswith("task is missing")


@pytest.mark.slow
def test_names_from_outside_are_refused_and_logged(
    attending: Any, hospital: Any, wait: Any, offer_of: Any, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study('query.strategy="subprocess:Popen"', 'query.arguments={args="true"}')

    async def scene(desk: Any) -> None:
        desk.say(1, offer=offer_of(study))
        await wait(lambda: desk.acknowledged() == 1, 30)
        await wait(lambda: [s.state for s in desk.heard("standing")] == ["refused"])

    attending(scene)
    (offer,) = hospital.store.offers.every()
    assert offer.state == "refused"
    (words,) = hospital.lines("refused")
    assert "subprocess:Popen" in words


def test_the_node_is_started_anew_once(attending: Any, hospital: Any, wait: Any) -> None:
    asked = hospital.paths.run / "restart-supernode"

    async def scene(desk: Any) -> None:
        desk.say(1, order=Order(kind="restart-node"))
        await wait(lambda: desk.acknowledged() == 1)
        asked.unlink()
        desk.say(1, order=Order(kind="restart-node"))
        desk.say(2, order=Order(kind="send-images"))
        await wait(lambda: desk.acknowledged() == 2)
        assert not asked.exists()

    attending(scene)
    assert hospital.lines("ordered") == ["restart-node"]
    assert hospital.lines("refused") == ["send-images is not a thing that the server may order"]


def test_a_countersignature_is_kept_if_it_is_the_servers(
    attending: Any, hospital: Any, wait: Any
) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("heartbeat"))
        lines, hashed = head(hospital.store)
        forged = desk.signed(lines, hashed)
        forged.signature = bytes(64)
        desk.say(countersigned=forged)
        await wait(lambda: hospital.told["refusal"] == "a countersignature is not the server's")
        desk.say(countersigned=desk.signed(lines + 50, "c" * 64))
        await wait(lambda: "not of this site's audit log" in hospital.told["refusal"])
        assert not kept(hospital.store)
        desk.say(countersigned=desk.signed(lines, hashed))
        await wait(lambda: [s.lines for s in kept(hospital.store)] == [lines])

    attending(scene)


@pytest.mark.slow
def test_a_log_from_an_old_copy_is_noted_once(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        desk.newest = desk.signed(1000, "d" * 64)
        await wait(lambda: [h.left for h in desk.heard("head")] == [1])  # the server hears of it
        desk.hang_up()
        await wait(lambda: len(desk.heard("arrival")) == 2)
        await wait(lambda: "restored from a copy" in hospital.told["refusal"])
        assert [a.head.left for a in desk.heard("arrival")] == [0, 1]
        lines, hashed = head(hospital.store)
        desk.newest = desk.signed(lines, hashed, branch=2)
        desk.say(countersigned=desk.newest)
        await wait(lambda: kept(hospital.store))
        desk.hang_up()
        await wait(lambda: len(desk.heard("arrival")) == 3 and hospital.told["refusal"] == "")

    attending(scene)
    assert hospital.lines("restored") == [
        "the server has signed 1000 lines that this log does not continue"
    ]


@pytest.mark.slow
def test_heads_follow_fresh_lines_and_do_not_follow_themselves(
    attending: Any, hospital: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.attendance.news._HEAD_EVERY", 0.2)

    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("heartbeat"))
        with hospital.store.transaction():
            note(hospital.store, "excluded")
        (first,) = await wait(lambda: desk.heard("head"))
        assert first.hash in {
            str(r[0]) for r in hospital.store.connection.execute("SELECT hash FROM audit")
        }
        await asyncio.sleep(1.0)
        assert len(desk.heard("head")) == 1

    attending(scene)


@pytest.mark.slow
def test_a_log_that_is_forged_while_the_stream_stands_is_found(
    attending: Any, hospital: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line's hash is right again, and there are more lines than before."""
    monkeypatch.setattr("client.attendance.news._HEAD_EVERY", 0.2)
    store = hospital.store

    def forge() -> None:
        with store.transaction():
            for (name,) in store.connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
            ).fetchall():
                store.connection.execute(f"DROP TRIGGER {name}")
            store.connection.execute("DELETE FROM audit")
            store.connection.execute("DELETE FROM countersigned")
            for _ in range(40):
                note(store, "excluded", words="forged")

    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("heartbeat"))
        with store.transaction():
            note(store, "excluded")
        (told,) = await wait(lambda: desk.heard("head"))
        desk.newest = desk.signed(told.lines, told.hash)
        forge()
        await wait(lambda: len(desk.heard("arrival")) == 2)
        await wait(lambda: hospital.lines("restored"))

    attending(scene)


@pytest.mark.slow
def test_a_server_that_falls_silent_is_left(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("heartbeat"))
        desk.silent = True
        await wait(lambda: hospital.told["refusal"] == "the server fell silent")
        desk.silent = False
        await wait(lambda: len(desk.streams) > 1 and hospital.told["state"] == "connected")

    attending(scene)


@pytest.mark.slow
def test_a_server_that_restarts_is_found_again(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("heartbeat"))
        await desk.close()
        await wait(lambda: hospital.told["refusal"] == "nothing listens at the server's address")
        await asyncio.sleep(1)
        await desk.open()
        await wait(lambda: len(desk.heard("arrival")) == 2)

    attending(scene)
    rows = hospital.store.connection.execute("SELECT count(*) FROM audit WHERE record = 'Arrival'")
    assert rows.fetchone()[0] == 1
    assert waiting(hospital.store) == 1  # what nobody could hear did not leave


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "the server does not accept this site's certificate"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "the server does not know this site, or has revoked it",
        ),
        (grpc.StatusCode.INTERNAL, "the stream was cut"),
    ],
)
def test_a_refusal_is_told_in_our_words(
    code: Any, words: str, attending: Any, hospital: Any, wait: Any
) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: hospital.told["refusal"] == words)
        desk.refuse = None
        await wait(lambda: hospital.told["state"] == "connected")

    attending(scene, refuse=code)


def test_another_version_of_the_messages_is_refused(
    attending: Any, hospital: Any, wait: Any
) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: "speaks version 2" in hospital.told["refusal"])

    attending(scene, protocol=2)


def test_a_server_of_another_authority_hears_nothing(
    attending: Any, hospital: Any, pki: Any, wait: Any
) -> None:
    foreign = (pki / "site-ca.crt").read_bytes()  # signs no server
    (hospital.paths.kit / "server-ca.crt").write_bytes(foreign)

    async def scene(desk: Any) -> None:
        await wait(lambda: "not of the CA in this site's kit" in hospital.told["refusal"])
        assert not desk.streams

    attending(scene)
