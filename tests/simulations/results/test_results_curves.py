from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.results.curves import (
    Curve,
    area,
    class_shares,
    common_range,
    curve,
    on_grid,
    reach,
    target,
)
from simulations.results.records import Cycle, Splits
from simulations.results.runs import load


def cycle(number: int, readings: int, training: int) -> Cycle:
    return Cycle(
        cycle=number,
        readings=readings,
        training_readings=training,
        audit_readings=readings - training,
        minutes=readings / 2,
        days=1.0,
        granted={},
        reasons={},
        spent={},
        returned={},
        labels={"a": (training // 2, training - training // 2)},
        site_minutes={},
        loss=(),
        advice="",
        metrics=Splits(None, None),
    )


def line(values: list[float], readings: list[int], training: list[int] | None = None) -> Curve:
    training = training or readings
    heights = np.array(values)
    return Curve(
        cycles=tuple(
            cycle(i, r, t) for i, (r, t) in enumerate(zip(readings, training, strict=True))
        ),
        readings=np.array(readings, dtype=float),
        training_readings=np.array(training, dtype=float),
        labels=tuple(training),
        values=heights,
        lower=heights - 0.1,
        upper=heights + 0.1,
    )


def test_area_by_hand() -> None:
    found = line([0.5, 0.7, 0.9], [10, 20, 40])
    # 10 * 0.6 + 20 * 0.8 = 22, over a range of 30
    assert area(found, "readings", (10, 40)) == pytest.approx(22 / 30)


def test_area_over_a_part_cuts_the_trapezoids() -> None:
    found = line([0.5, 0.7, 0.9], [10, 20, 40])
    # 5 * 0.65 from 15 to 20, 10 * 0.75 from 20 to 30
    assert area(found, "readings", (15, 30)) == pytest.approx((3.25 + 7.5) / 15)


def test_area_without_audit_readings_uses_the_other_axis() -> None:
    found = line([0.5, 0.9, 0.9], [10, 20, 30], [10, 12, 30])
    assert area(found, "readings", (10, 30)) == pytest.approx((7 + 9) / 20)
    assert area(found, "training_readings", (10, 30)) == pytest.approx((1.4 + 16.2) / 20)


def test_one_evaluation_has_no_area_and_limits_no_range() -> None:
    one, two = line([0.9], [500]), line([0.5, 0.7], [10, 20])
    assert area(one, "readings", (10, 20)) is None
    assert common_range([one, two], "readings") == (10, 20)
    assert common_range([one], "readings") is None


def test_the_common_range_is_what_every_curve_covers() -> None:
    a, b = line([0.5, 0.7], [10, 30]), line([0.5, 0.7], [20, 50])
    assert common_range([a, b], "readings") == (20, 30)
    assert common_range([a, line([0.5, 0.7], [30, 50])], "readings") is None


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.data())
def test_area_stays_between_the_lowest_and_highest_value(
    values: list[float], data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(1, 50), min_size=len(values), max_size=len(values)))
    found = line(values, np.cumsum(steps).tolist())
    between = common_range([found], "readings")
    result = area(found, "readings", between)
    assert result is not None
    assert min(values) - 1e-9 <= result <= max(values) + 1e-9


@pytest.mark.parametrize(
    ("values", "readings"),
    [
        ([0.80, 0.94, 0.95], 20),  # reached and kept
        ([0.94, 0.80, 0.95], 30),  # lost at once, reached again at the last evaluation
        ([0.94, 0.94, 0.10], 10),  # two in a row count even when it is lost later
        ([0.80, 0.94, 0.80], None),  # never kept
        ([0.80, 0.81, 0.82], None),
    ],
)
def test_a_goal_counts_once_it_is_kept(values: list[float], readings: int | None) -> None:
    found = reach(line(values, [10, 20, 30], [8, 15, 22]), 0.931, "auroc")
    assert (found.readings if found else None) == readings


def test_what_a_goal_took_is_counted_in_labels_readings_and_minutes() -> None:
    found = reach(line([0.80, 0.94, 0.95], [10, 20, 30], [8, 15, 22]), 0.931, "auroc")
    assert found is not None
    assert (found.labels, found.readings, found.minutes) == (15, 20, 10.0)


def test_for_errors_less_is_better() -> None:
    assert target(0.95, 0.98, "auroc") == pytest.approx(0.931)
    assert target(0.098, 0.98, "brier") == pytest.approx(0.1)
    found = reach(line([0.2, 0.09, 0.1], [10, 20, 30]), 0.1, "brier")
    assert found is not None
    assert found.readings == 20


def test_class_shares_sum_over_sites() -> None:
    assert class_shares(cycle(0, 10, 5)) == (0.4, 0.6)
    assert class_shares(cycle(-1, 0, 0)) == ()


def test_curves_of_one_arm_meet_on_the_readings_all_cover() -> None:
    grid, values = on_grid([line([0, 1], [0, 10]), line([0, 1, 2], [5, 10, 15])])
    assert grid.tolist() == [5, 10]
    assert values.tolist() == [[0.5, 1.0], [0.0, 1.0]]


def test_evaluations_without_a_value_are_left_out(simulated: Callable[..., Path]) -> None:
    run = load([simulated(not_estimable=("auroc",))]).runs[0]
    assert curve(run, "locked", "pooled", "auroc").values.size == 0
    assert curve(run, "locked", "pooled", "brier").readings.tolist() == [24, 48, 72, 96, 120]
