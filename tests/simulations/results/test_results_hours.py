"""What a result took in readings, hours and days; who came when."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulations.results.compare import compare
from simulations.results.curves import Curve, Reached
from simulations.results.hours import arrived, height, per_unit, taken
from simulations.results.outcomes import typical
from simulations.results.records import Cycle
from simulations.results.report import write_report
from simulations.results.runs import load
from simulations.results.tables import to_json
from simulations.results.worth import worth

Simulated = Callable[..., Path]


def line(simulated: Simulated) -> tuple[Curve, tuple[Cycle, ...]]:
    run = load([simulated(arms=("coreset",), seeds=(0,), cycles=3)]).runs[0]
    days = (1.0, 1.0, 3.0)
    cycles = tuple(replace(c, days=d) for c, d in zip(run.evaluations, days, strict=True))
    empty = np.zeros(3)
    values = np.array([0.6, 0.8, 0.9])
    return Curve(cycles, empty, empty, (1, 2, 3), values, empty, empty), cycles


def test_height_by_hand_and_of_equal_days_the_later_evaluation_counts(simulated: Simulated) -> None:
    curve, cycles = line(simulated)
    minutes = [c.minutes for c in cycles]
    assert np.diff(minutes) == pytest.approx([minutes[0]] * 2)
    whole = height(curve, lambda c: c.minutes, (minutes[0], minutes[2]))
    assert whole == pytest.approx((0.7 + 0.85) / 2)
    assert height(curve, lambda c: c.days, (1.0, 3.0)) == pytest.approx(0.85)
    assert height(curve, lambda c: c.days, (1.0, 2.0)) == pytest.approx(0.825)


def test_a_target_in_labels_readings_hours_and_days(simulated: Simulated) -> None:
    found = taken(compare([simulated()]))
    assert [row[:2] for row in found.rows[:3]] == [
        ("coreset", "98 % of the bound"),
        ("coreset", "99 % of the bound"),
        ("coreset", "what random reached at the end"),
    ]
    assert len(found.rows) == 6  # the bound has no row
    last = found.rows[2]
    readings = int(last[4])
    assert float(last[5]) == pytest.approx(0.35 * readings / 60, abs=0.06)
    assert float(last[6]) == pytest.approx(1.5 * readings / 24, abs=0.06)
    assert {row[6] for row in found.rows} == {"4.5", "7.5", "not reached"}  # not 4, nor 8
    assert int(last[4]) < int(found.rows[5][4])  # coreset rises faster than random itself


def test_a_target_that_half_of_the_seeds_miss_has_no_median() -> None:
    one = Reached(10, 12, 6.0, 2.0)
    assert typical([one, replace(one, days=4.0), replace(one, days=9.0)])[0] == replace(
        one, days=4.0
    )
    assert typical([one, None, None]) == (None, 1)


def test_every_arm_has_a_mean_per_reading_hour_and_day(simulated: Simulated) -> None:
    comparison = compare([simulated()])
    found = per_unit(comparison)
    assert [row[0] for row in found.rows] == ["coreset", "random"]
    arm = comparison.arms[0]
    assert arm.aubc is not None
    assert found.rows[0][1] == f"{arm.aubc.mean:.3f}"
    assert found.rows[0][1] == found.rows[0][2]  # here minutes are readings times a factor
    alone = per_unit(compare([simulated("one", cycles=1)]))
    assert set(alone.rows[0][1:]) == {"not estimable"}


@pytest.mark.slow
def test_the_report_tells_of_time_and_of_who_came(simulated: Simulated, tmp_path: Path) -> None:
    out = simulated()
    page = write_report([out], tmp_path / "a.html").read_text()
    assert "What a target took" in page
    assert "Who came when" not in page
    assert arrived(compare([out])) is None
    for run in out.glob("*/seed-*/run.json"):
        document = json.loads(run.read_text())
        coming = {"cycle": 0, "cases": 80, "classes": [60, 20], "new_scanner": False}
        later = {"cycle": 1, "cases": 20, "classes": [5, 15], "new_scanner": True}
        never = [later | {"cycle": cycle} for cycle in (900, 901)]
        run.write_text(json.dumps(document | {"arrivals": [coming, later, *never]}))
    page = write_report([out], tmp_path / "b.html").read_text()
    assert "Who came when" in page
    table = arrived(compare([out]))
    assert "before cycle 1 are those of the start" in page
    assert table is not None
    assert table.head == ("before cycle", "cases", "normal", "pneumonia", "scanner")
    assert table.rows == (
        ("1", "80", "60 (75%)", "20 (25%)", "first"),
        ("2", "20", "5 (25%)", "15 (75%)", "new"),
        ("none: the study had ended", "40", "10 (25%)", "30 (75%)", "new"),
    )


def test_json_tells_the_days_to_a_target(simulated: Simulated) -> None:
    document: Any = to_json(compare([simulated()]))
    arm = document["arms"]["coreset"]
    assert arm["days_to_98"] is None or arm["days_to_98"] > 0
    assert "days_to_99" in arm


@pytest.mark.slow
def test_the_report_tells_what_a_comparison_with_random_said_beside_what_was_so(
    simulated: Simulated, tmp_path: Path
) -> None:
    out = simulated()
    assert worth(compare([out])) is None
    for seed in (0, 1, 2):
        run = out / "coreset" / f"seed-{seed}" / "run.json"
        metrics = {"auroc": [0.02 * seed, -0.01, 0.03], "brier": [None] * 3}
        verdict = "cannot tell" if seed else "better"
        gain = {"cycle": 4, "labels": 60, "apart": 12, "cases": 50, "metrics": metrics}
        told = gain | {"verdict": verdict, "words": f"seed {seed} said so"}
        run.write_text(json.dumps(json.loads(run.read_text()) | {"gains": [told]}))
    found = worth(compare([out]))
    assert found is not None
    assert len(found.rows) == 1
    row = found.rows[0]
    assert row[:2] == ("coreset", "better in 1, cannot tell in 2")
    assert row[2:6] == ("+0.020", "60", "12", "50")
    assert row[6].startswith("+0.")
    assert row[7] == "seed 0 said so"
    assert (
        "Is asking worth more than chance?" in write_report([out], tmp_path / "a.html").read_text()
    )
