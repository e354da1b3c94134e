"""The whole loop over three sites in this process, its people answering through the queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.home import open_store
from client.queue import progress
from client.site import Site
from protocol.codec import digest, unpack
from protocol.records import Arrays, GlobalState, Grant, SiteProgress, SiteUpdate
from protocol.study import Study
from server.app import carry_out
from server.assignment import Assignment
from server.course import Milestone
from server.events import Event
from server.federation import Federation
from server.ledger import Ledger, Stage
from simulations.engines.local import LocalGrid
from strategies.aggregation import AGGREGATION

NAMES = ("north", "south", "west")
Read = Callable[..., int]


@dataclass
class Rooms:
    """People at every site; `most` answers of each in a cycle, all that the grant pays if unset."""

    study: Study
    homes: Mapping[str, Path]
    read_cases: Read
    most: Callable[[str, int], int] = lambda name, cycle: 10**6
    seconds: float = 20.0
    say: Any = None
    called: list[int] = field(default_factory=list)

    def read(
        self, federation: Federation, cycle: int, grants: Mapping[str, Grant]
    ) -> dict[str, SiteProgress]:
        self.called.append(cycle)
        told = {}
        for name in grants:
            store = open_store(self.homes[name], durable=False)
            most = self.most(name, cycle) - store.readings.spent(self.study.identity, cycle)[0]
            self.read_cases(store, self.study, cycle, most=most, seconds=self.seconds, say=self.say)
            told[name] = progress(store, self.study, cycle, name)
            store.close()
        return told


@dataclass
class World:
    """Three hospitals and a server's folder, to be run once or again."""

    study: Study
    weights: Arrays
    folder: Path
    homes: Mapping[str, Path]
    rooms: Rooms
    events: list[Event] = field(default_factory=list)

    def run(self, **changes: Any) -> list[Milestone]:
        reached: list[Milestone] = []
        assignment = Assignment(
            study=self.study,
            weights=self.weights,
            home=self.folder / "server",
            sites=3,
            rooms=changes.pop("rooms", self.rooms),
            notify=changes.pop("notify", self.events.append),
            reached=reached.append,
            patience=5.0,
            rehearsal=True,
            **changes,
        )
        grid = LocalGrid(list(self.homes.values()))
        try:
            carry_out(assignment, grid)
        finally:
            grid.close()
        return reached

    def ledger(self) -> list[tuple[Any, ...]]:
        """All that is committed, without the times."""
        with sqlite3.connect(self.folder / "server" / "ledger.db") as connection:
            steps = connection.execute(
                "SELECT cycle, step, round, sequence, file FROM steps ORDER BY 1, 2, 3, 4"
            ).fetchall()
            records = connection.execute(
                "SELECT cycle, step, round, sequence, site, block FROM records "
                "ORDER BY 1, 2, 3, 4, 5"
            ).fetchall()
        connection.close()
        return [*steps, *records]

    def model(self, cycle: int, round_: int = 1) -> GlobalState:
        name = f"cycle-{cycle:03d}-round-{round_:03d}.safetensors"
        return unpack(GlobalState, (self.folder / "server" / "models" / name).read_bytes())

    def openings(self) -> list[Any]:
        """Every case that was opened anywhere, in order."""
        found = []
        for home in self.homes.values():
            store = open_store(home, durable=False)
            found.append(
                store.connection.execute(
                    'SELECT cycle, position, "case", purpose FROM openings ORDER BY 1, 2'
                ).fetchall()
            )
            store.close()
        return found


@pytest.fixture
def world(
    tmp_path: Path,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    read_cases: Read,
) -> Callable[..., World]:
    """Makes a world for a study of the given overrides."""

    def make(
        *overrides: str,
        name: str = "world",
        pools: tuple[int, ...] = (24, 24, 24),
        locked: int = 8,
        **rooms: Any,
    ) -> World:
        study = tiny_study(*overrides)
        folder = tmp_path / name
        homes = {
            site: tiny_site(study, site, number, pool=pool, locked=locked, folder=folder).home
            for number, (site, pool) in enumerate(zip(NAMES, pools, strict=True))
        }
        weights = first_weights(study)
        return World(study, weights, folder, homes, Rooms(study, homes, read_cases, **rooms))

    return make


def spent(milestones: list[Milestone]) -> int:
    return sum(p.spent for m in milestones if m.record for p in m.record.progress.values())


def check_sums(study: Study, milestones: list[Milestone]) -> None:
    """Budgets add up in every cycle, and over the study."""
    so_far = 0
    for cycle, milestone in enumerate(milestones[1:]):
        record = milestone.record
        assert record is not None
        assert record.cycle == cycle
        assert tuple(record.reports) == tuple(record.progress) == NAMES
        granted = sum(grant.count for grant in record.grants.values())
        capacity = sum(report.capacity for report in record.reports.values())
        assert granted == min(study.cycle_budget(cycle, so_far), capacity)
        for site, grant in record.grants.items():
            done = record.progress[site]
            assert grant.count == done.spent + done.returned
            assert 0 <= grant.count <= record.reports[site].capacity
        so_far += sum(p.spent for p in record.progress.values())
        assert so_far <= study.budget.total


def test_a_study_ends_when_its_budget_is_spent(world: Callable[..., World]) -> None:
    made = world()
    milestones = made.run()
    assert [m.record and m.record.cycle for m in milestones] == [None, 0, 1]
    check_sums(made.study, milestones)
    assert spent(milestones) == 24 == made.study.budget.total
    assert tuple(milestones[0].evaluations) == NAMES
    assert all(e.audit is None and e.locked.cases == 8 for e in milestones[0].evaluations.values())
    assert len(milestones[2].losses) == 1
    assert [e.step for e in made.events if e.cycle == 0 and not e.site] == [
        "evaluate", "begin", "report", "select", "read", "train", "evaluate",
    ]  # fmt: skip
    assert made.events[-1] == Event("end", 2, spent=24)
    assert digest(made.model(1).arrays) != digest(made.weights)


def test_a_study_ends_when_no_site_can_use_more(world: Callable[..., World]) -> None:
    made = world("budget.total=1000", "audit.patients=0.3", pools=(8, 6, 12))
    milestones = made.run()
    check_sums(made.study, milestones)
    assert spent(milestones) == 26  # every case was read once
    assert len(milestones) < 7
    last = milestones[-1].record
    assert last is not None
    assert sum(p.readings for p in last.progress.values()) > 0


def test_a_study_ends_when_nobody_reads(world: Callable[..., World]) -> None:
    made = world(most=lambda name, cycle: 4 if cycle == 0 else 0)
    milestones = made.run()
    check_sums(made.study, milestones)
    assert made.rooms.called == [0, 1]
    last = milestones[-1].record
    assert last is not None
    assert [p.returned for p in last.progress.values()] == [4, 4, 4]
    assert len(made.run()) == 3
    assert made.rooms.called == [0, 1]  # started again, it is still over


def test_returned_readings_are_granted_again(world: Callable[..., World]) -> None:
    made = world(most=lambda name, cycle: 1 if name == "south" and cycle == 0 else 10**6)
    milestones = made.run()
    check_sums(made.study, milestones)
    first = milestones[1].record
    assert first is not None
    assert [p.returned for p in first.progress.values()] == [0, 3, 0]
    assert len(milestones) == 4  # 9 + 12 + the 3 that came back
    assert spent(milestones) == 24


def test_doubts_are_paid_for(world: Callable[..., World]) -> None:
    made = world(say=lambda opening, row: ("unsure", ()) if row % 3 == 0 else ("answered", (0, 1)))
    milestones = made.run()
    check_sums(made.study, milestones)
    assert spent(milestones) == 24
    labeled = [r for m in milestones[1:] if m.record for r in m.record.reports.values()]
    assert sum(r.labeled for r in labeled[-3:]) < 12


def test_minutes_add_up(world: Callable[..., World]) -> None:
    made = world("budget.unit=minutes", "budget.total=12", "budget.per_cycle=6", seconds=50.0)
    milestones = made.run()
    so_far = 0
    for milestone in milestones[1:]:
        record = milestone.record
        assert record is not None
        assert sum(g.count for g in record.grants.values()) == made.study.cycle_budget(
            record.cycle, so_far
        )
        for site, grant in record.grants.items():
            done = record.progress[site]
            assert grant.count == done.spent + done.returned
            assert done.returned >= -1
        so_far += sum(p.spent for p in record.progress.values())
    total = [sum(m.record.progress[s].minutes for m in milestones if m.record) for s in NAMES]
    assert so_far == sum(np.ceil(np.round(total, 1)))
    assert 12 <= so_far <= 12 + 3  # a reading that has begun is finished


def test_scratch_and_warm_start(world: Callable[..., World]) -> None:
    changed = ("training.schedule=constant", "query.strategy=random")
    one = world(*changed, name="scratch")
    two = world(*changed, "training.start=warm", name="warm")
    one.run()
    two.run()
    assert digest(one.model(0).arrays) == digest(two.model(0).arrays)
    assert digest(one.model(1).arrays) != digest(two.model(1).arrays)
    asked = [starts(w) for w in (one, two)]
    assert asked[0] == [digest(one.weights)] * 2
    assert asked[1] == [digest(two.weights), digest(two.model(0).arrays)]


def test_the_model_is_the_aggregator_s_step_over_what_the_sites_sent(
    world: Callable[..., World],
) -> None:
    made = world("training.start=warm", "aggregation.name=fedadam")
    made.run()
    before = made.model(0)
    assert before.memory
    updates = []
    for home in made.homes.values():  # a site keeps the last update that it sent
        with sqlite3.connect(home / "site.db") as connection:
            (block,) = connection.execute(
                "SELECT reply FROM steps WHERE step = 'train' AND cycle = 1"
            ).fetchone()
        connection.close()
        updates.append(unpack(SiteUpdate, block))
    assert [u.site for u in updates] == list(NAMES)
    by_hand = AGGREGATION["fedadam"]().step(GlobalState(before.arrays, before.memory), updates)
    found = made.model(1)
    assert digest(by_hand.arrays) == digest(found.arrays)
    assert digest(by_hand.memory) == digest(found.memory)


def starts(made: World) -> list[str]:
    """Which arrays a site was told to start from, found by the step memo's payload."""
    with sqlite3.connect(made.homes["north"] / "site.db") as connection:
        payloads = [
            row[0]
            for row in connection.execute(
                "SELECT payload FROM steps WHERE step = 'train' ORDER BY cycle"
            )
        ]
    connection.close()
    candidates = [made.weights, made.model(0).arrays]
    by_payload = {digest(arrays, "null"): digest(arrays) for arrays in candidates}
    return [by_payload[p] for p in payloads]


@pytest.mark.parametrize("kept", [True, False])
def test_model_files_of_rounds(world: Callable[..., World], kept: bool) -> None:
    made = world("training.rounds_per_cycle=3", "budget.total=12")
    made.run(keep_rounds=kept)
    files = sorted(p.name for p in (made.folder / "server" / "models").iterdir())
    rounds = (1, 2, 3) if kept else (3,)
    assert files == [f"cycle-000-round-{r:03d}.safetensors" for r in rounds]


# ---- killed and continued

STAGES = [
    (cycle, step, round_)
    for cycle in (0, 1)
    for step, round_ in (
        *([("evaluate", 0)] if cycle == 0 else []),
        ("report", 0),
        ("allocate", 0),
        ("select", 0),
        ("read", 0),
        ("train", 0),
        ("train", 1),
        ("evaluate", 2),
    )
]
TWO_ROUNDS = ("training.rounds_per_cycle=2", "training.start=warm", "aggregation.name=fedadam")


class Killed(BaseException):
    """Stands for the death of the server's process."""


def dying(at: tuple[int, str, int], *, after: bool) -> Callable[..., None]:
    """`Ledger.commit` of a process that dies right before, or right after, one commit."""
    commit = Ledger.commit

    def die(self: Ledger, stage: Stage, records: Mapping[str, object], file: str = "") -> None:
        here = (stage.cycle, stage.step, stage.round) == at
        if here and not after:
            raise Killed
        commit(self, stage, records, file)
        if here:
            raise Killed

    return die


@pytest.fixture(scope="module")
def unbroken() -> dict[str, Any]:
    """What a run that nobody stopped left; filled by the first test that needs it."""
    return {}


def outcome(made: World, milestones: list[Milestone]) -> dict[str, Any]:
    return {
        "ledger": made.ledger(),
        "models": [digest(made.model(c, 2).arrays) for c in (0, 1)],
        "memory": [digest(made.model(c, 2).memory) for c in (0, 1)],
        "openings": made.openings(),
        "records": [m.record for m in milestones],
    }


@pytest.mark.parametrize("at", STAGES, ids=lambda at: f"{at[0]}-{at[1]}-{at[2]}")
def test_killed_at_any_step_and_continued_it_is_the_same_run(
    world: Callable[..., World],
    unbroken: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    at: tuple[int, str, int],
) -> None:
    if not unbroken:
        whole = world(*TWO_ROUNDS, name="whole", locked=0)
        unbroken.update(outcome(whole, whole.run()))
        committed = {row[:3] for row in unbroken["ledger"] if len(row) == 5}
        assert committed == set(STAGES)
    made = world(*TWO_ROUNDS, locked=0)
    for after in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "commit", dying(at, after=after))
            with pytest.raises(Killed):
                made.run()
    assert outcome(made, made.run()) == unbroken


def test_a_finished_run_that_is_started_again_asks_nothing_and_tells_the_same(
    world: Callable[..., World],
) -> None:
    made = world()
    first = made.run()
    before = made.ledger()
    made.events.clear()
    again = made.run()
    assert made.ledger() == before
    assert [m.record for m in again] == [m.record for m in first]
    assert [m.losses for m in again] == [m.losses for m in first]
    assert made.rooms.called == [0, 1]
    assert {e.step for e in made.events} == {"begin", "read", "end"}


def test_people_interrupted_in_the_middle_go_on_where_they_were(
    world: Callable[..., World],
) -> None:
    whole, made = world(name="whole"), world()
    whole.run()

    class Interrupted(Rooms):
        def read(self, *given: Any) -> Any:
            self.most = lambda name, cycle: 2
            super().read(*given)
            raise Killed

    torn = Interrupted(made.study, made.homes, made.rooms.read_cases)
    with pytest.raises(Killed):
        made.run(rooms=torn)
    milestones = made.run()
    check_sums(made.study, milestones)
    assert spent(milestones) == 24
    assert made.openings() == whole.openings()
    assert digest(made.model(1).arrays) == digest(whole.model(1).arrays)


def test_a_site_that_falls_silent_counts_its_grant_as_spent(world: Callable[..., World]) -> None:
    made = world("aggregation.quorum=0.5")

    class Deaf(Rooms):
        def read(self, *given: Any) -> Any:
            told = super().read(*given)
            del told["south"]
            return told

    milestones = made.run(rooms=Deaf(made.study, made.homes, made.rooms.read_cases))
    check_sums(made.study, milestones)
    assert spent(milestones) == 24
    first = milestones[1].record
    assert first is not None
    assert first.progress["south"] == SiteProgress("south", 4, 0, 0, 0.0)


def test_what_cannot_run_is_refused_before_anything_is_asked(
    world: Callable[..., World], tiny_study: Callable[..., Study]
) -> None:
    from protocol.study import StudyError
    from server.ledger import NotThisStudy

    made = world()
    made.study = tiny_study("budget.per_cycle=2")
    with pytest.raises(StudyError, match=r"budget\.per_cycle = 2: accepted is at least 3"):
        made.run()
    made.study = tiny_study("query.strategy=entropi")
    with pytest.raises(StudyError, match=r"query\.strategy = 'entropi'"):
        made.run()
    assert not (made.folder / "server").exists()
    made.study = tiny_study()
    made.run()
    made.study = tiny_study("seed=4")
    with pytest.raises(NotThisStudy):
        made.run()
