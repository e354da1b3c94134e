"""A study killed at any step and continued: the same bits, and nothing asked twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from protocol.codec import digest
from server.course import Milestone
from server.ledger import Ledger, Stage

pytestmark = pytest.mark.slow

NAMES = ("north", "south", "west")
World = Any


def spent(milestones: list[Milestone]) -> int:
    return sum(p.spent for m in milestones if m.record for p in m.record.progress.values())


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

    class Interrupted(type(made.rooms)):
        def look(self, *given: Any) -> Any:
            self.most = lambda name, cycle: 2
            super().look(*given)
            raise Killed

    torn = Interrupted(made.study, made.homes, made.rooms.read_cases)
    with pytest.raises(Killed):
        made.run(rooms=torn)
    milestones = made.run()
    made.check_sums(milestones)
    assert spent(milestones) == 24
    assert made.openings() == whole.openings()
    assert digest(made.model(1).arrays) == digest(whole.model(1).arrays)
