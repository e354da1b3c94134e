"""What the benchmark of selection compares is the same work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulations.benchmarks.selection.comparison import LEAST_WORTH, Comparison, Line
from simulations.benchmarks.selection.inputs import write
from simulations.benchmarks.selection.ours import prepared
from simulations.benchmarks.selection.page import page
from simulations.benchmarks.selection.theirs import deepal
from simulations.benchmarks.selection.worth import information, worth


@pytest.mark.parametrize("kind", ["gaussian", "clustered"])
def test_all_distances_pick_what_ours_picks(tmp_path: Path, kind: str) -> None:
    write(f"k-center-{kind}", tmp_path, 300)
    ours = prepared(f"k-center-{kind}", tmp_path, 20)()
    assert ours.tolist() == deepal(f"k-center-{kind}", tmp_path, 20)().tolist()
    assert len(set(ours.tolist())) == 20


def test_readers_who_err_are_settled_in_the_order_of_the_cases(tmp_path: Path) -> None:
    write("dawid-skene", tmp_path, 2000)
    case, _, answer = np.load(tmp_path / "answers.npy")
    votes = np.zeros((2000, 4))
    np.add.at(votes, (case, answer), 1)
    truth, settled = np.load(tmp_path / "truth.npy"), prepared("dawid-skene", tmp_path, 0)()
    assert (settled == truth).mean() > (votes.argmax(axis=1) == truth).mean() + 0.02


def test_an_ensemble_that_agrees_is_asked_last(tmp_path: Path) -> None:
    write("batchbald", tmp_path, 200)
    p = np.load(tmp_path / "mc_probs.npy")
    p[100:] = p[100:, :1]  # of these cases every member says the same
    np.save(tmp_path / "mc_probs.npy", p)
    assert prepared("batchbald", tmp_path, 10)().max() < 100


def test_a_goal_is_reached_by_the_clock_and_by_the_processor() -> None:
    def line(cpu: float, equal: float, worth: float | None = None) -> Line:
        ours = {"seconds": 1, "cpu": 1, "before": 0.0, "peak": 1e6}
        theirs = ours | {"seconds": 9, "cpu": cpu}
        return Line(Comparison("badge", "baal", 10, 2, 5), (ours,), (theirs,), equal, worth)

    assert line(9, 1.0).verdict == "5 x: reached"
    assert line(4, 1.0).verdict == "5 x: MISSED"
    assert line(9, 0.9).verdict == "MISSED: answers differ"
    assert line(9, 1.0, 0.995).verdict == "5 x: reached"
    assert line(9, 1.0, 0.994).verdict == "MISSED: our batch tells less"


def test_information_of_a_batch_by_hand() -> None:
    sure = [[1.0, 0.0], [0.0, 1.0]]  # two members, each sure of another answer
    same = [[0.3, 0.7], [0.3, 0.7]]
    half = [[1.0, 0.0], [0.5, 0.5]]
    probs = np.array([sure, same, half, half])
    assert information(probs, np.array([0])) == pytest.approx(np.log(2))
    assert information(probs, np.array([1])) == pytest.approx(0)
    # joint answers of two halves: 5/8, 1/8, 1/8, 1/8; within the members 0 and 2 log 2
    joint = -(5 / 8 * np.log(5 / 8) + 3 / 8 * np.log(1 / 8))
    assert information(probs, np.array([2, 3])) == pytest.approx(joint - np.log(2))
    assert worth(probs, np.array([0, 1]), np.array([0, 1])) == 1
    assert worth(probs, np.array([1, 0]), np.array([0, 1])) == pytest.approx(0.5)


@pytest.mark.slow
def test_our_batch_is_worth_more_than_cases_that_each_tell_much(tmp_path: Path) -> None:
    write("batchbald", tmp_path, 5000)
    probs = np.load(tmp_path / "mc_probs.npy")
    ours = prepared("batchbald", tmp_path, 10)()
    each = np.array([information(probs, np.array([row])) for row in range(len(probs))])
    assert worth(probs, np.argsort(-each)[:10], ours) < LEAST_WORTH


def test_the_floor_is_one_pass_over_the_features_for_each_pick() -> None:
    def line(once: float) -> Line:
        ours = {"seconds": 1.0, "cpu": 1.0, "before": 0.0, "peak": 1e6, "pass": once}
        wanted = Comparison("k-center-gaussian", "deepal", 10, 4, 2, floor=2)
        return Line(wanted, (ours,), (ours | {"seconds": 9, "cpu": 9},), 1.0)

    near, far = line(0.2), line(0.1)
    assert near.of_floor() == pytest.approx(1.25)
    assert (near.verdict, far.verdict) == ("2 x: reached", "2 x: MISSED")
    large = {"kind": "gaussian", "seconds": 20.0, "pass": 0.4, "peak": 17e9, "bytes": 2e9,
             "distinct": 1000.0}  # fmt: skip
    said = page([near], [large])
    assert "| 9.0 (9.0-9.0) | 9.0 | 100.0% | - | 1 | 1 | 1.25 x | 2 x: reached |" in said
    assert "peak 17.00 GB (MISSED: goal 16 GB)" in said
    assert "takes 0.40 s at 5.0 GB/s, so one pass per pick, the floor, 400 s: 0.05 x" in said
