"""What a simulation is asked for, looked at before anything runs or is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.study import Study, StudyError, load
from simulations.arms import names_of
from simulations.plan import Plan, PlanError, plan_of
from simulations.studies import committed


def study(*overrides: str) -> Study:
    """The committed demo with some keys changed."""
    return load(committed()["demo"], overrides)


def plan(asked: Study, *arms: str) -> Plan:
    """Its plan with one seed."""
    return plan_of(asked, "phantom", arms, [0])


def test_arguments_stay_with_the_strategy_and_the_policy_that_they_are_of() -> None:
    asked = study(
        "budget.policy=safe", "budget.arguments.reach=0.25", "query.arguments.balance=0.5"
    )
    made = plan(asked, "default", "default@safe", "default@uniform", "ward", "coreset@safe")
    found = {arm: made.study_of(arm, 0) for arm in made.arms}
    assert {arm: own.budget.arguments for arm, own in found.items()} == {
        "default": {"reach": 0.25},
        "default@safe": {"reach": 0.25},
        "default@uniform": {},
        "ward": {"reach": 0.25},
        "coreset@safe": {"reach": 0.25},
    }
    assert found["ward"].query.arguments == {"balance": 0.5}
    assert found["coreset@safe"].query.arguments == {}
    assert found["default@safe"].identity == found["default"].identity


@pytest.mark.parametrize(
    ("override", "arm", "sentence"),
    [
        ("budget.arguments.reach=9", "default@safe", "policy 'uniform' has no argument 'reach'"),
        ("budget.arguments.hours=0.05", "default@hours", "'uniform' has no argument 'hours'"),
        ("query.arguments.foo=3", "coreset", "strategy 'ward' has no argument 'foo'"),
        ("query.arguments.foo=3", "full", "strategy 'ward' has no argument 'foo'"),
        ("query.strategy=nonsense", "random", "query.strategy = 'nonsense'"),
        ("budget.policy=fair", "default@safe", "budget.policy = 'fair'"),
    ],
)
def test_what_no_arm_would_take_is_refused_and_not_left_out(
    override: str, arm: str, sentence: str
) -> None:
    with pytest.raises(StudyError, match=sentence):
        plan(study(override), arm)


def test_an_arm_that_can_be_no_folder_is_refused_before_anything_is_written() -> None:
    base = "default+budget.arguments.note="
    plan(study(), "default+name=" + "a" * 30)
    with pytest.raises(PlanError, match=r"has 256 letters; accepted is at most 255"):
        plan(study(), base + "a" * (256 - len(base)))


def test_two_arms_of_one_folder_are_refused_in_one_call_and_in_two(tmp_path: Path) -> None:
    one, other = (f'default+simulation.silent={{"{site}"=1}}' for site in ("Köln", "Kéln"))
    with pytest.raises(PlanError, match=r"would share the folder default\+simulation.silent="):
        plan(study(), one, other)
    plan(study(), one).save(tmp_path)
    before = (tmp_path / "plan.json").read_bytes()
    with pytest.raises(PlanError, match="would share the folder"):
        plan(study(), other).save(tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == before


def test_commas_within_brackets_belong_to_a_value_however_deep() -> None:
    arm = "random+task.cost=[[0,1],[3,0]]"
    assert names_of(f"default, {arm},coreset+network={{name='mlp',hidden=[8,8]}},,") == [
        "default",
        arm,
        "coreset+network={name='mlp',hidden=[8,8]}",
    ]
    assert names_of(" , ,") == []


def test_arms_begin_alike_but_for_dropout() -> None:
    plan(study(), "default", "default+network.dropout=0.2")
    with pytest.raises(
        PlanError, match="has another seed or network; accepted are arms that begin"
    ):
        plan(study(), "default", "default+seed=7")
