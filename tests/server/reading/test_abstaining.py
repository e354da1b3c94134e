"""Sites that abstain, one by one or all together; a quorum that is lost for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.records import UpdateNumbers
from protocol.steps import Code, Refusal
from server.federation import QuorumLost
from server.ledger import Stage

Torn = Any
TWO = ("budget.total=24", "reading.deadline_hours=1.0")
FEW = Refusal(Code.TOO_FEW_PATIENTS)


@pytest.fixture
def calm(torn: Callable[..., Torn]) -> Callable[..., Torn]:
    """A world in which everybody reads and nobody is away; sites refuse as they are told to."""

    def make(refuse: Callable[[str, Any], Refusal | None], name: str = "torn") -> Torn:
        made = torn(*TWO, name=name, most=lambda site, cycle: 10**6)
        made.away(lambda: False, refuse=refuse)
        return made

    return make


def updates(made: Torn, cycle: int) -> list[str]:
    """The sites whose updates were folded in."""
    ledger = made.look()
    found = ledger.records(Stage(cycle, "train"), UpdateNumbers)
    ledger.close()
    return list(found)


def same(one: Any, two: Any) -> bool:
    return all(np.array_equal(one[name], two[name]) for name in two)


@pytest.mark.slow
def test_all_abstain_in_the_first_cycle_and_train_in_the_second(
    calm: Callable[..., Torn],
) -> None:
    made = calm(lambda site, key: FEW if (key.step, key.cycle) == ("train", 0) else None)
    milestones = made.world.run(keep_rounds=True)
    made.check()
    assert len(milestones) == 3
    assert (updates(made, 0), updates(made, 1)) == ([], ["north", "south", "west"])
    assert same(made.world.model(0).arrays, made.world.weights)  # nobody moved it
    assert not same(made.world.model(1).arrays, made.world.weights)
    assert milestones[1].losses == (0.0,)
    assert sum(p.spent for book in made.books() for p in book["now"].values()) == 24
    before = made.world.ledger()
    made.world.run(keep_rounds=True)
    assert made.world.ledger() == before


@pytest.mark.slow
def test_one_abstains_and_the_others_train(calm: Callable[..., Torn]) -> None:
    made = calm(lambda site, key: FEW if (site, key.step) == ("south", "train") else None)
    made.world.run()
    made.check()
    for cycle in (0, 1):
        assert updates(made, cycle) == ["north", "west"]
    assert "south" in made.books()[1]["granted"]  # its readers go on


@pytest.mark.slow
@pytest.mark.parametrize("who", [("south",), ("north", "south")])
def test_privacy_account_that_is_spent_at_a_report_leaves_the_study_to_the_others(
    who: tuple[str, ...], calm: Callable[..., Torn]
) -> None:
    """Who abstains from the report has no grant, and is not missed where grants are answered."""
    spent = Refusal(Code.OVER_BUDGET)
    made = calm(
        lambda site, key: spent if site in who and (key.step, key.cycle) == ("report", 1) else None
    )
    milestones = made.world.run()
    made.check()
    assert len(milestones) >= 3
    assert set(made.books()[0]["granted"]) == {"north", "south", "west"}
    assert set(made.books()[1]["granted"]) == {"north", "south", "west"} - set(who)
    before = made.world.ledger()
    made.world.run()
    assert made.world.ledger() == before


@pytest.mark.slow
@pytest.mark.parametrize("step", ["report", "evaluate"])
def test_privacy_account_that_is_spent_everywhere_ends_the_study_and_fails_nothing(
    step: str, calm: Callable[..., Torn]
) -> None:
    spent = Refusal(Code.OVER_BUDGET)
    made = calm(lambda site, key: spent if (key.step, key.cycle) == (step, 1) else None)
    milestones = made.world.run()
    made.check()
    assert len(milestones) == (2 if step == "report" else 3)
    assert bool(milestones[-1].evaluations) == (step == "report")


@pytest.mark.slow
def test_abstaining_counts_towards_a_quorum_and_failing_does_not(
    calm: Callable[..., Torn],
) -> None:
    told = {"north": Code.TOO_FEW_PATIENTS, "south": Code.FAILED}
    made = calm(
        lambda site, key: Refusal(told[site]) if key.step == "train" and site in told else None
    )
    made.world.run()
    assert updates(made, 0) == ["west"]


@pytest.mark.slow
def test_a_quorum_that_is_lost_and_comes_back_changes_nothing(calm: Callable[..., Torn]) -> None:
    """The keeper starts the next run; the books and the model are those of a calm study."""
    whole = calm(lambda site, key: None, name="whole")
    whole.world.run()
    expected = whole.world.ledger()
    lost: list[str] = []
    broken = [True]

    def refuse(site: str, key: Any) -> Refusal | None:
        out = broken[0] and site != "west" and (key.step, key.cycle) == ("train", 1)
        return Refusal(Code.KEPT_BACK) if out else None

    made = calm(refuse)
    for _ in range(2):
        with pytest.raises(QuorumLost):
            made.world.run(lost=lost.append)
    words = "cycle 2, train, round 1: 1 of 3 sites answered (north: kept-back, south: kept-back)"
    assert lost == [words, words]
    broken[0] = False
    made.world.run(lost=lost.append)
    made.check()
    assert len(lost) == 2
    assert made.world.ledger() == expected
