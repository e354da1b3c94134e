"""Progress in plain lines: what each arm counts in."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.study import load
from server.events import Event
from simulations.plan import Task, plan_of
from simulations.studies import committed
from simulations.watching import watching


def test_every_arm_is_told_in_its_own_unit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arms = ["default", "default+budget.unit=minutes"]
    plan = plan_of(load(committed()["demo"]), "phantom", arms, [0])
    with watching(plan) as watch:
        for arm in arms:
            watch(Task(Path("out"), arm, 0), Event("read", 0, spent=12))
            watch(Task(Path("out"), arm, 0), Event("measured", 0, value=0.5))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "cycle 1, 12 readings, AUROC 0.500",
        "cycle 1, 12 minutes, AUROC 0.500",
    ]


def test_bars_count_rounds_and_units_of_the_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, str] = {}

    def update(self: object, row: object, *, detail: str) -> None:
        told[arm] = detail

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("rich.progress.Progress.update", update)
    arms = ["default", "default+budget.unit=minutes+training.rounds_per_cycle=3"]
    plan = plan_of(load(committed()["demo"]), "phantom", arms, [0])
    with watching(plan) as watch:
        for arm in arms:
            watch(Task(Path("out"), arm, 0), Event("train", 1, round=2))
    assert list(told.values()) == [
        "cycle 2 · round 2/20 · 0 readings",
        "cycle 2 · round 2/3 · 0 minutes",
    ]
