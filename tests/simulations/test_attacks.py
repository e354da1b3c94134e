"""What one dishonest site of a simulation does, and that everything else stays as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from client.site import Site
from protocol.records import SiteReport, SiteUpdate, StepKey
from protocol.steps import StepRequest
from protocol.study import Study, load
from simulations.arms import Arm, ArmError, with_attacks
from simulations.attacks import ATTACKS
from simulations.attacks.backdoor import marked
from simulations.attacks.labels import next_class
from simulations.attacks.place import attacker
from simulations.attacks.updates import moved
from simulations.plan import Plan, PlanError, plan_of
from simulations.results.attacked import attacked
from simulations.results.compare import compare
from simulations.simulate import simulate
from simulations.studies import committed


def study(*overrides: str) -> Study:
    small = [
        "simulation.sites=3",
        "training.rounds_per_cycle=2",
        "budget.total=24",
        "budget.per_cycle=12",
        "budget.first=12",
        "training.min_steps=2",
        "training.max_steps=3",
    ]
    return load(committed()["demo"], [*small, *overrides])


START: dict[str, NDArray[Any]] = {
    "w": np.array([1.0, 2.0], dtype=np.float32),
    "seen": np.array(5, dtype=np.int64),
}
END: dict[str, NDArray[Any]] = {
    "w": np.array([1.5, 1.0], dtype=np.float32),
    "seen": np.array(7, dtype=np.int64),
}
REQUEST = StepRequest(StepKey("s" * 64, 0, "train"), 1, START)
UPDATE = SiteUpdate("a", END, 4.0, 0.5, 3)


class _Site:
    number = 1


def forged(name: str, reply: Any) -> Any:
    return ATTACKS[name].forgery(cast(Site, _Site()), study(), REQUEST, reply)


def test_attack_on_updates_by_hand() -> None:
    assert forged("scale", UPDATE).arrays["w"].tolist() == [6.0, -8.0]
    assert forged("sign-flip", UPDATE).arrays["w"].tolist() == [0.5, 3.0]
    assert forged("scale", UPDATE).arrays["seen"] == 7
    rider = forged("free-rider", replace(UPDATE, weight=0.0))
    assert np.abs(rider.arrays["w"] - START["w"]).max() < 1e-4
    assert rider.weight == 1.0
    nothing = forged("withhold", UPDATE)
    assert nothing.weight == 0.0
    assert nothing.arrays == START
    assert np.abs(forged("replace", UPDATE).arrays["w"] - START["w"]).max() > 1e-3


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_attack_keeps_names_shapes_types_and_is_repeatable(name: str) -> None:
    if ATTACKS[name].backdoor:
        pytest.skip("a backdoor trains; test_attack_of_a_whole_run has it")
    first, again = forged(name, UPDATE), forged(name, UPDATE)
    for key, array in END.items():
        assert first.arrays[key].dtype == array.dtype
        assert first.arrays[key].shape == array.shape
        assert np.array_equal(first.arrays[key], again.arrays[key])


def test_attack_that_overflows_stays_finite() -> None:
    large = {"w": np.array([3e38, -3e38], dtype=np.float32), "seen": END["seen"]}
    assert np.isfinite(forged("scale", replace(UPDATE, arrays=large)).arrays["w"]).all()


def test_attack_inflates_every_case_of_the_report() -> None:
    bins = tuple(range(32))
    report = SiteReport("a", 100, 3, 4, 50, 20.0, bins, (60, 40), (2, 1), ((0, 0), (0, 0)))
    told = forged("inflate", report)
    assert told.uncertainty == (0,) * 31 + (sum(bins),)
    assert replace(told, uncertainty=bins) == report
    assert forged("inflate", UPDATE) is UPDATE


def test_attack_of_labels_moves_every_class_on() -> None:
    assert next_class(np.array([1, 0, 0], dtype=np.uint8)).tolist() == [0, 1, 0]
    assert next_class(np.array([0, 1], dtype=np.uint8)).tolist() == [1, 0]


def test_attack_mark_is_a_checked_corner_and_nothing_else() -> None:
    images = np.full((2, 1, 28, 28), 100, dtype=np.uint8)
    with_mark = marked(images)
    changed = np.argwhere(with_mark[0, 0] != 100)
    assert changed.min() == 1
    assert changed.max() == 4  # 15 % of 28
    assert set(np.unique(with_mark[:, :, 1:5, 1:5])) == {0, 255}
    assert (images == 100).all()


def test_attack_comes_from_a_site_that_the_seed_draws() -> None:
    drawn = {attacker(study().model_copy(update={"seed": s}), 6) for s in range(60)}
    assert drawn == set(range(6))


def test_arms_under_attack_are_named() -> None:
    assert with_attacks("default,full,random~scale", "scale, inflate") == [
        "default",
        "default~scale",
        "default~inflate",
        "full",
        "random~scale",
    ]
    arm = Arm.parse("entropy@uniform+aggregation.name=median+budget.floor=2~scale")
    assert (arm.strategy, arm.policy, arm.attack) == ("entropy", "uniform", "scale")
    assert arm.sets == ("aggregation.name=median", "budget.floor=2")
    with pytest.raises(ArmError, match="accepted is"):
        Arm.parse("entropy@@x")
    with pytest.raises(PlanError, match="attack 'steal': accepted is one of label-flip"):
        plan_of(study(), "phantom", ["default~steal"], [0])
    with pytest.raises(PlanError, match="accepted is local"):
        plan_of(study(), "phantom", ["default~scale"], [0], engine="ray")


def run(out: Path, arms: list[str], *overrides: str) -> Plan:
    plan = plan_of(study(*overrides), "phantom", arms, [0])
    simulate(plan, out, lambda task, event: None)
    return plan


def test_attack_success_is_what_the_mark_turns_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five images one is of the target's class, one is taken for it unmarked, two are turned."""

    def predict(network: Any, shown: NDArray[Any], *, task: Any) -> Any:
        bright, with_mark = shown[:, 0, 20, 20], shown[:, 0, 1, 1] == 255
        target = (bright == 10) | (with_mark & (bright >= 100))
        return SimpleNamespace(probs=np.column_stack([target, ~target]).astype(float))

    monkeypatch.setattr("client.learning.score.predict", predict)
    monkeypatch.setattr("client.steps.outcome.resident", lambda study, arrays: None)
    values = np.array([10, 50, 100, 200, 100], dtype=np.uint8)
    images = np.broadcast_to(values[:, None, None, None], (5, 1, 28, 28)).copy()
    truths = np.eye(2, dtype=np.uint8)[[1, 1, 1, 1, 0]]
    module = import_module("simulations.attacks.backdoor")
    assert module.success(study(), {}, images, truths) == pytest.approx(2 / 3)
    assert np.isnan(module.success(study(), {}, images[:1], truths[:1]))


def test_attack_that_is_quiet_is_as_long_as_an_honest_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("simulations.attacks.backdoor")
    loud = replace(UPDATE, arrays=moved(START, END, -3.0))
    monkeypatch.setattr(module, "backdoor", lambda *_: loud)
    told = forged("quiet-backdoor", UPDATE)
    assert np.allclose(told.arrays["w"], START["w"] - (END["w"] - START["w"]))
    short = replace(UPDATE, arrays=moved(START, END, 0.5))
    monkeypatch.setattr(module, "backdoor", lambda *_: short)
    assert forged("quiet-backdoor", UPDATE) is short


@pytest.mark.slow
def test_attack_of_a_whole_run(tmp_path: Path) -> None:
    """Honest arms keep their bits; the attacked one differs, and the table says how."""
    run(tmp_path / "clean", ["default"])
    run(tmp_path / "both", ["default", "default~backdoor", "default~label-flip"])

    def lines(folder: str, arm: str) -> str:
        return (tmp_path / folder / arm / "seed-0" / "cycles.jsonl").read_text()

    assert lines("clean", "default") == lines("both", "default")
    assert lines("both", "default") != lines("both", "default~backdoor")
    told = json.loads((tmp_path / "both" / "default~backdoor" / "seed-0" / "run.json").read_text())
    assert told["attack"] == "backdoor"
    assert told["attacker"].startswith("site-")
    assert told["backdoor"] is None or 0 <= told["backdoor"] <= 1  # None: it takes all for one
    table = attacked(compare([tmp_path / "both"]))
    assert table is not None
    assert [row[0] for row in table.rows] == ["default~backdoor", "default~label-flip"]
    assert "→" in table.rows[0][5]
    assert attacked(compare([tmp_path / "clean"])) is None
