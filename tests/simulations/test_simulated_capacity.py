"""Sites whose readers fall silent, have no more hours, or take longer than others'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.study import StudyError, parse
from simulations.plan import plan_of
from simulations.replay import reallocated
from simulations.simulate import simulate
from simulations.splits import SplitError

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "capacity",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": n, "definition": n} for n in ("no opacity", "opacity")],
    },
    "network": {"name": "mlp"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 24, "per_cycle": 8},
    "simulation": {"sites": 2, "split": "iid"},
}


def cycles(
    out: Path, deadline_hours: float = 336, total: int = 24, **simulation: Any
) -> list[dict[str, Any]]:
    content = STUDY | {
        "reading": {"deadline_hours": deadline_hours},
        "budget": STUDY["budget"] | {"total": total},
        "simulation": STUDY["simulation"] | simulation,
    }
    plan = plan_of(parse(content), "phantom", ["random"], [0])
    simulate(plan, out, lambda task, event: None)
    lines = (out / "random" / "seed-0" / "cycles.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][1:]


@pytest.mark.slow
def test_a_silent_site_spends_nothing_and_its_grants_come_back(tmp_path: Path) -> None:
    found = cycles(tmp_path, silent={"site-02": 1})
    assert found[0]["spent"] == {"site-01": 4, "site-02": 4}
    assert found[1]["granted"]["site-02"] == 4
    for cycle in found[1:]:
        assert cycle["spent"]["site-02"] == 0
        assert cycle["returned"]["site-02"] == cycle["granted"]["site-02"]
    assert sum(sum(c["spent"].values()) for c in found) == 24  # the others go on with what it left
    assert not any("top-up" in said for c in found for said in c["reasons"].values())
    assert len(found) > 3


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["ucb", "learning-curve", "uniform"])
def test_no_policy_pours_into_a_silent_site(tmp_path: Path, policy: str) -> None:
    content = STUDY | {
        "budget": {"total": 48, "per_cycle": 12, "policy": policy, "exploration": 0.5},
        "simulation": STUDY["simulation"] | {"sites": 3, "silent": {"site-02": 2}},
    }
    plan = plan_of(parse(content), "phantom", ["random"], [0])
    simulate(plan, tmp_path, lambda task, event: None)
    run = tmp_path / "random" / "seed-0"
    found = [json.loads(line) for line in (run / "cycles.jsonl").read_text().splitlines()][1:]
    assert found[2]["granted"]["site-02"] == found[2]["returned"]["site-02"] > 1
    assert len(found) >= 5
    for cycle in found[3:]:
        assert cycle["granted"]["site-02"] <= 1
    assert "read nothing of the" in found[3]["reasons"]["site-02"]
    again = reallocated(run / "ledger.db", policy)
    assert [r.instead for r in again] == [r.granted for r in again]


@pytest.mark.slow
def test_a_study_whose_readers_are_all_silent_ends(tmp_path: Path) -> None:
    found = cycles(tmp_path, silent={"site-01": 1, "site-02": 1})
    assert [sum(c["spent"].values()) for c in found] == [8, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["site-01", "site-02"])
def test_the_last_reading_of_a_budget_goes_to_who_reads(tmp_path: Path, name: str) -> None:
    found = cycles(tmp_path, total=17, silent={name: 2})  # one of the two draws it, and is silent
    assert sum(sum(c["spent"].values()) for c in found) == 17
    assert len(found) == (4 if found[2]["granted"][name] else 3)


@pytest.mark.slow
def test_readers_without_more_hours_give_the_rest_back(tmp_path: Path) -> None:
    found = cycles(tmp_path, readers={"per_cycle": 3})
    assert all(c["spent"] == {"site-01": 3, "site-02": 3} for c in found[:3])
    assert found[0]["returned"] == {"site-01": 1, "site-02": 1}


@pytest.mark.slow
def test_every_site_reads_at_its_own_pace(tmp_path: Path) -> None:
    found = cycles(tmp_path, readers={"seconds": [30.0, 120.0], "spread": 0.0})
    assert found[0]["site_minutes"] == pytest.approx({"site-01": 2.0, "site-02": 8.0})


@pytest.mark.slow
def test_a_silent_site_costs_its_deadline_in_every_cycle_that_asks_it(tmp_path: Path) -> None:
    awake = cycles(tmp_path / "awake", deadline_hours=48)
    assert [c["days"] for c in awake] == [1, 2, 3]  # readings of four minutes
    found = cycles(tmp_path / "silent", deadline_hours=48, silent={"site-02": 1})
    assert [c["days"] for c in found[:3]] == [1, 4, 5]  # two days later, then half a day
    weeks = cycles(tmp_path / "weeks", deadline_hours=336, silent={"site-02": 1})
    assert [c["days"] for c in weeks[:4]] == [1, 16, 20, 24]  # 14 days, then 3 and a half


@pytest.mark.slow
def test_slow_readers_are_closed_at_the_deadline(tmp_path: Path) -> None:
    pace = {"hours_per_day": 0.005, "seconds": [30.0, 1.0], "spread": 0.0}  # 18 s a day
    readers = {"per_site": 1} | pace
    found = cycles(tmp_path, deadline_hours=24, readers=readers)
    assert found[0]["spent"] == {"site-01": 1, "site-02": 4}  # what has begun is finished
    assert found[0]["returned"] == {"site-01": 3, "site-02": 0}
    assert found[0]["days"] == 2


def test_what_no_site_can_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"simulation\.silent names 'site-09'"):
        cycles(tmp_path, silent={"site-09": 0})
    with pytest.raises(StudyError, match=r"simulation\.readers\.seconds"):
        parse(STUDY | {"simulation": {"readers": {"seconds": []}}})
    with pytest.raises(StudyError, match=r"simulation\.readers\.seconds"):
        parse(STUDY | {"simulation": {"readers": {"seconds": [0.0]}}})
