"""The gate on the coordination plane: counts, hashes and versions leave; nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from client.versions import versions
from protocol import coordination_pb2 as pb
from protocol.coordination import LARGEST_FROM_SITE, STANDINGS
from protocol.egress import KeptBack, release_message
from protocol.egress_table import COORDINATION

CANARY = "Jane Doe 1961-04-05"
HASH = "ab" * 32


def progress(**changes: Any) -> pb.FromSite:
    told: dict[str, Any] = {"study": HASH, "cycle": 1, "granted": 8, "spent": 3, "readings": 3}
    return pb.FromSite(progress=pb.Progress(**told | {"waiting": 5, "minutes": 1.5} | changes))


def arrival(**changes: Any) -> pb.FromSite:
    told: dict[str, Any] = {
        "protocol": 1,
        "versions": dict(versions()),
        "acknowledged": 7,
        "standings": [pb.Standing(study=HASH, state=s) for s in STANDINGS],
        "head": pb.Head(lines=3, hash=HASH),
    }
    return pb.FromSite(arrival=pb.Arrival(**told | changes))


GOOD: dict[str, Message] = {
    "Arrival": arrival(),
    "Heartbeat": pb.FromSite(heartbeat=pb.Heartbeat(acknowledged=7, sent=1.7e9)),
    "Progress": progress(),
    "Head": pb.FromSite(head=pb.Head(lines=3, hash=HASH)),
    "Standing": pb.FromSite(standing=pb.Standing(study=HASH, state="approved")),
    "NewestHeadRequest": pb.NewestHeadRequest(),
    "Greeting": pb.Greeting(protocol=1, versions=dict(versions()), time=1.7e9),
}


def test_everything_in_the_table_passes_and_is_all_that_a_site_says() -> None:
    assert set(GOOD) == set(COORDINATION)
    said = {f.message_type.name for f in pb.FromSite.DESCRIPTOR.fields}
    assert said <= set(COORDINATION)
    for kind, message in GOOD.items():
        released = release_message(message)
        assert (released.kind, released.size) == (kind, message.ByteSize())
    assert max(line.rule.largest for line in COORDINATION.values()) < LARGEST_FROM_SITE
    assert release_message(arrival(head=None, standings=[], versions={}))
    assert release_message(arrival(head=pb.Head()))  # before the first line


def test_what_only_the_server_says_does_not_leave() -> None:
    for message in (pb.FromServer(), pb.Offer(study=HASH), pb.SignedHead(), pb.FromSite()):
        with pytest.raises(KeptBack):
            release_message(message)


@pytest.mark.parametrize(
    "message",
    [
        progress(study=CANARY),
        progress(study=HASH + CANARY),
        progress(study=HASH.upper()),
        progress(minutes=float("nan")),
        progress(minutes=-1.0),
        progress(cycle=2**31),
        arrival(versions={"wardround": CANARY}),
        arrival(versions={CANARY: "1.0"}),
        arrival(versions={"torch": "1" * 33}),
        arrival(standings=[pb.Standing(study=HASH, state=CANARY)]),
        arrival(standings=[pb.Standing(study=HASH, state="approved")] * 257),
        arrival(head=pb.Head(lines=1, hash=CANARY)),
        arrival(protocol=2**20),
        pb.FromSite(heartbeat=pb.Heartbeat(acknowledged=2**60)),
        pb.FromSite(heartbeat=pb.Heartbeat(sent=float("inf"))),
        pb.FromSite(standing=pb.Standing(study=HASH, state="")),
        pb.Greeting(versions={"os": CANARY}),
    ],
)
def test_a_value_outside_its_rule_stays(message: Message) -> None:
    with pytest.raises(KeptBack) as kept:
        release_message(message)
    assert "Jane" not in str(kept.value)


@given(
    number=st.integers(1, 2**20),
    content=st.binary(max_size=300),
    kind=st.sampled_from(sorted(GOOD)),
)
def test_fields_that_our_stubs_do_not_know_stay(number: int, content: bytes, kind: str) -> None:
    """A newer or altered stub would keep them in the bytes that travel."""
    known = {f.number for f in GOOD[kind].DESCRIPTOR.fields}
    if number in known or 19000 <= number < 20000:
        return
    altered = type(GOOD[kind])()
    altered.ParseFromString(GOOD[kind].SerializeToString() + field(number, content))
    with pytest.raises(KeptBack, match="unknown"):
        release_message(altered)
    inner = pb.FromSite(head=pb.Head(lines=1, hash=HASH))
    if number > 2:
        inner.head.MergeFromString(field(number, content))
        with pytest.raises(KeptBack, match="unknown"):
            release_message(inner)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field as protobuf writes it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
