"""The whole loop over three sites in this process, its people answering through the queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.codec import digest, unpack
from protocol.records import GlobalState, SiteUpdate
from protocol.study import Study
from server.course import Milestone
from server.events import Event
from strategies.aggregation import AGGREGATION

NAMES = ("north", "south", "west")
World = Any


def spent(milestones: list[Milestone]) -> int:
    return sum(p.spent for m in milestones if m.record for p in m.record.progress.values())


@pytest.mark.slow
def test_a_study_ends_when_its_budget_is_spent(world: Callable[..., World]) -> None:
    made = world()
    milestones = made.run()
    assert [m.record and m.record.cycle for m in milestones] == [None, 0, 1]
    made.check_sums(milestones)
    assert spent(milestones) == 24 == made.study.budget.total
    assert tuple(milestones[0].evaluations) == NAMES
    assert all(e.audit is None and e.locked.cases == 8 for e in milestones[0].evaluations.values())
    assert len(milestones[2].losses) == 1
    assert [e.step for e in made.events if e.cycle == 0 and not e.site] == [
        "evaluate", "begin", "report", "select", "read", "train", "evaluate",
    ]  # fmt: skip
    assert made.events[-1] == Event("end", 2, spent=24)
    assert digest(made.model(1).arrays) != digest(made.weights)


@pytest.mark.slow
def test_a_study_ends_when_no_site_can_use_more(world: Callable[..., World]) -> None:
    made = world("budget.total=1000", "audit.patients=0.3", pools=(8, 6, 12))
    milestones = made.run()
    made.check_sums(milestones)
    assert spent(milestones) == 26  # every case was read once
    assert len(milestones) < 7
    last = milestones[-1].record
    assert last is not None
    assert sum(p.readings for p in last.progress.values()) > 0


@pytest.mark.slow
def test_a_study_ends_when_nobody_reads(world: Callable[..., World]) -> None:
    made = world(most=lambda name, cycle: 4 if cycle == 0 else 0)
    milestones = made.run()
    made.check_sums(milestones)
    assert made.rooms.called == [0, 1]
    last = milestones[-1].record
    assert last is not None
    assert [p.returned for p in last.progress.values()] == [4, 4, 4]
    assert len(made.run()) == 3
    assert made.rooms.called == [0, 1]  # started again, it is still over


@pytest.mark.slow
def test_returned_readings_are_granted_again(world: Callable[..., World]) -> None:
    made = world(most=lambda name, cycle: 1 if name == "south" and cycle == 0 else 10**6)
    milestones = made.run()
    made.check_sums(milestones)
    first = milestones[1].record
    assert first is not None
    assert [p.returned for p in first.progress.values()] == [0, 3, 0]
    assert len(milestones) == 4  # 9 + 12 + the 3 that came back
    assert spent(milestones) == 24


@pytest.mark.slow
def test_doubts_are_paid_for(world: Callable[..., World]) -> None:
    made = world(say=lambda opening, row: ("unsure", ()) if row % 3 == 0 else ("answered", (0, 1)))
    milestones = made.run()
    made.check_sums(milestones)
    assert spent(milestones) == 24
    labeled = [r for m in milestones[1:] if m.record for r in m.record.reports.values()]
    assert sum(r.labeled for r in labeled[-3:]) < 12


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_model_files_of_rounds(world: Callable[..., World], kept: bool) -> None:
    made = world("training.rounds_per_cycle=3", "budget.total=12")
    made.run(keep_rounds=kept)
    files = sorted(p.name for p in (made.folder / "server" / "models").iterdir())
    rounds = (1, 2, 3) if kept else (3,)
    assert files == [f"cycle-000-round-{r:03d}.safetensors" for r in rounds]


@pytest.mark.slow
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
