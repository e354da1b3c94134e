"""What repeats shares a line: floods of refusals, heartbeats; and the messages of the stream."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from client.audit import summed
from client.audit.chain import Entry, Line, head, lines
from client.audit.gate import end_of_stream, let_out_message
from client.audit.report import account
from client.audit.verify import verify
from client.home import open_store
from client.site import Site
from client.store.store import SiteStore
from protocol.coordination_pb2 import Arrival, FromSite, Head, Heartbeat, Progress
from protocol.egress import KeptBack
from protocol.study import Study

CANARY = "Jane Doe 1961-04-05"


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study()


@pytest.fixture
def site(study: Study, tiny_site: Callable[..., Site]) -> Site:
    return tiny_site(study)


def told(store: SiteStore) -> list[Line]:
    assert verify(store, "north", None).whole
    return list(lines(store))


@pytest.mark.slow
def test_a_flood_s_lines_come_ever_more_seldom(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1e9]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    for second in range(86400 // 20):
        clock[0] = 1e9 + 20 * second
        with site.store.transaction():
            summed.repeated(site.store, Entry("model", "refused", words="w"))
    assert 20 < head(site.store)[0] < 40
    with site.store.transaction():
        summed.flush(site.store, everything=True)
    assert account(site.store).refused["", "w"] == 86400 // 20
    for number in range(200):  # words that never repeat share a line, too
        with site.store.transaction():
            summed.repeated(site.store, Entry("model", "refused", words=f"w{number}"))
    assert head(site.store)[0] < 140


def test_heartbeats_share_a_line_an_hour_and_survive_a_kill(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1e9]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    beat = FromSite(heartbeat=Heartbeat(acknowledged=1, sent=1.0))
    for _ in range(3 * 180):
        assert let_out_message(site.store, beat) == beat.SerializeToString()
        clock[0] += 20
    assert [x.entry.words.split(" since")[0] for x in told(site.store)] == ["180 times"] * 2
    again = open_store(site.home, durable=False)  # another process, after a kill
    end_of_stream(again)
    again.close()
    found = told(site.store)
    assert [x.entry.words.split(" since")[0] for x in found] == ["180 times"] * 3
    assert sum(x.entry.size for x in found) == 540 * beat.ByteSize()
    assert account(site.store).talk["Heartbeat"].count == 540


@pytest.mark.slow
def test_attempts_that_lead_nowhere_share_lines(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that was revoked, or whose server is down, arrives every minute for a day."""
    clock = [1e9]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    message = FromSite(arrival=Arrival(protocol=1, head=Head(lines=1, hash="ab" * 32)))
    for _ in range(24 * 60):
        let_out_message(site.store, message)
        end_of_stream(site.store)
        clock[0] += 61
    assert 24 < head(site.store)[0] < 40
    counted = account(site.store)
    assert counted.talk["Arrival"].count + counted.waiting == 24 * 60
    clock[0] += 7200  # the line of the last ones comes with whatever is said next
    let_out_message(site.store, FromSite(head=Head(lines=1, hash="ab" * 32)))
    assert account(site.store).talk["Arrival"].count == 24 * 60


def test_messages_have_lines_and_what_may_not_leave_is_raised(site: Site, study: Study) -> None:
    told_counts = FromSite(progress=Progress(study=study.identity, cycle=2, minutes=1.5))
    let_out_message(site.store, told_counts)
    with pytest.raises(KeptBack):
        let_out_message(site.store, FromSite(head=Head(lines=1, hash=CANARY)))
    first, second = told(site.store)
    assert (first.entry.plane, first.entry.record) == ("coordination", "Progress")
    assert (first.entry.study, first.entry.cycle) == (study.identity, 2)
    assert (second.entry.event, "Jane" in second.entry.words) == ("refused", False)
