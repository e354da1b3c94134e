"""The registry's shelves, on real files and with several writers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from protocol.coordination_pb2 import Order
from server.registry.alarm_shelf import AlarmShelf
from server.registry.head_shelf import HeadShelf, Signed
from server.registry.outbox_shelf import Letter, OutboxShelf
from server.registry.presence_shelf import PresenceShelf, Reached
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf

STUDY, OTHER = "ab" * 32, "cd" * 32


def order(number: int) -> bytes:
    return Order(kind=f"order-{number}").SerializeToString()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry.db")
    opened.connection.executemany(
        "INSERT INTO sites VALUES (?, ?, 'active', '', NULL, ?, '', '')",
        [("south", 1, "02"), ("north", 0, "01")],
    )
    yield opened
    opened.close()


def test_presence_follows_the_stream(registry: Registry) -> None:
    shelf = PresenceShelf(registry.connection)
    assert shelf.of("north") is None
    shelf.arrive("north", {"wardround": "1"}, "t1")
    shelf.hear([("north", "t2", 1.5), ("south", "t2", None)])  # south never came: nothing to note
    found = shelf.of("north")
    assert found is not None
    assert (found.online, found.since, found.heard, found.skew) == (True, "t1", "t2", 1.5)
    assert found.versions == {"wardround": "1"}
    shelf.hear([("north", "t3", None)])
    shelf.leave("north", "t4")
    shelf.leave("north", "t5")
    found = shelf.of("north")
    assert found is not None
    assert (found.online, found.since, found.heard, found.skew) == (False, "t4", "t3", 1.5)
    assert shelf.of("south") is None


def test_all_leave_when_the_service_begins(registry: Registry) -> None:
    shelf = PresenceShelf(registry.connection)
    shelf.arrive("south", {}, "t1")
    shelf.arrive("north", {}, "t1")
    shelf.leave("north", "t2")
    shelf.leave_all("t3")
    assert {name: (p.online, p.since) for name, p in shelf.all().items()} == {
        "north": (False, "t2"),
        "south": (False, "t3"),
    }
    assert list(shelf.all()) == ["north", "south"]  # site order


def test_the_node_is_noted_apart_from_the_stream(registry: Registry) -> None:
    shelf = PresenceShelf(registry.connection)
    shelf.note_node("north", False, "t1")
    shelf.note_node("north", False, "t2")
    shelf.arrive("north", {}, "t3")
    found = shelf.of("north")
    assert found is not None
    assert (found.online, found.node_online, found.node_since) == (True, False, "t1")
    shelf.note_node("north", True, "t4")
    found = shelf.of("north")
    assert found is not None
    assert (found.online, found.node_online, found.node_since) == (True, True, "t4")


def test_standings_move_only_when_they_change(registry: Registry) -> None:
    shelf = PresenceShelf(registry.connection)
    shelf.stand("south", STUDY, "waiting", "t1")
    shelf.stand("south", STUDY, "waiting", "t2")
    shelf.stand("north", STUDY, "approved", "t3")
    at = registry.connection.execute("SELECT at FROM standings WHERE site = 'south'").fetchone()[0]
    assert at == "t1"
    assert shelf.standings(STUDY) == {"north": "approved", "south": "waiting"}
    shelf.stand("south", STUDY, "approved", "t4")
    assert shelf.standings(STUDY)["south"] == "approved"
    assert shelf.standings(OTHER) == {}


def test_progress_never_falls(registry: Registry) -> None:
    shelf = PresenceShelf(registry.connection)
    assert not shelf.tell("north", STUDY, 0, Reached(10, 4, 5, 6, 2.5, "t1"))
    assert not shelf.tell("north", STUDY, 0, Reached(10, 4, 5, 6, 2.5, "t2"))
    assert shelf.tell("north", STUDY, 0, Reached(8, 3, 6, 2, 1.0, "t3"))
    assert shelf.progress(STUDY, 0) == {"north": Reached(8, 4, 6, 2, 2.5, "t3")}
    assert not shelf.tell("north", STUDY, 1, Reached(8, 0, 0, 8, 0.0))  # the next cycle is its own
    assert shelf.progress(OTHER, 0) == {}


def test_the_outbox_has_no_gaps_whoever_writes(registry: Registry, tmp_path: Path) -> None:
    def write(name: str) -> None:
        own = Registry.open(tmp_path / "registry.db")
        for number in range(20):
            OutboxShelf(own.connection).put(name, "order", order(number))
        own.close()

    writers = [Thread(target=write, args=(name,)) for name in ("north", "north", "south")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    shelf = OutboxShelf(registry.connection)
    assert [x.sequence for x in shelf.after("north", 0, 100)] == list(range(1, 41))
    assert shelf.after("south", 18) == [
        Letter(19, "order", order(18)),
        Letter(20, "order", order(19)),
    ]
    assert shelf.newest() == {"north": 40, "south": 20}


def test_what_the_outbox_refuses(registry: Registry) -> None:
    shelf = OutboxShelf(registry.connection)
    with pytest.raises(ValueError, match="accepted is offer or order"):
        shelf.put("north", "goodbye", b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1048577 bytes"):
        shelf.put("north", "order", bytes((1 << 20) + 1))
    with pytest.raises(ValueError, match="no order"):
        shelf.put("north", "order", b"\xff")
    with pytest.raises(sqlite3.IntegrityError):
        shelf.put("nowhere", "order", b"")
    assert shelf.newest() == {}


def test_acknowledgements_never_fall(registry: Registry) -> None:
    shelf = OutboxShelf(registry.connection)
    assert shelf.acknowledged("north") == 0
    shelf.acknowledge("north", 3)
    shelf.acknowledge("north", 2)
    assert shelf.acknowledged("north") == 3


def test_an_old_registry_gives_again_what_a_site_ahead_would_pass_over(registry: Registry) -> None:
    shelf = OutboxShelf(registry.connection)
    for number in range(5):
        shelf.put("north", "order", order(number))
    shelf.acknowledge("north", 3)
    assert not shelf.catch_up("north", 5)
    assert shelf.catch_up("north", 8)
    assert shelf.after("north", 8) == [Letter(9, "order", order(3)), Letter(10, "order", order(4))]
    shelf.acknowledge("south", 7)  # all of it came before the copy was made
    assert shelf.put("south", "order", b"") == 8


def test_heads_by_branch_and_line(registry: Registry) -> None:
    shelf = HeadShelf(registry.connection)
    assert shelf.newest("north") is None
    heads = [Signed(1, 9, "aa", "t1", b"1"), Signed(1, 12, "bb", "t2", b"2")]
    for head in [*heads, Signed(2, 9, "aa", "t3", b"3")]:
        shelf.add("north", head)
    assert shelf.newest("north") == Signed(2, 9, "aa", "t3", b"3")
    assert shelf.all("north")[:2] == heads
    with pytest.raises(sqlite3.IntegrityError):
        shelf.add("north", heads[0])
    assert shelf.newest("south") is None


def test_an_alarm_sounds_once_until_it_is_cleared(registry: Registry) -> None:
    shelf = AlarmShelf(registry.connection)
    assert shelf.sound("clock-skew", "the clock is wrong", "north")
    assert not shelf.sound("clock-skew", "the clock is still wrong", "north")
    assert shelf.sound("clock-skew", "the clock is wrong", "south")
    assert shelf.sound("disk", "the disk is nearly full")
    assert [(a.site, a.kind) for a in shelf.standing()] == [
        ("", "disk"),
        ("south", "clock-skew"),
        ("north", "clock-skew"),
    ]
    assert shelf.clear("clock-skew", "north")
    assert not shelf.clear("clock-skew", "north")
    assert shelf.sound("clock-skew", "the clock is wrong again", "north")
    assert len(shelf.standing()) == 3
    assert len(shelf.latest()) == 4
    with pytest.raises(ValueError, match="one line"):
        shelf.sound("x", "two\nlines")


def test_pauses_are_kept_and_counted_from_a_moment_on(registry: Registry) -> None:
    shelf = StudyShelf(registry.connection)
    shelf.add(StudyRow("id", "chest", "f", "w", "me", ("north",)))
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert shelf.paused("id", noon) == timedelta()
    for began, ended in (("11:00", "11:30"), ("11:50", "12:10"), ("13:00", "13:30")):
        at = [f"2026-01-05T{clock}:00.000+00:00" for clock in (began, ended)]
        registry.connection.execute("INSERT INTO pauses VALUES ('id', ?, ?)", at)
    assert shelf.paused("id", noon) == timedelta(minutes=40)
    assert shelf.paused("other", noon) == timedelta()
    for state in ("paused", "paused", "running", "paused"):
        assert shelf.move("id", state)
    rows = registry.connection.execute("SELECT ended FROM pauses ORDER BY rowid").fetchall()
    assert [ended is None for (ended,) in rows[3:]] == [False, True]
    before = datetime.now(UTC) - timedelta(seconds=5)
    assert timedelta() <= shelf.paused("id", before) < timedelta(seconds=5)  # goes on
    assert shelf.move("id", "stopped", ("paused",))
    assert not registry.connection.execute("SELECT 1 FROM pauses WHERE ended IS NULL").fetchall()
