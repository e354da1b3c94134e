"""The queue as a whole: whoever comes in whatever order, it ends, and what it ends with adds up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.cost import spent
from client.home import open_store
from client.keys import SiteKey
from client.queue import ReadingRefused, progress, readers_of
from client.room.choice import Offered
from client.room.desk import LASTS, Desk, Given
from client.room.second import SecondLook
from client.site import Arrival, enrol
from client.store.opinion_shelf import Opinion
from client.store.reader_shelf import Account, Role
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Answer
from protocol.study import Study, parse
from strategies.consensus import CONSENSUS

DOCUMENT = {
    "schema": 1,
    "name": "queue",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": "no", "definition": "n"}, {"name": "yes", "definition": "y"}],
    },
    "network": {"name": "tiny-cnn"},
    "reading": {"show_ai": "after"},
}
ROLES: dict[str, Role] = {"a": "reader", "b": "reader", "c": "reader", "z": "adjudicator"}


@dataclass
class People:
    """Readers and an adjudicator at one desk, whose screens show what they were given."""

    store: SiteStore
    study: Study
    time: float = 1_000_000.0
    screen: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk = Desk(self.store, lambda: self.time)
        self.second = SecondLook(self.store, lambda: self.time)
        self.who = {n: Account(n, role, "x", "2026") for n, role in ROLES.items()}

    def prepare(self, cases: int, grant: int) -> None:
        names = [str(i) for i in range(cases)]
        arrival = Arrival(names, names, ["pool"] * cases, range(cases))
        enrol(self.store, SiteKey(bytes(16)), arrival, clustered=False)
        identity, ids = self.study.identity, range(1, cases + 1)
        with self.store.transaction():
            self.store.steps.approve(self.study, "w")
            for account in self.who.values():
                self.store.readers.add(account)
            self.store.readings.grant(identity, 0, 0, grant)
            purposes = ["audit" if i % 3 == 0 else "query" for i in ids]
            found = [Opening(i, p) for i, p in zip(ids, purposes, strict=True)]  # type: ignore[arg-type]
            self.store.readings.open(identity, 0, found)
            self.store.opinions.put(identity, 0, [Opinion(i, (0.5, 0.5), "why") for i in ids])

    def do(self, name: str, what: str, value: int) -> bool:
        """Whether something happened."""
        try:
            return bool(getattr(self, what)(name, value))
        except ReadingRefused:
            self.screen.pop(name, None)
            return False

    def ask(self, name: str, value: int) -> bool:
        offered = self.desk.next(self.study, self.who[name])
        assert isinstance(offered, Offered)
        self.screen.pop(name, None)
        if offered.turn is None:
            return False
        self.screen[name] = offered.turn.opening.position
        return True

    def say(self, name: str, value: int) -> bool:
        if name not in self.screen and not self.ask(name, value):
            return False
        position = self.screen.pop(name)
        answer: Answer = "answered" if value < 2 else "unsure"
        chosen = ((1, 0), (0, 1), ())[value]
        given = Given(secrets.token_hex(8), 0, position, answer, chosen, 1.0)
        self.desk.answer(self.study, self.who[name], given)
        self.last[name] = position
        return True

    def undo(self, name: str, value: int) -> bool:
        self.screen[name] = self.desk.undo(self.study, self.who[name])
        return True

    def look(self, name: str, value: int) -> bool:
        """At the model's opinion of what this reader answered last, or has before them."""
        number = (self.last if value else self.screen).get(name, 0)
        self.second.opinion(self.study, self.who[name], 0, number)
        return True

    def dawdle(self, name: str, value: int) -> bool:
        self.time += (1.0, LASTS / 2, LASTS + 1)[value]
        return True

    def finish(self) -> None:
        """Everybody reads on, and nobody leaves anything open, until there is nothing to read."""
        for _ in range(1000):
            self.time += LASTS + 1  # whoever left is gone
            done = [self.do(name, "say", i % 2) for i, name in enumerate(ROLES)]
            if not any(done):
                return
        raise AssertionError("the queue does not end")


ACTS = st.lists(
    st.tuples(
        st.sampled_from("abcz"),
        st.sampled_from(["ask", "say", "say", "say", "say", "undo", "look", "dawdle"]),
        st.integers(0, 2),
    ),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    acts=ACTS,
    grant=st.integers(0, 40),
    wanted=st.integers(1, 2),
    second=st.sampled_from([0.0, 0.5, 1.0]),
    repeats=st.sampled_from([0.0, 0.3, 0.49]),
    cases=st.integers(1, 9),
)
def test_any_order_of_things_ends_with_a_sound_queue(
    acts: list[tuple[str, str, int]],
    grant: int,
    wanted: int,
    second: float,
    repeats: float,
    cases: int,
) -> None:
    study = parse(
        DOCUMENT,
        [
            f"reading.readers_per_case={wanted}",
            f"reading.second_share={second}",
            f"reading.repeats={repeats}",
        ],
    )
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder), durable=False)
        people = People(store, study)
        people.prepare(cases, grant)
        for name, what, value in acts:
            people.do(name, what, value)
            assert spent(store, study, 0) <= grant
        people.finish()
        check(store, study, grant)
        store.close()


def check(store: SiteStore, study: Study, grant: int) -> None:
    """What must hold once nobody finds anything to read."""
    told = progress(store, study, 0, "s")
    assert told.spent + told.returned == grant
    assert 0 <= told.spent <= grant
    sql = (
        'SELECT "case", reader, stage, count(*) FROM readings '
        "WHERE id NOT IN (SELECT reading FROM withdrawals) "
        'GROUP BY "case", reader, stage HAVING count(*) > 1'
    )
    assert store.connection.execute(sql).fetchall() == []  # nobody answered anything twice
    given = store.readings.answers(study.identity, 0)
    again = store.connection.execute(
        "SELECT \"case\", reader FROM readings WHERE stage = 'repeat'"
    ).fetchall()
    assert all(reader in given.get(case, {reader: ""}) for case, reader in again)
    assert not any(reader == "z" for _, reader in again)
    settled = CONSENSUS["majority"]().settle(
        [*store.labels.training(study.identity), *store.labels.audit(study.identity)]
    )
    if told.spent < grant:  # then nothing that can be settled is left
        assert told.waiting == 0
        keys = store.cases.keys_of([o.case for o in store.readings.opened(study.identity, 0)])
        for case, key in enumerate(keys, 1):
            by = given[case]
            answered = sum(answer == "answered" for answer in by.values())
            everybody = {"a", "b", "c"} <= by.keys()
            enough = answered >= readers_of(study, case) or len(by) > readers_of(study, case)
            assert enough or everybody
            assert answered == 0 or key in settled
