"""A strategy of one's own that raises, or answers wrongly: the person hears what and where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.study import Study
from simulations.failures import Logs
from simulations.plan import plan_of
from simulations.simulate import RunFailed, simulate

CODE = """
from dataclasses import dataclass

import numpy as np

from strategies.pool import Needs


@dataclass(frozen=True)
class Raises:
    needs = Needs(frozenset({"features"}))

    def select(self, pool, k, rng):
        return pool.nothing_of_this_name


@dataclass(frozen=True)
class Few:
    needs = Needs(frozenset({"features"}))

    def select(self, pool, k, rng):
        return np.arange(k - 1)
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "Raises",
            "AttributeError: 'Pool' object has no attribute 'nothing_of_this_name' (NAME.py:14)",
        ),
        ("Few", "ValueError: query.cold_start = 'NAME:Few': its select gave 3 rows; accepted is 4"),
    ],
)
def test_what_failed_at_the_sites_is_told_with_its_place(
    small_npz: Path,
    tmp_path: Path,
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    sentence: str,
) -> None:
    lab = f"my_lab_{name.lower()}"
    (tmp_path / f"{lab}.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    asked = study(query={"cold_start": f"{lab}:{name}", "strategy": f"{lab}:{name}"})
    plan = plan_of(asked, str(small_npz), ["default"], [0])
    out = tmp_path / "out"
    with caplog.at_level(logging.ERROR), pytest.raises(RunFailed) as failed:
        simulate(plan, out, lambda task, event: None)
    log = out / "default" / "seed-0" / "sites" / "site-01" / "site.log"
    told = str(failed.value)
    assert "0 of 3 sites answered" in told
    assert f"; site-01, and 2 more: step select failed: {sentence.replace('NAME', lab)}" in told
    assert told.endswith(f"; the whole stack is in {log}")
    assert "Traceback" in log.read_text()
    said = [record.getMessage() for record in caplog.records]
    assert any(words.endswith("the same command goes on once that is mended") for words in said)
    assert not any("once they are back" in words for words in said)


def test_with_whole_runs_side_by_side_the_person_hears_why_the_first_died(
    small_npz: Path,
    tmp_path: Path,
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my_lab_aside.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    name = "my_lab_aside:Raises"
    asked = study(query={"cold_start": name, "strategy": name})
    plan = plan_of(asked, str(small_npz), ["default"], [0, 1], workers=2)
    steps: list[str] = []
    with pytest.raises(RunFailed) as failed:
        simulate(plan, tmp_path / "out", lambda task, event: steps.append(event.step))
    told = str(failed.value)
    assert "arm default, seed 0" in told
    assert "arm default, seed 1" in told
    assert "step select failed: AttributeError: " in told
    assert sum(step.startswith("failed: ") for step in steps) == 2


def test_a_failure_of_an_earlier_start_is_not_told_again(tmp_path: Path) -> None:
    home = tmp_path / "site-01"
    home.mkdir()
    (home / "site.log").write_text("step select failed: ValueError: one\n")
    logs = Logs(tmp_path)
    assert logs.told() == ""
    with (home / "site.log").open("a") as log:
        log.write("step train failed: KeyError: two\nTraceback\n")
    assert logs.told() == (
        f"site-01: step train failed: KeyError: two; the whole stack is in {home / 'site.log'}"
    )
    (home / "site.log").write_text("step train failed: KeyError: 3\n")  # it was put aside between
    assert "KeyError: 3" in logs.told()
