"""One simulation at a time in a folder; one that is refused leaves the folder as it was."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

import pytest

from simulations.lock import locked
from simulations.plan import PlanError


def test_a_lock_that_is_removed_while_it_is_taken_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, flock, races = tmp_path / "a" / "b", fcntl.flock, iter([True])

    def after_a_refused_one(lock: TextIO, how: int) -> None:
        if next(races, False):
            (out / ".lock").unlink()
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", after_a_refused_one)
    monkeypatch.setattr("simulations.lock._PATIENCE", 0.1)
    with locked(out):
        assert next(races, None) is None
        with pytest.raises(PlanError, match="in use by another simulation"), locked(out):
            pass
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "letter.txt").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["letter.txt"]


def test_with_its_plan_a_folder_and_its_lock_stay(tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        (tmp_path / "out" / "plan.json").touch()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "plan.json"]
