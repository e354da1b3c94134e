"""The goals of the label benchmark, held against made-up summaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.benchmarks.labels.goals import Goal, goal_table, goals
from simulations.benchmarks.labels.kept import NOTHING
from simulations.benchmarks.labels.ours import DUEL, PUBLISHED
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.summary import summary

Told = dict[str, Any]


def arm(name: str, track: str, **more: Any) -> Told:
    """A confirmed arm that reaches every goal if it is ours, and is below ours if it is not."""
    return {
        "arm": name,
        "track": track,
        "split": "test",
        "cell": "selectors",
        "seeds": 20,
        "aubc": 0.95,
        "final": 0.96,
        "worst": 0.93,
        "gain": [0.06, 0.05, 0.07],
        "worst_loss": 0.0,
        "early": [16, 20],
        "ours": None if name == "ward" else DUEL[0],
        "query_seconds": 0.4,
        **more,
    }


def policy(track: str, **more: Any) -> Told:
    """The safe policy, safe and thrifty."""
    said = {"policy": "safe", "track": track, "split": "val", "cell": "minutes", "seeds": 20}
    kept = {"safe": "yes", "lower": 0.001, "worst_loss": 0.0, "moved": 0.1}
    return said | kept | {"saved": "+20.0%", "saved_share": 0.2} | more


def told(*changed: Told) -> Told:
    """A summary in which every goal is met, but for what is changed."""
    lines = [arm(name, track) for track in "ABCD" for name in ("ward", *PUBLISHED)]
    for line in lines:
        line["aubc"] -= 0.01 * (line["arm"] != "ward")
    shared = [policy(track) for track in "ABCD"]
    for line in changed:
        known, key = (shared, "policy") if "policy" in line else (lines, "arm")
        (same,) = (x for x in known if (x[key], x["track"]) == (line[key], line["track"]))
        same.update(line)
    full = {"final": 0.97, "worst": 0.94}
    tables = [{"split": "test", "track": t, "cell": "selectors", "full": full} for t in "ABCD"]
    return {"format": 3, "tables": tables, "arms": lines, "policies": shared}


def missed(summary: Told) -> list[Goal]:
    return [goal for goal in goals(summary) if not goal.met]


def test_all_goals_met_is_said_so() -> None:
    assert missed(told()) == []
    text = list(goal_table(told()))
    assert sum("| met |" in line for line in text) == len(goals(told()))
    assert any("0.9600; full supervision has 0.9700" in line for line in text)


@pytest.mark.parametrize(
    ("changed", "track", "measured"),
    [
        (arm("ward", "A", gain=[0.0499, 0.01, 0.06]), "A", "+0.0499 (+0.0100 to +0.0600)"),
        (arm("ward", "A", final=0.9449), "A", "0.9449; full supervision has 0.9700"),
        (arm("ward", "B", gain=[0.0299, 0.01, 0.06]), "B", "+0.0299 (+0.0100 to +0.0600)"),
        (arm("ward", "B", early=[15, 20]), "B", "75% (15/20)"),
        (arm("ward", "B", worst=0.919), "B", "0.9190; full supervision has 0.9400"),
        (arm("ward", "C", gain=[-0.0031, -0.1, 0.1]), "C", "-0.0031, +0.0000"),
        (arm("ward", "C", worst_loss=0.0101), "C", "+0.0600, +0.0101"),
        (
            arm("logo", "D", aubc=0.96, ours=DUEL[2]),
            "D",
            "number 2 of 7 beside `random`, 0.9500; `logo` has 0.9600, ward below",
        ),
        (arm("coreset", "A", ours=DUEL[1]), "A", "above 5 of 6, not `coreset`"),
        (arm("badge", "B", ours="exploratory"), "B", "above 5 of 6, not `badge`"),
        (arm("ward", "D", query_seconds=0.51), "A, B, D", "0.51 s at most"),
        (policy("A", saved_share=0.149), "A", "+20.0%"),
        (policy("B", saved="never", saved_share=None), "B", "never"),
    ],
)
def test_each_goal_is_missed_by_what_it_is_about_alone(
    changed: Told, track: str, measured: str
) -> None:
    (goal,) = missed(told(changed))
    assert goal.met is False
    assert goal.track == track
    assert goal.measured.startswith(measured)


def test_a_policy_that_is_not_safe_saves_nothing() -> None:
    found = missed(told(policy("A", safe="no", lower=-0.0051)))
    assert [(goal.track, goal.met) for goal in found] == [("A", False), ("A", False)]
    assert found[0].measured == "-0.0051, +0.0000; moved 10.0%"


@pytest.mark.parametrize(("verdict", "met"), [(DUEL[2], False), (None, None), (DUEL[1], True)])
def test_a_method_confirmed_in_a_further_cell_can_be_first(
    verdict: str | None, met: bool | None
) -> None:
    measured = told()
    measured["arms"].append(arm("margin", "D", cell="further", aubc=0.99, ours=verdict))
    (goal,) = (g for g in goals(measured) if g.track == "D" and "behind the first" in g.words)
    assert goal.met is met
    assert goal.measured.startswith("number 2 of 8 beside `random`, 0.9500; `margin` has 0.9900")


def test_second_without_a_difference_is_not_behind() -> None:
    assert missed(told(arm("logo", "D", aubc=0.96, ours=DUEL[1]))) == []


@pytest.mark.parametrize("told", [NOTHING, told(arm("ward", "A", seeds=19))])
def test_what_was_measured_too_little_is_open(told: Told) -> None:
    on_a = [goal for goal in goals(told) if goal.track == "A" and "`safe`" not in goal.words]
    assert {goal.met for goal in on_a} == {None}
    assert {goal.measured for goal in on_a} == {"-"}


def test_a_summary_holds_what_the_goals_read(
    tmp_path: Path, line: Callable[..., dict[str, Any]]
) -> None:
    results = Results(tmp_path / "results.jsonl")
    curves = {"random": (0.6, 0.7, 0.8), "ward": (0.6, 0.8, 0.9), "logo": (0.6, 0.75, 0.85)}
    for seed in range(20):
        for name, curve in {**curves, "full": (0.9, 0.9, 0.9)}.items():
            results.add(line(name, seed, curve, scored_on="test"))
    made = summary(results)
    (full,) = (table["full"] for table in made["tables"])
    assert full == {"final": 0.9, "worst": 0.9}
    found = {goal.words[:20]: goal for goal in goals(made) if goal.track == "A"}
    assert found["AUBC of `ward` at le"].measured == "+0.0750 (+0.0750 to +0.0750)"
    assert found["mean AUROC at the en"].measured == "0.9000; full supervision has 0.9000"
    others = found["AUBC above LoGo, Fai"]
    assert others.met is None
    assert others.measured.startswith("above 1 of 1; still without a confirmation: `fairfal`, ")
