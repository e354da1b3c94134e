from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.records import UNCERTAINTY_BINS, CycleRecord, SiteReport
from strategies.stopping import STOPPING, Stabilised
from strategies.stopping.stabilised import against_rest, change_bound, kappa, pooled

Table = tuple[tuple[int, ...], ...]
STABLE: Table = ((500, 1), (1, 498))
MOVING: Table = ((450, 50), (50, 450))


def record(cycle: int, *tables: Table) -> CycleRecord:
    reports = {
        f"s{i}": SiteReport(
            site=f"s{i}",
            pool=1000,
            labeled=10,
            audit_left=0,
            capacity=10,
            seconds_per_reading=0.0,
            uncertainty=(0,) * UNCERTAINTY_BINS,
            predicted=(1000, 0),
            labels=(5, 5),
            kept=table,
        )
        for i, table in enumerate(tables)
    }
    return CycleRecord(cycle, reports, {}, {})


def several(record: CycleRecord, **fields: Any) -> CycleRecord:
    """The record with other fields in every report."""
    reports = {site: replace(r, **fields) for site, r in record.reports.items()}
    return replace(record, reports=reports)


def history(tables: Sequence[Table]) -> list[CycleRecord]:
    return [record(i, t) for i, t in enumerate(tables)]


@pytest.mark.parametrize("name", sorted(STOPPING))
def test_no_rule_advises_without_evidence(name: str) -> None:
    empty: Table = ((0, 0), (0, 0))
    for past in ([], history([empty]), history([empty] * 5), history([MOVING] * 5)):
        assert STOPPING[name]().advise(past) == ""


def test_never_is_silent_however_stable() -> None:
    assert STOPPING["never"]().advise(history([STABLE] * 9)) == ""


def test_kappa_by_hand() -> None:
    # Cohen 1960's kind of table: observed 0.7, expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    assert kappa(np.array([[40, 10], [20, 30]])) == pytest.approx(0.4)
    assert kappa(np.array([[5, 0], [0, 5]])) == 1.0
    assert kappa(np.array([[0, 5], [5, 0]])) == -1.0
    assert np.isnan(kappa(np.array([[9, 0], [0, 0]])))
    assert np.isnan(kappa(np.zeros((3, 3), dtype=np.int64)))


def test_against_rest_by_hand() -> None:
    table = np.array([[5, 1, 2], [3, 7, 0], [4, 0, 9]])
    assert against_rest(table, 0).tolist() == [[5, 3], [7, 16]]
    assert against_rest(table, 2).tolist() == [[9, 4], [2, 16]]


@pytest.mark.parametrize("fields", [{"predicted": (900, 80, 20)}, {"pool": 500}])
def test_of_a_table_summed_over_findings_the_bound_is_said_of_all_together(fields: Any) -> None:
    lost: Table = ((10_000, 0), (40, 9_960))  # one finding's 40 cases gone, another's all kept
    advice = Stabilised(cycles=1).advise([several(record(0, lost), **({"pool": 20_000} | fields))])
    assert "was 0.996 in cycle 1 (" in advice
    assert "F over all classes together" in advice
    one = Stabilised(cycles=1).advise([several(record(0, lost), pool=20_000)])
    assert "F of no class" in one


def test_two_classes_against_the_rest_have_the_kappa_of_both() -> None:
    table = np.array([[40, 10], [20, 30]])
    assert kappa(against_rest(table, 0)) == pytest.approx(kappa(table))
    assert change_bound([table]) == pytest.approx(4 * 0.6 / 0.4)


def test_sites_are_pooled_before_kappa() -> None:
    both = pooled(record(0, ((40, 0), (0, 1)), ((0, 10), (20, 29))))
    assert both.tolist() == [[40, 10], [20, 30]]


def test_advice_after_three_stable_cycles_tells_its_numbers() -> None:
    past = history([((0, 0), (0, 0)), MOVING, STABLE, STABLE])
    assert Stabilised().advise(past) == ""
    advice = Stabilised().advise([*past, record(4, STABLE)])
    k = 2 * (500 * 498 - 1) / (2 * 501 * 499)  # 2 (ad - bc) / sum of products of margins
    assert f"{k:.3f}, {k:.3f}, {k:.3f} in cycles 3, 4, 5" in advice  # as people count
    assert "(0.99 wanted) on at least 1000 unlabeled cases" in advice
    assert f"changed by more than {4 * (1 - k) / k:.3f}" in advice


def test_a_cycle_without_evidence_begins_the_count_anew() -> None:
    for gap in (((0, 0), (0, 0)), ((1000, 0), (0, 0)), MOVING):
        past = history([STABLE, STABLE, gap, STABLE, STABLE])
        assert Stabilised().advise(past) == ""
        assert Stabilised().advise([*past, record(5, STABLE)])


def test_threshold_and_cycles_are_the_study_leads() -> None:
    past = history([MOVING] * 2)  # kappa 0.8
    assert Stabilised(threshold=0.79, cycles=2).advise(past)
    assert not Stabilised(threshold=0.81, cycles=2).advise(past)
    assert not Stabilised(threshold=0.79, cycles=3).advise(past)


def test_a_bound_above_1_is_not_told() -> None:
    past = history([((440, 60), (60, 440))])  # kappa 0.76, 4 * 0.24 / 0.76 is 1.26
    advice = Stabilised(threshold=0.75, cycles=1).advise(past)
    assert "0.760" in advice
    assert "bound" not in advice


def test_the_bound_at_the_thresholds_of_the_docstring() -> None:
    assert pytest.approx(0.040, abs=5e-4) == 4 * (1 - 0.99) / 0.99
    half = 10_000
    for t, bound in ((0.99, 0.040), (0.95, 0.21)):
        off = round(half * (1 - t) / 2)
        table = np.array([[half - off, off], [off, half - off]])
        assert kappa(table) == pytest.approx(t)
        assert change_bound([table]) == pytest.approx(bound, abs=0.001)


def test_a_rare_class_that_moves_widens_the_bound() -> None:
    table = ((5000, 0, 0), (0, 4980, 10), (0, 10, 20))
    assert kappa(np.array(table)) > 0.99
    rare = kappa(against_rest(np.array(table), 2))
    assert rare < 0.7
    assert change_bound([np.array(table)]) == pytest.approx(4 * (1 - rare) / rare)
    assert "bound" not in Stabilised(cycles=1).advise([record(0, table)])


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ((STABLE, ((1, 0, 0), (0, 1, 0), (0, 0, 1))), "cycle 3 has kept tables of shapes"),
        ((((1, 2, 3), (4, 5, 6)),), "accepted is classes x classes"),
        ((((1, -1), (0, 1)),), "cycle 3 has a negative kept count"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tables: tuple[Table, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Stabilised(cycles=1).advise([record(2, *tables)])


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 0.0}, {"threshold": 1.01}, {"cycles": 0}, {"threshold": float("nan")}],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="accepted is"):
        STOPPING["stabilised"](**arguments)
