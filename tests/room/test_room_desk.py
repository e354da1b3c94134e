"""The desk by hand: leases, second readers who exist, adjudication, taking back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.cost import spent
from client.home import open_store
from client.keys import SiteKey
from client.queue import ReadingRefused, progress, waiting
from client.room.choice import Offered
from client.room.desk import LASTS, Desk, Given
from client.site import Arrival, enrol
from client.store.reader_shelf import Account
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Answer
from protocol.study import Study, parse
from strategies.consensus import CONSENSUS

TINY = {
    "schema": 1,
    "name": "desk",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": "no", "definition": "n"}, {"name": "yes", "definition": "y"}],
    },
    "network": {"name": "tiny-cnn"},
}
ROLES = {"a": "reader", "b": "reader", "c": "reader", "z": "adjudicator"}


class Rig:
    """A desk with a clock that the test turns."""

    def __init__(self, folder: Path, *overrides: str, people: str = "abc", cases: int = 4) -> None:
        self.study: Study = parse(TINY, overrides)
        self.store: SiteStore = open_store(folder, durable=False)
        self.time = 1_000_000.0
        self.desk = Desk(self.store, lambda: self.time)
        names = [str(i) for i in range(12)]
        arrival = Arrival(names, names, ["pool"] * 12, range(12))
        enrol(self.store, SiteKey(bytes(16)), arrival, clustered=False)
        self.who = {n: Account(n, ROLES[n], "x", "2026") for n in people}  # type: ignore[arg-type]
        with self.store.transaction():
            self.store.steps.approve(self.study, "w")
            for account in self.who.values():
                self.store.readers.add(account)
            self.store.readings.open(
                self.study.identity, 0, [Opening(i, "query") for i in range(1, cases + 1)]
            )

    def grant(self, count: int, sequence: int = 0) -> None:
        with self.store.transaction():
            self.store.readings.grant(self.study.identity, 0, sequence, count)

    def next(self, name: str) -> int | None:
        """The position that a reader was given."""
        offered = self.desk.next(self.study, self.who[name])
        assert isinstance(offered, Offered)
        return None if offered.turn is None else offered.turn.opening.position

    def say(self, name: str, position: int, value: int | None, **more: Any) -> None:
        answer: Answer = "unsure" if value is None else "answered"
        chosen = () if value is None else ((1, 0) if value == 0 else (0, 1))
        given = Given(more.pop("key", secrets.token_hex(8)), 0, position, answer, chosen, 1.0)
        self.desk.answer(self.study, self.who[name], given)

    @property
    def waiting(self) -> int:
        return len(waiting(self.store, self.study, 0))

    def labels(self) -> list[tuple[float, ...]]:
        found = self.store.labels.training(self.study.identity)
        return [label.target for label in CONSENSUS["majority"]().settle(found).values()]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(*overrides: str, grant: int = 20, **more: Any) -> Rig:
        made.append(Rig(tmp_path, *overrides, **more))
        made[-1].grant(grant)
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_a_lease_ends_by_itself_and_is_renewed(rig: Callable[..., Rig]) -> None:
    room = rig()
    assert (room.next("a"), room.next("b")) == (0, 1)
    room.time += LASTS - 1
    assert room.desk.renew(room.who["a"])
    room.time += 2
    assert room.next("c") == 1  # b's is over
    assert not room.desk.renew(room.who["b"])
    with pytest.raises(ReadingRefused, match="colleague"):
        room.say("b", 1, 1)
    room.say("a", 0, 1)


def test_an_answer_after_the_lease_is_kept_where_nobody_has_the_case(
    rig: Callable[..., Rig],
) -> None:
    room = rig()
    assert room.next("a") == 0
    room.time += 10 * LASTS
    room.say("a", 0, 1)
    assert room.waiting == 3


def test_a_doubt_waits_for_no_reader_who_does_not_exist(rig: Callable[..., Rig]) -> None:
    room = rig(people="a", cases=2)
    for position, said in ((0, None), (1, 1)):
        assert room.next("a") == position
        room.say("a", position, said)
    assert room.next("a") is None
    assert progress(room.store, room.study, 0, "s").waiting == 0


def test_a_site_whose_readers_are_still_to_come_is_not_done(rig: Callable[..., Rig]) -> None:
    assert rig(people="z", cases=2).waiting == 2


def test_a_doubt_goes_to_a_reader_who_exists(rig: Callable[..., Rig]) -> None:
    room = rig(people="ab", cases=1)
    room.next("a")
    room.say("a", 0, None)
    assert room.waiting == 1
    assert room.next("a") is None
    assert room.next("b") == 0
    room.say("b", 0, 1)
    assert room.waiting == 0


def test_an_adjudicator_s_answer_is_the_label_and_costs_a_reading(rig: Callable[..., Rig]) -> None:
    room = rig("reading.readers_per_case=2", people="abz", cases=2)
    for name, first in (("a", 0), ("b", 1)):
        for position in (0, 1):
            assert room.next(name) == position
            room.say(name, position, first if position == 0 else 1)
    assert room.next("a") is None
    assert room.labels() == [(0.5, 0.5), (0.0, 1.0)] or room.labels() == [(0.0, 1.0), (0.5, 0.5)]
    assert room.waiting == 1
    offered = room.desk.next(room.study, room.who["z"])
    assert offered is not None
    assert offered.turn is not None
    assert {k.reader for k in room.desk.readings(room.study, 0, offered.turn)} == {"a", "b"}
    room.say("z", 0, 0)
    assert sorted(room.labels()) == [(0.0, 1.0), (1.0, 0.0)]
    assert spent(room.store, room.study, 0) == 5
    assert room.waiting == 0


def test_without_an_adjudicator_nothing_waits_for_one(rig: Callable[..., Rig]) -> None:
    room = rig("reading.readers_per_case=2", people="ab", cases=1)
    for name, value in (("a", 0), ("b", 1)):
        assert room.next(name) == 0
        room.say(name, 0, value)
    assert room.waiting == 0


def test_a_grant_keeps_what_is_under_way_and_what_a_dispute_needs(rig: Callable[..., Rig]) -> None:
    room = rig("reading.readers_per_case=2", people="abz", cases=3, grant=4)
    for name, value in (("a", 0), ("b", 1)):
        assert room.next(name) == 0
        room.say(name, 0, value)
    assert room.next("a") == 1  # one reading is left besides the adjudicator's
    assert room.next("b") is None
    assert room.next("z") == 0
    room.say("a", 1, 1)
    room.say("z", 0, 1)
    assert spent(room.store, room.study, 0) == 4


def test_an_answer_that_an_adjudicator_saw_stays(rig: Callable[..., Rig]) -> None:
    room = rig("reading.readers_per_case=2", people="abz", cases=1)
    for name, value in (("a", 0), ("b", 1)):
        room.next(name)
        room.say(name, 0, value)
    assert room.desk.undo(room.study, room.who["b"]) == 0
    assert room.next("b") == 0
    room.say("b", 0, 1)
    assert room.next("z") == 0
    with pytest.raises(ReadingRefused, match="adjudicator"):
        room.desk.undo(room.study, room.who["b"])
    room.say("z", 0, 0)
    assert room.desk.undo(room.study, room.who["z"]) == 0  # their own second thought
    room.say("z", 0, 1)
    assert room.labels() == [(0.0, 1.0)]


def test_what_was_taken_back_goes_to_a_colleague_once_its_reader_left(
    rig: Callable[..., Rig],
) -> None:
    room = rig(cases=1)
    room.next("a")
    room.say("a", 0, 1)
    room.desk.undo(room.study, room.who["a"])
    assert room.next("b") is None
    room.time += LASTS + 1
    assert room.next("b") == 0
    room.say("b", 0, 0)
    assert room.labels() == [(1.0, 0.0)]
    assert spent(room.store, room.study, 0) == 2


def test_a_withdrawn_reading_leaves_with_its_patient(rig: Callable[..., Rig]) -> None:
    room = rig(cases=1)
    room.next("a")
    room.say("a", 0, 1)
    room.desk.undo(room.study, room.who["a"])
    room.say("a", 0, 0)
    with room.store.transaction():
        assert room.store.cases.purge(SiteKey(bytes(16)).patient("0"), "2026") == 1
    for table in ("readings", "withdrawals", "leases", "shown"):
        count = room.store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        assert count == (0,)


def test_a_doubt_taken_back_may_be_given_again_once_settled(rig: Callable[..., Rig]) -> None:
    room = rig(cases=1, grant=4)
    for name, value in (("a", None), ("b", 1)):
        assert room.next(name) == 0
        room.say(name, 0, value)
    assert room.desk.undo(room.study, room.who["a"]) == room.waiting == 0  # nothing waits for it
    assert (room.next("c"), room.next("a")) == (None, 0)
    room.say("a", 0, 1)
    assert spent(room.store, room.study, 0) == 2


class Leases(RuleBasedStateMachine):
    """Readers who come, read, dawdle and go, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.rig = Rig(Path(self.folder.name), "reading.readers_per_case=2", people="abcz", cases=5)
        self.rig.grant(9)
        self.screen: dict[str, tuple[int, float]] = {}  # what each page shows, since when

    @rule(name=st.sampled_from("abcz"))
    def ask(self, name: str) -> None:
        position = self.rig.next(name)
        self.screen.pop(name, None)
        if position is not None:
            self.screen[name] = position, self.rig.time

    @precondition(lambda self: self.screen)
    @rule(data=st.data(), value=st.sampled_from([0, 1, None]))
    def say(self, data: st.DataObject, value: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.screen)))
        position, since = self.screen.pop(name)
        try:
            self.rig.say(name, position, value)
        except ReadingRefused:
            assert self.rig.time - since >= LASTS  # what is on the screen in time is never lost

    @rule(name=st.sampled_from("abcz"))
    def undo(self, name: str) -> None:
        try:
            position = self.rig.desk.undo(self.rig.study, self.rig.who[name])
            self.screen[name] = position, self.rig.time
        except ReadingRefused:
            pass

    @rule(seconds=st.sampled_from([1.0, LASTS / 2, LASTS + 1]))
    def dawdle(self, seconds: float) -> None:
        self.rig.time += seconds

    @invariant()
    def nobody_has_another_s_case(self) -> None:
        held = [p for p, since in self.screen.values() if self.rig.time - since < LASTS]
        assert len(held) == len(set(held))
        rows = self.rig.store.connection.execute("SELECT reader, until FROM leases").fetchall()
        assert len(rows) == len({reader for reader, _ in rows})

    @invariant()
    def the_grant_is_a_cap(self) -> None:
        assert spent(self.rig.store, self.rig.study, 0) <= 9

    def teardown(self) -> None:
        self.rig.store.close()
        self.folder.cleanup()


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
