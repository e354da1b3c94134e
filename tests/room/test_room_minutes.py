"""A budget of minutes with several readers: what was begun is finished, and counts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from client.cost import spent
from client.queue import ReadingRefused, progress
from client.room.choice import Offered
from client.room.desk import LASTS, Desk, Given
from client.store.store import SiteStore
from protocol.study import Study

MINUTES = ("budget.unit=minutes", "budget.seconds=60")


@dataclass
class Table:
    """A desk with a clock that the test turns."""

    store: SiteStore
    study: Study
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.desk = Desk(self.store, lambda: self.time)
        self.who = {a.name: a for a in self.store.readers.every()}

    def next(self, name: str) -> int | None:
        """The number of the case that a reader was given."""
        offered = self.desk.next(self.study, self.who[name])
        assert isinstance(offered, Offered)
        return None if offered.turn is None else offered.turn.opening.position

    def say(self, name: str, position: int, seconds: float) -> None:
        given = Given(secrets.token_hex(8), 0, position, "answered", (1, 0, 0), seconds)
        self.desk.answer(self.study, self.who[name], given)

    @property
    def told(self) -> tuple[int, int, int]:
        """Spent, readings, waiting."""
        told = progress(self.store, self.study, 0, "s")
        return told.spent, told.readings, told.waiting


@pytest.fixture
def table(make_room: Callable[..., Any]) -> Iterator[Callable[..., Table]]:
    """A table for ann, ben and cat, with a grant."""
    opened = []

    def make(*overrides: str, grant: int, cases: int = 20) -> Table:
        room = make_room(*overrides)
        room.let_in(ann="reader", ben="reader", cat="reader")
        room.open(cases, grant)
        opened.append(room.store())
        return Table(opened[-1].__enter__(), room.study)

    yield make
    for one in opened:
        one.__exit__(None, None, None)


def test_what_three_readers_have_on_their_screens_is_finished_and_counts(
    table: Callable[..., Table],
) -> None:
    at = table(*MINUTES, grant=3)
    cases = {name: at.next(name) for name in ("ann", "ben", "cat")}
    assert set(cases.values()) == {0, 1, 2}
    at.time += 110
    for done, (name, case) in enumerate(cases.items(), 1):
        at.say(name, case or 0, 100.0)
        over = min(done, 2)  # 100 s are two minutes begun, 200 s are four: the grant is spent
        assert at.told[:2] == (-int(-100 * done // 60), done)
        assert at.next(name) is None
        assert at.told[2] == (20 - over if done < 2 else 3 - done)
    assert spent(at.store, at.study, 0) == 5  # of 3: no more than one reading of each reader


def test_readings_under_way_are_taken_off_what_is_left(table: Callable[..., Table]) -> None:
    at = table(*MINUTES, grant=2)
    assert [at.next(name) for name in ("ann", "ben", "cat")] == [0, 1, None]
    at.time += 60
    at.say("ann", 0, 60.0)
    assert at.next("ann") is None  # ben's minute is kept for him
    at.say("ben", 1, 0.0)
    assert at.next("ann") == 2


def test_a_site_is_not_done_while_a_paid_case_is_on_a_screen(table: Callable[..., Table]) -> None:
    at = table(*MINUTES, grant=2)
    assert (at.next("ann"), at.next("ben")) == (0, 1)
    at.time += 110
    at.say("ann", 0, 110.0)
    assert at.told == (2, 1, 1)  # ben reads still
    assert at.desk.renew(at.who["ben"])
    assert at.next("ben") == 1  # a reload gives the same case again
    at.say("ben", 1, 20.0)
    assert at.told == (3, 2, 0)


def test_a_case_left_for_too_long_is_given_out_again_only_if_it_is_paid(
    table: Callable[..., Table],
) -> None:
    at = table(*MINUTES, grant=1)
    assert at.next("ann") == 0
    at.time += LASTS + 1
    assert at.next("ben") == 0
    with pytest.raises(ReadingRefused, match="colleague"):
        at.say("ann", 0, 30.0)
    at.say("ben", 0, 30.0)
    assert at.told == (1, 1, 0)


@pytest.mark.parametrize("unit", ["readings", "minutes"])
def test_who_was_away_does_not_take_the_reading_of_who_is_there(
    table: Callable[..., Table], unit: str
) -> None:
    two = "reading.readers_per_case=2"
    at = table(f"budget.unit={unit}", "budget.seconds=60", two, grant=2)
    assert at.next("ben") == 0
    at.time += 60
    at.say("ben", 0, 60.0)
    assert at.next("ann") == 0
    at.time += LASTS + 1
    assert at.next("ben") == 1  # the last reading, since nobody seems to be at ann's screen
    with pytest.raises(ReadingRefused, match="on colleagues' screens"):
        at.say("ann", 0, 9.0)
    at.say("ben", 1, 9.0)
    assert at.told == (2, 2, 0)


def test_a_case_that_came_back_is_finished_too(table: Callable[..., Table]) -> None:
    at = table(*MINUTES, "reading.repeats=0.49", grant=2)
    lease = None
    for _ in range(40):
        case = at.next("ann")
        assert case is not None
        lease = at.store.leases.of("ann")
        if lease and lease.stage == "repeat":
            break
        at.time += 1
        at.say("ann", case, 0.5)
    assert lease
    assert lease.stage == "repeat"
    other = at.next("ben")
    at.time += 110
    at.say("ben", other or 0, 110.0)
    assert at.told[0] == 2
    assert at.told[2] == 1  # ann's, which came back, is under way
    at.say("ann", case, 5.0)
    assert at.told[2] == 0
    assert at.store.repeats.twice(at.study.identity)
