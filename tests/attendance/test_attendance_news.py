"""What the readers' progress tells, and how seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from client.attendance.news import News
from client.audit.chain import head, note
from client.audit.people import SHOWN, seen
from client.keys import SiteKey
from client.queue import submit
from client.site import Arrival, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.coordination_pb2 import FromSite, Progress
from protocol.egress import release_message
from protocol.records import Reading
from protocol.study import Study

EVERY = 0.3


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study()


@pytest.fixture
def store(tiny_store: SiteStore, study: Study) -> SiteStore:
    """Eight cases, four of them open in cycle 0 under a grant of four."""
    names = [f"case-{i}" for i in range(8)]
    arrival = Arrival(names, names, ["pool"] * 8, range(8), np.zeros((8, 2), np.uint8))
    enrol(tiny_store, SiteKey(b"k" * 16), arrival, clustered=True)
    with tiny_store.transaction():
        tiny_store.steps.approve(study, "a" * 64)
        tiny_store.readings.grant(study.identity, 0, 0, 4)
        tiny_store.readings.open(
            study.identity, 0, [Opening(i, "query", (0.5, 0.5)) for i in range(1, 5)]
        )
    return tiny_store


@pytest.fixture
def news(store: SiteStore) -> News:
    found = News(store, "north", EVERY)
    found.arrival()
    return found


def told(news: News) -> Sequence[Progress]:
    messages = news.due()
    for message in messages:
        release_message(message)  # the gate lets it by
    return [m.progress for m in messages if m.HasField("progress")]


def read(store: SiteStore, study: Study, case: int) -> None:
    reading = Reading("", "ann", "2026-01-05T08:00:00+00:00", 33.0, "answered", (0, 1))
    submit(store, study, 0, Opening(case, "query"), reading)


def test_counts_are_told_at_once_then_seldom_and_at_once_when_done(
    news: News, store: SiteStore, study: Study
) -> None:
    (first,) = told(news)
    assert (first.granted, first.spent, first.readings, first.waiting) == (4, 0, 0, 4)
    assert first.study == study.identity
    assert not told(news)
    read(store, study, 1)
    read(store, study, 2)
    assert not told(news)
    time.sleep(EVERY)
    (second,) = told(news)
    assert (second.spent, second.waiting, second.minutes) == (2, 2, 1.1)
    read(store, study, 3)
    read(store, study, 4)
    (done,) = told(news)
    assert (done.spent, done.waiting, done.minutes) == (4, 0, 2.2)
    time.sleep(EVERY)
    assert not told(news)


def test_a_server_that_cuts_streams_learns_nothing_sooner(
    news: News, store: SiteStore, study: Study
) -> None:
    (first,) = told(news)
    read(store, study, 1)
    news.arrival()
    assert told(news) == [first]
    assert not told(news)


def test_a_paused_study_tells_nothing(news: News, store: SiteStore, study: Study) -> None:
    store.offers.stand(study.identity, "paused")
    messages = news.due()
    assert [m.standing.state for m in messages] == ["paused"]
    assert not news.due()


def test_the_cycle_before_is_told_to_its_end(news: News, store: SiteStore, study: Study) -> None:
    told(news)
    read(store, study, 1)
    with store.transaction():
        store.readings.grant(study.identity, 1, 0, 2)
    before, fresh = told(news)
    assert (before.cycle, before.spent, before.waiting) == (0, 1, 0)
    assert (fresh.cycle, fresh.granted, fresh.waiting) == (1, 2, 0)


def test_every_message_passes_the_gate(news: News, hospital: Any) -> None:
    for message in (news.arrival(), news.heartbeat()):
        assert release_message(message).size > 0


def lines_told(messages: Sequence[FromSite]) -> list[int]:
    return [m.head.lines for m in messages if m.HasField("head")]


def test_heads_are_no_clock_of_anybody_s_work(
    store: SiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1000.0]
    monkeypatch.setattr("client.attendance.news.time.monotonic", lambda: moment[0])
    news = News(store, "north", 60.0)
    news.arrival()
    count = head(store)[0]
    moment[0] += 5
    with store.transaction():
        seen(store, SHOWN, "ann", study="s", case=3)
    assert lines_told(news.due()) == []
    with store.transaction():
        note(store, "paused")  # nor does the next line of another kind tell of them
    assert lines_told(news.due()) == []
    assert news.arrival().arrival.head.lines == count  # nor does a stream that was cut
    moment[0] += 60
    assert lines_told(news.due()) == [count + 2]
    with store.transaction():
        note(store, "paused")
    moment[0] += 3
    assert lines_told(news.due()) == [count + 3]  # what is not about people is told at once
