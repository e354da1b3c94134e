"""What sites tell, what becomes of it in the registry, and what is refused."""

from __future__ import annotations

import math
import time
from typing import Any

import grpc
import pytest

from protocol.coordination_pb2 import (
    Arrival,
    FromSite,
    Head,
    Heartbeat,
    Progress,
    Standing,
)

Code = grpc.StatusCode
STUDY, OTHER = "ab" * 32, "cd" * 32
HASH = "12" * 32


def told(server: Any, site: str) -> list[Any]:
    found: list[Any] = server.rows(
        "SELECT granted, spent, readings, waiting, minutes FROM progress WHERE site = ?", site
    )
    return found


def test_progress_is_kept_and_never_falls(server: Any, make_site: Any, wait: Any) -> None:
    site = make_site("teller")
    site.arrive()
    site.say(progress=Progress(study=STUDY, granted=9, spent=3, readings=4, waiting=6, minutes=1.5))
    wait(lambda: told(server, "teller") == [(9, 3, 4, 6, 1.5)])
    assert server.alarms("teller") == []
    site.say(progress=Progress(study=STUDY, granted=8, spent=2, readings=5, waiting=1, minutes=1.0))
    wait(lambda: told(server, "teller") == [(8, 3, 5, 1, 1.5)])
    assert server.alarms("teller") == ["progress-back"]
    site.hear("heartbeat")


def test_progress_of_a_study_not_for_this_site_is_not_kept(
    server: Any, make_site: Any, wait: Any
) -> None:
    site = make_site("stray")
    site.arrive(standings=[Standing(study=OTHER, state="approved")])
    site.say(progress=Progress(study=OTHER, granted=9))
    site.say(standing=Standing(study=STUDY, state="waiting"))  # told later, so all is done then
    wait(lambda: server.rows("SELECT study, state FROM standings WHERE site = 'stray'"))
    assert server.rows("SELECT study FROM standings WHERE site = 'stray'") == [(STUDY,)]
    assert told(server, "stray") == []
    assert server.alarms("stray") == ["unknown-study"]


def test_standings_come_with_the_arrival_and_later(server: Any, make_site: Any, wait: Any) -> None:
    site = make_site("stander")
    site.arrive(standings=[Standing(study=STUDY, state="waiting")])
    stands = "SELECT state FROM standings WHERE site = 'stander'"
    assert server.rows(stands) == [("waiting",)]
    site.say(standing=Standing(study=STUDY, state="approved"))
    wait(lambda: server.rows(stands) == [("approved",)])


MALFORMED: dict[str, FromSite | bytes] = {
    "noise": b"\xff\xff\xff\xff",
    "nothing": FromSite(),
    "a second arrival": FromSite(arrival=Arrival(protocol=1)),
    "a path for a study": FromSite(progress=Progress(study="../../etc/passwd")),
    "upper case": FromSite(standing=Standing(study="AB" * 32, state="approved")),
    "a state of its own": FromSite(standing=Standing(study=STUDY, state="a name")),
    "no number of minutes": FromSite(progress=Progress(study=STUDY, minutes=math.nan)),
    "endless minutes": FromSite(progress=Progress(study=STUDY, minutes=math.inf)),
    "fewer than no minutes": FromSite(progress=Progress(study=STUDY, minutes=-1)),
    "a far cycle": FromSite(progress=Progress(study=STUDY, cycle=1 << 31)),
    "a head without hash": FromSite(head=Head(lines=3)),
    "a long hash": FromSite(head=Head(lines=3, hash="a" * 65)),
    "a branch that cannot be": FromSite(head=Head(lines=3, hash=HASH, left=1 << 31)),
    "lines beyond SQLite": FromSite(head=Head(lines=1 << 63, hash=HASH)),
    "a time that is none": FromSite(heartbeat=Heartbeat(sent=math.nan)),
    "what was never sent": FromSite(heartbeat=Heartbeat(acknowledged=7)),
    "many versions": FromSite(
        arrival=Arrival(protocol=1, versions={f"v{i}": "1" for i in range(33)})
    ),
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_a_malformed_message_ends_the_stream(server: Any, make_site: Any, wrong: str) -> None:
    name = f"wrong-{list(MALFORMED).index(wrong)}"
    site = make_site(name)
    site.arrive()
    site.said.put(MALFORMED[wrong])
    code, words = site.end()
    assert code == Code.INVALID_ARGUMENT
    assert words
    assert "passwd" not in words
    assert told(server, name) == server.rows("SELECT * FROM heads WHERE site = ?", name) == []
    assert make_site(name).arrive().welcome.protocol == 1  # the next stream is served


@pytest.mark.parametrize(
    "versions",
    [{f"v{i}": "1" for i in range(33)}, {"wardround": "x" * 65}, {"a b": "1"}, {"a": "x\ny"}],
)
def test_versions_are_short_texts(make_site: Any, versions: dict[str, str]) -> None:
    site = make_site("versioned")
    site.open()
    site.say(arrival=Arrival(protocol=1, versions=versions))
    assert site.end()[0] == Code.INVALID_ARGUMENT


def test_an_oversized_message_ends_the_stream(make_site: Any, server: Any) -> None:
    site = make_site("large")
    site.arrive()
    site.said.put(bytes(70_000))
    assert site.end()[0] == Code.RESOURCE_EXHAUSTED
    assert make_site("large").arrive().welcome.protocol == 1


def test_a_flood_ends_the_stream_and_is_not_let_in_at_once(make_site: Any) -> None:
    site, quiet = make_site("flood"), make_site("quiet")
    quiet.arrive()
    site.arrive()
    for _ in range(600):
        site.say(heartbeat=Heartbeat())
    assert site.end()[0] == Code.RESOURCE_EXHAUSTED
    again = make_site("flood")
    again.open()
    again.say(arrival=Arrival(protocol=1))
    assert again.end()[0] == Code.RESOURCE_EXHAUSTED
    quiet.hear("heartbeat")


@pytest.mark.slow
def test_a_wrong_clock_sounds_until_it_is_right(server: Any, make_site: Any, wait: Any) -> None:
    site = make_site("clock")
    site.arrive()
    standing = "SELECT count(*) FROM alarms WHERE site = 'clock' AND cleared IS NULL"
    for off, alarms in ((-250, 0), (30, 1), (31, 1), (0, 0), (-320, 1)):
        site.say(heartbeat=Heartbeat(sent=time.time() + off))
        wait(lambda off=off: server.rows(_skew_near(off)))
        assert server.rows(standing) == [(alarms,)]
    assert server.alarms("clock") == ["clock-skew", "clock-skew"]


def _skew_near(off: int) -> str:
    return f"SELECT 1 FROM presence WHERE site = 'clock' AND abs(skew - {off}) < 0.9"  # noqa: S608


def test_heads_are_countersigned_in_branches(server: Any, make_site: Any) -> None:
    from daemons.secrets import signed
    from protocol.coordination import head_words

    site = make_site("logger")
    site.arrive(head=Head(lines=0))
    site.say(head=Head(lines=5, hash=HASH))
    first = site.hear("countersigned").countersigned
    assert (first.lines, first.hash, first.branch) == (5, HASH, 1)
    words = head_words("logger", 1, 5, HASH, first.at)
    assert words == f"logger\n1\n5\n{HASH}\n{first.at}".encode()
    assert signed(public_key(server), words, first.signature)
    site.say(head=Head(lines=5, hash=HASH))
    assert site.hear("countersigned").countersigned == first
    site.say(head=Head(lines=9, hash="34" * 32))
    second = site.hear("countersigned").countersigned
    assert (second.lines, second.branch) == (9, 1)
    assert site.stub.NewestHead(_request(), metadata=site.metadata, timeout=5) == second
    assert server.alarms("logger") == []


def test_a_log_from_an_old_copy_begins_a_branch(server: Any, make_site: Any) -> None:
    site = make_site("restored")
    site.arrive(head=Head(lines=9, hash=HASH))
    held = site.hear("countersigned").countersigned
    back = make_site("restored")
    welcome = back.arrive(head=Head(lines=5, hash="34" * 32)).welcome
    assert welcome.newest == held  # what the server holds, before the branch
    branched = back.hear("countersigned").countersigned
    assert (branched.lines, branched.branch) == (5, 2)
    assert server.alarms("restored") == ["log-restored"]
    back.say(head=Head(lines=6, hash="56" * 32))  # it grows on where it is now
    assert back.hear("countersigned").countersigned.branch == 2
    back.say(head=Head(lines=6, hash="78" * 32))
    assert back.hear("countersigned").countersigned.branch == 3
    assert server.alarms("restored") == ["log-restored", "log-differs"]
    last = make_site("restored")
    assert last.arrive().welcome.newest.branch == 3  # no log at all: shorter than any
    assert last.hear("countersigned").countersigned.branch == 4
    assert len(server.rows("SELECT 1 FROM heads WHERE site = 'restored'")) == 5


def test_a_log_that_grew_after_it_was_restored_is_told_of_by_its_site(
    server: Any, make_site: Any
) -> None:
    """It looks as it should from the server; the site sees the line that was signed before."""
    site = make_site("grown")
    site.arrive(head=Head(lines=5, hash=HASH))
    site.hear("countersigned")
    back = make_site("grown")
    back.arrive(head=Head(lines=9, hash="34" * 32))
    assert back.hear("countersigned").countersigned.branch == 1
    assert server.alarms("grown") == []
    for lines, digit in ((10, "5"), (11, "6")):
        back.say(head=Head(lines=lines, hash=digit * 64, left=1))
        assert back.hear("countersigned").countersigned.branch == 2
    assert server.alarms("grown") == ["log-restored"]
    again = make_site("grown")
    again.arrive(head=Head(lines=11, hash="6" * 64, left=1))
    assert again.hear("countersigned").countersigned.branch == 2


def public_key(server: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(
        (server.home / "pki" / "heads.key").read_bytes(), None
    )
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _request() -> Any:
    from protocol.coordination_pb2 import NewestHeadRequest

    return NewestHeadRequest()
